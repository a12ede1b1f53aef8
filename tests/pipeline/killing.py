"""Extraction in a process of its own that is killed (SIGKILL) behind each of its commits, with a lake and Variables of its own."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.core.names import connection_id

PROGRAM = Path(__file__).with_name("extract_process.py")
COLUMNS = ("record_id", "op", "cursor", "payload", "run_id")


class Process:
    """Runs of one stream of a tenant's account; `environment` makes pages and commits small."""

    def __init__(self, run_program: Any, database: Any, folder: Path, stream: str, account: dict[str, Any], **environment: str) -> None:
        folder.mkdir()
        source, _, name = stream.partition(".")
        tenant = f"t{folder.parent.name}{folder.name}".replace("-", "")[:60].lower().replace("_", "")
        connection = connection_id(source, tenant)
        self.run_program, self.folder, self.environment = run_program, folder, environment
        self.path = folder / "lake" / f"raw_{source}_{name}"
        self.order = {
            "folder": str(folder), "database": database.url.render_as_string(hide_password=False),
            "connections": {connection: asdict(ConnectionInfo(connection, "spine", **account))},
            "source": source, "stream": name, "tenant": tenant,
        }  # fmt: skip

    def run(self, run_id: str, mode: str = "incremental", failpoint: str = "") -> int:
        order = self.folder / "order.json"
        order.write_bytes(orjson.dumps({**self.order, "run_id": run_id, "mode": mode}))
        environment = {**os.environ, **self.environment, "SPINE_LAKE": str(self.folder / "lake"), "SPINE_FAILPOINT": failpoint}
        done = self.run_program(PROGRAM, str(order), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return int(done.returncode)

    def killed(self, run_id: str, mode: str = "incremental") -> int:
        """Kill the run behind each of its commits; how often."""
        kills = 0
        while self.run(run_id, mode, "extract.after_page_commit:1") == -9:
            kills += 1
            assert kills < 40
        return kills

    def rows(self) -> Counter[Any]:
        """What Bronze has."""
        found = DeltaTable(str(self.path)).to_pyarrow_table(columns=list(COLUMNS)).to_pylist()
        return Counter(tuple(row.values()) for row in found)

    def state(self) -> str:
        """What is kept between runs."""
        return (self.folder / "variables.json").read_text()
