"""Twenty kills (SIGKILL) over HTTP, wherever the vendor is being asked just then: Bronze ends as that of the undisturbed run.

The process is killed while one of its calls is on its way, before the vendor answers, so that the place is that of no failpoint: in the
middle of parents, of spans of time, of a job's questions, of a renewed token. The vendor is made from the source's file.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import psutil
import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.core.declarations import load_declaration
from spine.core.names import connection_id
from spine.sandbox.vendor import Answer, Call, Vendor, VendorServer
from spine.sources.spec import Source

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("extract_process.py")
SPECS = Path(__file__).parents[1] / "connector_suite" / "specs"
# Source, stream, and the numbers of the calls at which it is killed: twenty in all.
STREAMS = [
    ("parts", "notes", range(0, 12, 2)),
    ("cursors", "steps", range(5)),
    ("jobs", "exported", range(4)),
    ("auths", "refreshed", range(5)),
]


class Run:
    """One connection's extraction in processes of its own, with a lake and Variables of its own, and the vendor that it asks."""

    def __init__(self, run_program: Any, database: Any, folder: Path, spec: Path, stream: str) -> None:
        folder.mkdir()
        self.run_program, self.folder, self.stream = run_program, folder, stream
        declared = load_declaration(spec, Source)
        self.vendor = Vendor(declared, size=2, count=30, few=4)
        self.vendor.expect(stream)
        self.vendor.trouble = self._kill
        self.kill_at, self.killed = -1, False
        self.table = folder / "lake" / f"raw_{declared.source}_{stream}"
        tenant, holder = f"t{uuid4().hex[:10]}", self.vendor.holder
        name = connection_id(declared.source, tenant)
        info = ConnectionInfo(name, "generic", self.vendor.base, login=holder.login, password=holder.password, extra=dict(holder.extra))
        self.order = {
            "folder": str(folder), "database": database.url.render_as_string(hide_password=False), "connections": {name: asdict(info)},
            "source": declared.source, "stream": stream, "tenant": tenant, "run_id": "r1", "mode": "full",
        }  # fmt: skip

    def _kill(self, call: Call, number: int) -> Answer | None:
        if self.killed or self.kill_at < 0 or number < self.kill_at:
            return None
        self.killed = True
        for process in psutil.Process().children(recursive=True):
            if any(connection.raddr and connection.raddr.port == self.port for connection in process.net_connections("tcp")):
                process.kill()
        return Answer.of({"message": "too late"}, 503)

    def run(self, kill_at: int = -1) -> int:
        self.kill_at, self.killed, self.vendor.asked = kill_at, False, 0
        order = self.folder / "order.json"
        order.write_bytes(orjson.dumps(self.order))
        with VendorServer(self.vendor) as server:
            self.port = int(server.url.rpartition(":")[2])
            environment = {
                **os.environ, "SPINE_LAKE": str(self.folder / "lake"), "SPINE_FLUSH_BYTES": "1", "SPINE_PROXY": server.proxy,
                "REQUESTS_CA_BUNDLE": server.bundle,
            }  # fmt: skip
            done = self.run_program(PROGRAM, str(order), env=environment)
        assert done.returncode in (0, -9), done.stderr
        assert self.vendor.fault() == ""
        return int(done.returncode)

    def rows(self) -> Counter[Any]:
        found = DeltaTable(str(self.table)).to_pyarrow_table(columns=["record_id", "op", "cursor", "payload"]).to_pylist()
        return Counter(tuple(row.values()) for row in found)


@pytest.mark.parametrize(("source", "stream", "places"), STREAMS, ids=[stream for _, stream, _ in STREAMS])
def test_a_run_that_is_killed_anywhere_ends_as_the_undisturbed_one(run_program, database, tmp_path, monkeypatch, source, stream, places):
    from spine.core import clock

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setenv("SPINE_SOURCES", str(SPECS))
    moment = clock.now().replace(microsecond=0)
    monkeypatch.setattr("spine.sandbox.vendor.vendor.now", lambda: moment)  # both vendors have the same records
    calm = Run(run_program, database, tmp_path / "calm", SPECS / f"{source}.yaml", stream)
    rough = Run(run_program, database, tmp_path / "rough", SPECS / f"{source}.yaml", stream)
    assert calm.run() == 0
    for place in places:
        assert rough.run(place) == -9, place
    assert rough.run() == 0
    assert {row[:3] for row in rough.rows()} == {row[:3] for row in calm.rows()}
    assert rough.rows() == calm.rows()
