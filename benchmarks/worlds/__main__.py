"""`python -m benchmarks.worlds NAME --records N --out DIR [--parquet] [--seed N]`: writes a world of the grid; without NAME lists them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from spine.core.errors import ConfigError

from . import making, shares


def main() -> int:
    """Exit code 2 says that a world's file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worlds", description=__doc__)
    parser.add_argument("world", nargs="?", help="a name of the grid, or a path to a YAML file of shares")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--out", type=Path, help="gets records, truth.csv and rules.yaml (default: the world's name)")
    parser.add_argument("--parquet", action="store_true", help="records.parquet instead of records.csv")
    parser.add_argument("--seed", type=int, help="instead of that of the file")
    arguments = parser.parse_args()
    try:
        if arguments.world is None:
            for world in map(shares.load, shares.names()):
                print(f"{world.world:26}{world.split:9}{world.entity:14}{world.about}")
            return 0
        given = Path(arguments.world)
        world = shares.load_file(given) if given.suffix in (".yaml", ".yml") else shares.load(arguments.world)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    started = time.perf_counter()
    made = making.generate(world, arguments.records, arguments.seed)
    folder = arguments.out or Path(world.world)
    making.write(made, world, folder, "parquet" if arguments.parquet else "csv")
    print(f"{len(made.truth):,} records of {len(set(made.truth.tolist())):,} in {folder}, {time.perf_counter() - started:.1f} s")
    limit = making.ceiling(made)
    print(
        f"pairs of equal records: {limit['alike_same']:,} of one, {limit['alike_strangers']:,} of strangers; F1 at most {limit['f1']:.4f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
