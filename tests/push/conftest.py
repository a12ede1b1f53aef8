"""A lake with a few golden persons, a warehouse that is a real PostgreSQL, and words to run a push."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import psycopg
import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable, write_deltalake

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database, TenantDatabase
from spine.control.variables import MemoryVariables
from spine.core.names import connection_id
from spine.lake.paths import table_uri
from spine.pipeline.services import Services
from spine.push import running
from spine.push.spec import Push, load_push
from spine.sandbox.server import SandboxServer
from tests.pipeline.conftest import sandbox_connections
from tests.relay import Relay

PROGRAM = Path(__file__).with_name("push_process.py")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
GOLD = pa.schema([
    ("tenant_id", pa.string()), ("entity_id", pa.string()), ("given_name", pa.string()), ("family_name", pa.string()),
    ("email", pa.string()), ("country", pa.string()), ("birth_date", pa.date32()), ("score", pa.decimal128(28, 6)),
    ("record_count", pa.int64()), ("updated_at", pa.timestamp("us", "UTC")),
])  # fmt: skip


def person(number: int, **values: Any) -> dict[str, Any]:
    """A golden person."""
    usual = {"entity_id": f"per_{number:04}", "given_name": f"Given{number}", "family_name": f"Family{number}",
             "email": f"p{number}@example.com", "country": "DE", "record_count": number, "updated_at": WHEN}  # fmt: skip
    return {**usual, **values}


def put_gold(rows: Sequence[Mapping[str, Any]], tenant: str, table: str = "gold_party_person") -> None:
    """Have Gold hold exactly these rows of a tenant."""
    full = [{**dict.fromkeys(GOLD.names), "tenant_id": tenant, **row} for row in rows]
    uri, content = table_uri(table), pa.Table.from_pylist(full, GOLD)
    if DeltaTable.is_deltatable(uri):
        write_deltalake(uri, content, mode="overwrite", predicate=f"tenant_id = '{tenant}'")
    else:
        write_deltalake(uri, content, partition_by=["tenant_id"])


@dataclass
class Way:
    """One way back of one tenant, and short words to run it."""

    services: Services
    tenant: str
    folder: Path
    connections: dict[str, ConnectionInfo]
    slept: list[float] = field(default_factory=list)
    name: str = "customer_360"
    number: int = 0

    @property
    def database(self) -> TenantDatabase:
        return self.services.database.of(self.tenant)

    def declare(self, **changes: Any) -> Push:
        """Write the file of the way back."""
        said: dict[str, Any] = {
            "name": self.name, "label": "Customers", "source": {"object": "gold_party_person"},
            "destination": {
                "connector": "warehouse", "kind": "postgresql", "object": "customer_360.customers",
                "mapping": {"entity_id": "customer_id", "given_name": "first_name", "email": "email", "birth_date": "born",
                            "score": "score", "record_count": "records"},
                "match_key": ["entity_id"],
            },
        }  # fmt: skip
        for place, value in changes.items():
            if isinstance(value, dict) and isinstance(said.get(place), dict) and not value.pop("_instead", False):
                said[place] = {**said[place], **value}
            else:
                said[place] = value
        (self.folder / f"{self.name}.yaml").write_text(yaml.safe_dump(said))
        return load_push(self.name)

    def work(self, run_id: str = "", undoes: str = "") -> running.PushWork:
        self.number += 1
        return running.PushWork(self.name, self.tenant, run_id or f"run{self.number:03}", undoes)

    def run(self, run_id: str = "", *, approved_by: str = "", undoes: str = "") -> running.Reported:
        work = self.work(run_id, undoes)
        running.begin(work, load_push(self.name), self.services)
        return running.run_push(work, self.services, approved_by=approved_by)

    def plan(self) -> running.Compared:
        return running.compare(self.work(), self.services, dry=True)

    def put(self, *people: Mapping[str, Any]) -> None:
        put_gold(people, self.tenant)


@pytest.fixture
def make_way(database: Database, lake: str, home: Path, tmp_path: Path, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Way]:
    """Makes a way back with Connections, by the names of their sources."""

    def make(**accounts: ConnectionInfo) -> Way:
        folder = tmp_path / "syncs"
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("SPINE_SYNCS", str(folder))
        found = {connection_id(source, tenant): info for source, info in accounts.items()}
        slept: list[float] = []
        return Way(Services(database, MemoryVariables(), found.__getitem__, slept.append), tenant, folder, found, slept)

    return make


@dataclass(frozen=True)
class Warehouse:
    """A database of its own that pushes write to."""

    url: str
    account: ConnectionInfo

    def ask(self, query: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(query)  # type: ignore[arg-type]
            return done.fetchall() if done.description else []


@pytest.fixture(scope="module")
def relay(admin_url: str) -> Iterator[tuple[Relay, str]]:
    """PostgreSQL on a port, as a Connection names it, and its database."""
    parts = urlsplit(admin_url)
    folder, port = parse_qs(parts.query)["host"][0], parts.port or int(parse_qs(parts.query).get("port", ["5432"])[0])
    found = [path for path in Path(folder).glob(".s.PGSQL.*") if not path.name.endswith(".lock")]
    relay = Relay(str(found[0] if found else Path(folder) / f".s.PGSQL.{port}"))
    yield relay, parts.path.strip("/")
    relay.close()


@pytest.fixture
def warehouse(admin_url: str, relay: tuple[Relay, str]) -> Iterator[Warehouse]:
    account = ConnectionInfo("warehouse", "postgres", "127.0.0.1", relay[0].port, relay[1], "postgres", "x")
    yield Warehouse(admin_url, account)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS customer_360 CASCADE")


@pytest.fixture
def way(make_way: Callable[..., Way], warehouse: Warehouse) -> Way:
    """A way back from golden persons to the warehouse."""
    made = make_way(warehouse=warehouse.account)
    made.declare()
    return made


@pytest.fixture
def killed(run_program: Any, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs a push in a process of its own that dies at a place; gives its exit code and what it reported."""

    def run(way: Way, run_id: str, failpoint: str = "") -> tuple[int, dict[str, Any]]:
        order, told = tmp_path / "order.json", tmp_path / "told.json"
        told.unlink(missing_ok=True)
        said = {
            "push": way.name, "tenant": way.tenant, "run_id": run_id, "told": str(told),
            "database": way.services.database.url.render_as_string(hide_password=False),
            "connections": {name: asdict(info) for name, info in way.connections.items()},
        }  # fmt: skip
        order.write_bytes(orjson.dumps(said))
        done = run_program(PROGRAM, str(order), env={**os.environ, "SPINE_FAILPOINT": failpoint})
        assert done.returncode in (0, -9), done.stderr[-3000:]
        return done.returncode, orjson.loads(told.read_bytes()) if told.exists() else {}

    return run


@pytest.fixture
def crms(make_way: Callable[..., Way], tenant: str, tmp_path: Path) -> Iterator[Any]:
    from tests.push.crms import Crms

    with SandboxServer({tenant: 20}) as server:
        way = make_way()
        way.connections |= sandbox_connections(server.url, tmp_path, [tenant])
        for source in ("salesforce", "hubspot"):
            server.sandbox.load(source=source, stream="contacts", tenant=tenant, records=[], replace=True)
        yield Crms(server, way)
