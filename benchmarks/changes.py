"""A few changes against many records: processor seconds of a full run of `spine match`, of one after changes, and of one without any.

`python -m benchmarks.changes [--world vendors] [--records N] [--changed N] [--folder DIR]`. Each run is a process of its own; what a run of
50 records takes counts as start-up and is taken off. A fifth of the changes are new records.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from .worlds import making, shares


def processor_seconds(*arguments: object) -> float:
    """User and system seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "spine.cli", "match", *map(str, arguments)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def change(records: Path, changed: Path, count: int) -> None:
    """The records with some changed: other cities, and new records like old ones."""
    text = pacsv.ConvertOptions(column_types=dict.fromkeys(pacsv.open_csv(records).schema.names, pa.string()), strings_can_be_null=False)
    table = pacsv.read_csv(records, convert_options=text)
    rows = random.Random(7).sample(range(table.num_rows), count)
    new, other = rows[: count // 5], set(rows[count // 5 :])
    city = pa.array(["Newtown" if row in other else value for row, value in enumerate(table.column("city").to_pylist())])
    table = table.set_column(table.schema.get_field_index("city"), "city", city)
    fresh = table.take(pa.array(new))
    fresh = fresh.set_column(0, "unique_id", pa.array([f"new{number}" for number in range(len(new))]))
    pacsv.write_csv(pa.concat_tables([table, fresh]), changed)


def main() -> None:
    """Prints the seconds and the shares of a full run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="vendors")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="spine-changes-"))
    folder.mkdir(exist_ok=True)
    world = shares.load(given.world)
    making.write(making.generate(world, given.records, None), world, folder, "csv")
    change(folder / "records.csv", folder / "changed.csv", given.changed)
    common = ("-e", folder / "rules.yaml", "-o", folder / "clusters.csv")
    few = folder / "few.csv"
    few.write_text("".join((folder / "records.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:51]), encoding="utf-8")
    idle = min(processor_seconds(few, *common) for _ in range(3))
    full = processor_seconds(folder / "records.csv", *common) - idle
    print(f"start-up {idle:.2f}, full run {full:.2f} CPU seconds", flush=True)
    for name in ("after changes", "without changes"):
        found = processor_seconds(folder / "changed.csv", *common, "--previous", folder / "clusters.csv") - idle
        print(f"{name} {found:.2f} CPU seconds, {found / full:.1%} of a full run", flush=True)


if __name__ == "__main__":
    main()
