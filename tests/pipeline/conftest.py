"""A sandbox of vendors, two tenants' connections to it, and the services that extraction needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.names import bronze_table, connection_id
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer


def sandbox_connections(url: str, drop: Path, tenants: list[str]) -> dict[str, ConnectionInfo]:
    """The Connections of all three sources for these tenants; a tenant's name is also the sandbox's."""
    found = {}
    for tenant in tenants:
        secret = credentials(tenant)
        name = connection_id("salesforce", tenant)
        found[name] = ConnectionInfo(
            name,
            "http",
            url,
            login=secret.client_id,
            password=secret.client_secret,
            extra={"refresh_token": secret.refresh_token},
        )
        name = connection_id("hubspot", tenant)
        found[name] = ConnectionInfo(name, "http", url, password=secret.hubspot_token)
        name = connection_id("people_files", tenant)
        found[name] = ConnectionInfo(name, "fs", str(drop / tenant))
    return found


@dataclass
class Spine:
    """Everything a test drives: the sandbox, the services, and short words for plan, extract and finish."""

    server: SandboxServer
    services: Services
    lake: str
    tenants: list[str]
    slept: list[float] = field(default_factory=list)

    def sync(self, source: str, run_id: str, *, streams: list[str] | None = None, **options: Any) -> list[dict[str, Any]]:
        """Plan, extract each work, finish; the results of the works."""
        tenants = options.pop("tenants", self.tenants[:1])
        works = extract.plan(Sync(source, run_id, tenants, streams, **options), self.services)
        try:
            return [extract.extract(work, self.services).to_json() for work in works]
        finally:
            closing.finish(source, run_id, tenants, self.services)

    def bronze(
        self, source: str, stream: str, columns: tuple[str, ...] = ("record_id", "op", "cursor", "payload")
    ) -> list[tuple[Any, ...]]:
        """Rows of a Bronze table as sorted tuples; empty if there is no table."""
        uri = f"{self.lake}/{bronze_table(source, stream)}"
        if not DeltaTable.is_deltatable(uri):
            return []
        table = DeltaTable(uri).to_pyarrow_table(columns=list(columns))
        return sorted(zip(*(table.column(name).to_pylist() for name in columns), strict=True), key=repr)

    def cursor(self, source: str, stream: str, tenant: str | None = None) -> str | None:
        """The cursor Variable's value."""
        return self.services.variables.get(f"spine.cursor.{connection_id(source, tenant or self.tenants[0])}.{stream}")


@pytest.fixture
def make_spine(database: Database, lake: str, home: Path, tmp_path: Path) -> Iterator[Callable[..., Spine]]:
    """Makes a Spine; arguments are those of the sandbox. Each has tenants of its own, so that tests do not meet in the control plane."""
    from uuid import uuid4

    servers: list[SandboxServer] = []

    def make(scale: int = 60, count: int = 1, **settings: Any) -> Spine:
        tenants = [f"t{uuid4().hex[:10]}" for _ in range(count)]
        drop = tmp_path / "drop"
        server = SandboxServer(dict.fromkeys(tenants, scale), drop=drop, **settings).__enter__()
        servers.append(server)
        connections = sandbox_connections(server.url, drop, tenants)
        slept: list[float] = []
        services = Services(database, MemoryVariables(), connections.__getitem__, slept.append)
        return Spine(server, services, lake, tenants, slept)

    yield make
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def small_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The declared sources with pages of 200 rows (100 for HubSpot) and short time-outs, so that small worlds have several pages."""
    from spine.core.settings import PROJECT

    folder = tmp_path / "sources"
    folder.mkdir()
    for path in (PROJECT / "include" / "sources").glob("*.yaml"):
        text = (
            path.read_text()
            .replace("size: 200}", "size: 100}")
            .replace("size: 2000}", "size: 200}")
            .replace("Title, HasOptedOutOfEmail,", "Title,")
        )
        text = text.replace("tier: critical", "tier: critical\ntimeouts: {connect: 5, read: 1}")
        (folder / path.name).write_text(text)
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    return folder
