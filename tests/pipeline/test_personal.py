"""Personal fields are hashed before anything is kept: the same in all runs of a tenant, another one for each tenant, nothing in clear."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.names import connection_id
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync

PEOPLE = [
    {"id": 1, "email": "ada@b.org", "phone": "030-1"},
    {"id": 2, "email": "ada@b.org", "phone": None},
    {"email": "eve@b.org", "id": None},
]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(orjson.dumps(PEOPLE))

    def log_message(self, *args: Any) -> None:
        pass


def test_personal_fields_are_hashed_by_a_key_of_the_tenant(
    tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = {"name": "people", "path": "/", "key": ["id"], "personal": {"email": "hash", "phone": "mask"}}
    (tmp_path / "shop.yaml").write_text(json.dumps({"source": "shop", "label": "S", "domain": "hr", "streams": [stream]}))
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    tenants = [f"t{uuid4().hex[:10]}" for _ in range(2)]
    names = {connection_id("shop", tenant): tenant for tenant in tenants}
    infos = {name: ConnectionInfo(name, "http", f"http://127.0.0.1:{server.server_port}") for name in names}
    services = Services(database, MemoryVariables(), infos.__getitem__, lambda seconds: None)
    for run in ("r1", "r2"):
        for work in extract.plan(Sync("shop", run, tenants), services):
            extract.extract(work, services)
        closing.finish("shop", run, tenants, services)
    server.shutdown()
    server.server_close()
    rows = DeltaTable(table_uri("raw_shop_people")).to_pyarrow_table().to_pylist()
    assert "b.org" not in "".join(str(row) for row in rows)
    assert "030" not in "".join(row["payload"] for row in rows)
    found = {tenant: {orjson.loads(row["payload"])["email"] for row in rows if row["tenant_id"] == tenant and row["record_id"] in "12"}
             for tenant in tenants}  # fmt: skip
    assert [len(hashes) for hashes in found.values()] == [1, 1]
    assert found[tenants[0]] != found[tenants[1]]
