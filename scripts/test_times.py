"""Says where the time of a test run goes: seconds by module as a Markdown table, dearest first; reads what `pytest --junitxml` wrote.

`python scripts/test_times.py .spine/tests.xml [earlier.xml] [--least SECONDS]`; with an earlier report, its seconds stand beside.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree


def seconds(report: Path) -> Counter[str]:
    """Seconds by module, set-up and tear-down of its fixtures included."""
    found: Counter[str] = Counter()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        words = case.get("classname", "").split(".")
        module = "/".join(word for word in words[1:] if not word[:1].isupper())  # classes are not modules
        found[module] += float(case.get("time", 0))
    return found


def table(columns: list[Counter[str]], least: float) -> list[str]:
    """Lines of the table; modules that took less than `least` in every column are one line."""
    names = sorted({name for column in columns for name in column}, key=lambda name: -columns[0][name])
    dear = [name for name in names if max(column[name] for column in columns) >= least]
    rest = [sum(column[name] for name in names if name not in dear) for column in columns]
    rows = [(f"`{name}`", [column[name] for column in columns]) for name in dear]
    rows += [("all else", rest), ("**together**", [sum(column.values()) for column in columns])]
    return [f"| {name} | {' | '.join(f'{value:.0f}' for value in values)} |" for name, values in rows]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--least", type=float, default=15)
    given = parser.parse_args()
    print("\n".join(table([seconds(report) for report in given.reports], given.least)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
