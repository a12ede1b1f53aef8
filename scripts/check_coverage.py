"""Fails unless the measured share of lines and of branches reaches its threshold; reads `coverage json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LINES, BRANCHES = 85.0, 75.0


def main(report: Path) -> int:
    """Print both shares; 0 if both suffice."""
    totals = json.loads(report.read_text())["totals"]
    lines = 100 * totals["covered_lines"] / max(1, totals["num_statements"])
    branches = 100 * totals["covered_branches"] / max(1, totals["num_branches"])
    print(f"coverage: {lines:.1f} % of lines (at least {LINES:g}), {branches:.1f} % of branches (at least {BRANCHES:g})")
    return int(lines < LINES or branches < BRANCHES)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
