"""One run of one source by this package, as the DAG's tasks do it, on a control plane that is there already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync

TENANT = "bench"


def extracted(order: dict[str, Any], spec: str, info: ConnectionInfo) -> int:
    """Read all streams of a source's file into Bronze; how many records."""
    folder = Path(order["folder"])
    (folder / "sources").mkdir()
    name = next(line.partition(":")[2].strip() for line in spec.splitlines() if line.startswith("source:"))
    (folder / "sources" / f"{name}.yaml").write_text(spec)
    os.environ |= {
        "SPINE_LAKE": str(folder / "lake"), "SPINE_HOME": str(folder), "SPINE_SOURCES": str(folder / "sources"),
        "SPINE_PRIVATE_NETWORKS": "127.0.0.0/8",
    }  # fmt: skip
    services = Services(Database(order["database"]), MemoryVariables(), lambda _: info)
    run = f"run-{folder.name}"
    works = extract.plan(Sync(name, run, [TENANT], None, "full"), services)
    rows = sum(extract.extract(work, services).counts.rows for work in works)
    closing.finish(name, run, [TENANT], services)
    services.database.close()
    return rows
