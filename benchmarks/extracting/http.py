"""Records over local HTTP."""

from __future__ import annotations

from benchmarks.extracting.bench import Bench, Reading
from benchmarks.extracting.vendor import vendor

AIMS = {"dlt": 3.0, "floor": 0.6}
PAGE = 1000


def readings(bench: Bench) -> dict[str, Reading]:
    """What each reader took."""
    with vendor(bench.records, PAGE) as url:
        return bench.compared({"floor": "http_floor", "ours": "http_ours", "dlt": "http_dlt"}, url=url)
