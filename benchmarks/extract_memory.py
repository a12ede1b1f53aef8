"""Peak memory of an extraction of a million records against one of ten thousand, each in a process of its own.

`python benchmarks/extract_memory.py [small] [large]` starts the sandbox and an embedded PostgreSQL, prints both peaks and their
ratio, and ends with 1 if it is above 1.2.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

LIMIT = 1.2


def measure(order: dict) -> dict:
    """Extract one stream in this process; rows, seconds and the peak of its resident memory in MB."""
    from spine.control.airflow_state import ConnectionInfo
    from spine.control.database import Database
    from spine.control.variables import MemoryVariables
    from spine.pipeline import closing, extract
    from spine.pipeline.services import Services
    from spine.pipeline.work import Sync

    info = ConnectionInfo(**order["connection"])
    services = Services(Database(order["database"]), MemoryVariables(), lambda name: info)
    begin = time.monotonic()
    run_id = f"memory-{time.time_ns()}"
    (work,) = extract.plan(Sync("salesforce", run_id, [order["tenant"]], ["contacts"], "full"), services)
    result = extract.extract(work, services)
    closing.finish("salesforce", run_id, [order["tenant"]], services)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
    return {"rows": result.counts.rows, "seconds": round(time.monotonic() - begin, 1), "peak_mb": round(peak, 1)}


def main(sizes: list[int]) -> int:
    """Run both sizes and print the table."""
    from spine.control import embedded
    from spine.control.bootstrap import bootstrap
    from spine.sandbox.accounts import credentials
    from spine.sandbox.server import SandboxServer

    folder = Path(tempfile.mkdtemp(prefix="spine-memory-"))
    found = []
    try:
        database = bootstrap(embedded.start(folder / "home", durable=False).uri_admin)
        for size in sizes:
            tenant = f"m{size}"
            with SandboxServer({tenant: size}) as server:
                secret = credentials(tenant)
                connection = {
                    "conn_id": "memory", "host": server.url, "login": secret.client_id, "password": secret.client_secret,
                    "extra": {"refresh_token": secret.refresh_token},
                }  # fmt: skip
                found.append(in_process({"connection": connection, "database": database, "tenant": tenant}, folder / tenant))
    finally:
        embedded.stop(folder / "home")
        shutil.rmtree(folder, ignore_errors=True)
    ratio = found[-1]["peak_mb"] / found[0]["peak_mb"]
    for line in found:
        print(f"{line['rows']:>9} rows  {line['seconds']:>7} s  peak {line['peak_mb']:>7} MB")
    print(f"ratio {ratio:.2f} (limit {LIMIT})")
    return 0 if ratio <= LIMIT else 1


def in_process(order: dict, folder: Path) -> dict:
    """`measure` in a fresh process."""
    import os

    folder.mkdir()
    environment = {**os.environ, "SPINE_LAKE": str(folder / "lake"), "SPINE_HOME": str(folder), "SPINE_PRIVATE_NETWORKS": "127.0.0.0/8"}
    order_file = folder / "order.json"
    order_file.write_bytes(orjson.dumps(order))
    done = subprocess.run([sys.executable, __file__, "--measure", str(order_file)], env=environment, stdout=subprocess.PIPE, check=True)
    return orjson.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(orjson.dumps(measure(orjson.loads(Path(sys.argv[2]).read_bytes()))).decode())
    else:
        sys.exit(main([int(argument) for argument in sys.argv[1:3]] or [10_000, 1_000_000]))
