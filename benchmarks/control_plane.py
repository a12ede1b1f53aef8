"""Transactions of the control plane per request: a full read of the sandbox's HubSpot contacts, as an extraction reads them.

`python benchmarks/control_plane.py [scale]` starts the sandbox and an embedded PostgreSQL, extracts the contacts of `scale` persons, and
prints commits (`pg_stat_database.xact_commit`), pages, and seconds of the clock and of this process.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TENANT = "bench"


def commits(database: Any) -> int:
    """What PostgreSQL has committed so far; sessions tell it of theirs when they end, and about once a second."""
    database.close()
    time.sleep(1.5)
    with database.begin() as connection:
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.exec_driver_sql(query).scalar_one())


def measure(scale: int, url: str, database_url: str) -> None:
    """Extract once and print what it took."""
    from spine.control.airflow_state import ConnectionInfo
    from spine.control.database import Database
    from spine.control.variables import MemoryVariables
    from spine.pipeline import extract
    from spine.pipeline.services import Services
    from spine.pipeline.work import Sync
    from spine.sandbox.accounts import credentials

    info = ConnectionInfo("bench", host=url, password=credentials(TENANT).hubspot_token)
    services = Services(Database(database_url), MemoryVariables(), lambda name: info)
    (work,) = extract.plan(Sync("hubspot", "bench", [TENANT], ["contacts"], "full"), services)
    before, begin, worked = commits(services.database), time.monotonic(), time.process_time()
    counts = extract.extract(work, services).counts
    seconds, worked = time.monotonic() - begin, time.process_time() - worked
    found = commits(services.database) - before
    services.database.close()
    print(f"{scale:,} persons: {counts.rows:,} rows, {counts.pages} pages, {found} transactions ({found / counts.pages:.2f} a page)")
    print(f"{seconds:.1f} s, {worked:.1f} s of this process")


def main(scale: int) -> int:
    """Sandbox, PostgreSQL, one extraction."""
    from spine.control import embedded
    from spine.control.bootstrap import bootstrap
    from spine.sandbox.server import SandboxServer

    folder = Path(tempfile.mkdtemp(prefix="spine-control-")).resolve()
    os.environ |= {"SPINE_LAKE": str(folder / "lake"), "SPINE_HOME": str(folder / "home"), "SPINE_PRIVATE_NETWORKS": "127.0.0.0/8"}
    try:
        database = bootstrap(embedded.start(folder / "home", durable=False).uri_admin)
        with SandboxServer({TENANT: scale}) as server:
            measure(scale, server.url, database)
    finally:
        embedded.stop(folder / "home")
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
