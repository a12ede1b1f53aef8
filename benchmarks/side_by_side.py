"""Nine sources read side by side in one process, from vendors that take 200 ms for an answer, against one of them alone.

`python benchmarks/side_by_side.py [--pages N] [--check]` reads N pages of 100 records of each (300: a minute for one source alone), each
from a vendor in a process of its own. `--check` ends with 1 if nine take more than 1.3 times as long as the slowest alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.extracting.measured import measured

SOURCES, SIZE, LATENCY, LIMIT = 9, 100, 0.2, 1.3


def read(order: dict[str, Any]) -> int:
    """All sources of the order, a thread each; how many records."""
    from benchmarks.extracting.http_ours import SPEC
    from benchmarks.extracting.ours import TENANT, services_of
    from spine.control.airflow_state import ConnectionInfo
    from spine.core.names import connection_id
    from spine.pipeline import closing, extract
    from spine.pipeline.work import Sync

    urls = {f"bench{number}": url for number, url in enumerate(order["urls"])}
    connections = {connection_id(name, TENANT): ConnectionInfo(name, host=url, password=name) for name, url in urls.items()}
    specs = {name: SPEC.replace("source: bench", f"source: {name}") for name in urls}
    services = services_of(order, specs, connections)

    def one(name: str) -> int:
        works = extract.plan(Sync(name, "run", [TENANT], None, "full"), services)
        rows = sum(extract.extract(work, services).counts.rows for work in works)
        closing.finish(name, "run", [TENANT], services)
        return rows

    with ThreadPoolExecutor(len(urls)) as threads:
        return sum(threads.map(one, urls))


def main() -> int:
    """Each alone would take as long: one alone, then all together."""
    from benchmarks.extracting.bench import Bench
    from benchmarks.extracting.vendor import vendor

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    records = asked.pages * SIZE
    with Bench.opened(records, 1, None) as bench, ExitStack() as vendors:
        urls = [vendors.enter_context(vendor(records, SIZE, LATENCY)) for _ in range(SOURCES)]
        alone = bench.reading(Path(sys.executable), "benchmarks.side_by_side", "alone", {"urls": urls[:1]})
        together = bench.reading(Path(sys.executable), "benchmarks.side_by_side", "together", {"urls": urls})
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    for name, found in (("one", alone), ("nine", together)):
        print(
            f"{name:5}{found['rows']:>9,} records{found['seconds']:>8.1f} s{found['cpu']:>8.1f} s of processor{found['peak_mb']:>6.0f} MB"
        )
    times = together["seconds"] / alone["seconds"]
    print(f"{times:.2f} times as long (limit {LIMIT}); load of the machine {load}")
    whole = (alone["rows"], together["rows"]) == (records, records * SOURCES)
    return 0 if whole and (times <= LIMIT or not asked.check) else 1


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].endswith("order.json"):
        measured(read)
    else:
        sys.exit(main())
