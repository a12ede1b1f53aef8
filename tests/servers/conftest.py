"""Servers that were not written for this project, where their scripts are there (`SPINE_SERVERS`), and readings of sources from them.

Each server starts once for the session, when the first test asks for it. A source is read through its real file, authentication, client
and reader into Bronze; only the Connection's address is the server's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any
from uuid import uuid4

import orjson
import pytest
import yaml
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.names import bronze_table, connection_id
from spine.core.ports import free_port
from spine.core.settings import settings
from spine.pipeline import closing as run_closing
from spine.pipeline import extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync

SERVERS = Path(os.environ.get("SPINE_SERVERS", "/nowhere"))
EMULATED = ("stripe", "github", "slack", "okta", "vercel", "google", "twilio", "microsoft")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of published servers say why they do not run."""
    here = Path(__file__).parent
    missing = pytest.mark.skip(reason="SPINE_SERVERS names no folder with the servers' start scripts")
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if not (SERVERS / "lib.sh").exists() and {"emulate", "prism", "stripe_mock", "cap"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(missing)


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody listens on."""
    return next(first for first in iter(free_port, None) if first + count < 65_536 and all(map(_is_free, range(first + 1, first + count))))


def _is_free(port: int) -> bool:
    with closing(socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


def started(script: str, *arguments: str) -> tuple[int, str]:
    """Start a server: its port and process id. Skips the test where it does not start here."""
    done = subprocess.run([SERVERS / script, *arguments], capture_output=True, text=True, timeout=300, check=False)
    ready = next((line.split() for line in done.stdout.splitlines() if line.startswith("ready ")), None)
    if ready is None:
        pytest.skip(f"{script} does not start here: {done.stderr[-200:]}")
    return int(ready[1].rstrip("/").rpartition(":")[2]), ready[3]


def stopped(process: str) -> None:
    """End a server that was started here."""
    subprocess.run([SERVERS / "stop.sh", process], check=False, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The address of one service of emulate, which serves several in one process.

    Of the projects of Vercel it begins with a few: all are made within milliseconds, and its pages end at a time.
    """
    seed = json.loads((SERVERS / "emulate-seed.json").read_text())
    seed["vercel"]["projects"] = seed["vercel"]["projects"][:20]
    place = tmp_path_factory.mktemp("emulate") / "seed.json"
    place.write_text(json.dumps(seed))
    port, process = started("start_emulate.sh", ",".join(EMULATED), str(free_ports(len(EMULATED))), str(place))
    yield lambda service: f"http://localhost:{port + EMULATED.index(service)}"
    stopped(process)


@pytest.fixture(scope="session")
def stripe_mock() -> Iterator[str]:
    """Stripe's own mock."""
    port, process = started("start_stripe_mock.sh", str(free_ports(1)))
    yield f"http://127.0.0.1:{port}"
    stopped(process)


@pytest.fixture(scope="session")
def prism() -> Iterator[Callable[[str], str]]:
    """The address of a mock of a vendor's own API description: `github`, `plaid` and so on."""
    running: dict[str, tuple[int, str]] = {}

    def address(name: str) -> str:
        if name not in running:
            running[name] = started("start_prism.sh", str(SERVERS / "specs" / f"{name}.json"), str(free_ports(1)))
        return f"http://127.0.0.1:{running[name][0]}"

    yield address
    for _, process in running.values():
        stopped(process)


@pytest.fixture(scope="session")
def cap() -> Iterator[str]:
    """A server of OData, versions 4 and 2, by SAP: 1,200 orders, 250 a page; 3,000 books and 250 authors, 100 a page."""
    port, process = started("start_cap.sh", str(free_ports(1)))
    yield f"http://127.0.0.1:{port}"
    stopped(process)


@dataclass
class Reading:
    """Runs of one source from a server into Bronze, as one tenant of its own."""

    source: str
    services: Services
    lake: str
    tenant: str
    slept: list[float]
    number: int = 0
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def sync(self, *streams: str, **options: Any) -> dict[str, dict[str, Any]]:
        """One run of these streams; what each of them says of itself."""
        self.number += 1
        works = extract.plan(Sync(self.source, f"r{self.number}", [self.tenant], list(streams), **options), self.services)
        try:
            self.results = {work.stream: extract.extract(work, self.services).to_json() for work in works}
            return self.results
        finally:
            run_closing.finish(self.source, f"r{self.number}", [self.tenant], self.services)

    def records(self, stream: str, *, run: int | None = None) -> list[dict[str, Any]]:
        """What Bronze has of a stream, of one run or of all, with `_key` and `_op`."""
        uri = f"{self.lake}/{bronze_table(self.source, stream)}"
        if not DeltaTable.is_deltatable(uri):
            return []
        rows = DeltaTable(uri).to_pyarrow_table(columns=["record_id", "op", "payload", "run_id"]).to_pylist()
        wanted = None if run is None else f"r{run}"
        return [
            {**orjson.loads(row["payload"]), "_key": row["record_id"], "_op": row["op"]}
            for row in rows if wanted in (None, row["run_id"])
        ]  # fmt: skip

    def keys(self, stream: str, *, run: int | None = None) -> list[str]:
        """The keys of these records."""
        return [record["_key"] for record in self.records(stream, run=run)]


Edit = Callable[[dict[str, dict[str, Any]], dict[str, Any]], None]


@pytest.fixture
def reading(database: Database, lake: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reading]:
    """A reading of a source from an address, with what its Connection holds.

    Its budget of calls is the server's and not the vendor's. `edit` changes its streams and the whole file, where a server does not offer
    what the vendor does; the test says what and why.
    """
    folder = settings().sources

    def make(source: str, url: str, edit: Edit | None = None, tenant: str = "", **connection: Any) -> Reading:
        said = yaml.safe_load((folder / f"{source}.yaml").read_text())
        said["rate_limit"] = {"requests": 100_000, "per": "1s", "burst": 100_000}
        if edit is not None:
            edit({stream["name"]: stream for stream in said["streams"]}, said)
        edited = tmp_path / "edited"
        edited.mkdir(exist_ok=True)
        (edited / f"{source}.yaml").write_text(json.dumps(said, default=str))
        monkeypatch.setenv("SPINE_SOURCES", str(edited))
        tenant, slept = tenant or f"t{uuid4().hex[:10]}", []
        info = ConnectionInfo(connection_id(source, tenant), "http", url, **connection)
        services = Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__, slept.append)
        return Reading(source, services, lake, tenant, slept)

    return make
