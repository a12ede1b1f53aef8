"""A million records into Delta: by this package, by dlt, and by a floor without a feature, in one run on one machine.

`python benchmarks/extract.py [--records N] [--only http|database] [--rounds N] [--check] [--json FILE]` serves the records from a process
of its own, lets each reader read them in a process of its own, and prints records a second, processor seconds and peak memory.
`--check` ends with 1 if an aim is missed. dlt is installed by uv into a folder of its own below --tools, once; if that fails, it is said.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson

from benchmarks.extracting import database, http

PARTS = {"http": http, "database": database}  # each has AIMS and `readings(Bench)`


def main() -> int:
    """Run the parts that are asked for and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--rounds", type=int, default=1, help="how often each is read; the quickest counts")
    parser.add_argument("--tools", type=Path, default=Path(tempfile.gettempdir()) / "spine-benchmark-tools")
    parser.add_argument("--without-dlt", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    from benchmarks.extracting.bench import Bench

    good, figures = True, {}
    with Bench.opened(asked.records, asked.rounds, None if asked.without_dlt else asked.tools) as bench:
        for name, part in PARTS.items():
            if asked.only in (None, name):
                figures[name] = found = part.readings(bench)
                good = told(name, found, part.AIMS) and good
    if asked.json:
        asked.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    return 0 if good or not asked.check else 1


def told(name: str, found: dict[str, dict[str, Any]], aims: dict[str, float]) -> bool:
    """Print a part's readings; whether ours is at least as many times as quick as each other as its aims say."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"\n{name}: {found['ours']['rows']:,} records, load of the machine {load}")
    print(f"{'':10}{'records/s':>12}{'seconds':>10}{'processor':>11}{'peak MB':>9}")
    for who, one in found.items():
        print(f"{who:10}{one['rows'] / one['seconds']:>12,.0f}{one['seconds']:>10.1f}{one['cpu']:>11.1f}{one['peak_mb']:>9.0f}")
    good = True
    for other, aim in aims.items():
        if other not in found:
            print(f"{other} was not there to compare with")
            continue
        times, worked = (found[other][unit] / found["ours"][unit] for unit in ("seconds", "cpu"))
        print(f"{times:.2f} times as quick as {other} (aim: {aim}), {worked:.2f} times by processor seconds")
        good = good and times >= aim
    return good


if __name__ == "__main__":
    sys.exit(main())
