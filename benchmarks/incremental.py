"""Ten thousand changed records, source to Gold: one incremental run through all layers (PRF-03: under 5 minutes).

`python benchmarks/incremental.py [--scale N] [--changed N] [--check]` seeds a world of N persons in three systems, loads it once, lets
Salesforce contacts change, and prints the seconds of each step and the peak memory of this process and its JVM; vendors and PostgreSQL
are processes of their own. With `--check` the exit code says whether the incremental run stayed below the limit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
import psutil

LIMIT = 300.0
TENANT = "bench"
STREAMS = {"salesforce": ["contacts"], "hubspot": ["contacts"], "people_files": ["people"]}


class Memory(threading.Thread):
    """Peak of the resident memory (MB) of this process and its children but the named ones, looked at five times a second."""

    def __init__(self, without: set[int]) -> None:
        super().__init__(daemon=True)
        self.without, self.peak, self.going = without, 0.0, True

    def run(self) -> None:
        while self.going:
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    total += 0 if process.pid in self.without else process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total / 1e6)
            time.sleep(0.2)


@contextmanager
def vendors(scale: int, drop: Path) -> Iterator[tuple[str, int]]:
    """The sandbox as a process; its address and pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "spine.sandbox", "--port", str(port), "--tenants", f"{TENANT}:{scale}", "--drop", str(drop)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


def make_services(url: str, database: str, drop: Path) -> Any:
    from spine.control.airflow_state import ConnectionInfo
    from spine.control.database import Database
    from spine.control.variables import MemoryVariables
    from spine.core.names import connection_id
    from spine.pipeline.services import Services
    from spine.sandbox.accounts import credentials

    known = credentials(TENANT)
    grant = {"refresh_token": known.refresh_token}
    infos: dict[str, dict[str, Any]] = {
        "salesforce": {"host": url, "login": known.client_id, "password": known.client_secret, "extra": grant},
        "hubspot": {"host": url, "password": known.hubspot_token},
        "people_files": {"host": str(drop / TENANT)},
    }
    names = {connection_id(source, TENANT): ConnectionInfo(connection_id(source, TENANT), **facts) for source, facts in infos.items()}
    return Services(Database(database), MemoryVariables(), names.__getitem__)


def sync(source: str, run_id: str, services: Any) -> int:
    from spine.pipeline import closing, extract
    from spine.pipeline.work import Sync

    works = extract.plan(Sync(source, run_id, [TENANT], STREAMS[source]), services)
    rows = sum(extract.extract(work, services).counts.rows for work in works)
    closing.finish(source, run_id, [TENANT], services)
    return rows


def path(run_id: str, sources: list[str], services: Any, spark: Any, database: str) -> dict[str, tuple[float, Any]]:
    """One run; seconds and result of each step."""
    from spine.gold.publish import publish
    from spine.pipeline.normalize import normalize
    from spine.pipeline.resolve import resolve

    timed: dict[str, tuple[float, Any]] = {}

    def step(name: str, work: Callable[[], Any]) -> None:
        begin = time.monotonic()
        result = work()
        timed[name] = (time.monotonic() - begin, result)
        print(f"  {name:24} {timed[name][0]:7.1f} s", flush=True)

    for source in sources:
        step(f"extract {source}", partial(sync, source, run_id, services))
        step(f"normalize {source}", partial(normalize, spark, source, run_id, database=services.database))
    step("resolve person", partial(resolve, spark, "person", run_id))
    step("publish person", partial(publish, "person", run_id, url=database))
    return timed


def measure(scale: int, changed: int, folder: Path) -> dict[str, Any]:
    """Load everything, change, run again; what the second run did and took."""
    from spine.control import embedded
    from spine.control.bootstrap import bootstrap
    from spine.core.settings import settings
    from spine.lake.session import spark_session

    begin = time.monotonic()
    spark = spark_session("benchmark")
    spark.range(1).count()
    print(f"Spark started in {time.monotonic() - begin:.1f} s", flush=True)
    os.environ |= {"SPINE_LAKE": str(folder / "lake"), "SPINE_HOME": str(folder / "home"), "SPINE_PRIVATE_NETWORKS": "127.0.0.0/8"}
    assert settings().home == folder / "home"
    database = bootstrap(embedded.start(folder / "home", durable=False).uri_admin)
    with vendors(scale, folder / "drop") as (url, pid):
        services = make_services(url, database, folder / "drop")
        print(f"full load of {scale:,} persons")
        path("full", list(STREAMS), services, spark, database)
        wish = {"source": "salesforce", "stream": "contacts", "tenant": TENANT, "changed": changed}
        urlopen(Request(f"{url}/_sandbox/advance", orjson.dumps(wish), method="POST"), timeout=60).close()
        print(f"incremental run after {changed:,} changes")
        memory = Memory({pid})
        memory.start()
        timed = path("incremental", ["salesforce"], services, spark, database)
        memory.going = False
    services.database.close()
    spark.stop()
    return {
        "seconds": sum(seconds for seconds, _ in timed.values()), "peak_mb": memory.peak, "read": timed["extract salesforce"][1],
        "published": timed["normalize salesforce"][1].entities["person"].published, "resolved": timed["resolve person"][1],
        "gold": timed["publish person"][1],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=20_000)
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true", help="end with the figures as one line of JSON")
    given = parser.parse_args()
    from spine.control import embedded

    folder = Path(tempfile.mkdtemp(prefix="spine-inc-")).resolve()
    try:
        found = measure(given.scale, given.changed, folder)
    finally:
        embedded.stop(folder / "home")
        shutil.rmtree(folder, ignore_errors=True)
    counts = found["resolved"]
    print(
        f"{found['read']:,} rows read, {found['published']:,} changed in Silver, {counts['pairs']:,} pairs, "
        f"{counts['merged']:,} merged, {counts['split']:,} split, {found['gold']['updated']:,} rows updated in PostgreSQL\n"
        f"source to Gold {found['seconds']:.1f} s (limit {LIMIT:.0f} s), peak memory {found['peak_mb']:,.0f} MB"
    )
    if given.json:
        print(orjson.dumps(found, default=str).decode())
    return 1 if given.check and found["seconds"] > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
