"""A company in small: sandbox vendors, lake, PostgreSQL and Spark, driven by the functions that DAGs and jobs call, without a scheduler.

Worlds live as long as their module, since a run through every layer costs seconds: a module runs once and its tests look at snapshots.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import orjson
import psycopg
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from spine.cli import world as cli_world
from spine.cli.commands import app
from spine.control.airflow_state import TENANTS_VARIABLE, ConnectionInfo
from spine.control.bootstrap import bootstrap, ensure_analyst
from spine.control.database import Database, analyst_role
from spine.control.variables import MemoryVariables
from spine.core.entities import load_entity
from spine.core.errors import SpineError
from spine.core.names import connection_id, gold_table, record_ref
from spine.core.settings import PROJECT
from spine.gold.publish import publish
from spine.lake.gold import JOURNAL, LINKS
from spine.lake.reading import table_names
from spine.pipeline import closing, extract
from spine.pipeline.normalize import normalize
from spine.pipeline.resolve import resolve
from spine.pipeline.services import Services
from spine.pipeline.work import StreamWork, Sync
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer
from spine.stack.report import Score, pairwise

SOURCES = ("salesforce", "hubspot", "people_files")
ENTITIES = ("person", "organization")
Rows = list[dict[str, Any]]


def connections_to(url: str, drop: Path, tenants: list[str]) -> dict[str, ConnectionInfo]:
    """What an operator would enter in Airflow for the sandbox's vendors."""
    found = []
    for tenant in tenants:
        known = credentials(tenant)
        grant = {"refresh_token": known.refresh_token}
        name = connection_id("salesforce", tenant)
        found.append(ConnectionInfo(name, "http", url, login=known.client_id, password=known.client_secret, extra=grant))
        found.append(ConnectionInfo(connection_id("hubspot", tenant), "http", url, password=known.hubspot_token))
        found.append(ConnectionInfo(connection_id("people_files", tenant), "generic", str(drop / tenant)))
    return {info.conn_id: info for info in found}


def listed(tenants: list[str]) -> dict[str, str]:
    """The Variable that says which tenants have which source."""
    return {TENANTS_VARIABLE: orjson.dumps(dict.fromkeys(SOURCES, tenants)).decode()}


@dataclass
class Snapshot:
    """Every layer at one moment: rows and versions of Delta tables, rows of schema `gold` with the transaction that wrote each."""

    tables: dict[str, Rows]
    versions: dict[str, int]
    published: dict[str, list[str]]

    def links(self, entity: str, tenant: str) -> dict[str, str]:
        """Record reference -> entity id."""
        mine = [row for row in self.tables[LINKS] if (row["tenant_id"], row["entity"]) == (tenant, entity)]
        return {row["record_ref"]: row["entity_id"] for row in mine}

    def of(self, table: str, tenant: str) -> Rows:
        """A tenant's rows of a Delta table, none if there is no table."""
        return [row for row in self.tables.get(table, []) if row["tenant_id"] == tenant]


@dataclass
class World:
    """The vendors of some tenants and one deployment of the spine that reads them."""

    server: SandboxServer
    services: Services
    connections: dict[str, ConnectionInfo]
    tenants: list[str]
    folder: Path
    admin_url: str
    url: str
    spark: Any
    sources: Path

    @contextmanager
    def here(self) -> Iterator[None]:
        """Inside, settings name this deployment's lake, home and sources."""
        places = {"SPINE_LAKE": self.folder / "lake", "SPINE_HOME": self.folder / "home", "SPINE_SOURCES": self.sources}
        with patch.dict(os.environ, {name: str(path) for name, path in places.items()}):
            yield

    def plan(self, source: str, run_id: str, **options: Any) -> list[StreamWork]:
        """The plan task."""
        with self.here():
            return extract.plan(Sync(source, run_id, **({"tenants": self.tenants} | options)), self.services)

    def extract(self, source: str, run_id: str, **options: Any) -> Rows:
        """Plan, read each stream, finish. The first stream's failure is raised at the end, as the others go on."""
        works = self.plan(source, run_id, **options)
        results, errors = [], []
        with self.here():
            for work in works:
                try:
                    results.append(extract.extract(work, self.services).to_json())
                except SpineError as error:
                    errors.append(error)
            closing.finish(source, run_id, sorted({work.tenant for work in works}), self.services)
        if errors:
            raise errors[0]
        return results

    def normalize(self, source: str, run_id: str) -> dict[str, Any]:
        """The Spark job of one source; counts by entity."""
        with self.here():
            return normalize(self.spark, source, run_id, database=self.services.database).to_json()["entities"]

    def resolve(self, entity: str, run_id: str) -> dict[str, Any]:
        """The Spark job of one entity."""
        with self.here():
            return resolve(self.spark, entity, run_id)

    def publish(self, entity: str, run_id: str) -> dict[str, Any]:
        """The publish task."""
        with self.here():
            return publish(entity, run_id, url=self.url)

    def run(self, run_id: str, sources: tuple[str, ...] = SOURCES, entities: tuple[str, ...] = ENTITIES) -> dict[str, Any]:
        """The whole path; what each step returned."""
        found: dict[str, Any] = {"extracted": {}, "normalized": {}}
        for source in sources:
            found["extracted"][source] = {(row["tenant"], row["stream"]): row for row in self.extract(source, run_id)}
            found["normalized"][source] = self.normalize(source, run_id)
        found["resolved"] = {entity: self.resolve(entity, run_id) for entity in entities}
        found["published"] = {entity: self.publish(entity, run_id) for entity in entities}
        return found

    def spine(self, *words: str) -> int:
        """What an operator types; its exit code."""
        with self.here(), patch.object(cli_world, "services", lambda: self.services):
            return CliRunner().invoke(app, list(words), prog_name="spine").exit_code

    def advance(self, source: str, stream: str, tenant: str, **amounts: Any) -> dict[str, list[str]]:
        """Let records change at the vendor; their references by what happened to them."""
        answer = self.server.sandbox.advance(source=source, stream=stream, tenant=tenant, **amounts)
        return {word: [record_ref(source, stream, key) for key in answer[word]] for word in ("changed", "created", "deleted")}

    def table(self, name: str) -> Rows:
        """All rows of a Delta table, none if there is no table."""
        uri = str(self.folder / "lake" / name)
        return DeltaTable(uri).to_pyarrow_table().to_pylist() if DeltaTable.is_deltatable(uri) else []

    def golden(self, entity: str) -> Rows:
        """All golden records in the lake."""
        return self.table(gold_table(load_entity(entity).domain, entity))

    def snapshot(self) -> Snapshot:
        """What every layer holds now."""
        with self.here():
            names = [*table_names(), JOURNAL]
        lake = {name: DeltaTable(str(self.folder / "lake" / name)) for name in names}
        versions = {name: table.version() for name, table in lake.items()}
        return Snapshot({name: table.to_pyarrow_table().to_pylist() for name, table in lake.items()}, versions, self.published())

    def published(self) -> dict[str, list[str]]:
        """Rows of every table of schema `gold`, each with the transaction that wrote it."""
        with psycopg.connect(self.admin_url) as connection:
            names = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'gold' ORDER BY 1")]
            return {
                name: sorted(row[0] for row in connection.execute(f'SELECT t.xmin || t::text FROM gold."{name}" AS t'))  # type: ignore[arg-type]
                for name in names
            }

    def ask(self, tenant: str, query: str) -> Rows:
        """What the tenant's analysts see."""
        with psycopg.connect(self.admin_url, user=analyst_role(tenant), row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def score(self, links: dict[str, str], tenant: str, entity: str) -> Score:
        """Pairwise precision and recall of an entity's links against the sandbox's truth; records without a link count as missed."""
        rows = list(self.server.sandbox.world(tenant).truth_rows())
        truth = {record_ref(source, stream, key): label for (_, source, stream, key), kind, label in rows if kind == entity}
        alone = {ref: f"none {ref}" for ref in truth if ref not in links}
        return pairwise(links | alone, truth)


@pytest.fixture(scope="module")
def make_world(
    spark: Any, postgres_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., World]]:  # fmt: skip
    """Makes a World with a control plane, lake and home of its own; settings are those of the sandbox.

    `beside` shares the vendors of another world. Waiting between retries is skipped.
    """
    made: list[World] = []
    servers: list[SandboxServer] = []

    def make(
        tenants: dict[str, int] | None = None, *, beside: World | None = None, sources: Path | None = None, **settings: Any
    ) -> World:  # fmt: skip
        folder = tmp_path_factory.mktemp("world")
        for name in ("lake", "home"):
            (folder / name).mkdir()
        if beside is None:
            server = SandboxServer(tenants, drop=folder / "drop", **settings).__enter__()
            servers.append(server)
        else:
            server = beside.server
        names = list(server.sandbox.worlds)
        known = connections_to(server.url, server.sandbox.drop, names)
        admin_url = new_database(postgres_server)
        url = bootstrap(admin_url)
        for name in names:
            ensure_analyst(admin_url, name)
        services = Services(Database(url), MemoryVariables(listed(names)), known.__getitem__, lambda seconds: None)
        made.append(World(server, services, known, names, folder, admin_url, url, spark, sources or PROJECT / "include" / "sources"))
        return made[-1]

    yield make
    for server in servers:
        server.__exit__(None, None, None)
    for world in made:
        world.services.database.close()
        drop_database(postgres_server, world.admin_url)


@pytest.fixture(scope="module")
def new_control_plane(postgres_server: Any) -> Iterator[Callable[[], str]]:
    """Makes fresh control planes; each call gives the application's URL of another one."""
    made: list[str] = []

    def make() -> str:
        made.append(new_database(postgres_server))
        return bootstrap(made[-1])

    yield make
    for admin_url in made:
        drop_database(postgres_server, admin_url)


@pytest.fixture(scope="session", name="connections_to")
def _connections_to() -> Callable[..., dict[str, ConnectionInfo]]:
    """The Connections of the sandbox's vendors, for tests that run processes of their own."""
    return connections_to


def new_database(server: Any) -> str:
    """The administrator's URL of a fresh database."""
    name = f"e_{uuid4().hex[:12]}"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return server.uri(name)


def drop_database(server: Any, admin_url: str) -> None:
    """Remove a database and whoever is connected to it."""
    name = psycopg.conninfo.conninfo_to_dict(admin_url)["dbname"]
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
