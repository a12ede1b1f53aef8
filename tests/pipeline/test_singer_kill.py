"""A tap whose worker is killed (SIGKILL) behind each commit: Bronze is that of the undisturbed run, though the tap repeats itself."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.core.names import connection_id

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("extract_process.py")
TAP = Path(__file__).parents[1] / "sources" / "singer" / "tap.py"
SPEC = f"""\
source: taps
label: Taps
domain: revops
kind: singer
tap: {{executable: {TAP}, config: {{token: "{{password}}", count: "{{count}}"}}}}
streams:
  - name: people
    key: [id]
    cursor: {{field: at}}
"""


class Process:
    """Runs the extraction in a process of its own, with a lake and Variables of its own."""

    def __init__(self, run_program: Any, database: Any, folder: Path, tenant: str) -> None:
        folder.mkdir()
        self.run_program, self.folder, self.tenant = run_program, folder, tenant
        self.url = database.url.render_as_string(hide_password=False)

    def run(self, run_id: str, count: int, failpoint: str = "") -> int:
        name = connection_id("taps", self.tenant)
        info = ConnectionInfo(name, "spine", password="sesame-of-the-tap", extra={"count": count})
        order = {
            "folder": str(self.folder), "database": self.url, "connections": {name: asdict(info)}, "source": "taps", "stream": "people",
            "tenant": self.tenant, "run_id": run_id, "mode": "incremental",
        }  # fmt: skip
        (self.folder / "order.json").write_bytes(orjson.dumps(order))
        environment = {
            **os.environ, "SPINE_LAKE": str(self.folder / "lake"), "SPINE_FLUSH_BYTES": "600", "SYNC_BATCH_SIZE": "10",
            "SPINE_FAILPOINT": failpoint,
        }  # fmt: skip
        done = self.run_program(PROGRAM, str(self.folder / "order.json"), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return int(done.returncode)

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(str(self.folder / "lake" / "raw_taps_people"))

    def rows(self) -> Counter[Any]:
        found = self.table.to_pyarrow_table(columns=["record_id", "op", "cursor", "payload", "run_id"]).to_pylist()
        return Counter(tuple(row.values()) for row in found)


def test_a_tap_killed_behind_each_commit_ends_as_the_undisturbed_run(run_program, database, lake, tmp_path, monkeypatch):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "taps.yaml").write_text(SPEC)
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path / "sources"))
    tenant = f"t{uuid4().hex[:10]}"
    calm, rough = (Process(run_program, database, tmp_path / name, f"{tenant}{name}") for name in ("calm", "rough"))
    kills = 0
    for run_id, count in (("r1", 60), ("r2", 85)):
        assert calm.run(run_id, count) == 0
        while rough.run(run_id, count, "extract.after_page_commit:1") == -9:
            kills += 1
            assert kills < 30
        assert rough.rows() == calm.rows(), run_id
    assert kills >= 6
    assert set(rough.rows().values()) == {1}
    assert Counter(row[4] for row in rough.rows()) == {"r1": 60, "r2": 26}
    assert "sesame" not in "".join(str(path) for path in rough.table.to_pyarrow_table(columns=["payload"]).to_pylist())
