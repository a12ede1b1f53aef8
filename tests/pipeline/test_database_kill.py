"""Tables of PostgreSQL and SQLite, killed (SIGKILL) behind each commit: Bronze is that of the undisturbed run, whichever way it is read."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import orjson
import psycopg
import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.core.names import connection_id
from tests.relay import Relay

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("extract_process.py")
SPEC = """\
source: shop
label: Shop
domain: revops
kind: database
reader: {reader}
auth: {{type: {auth}}}
streams:
  - name: people
    key: [id]
    cursor: {{field: at, lookback: 0s{reads}}}
    deletes: {{detect: sweep, max_share: 0.9}}
"""
FILL = "INSERT INTO people VALUES " + ",".join(
    f"({n}, '{'x' * 1000}', '2026-01-{1 + n // 900:02d} 00:{n // 15 % 60:02d}:00')" for n in range(12000)
)
CHANGE = "UPDATE people SET at = '2026-03-01 00:00:00' WHERE id % 3 = 0"


class Process:
    """Runs the extraction in a process of its own, with a lake and Variables of its own."""

    def __init__(self, run_program: Any, database: Any, folder: Path, tenant: str, account: dict[str, Any]) -> None:
        folder.mkdir()
        name = connection_id("shop", tenant)
        self.run_program, self.folder, self.table = run_program, folder, folder / "lake" / "raw_shop_people"
        self.order = {
            "folder": str(folder), "database": database.url.render_as_string(hide_password=False),
            "connections": {name: asdict(ConnectionInfo(name, "generic", **account))},
            "source": "shop", "stream": "people", "tenant": tenant,
        }  # fmt: skip

    def run(self, run_id: str, mode: str, failpoint: str = "") -> int:
        order = self.folder / "order.json"
        order.write_bytes(orjson.dumps({**self.order, "run_id": run_id, "mode": mode}))
        environment = {**os.environ, "SPINE_LAKE": str(self.folder / "lake"), "SPINE_FLUSH_BYTES": "3000000", "SPINE_FAILPOINT": failpoint}
        done = self.run_program(PROGRAM, str(order), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return int(done.returncode)

    def killed(self, run_id: str, mode: str) -> int:
        """Kill the run behind each of its commits; how often."""
        kills = 0
        while self.run(run_id, mode, "extract.after_page_commit:1") == -9:
            kills += 1
            assert kills < 20
        return kills

    def rows(self) -> Counter[Any]:
        found = DeltaTable(str(self.table)).to_pyarrow_table(columns=["record_id", "op", "cursor", "payload", "run_id"]).to_pylist()
        return Counter(tuple(row.values()) for row in found)


@pytest.fixture(params=["postgresql", "sqlite"])
def shop(request, admin_url, tmp_path):
    """A filled table: (reader, account, what changes it)."""
    if request.param == "sqlite":
        drop = tmp_path / "drop"
        drop.mkdir()
        made = sqlite3.connect(drop / "shop.db", isolation_level=None)
        say, account = made.execute, {"host": str(drop / "{tenant}" / "shop.db")}
        time = "text"
    else:
        parts = urlsplit(admin_url)
        folder = Path(parse_qs(parts.query)["host"][0])
        relay = Relay(str(next(path for path in folder.glob(".s.PGSQL.*") if path.suffix != ".lock")))
        made = psycopg.connect(admin_url, autocommit=True)
        say, account = made.execute, {"host": "127.0.0.1", "port": relay.port, "schema": parts.path.strip("/"), "login": "postgres"}
        say("SET TIME ZONE 'UTC'")
        time = "timestamptz"
    say(f"CREATE TABLE people (id integer PRIMARY KEY, t text, at {time})")
    say(FILL)
    yield request.param, account, say
    made.close()
    if request.param == "postgresql":
        relay.close()


def test_a_table_killed_behind_each_commit_ends_as_the_undisturbed_run(run_program, database, lake, tmp_path, monkeypatch, shop):
    reader, account, say = shop
    sources = tmp_path / "sources"
    sources.mkdir()
    words = {"auth": "none", "reads": ", reads: '%Y-%m-%d %H:%M:%S'"} if reader == "sqlite" else {"auth": "database", "reads": ""}
    (sources / "shop.yaml").write_text(SPEC.format(reader=reader, **words))
    monkeypatch.setenv("SPINE_SOURCES", str(sources))
    tenant, processes = f"t{uuid4().hex[:10]}", []
    for name in ("calm", "rough"):
        own, mine = f"{tenant}{name}", dict(account)
        if reader == "sqlite":
            (tmp_path / "drop" / own).mkdir()
            file = tmp_path / "drop" / own / "shop.db"
            mine["host"] = str(file)
        processes.append(Process(run_program, database, tmp_path / name, own, mine))
    calm, rough = processes

    def handed_out() -> None:
        for process in processes if reader == "sqlite" else ():
            host = process.order["connections"][connection_id("shop", process.order["tenant"])]["host"]
            Path(host).write_bytes((tmp_path / "drop" / "shop.db").read_bytes())

    kills = 0
    for run_id, mode in (("r1", "full"), ("r2", "incremental"), ("r3", "full")):
        handed_out()
        assert calm.run(run_id, mode) == 0
        kills += rough.killed(run_id, mode)
        assert rough.rows() == calm.rows(), run_id
        say(CHANGE if run_id == "r1" else "DELETE FROM people WHERE id > 6000")
    assert set(rough.rows().values()) == {1}
    assert kills >= 9
    counts = Counter((row[4], row[1]) for row in rough.rows())
    assert counts == {("r1", "upsert"): 12000, ("r2", "upsert"): 4000, ("r3", "upsert"): 6001, ("r3", "delete"): 5999}
