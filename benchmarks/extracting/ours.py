"""One run of one source by this package, as the DAG's tasks do it, on a control plane that is there already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync

TENANT = "bench"


def extracted(order: dict[str, Any], spec: str, info: ConnectionInfo) -> int:
    """Read all streams of a source's file into Bronze; how many records."""
    name = next(line.partition(":")[2].strip() for line in spec.splitlines() if line.startswith("source:"))
    services = services_of(order, {name: spec}, {connection_id(name, TENANT): info})
    run = f"run-{Path(order['folder']).name}"
    works = extract.plan(Sync(name, run, [TENANT], None, "full"), services)
    rows = sum(extract.extract(work, services).counts.rows for work in works)
    closing.finish(name, run, [TENANT], services)
    services.database.close()
    return rows


def services_of(order: dict[str, Any], specs: dict[str, str], connections: dict[str, ConnectionInfo]) -> Services:
    """The services of a run whose sources have these files and Connections; its lake is in the order's folder."""
    folder = Path(order["folder"])
    (folder / "sources").mkdir()
    for name, spec in specs.items():
        (folder / "sources" / f"{name}.yaml").write_text(spec)
    os.environ |= {
        "SPINE_LAKE": str(folder / "lake"), "SPINE_HOME": str(folder), "SPINE_SOURCES": str(folder / "sources"),
        "SPINE_PRIVATE_NETWORKS": "127.0.0.0/8",
    }  # fmt: skip
    return Services(Database(order["database"]), MemoryVariables(), connections.__getitem__)
