"""`spine auth`: from a person's consent to tokens that workers refresh, with a browser, by hand, and on another device."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from cryptography.fernet import Fernet
from typer.testing import CliRunner, Result

from spine.cli import world
from spine.cli.commands import app
from spine.control import audit, connections, events
from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.tokens import TokenVault, held
from spine.control.variables import MemoryVariables
from spine.core.errors import AuthFailed
from spine.pipeline.services import Services, open_reader
from spine.sandbox.oauth import CLIENT, SECRET, OAuthServer
from spine.sources.spec import load_source

pytestmark = pytest.mark.postgres
NAME = "ipai_connector_asked"
AUTH = {
    "type": "oauth2", "grant": "authorization_code", "token_path": "/token", "authorize_path": "/authorize", "device_path": "/device",
}  # fmt: skip
STREAM = {
    "name": "me",
    "path": "/me",
    "records": "[@]",
    "key": ["subject"],
    "entity": "person",
    "mapping": {"fields": {"given_name": "subject"}},
}


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(refresh_lifetime=7200) as running:
        yield running


@pytest.fixture
def connection(server: OAuthServer) -> dict[str, ConnectionInfo]:
    """Airflow's Connections; the one of the source has the client alone."""
    return {NAME: ConnectionInfo(NAME, "spine", server.url, login=CLIENT, password=SECRET)}


@pytest.fixture
def services(
    database: Database, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: dict[str, ConnectionInfo]
) -> Services:
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, auth in (("asked", AUTH), ("keyed", {"type": "basic", "form": {"login": "Account SID"}})):
        source = {"source": name, "label": name, "domain": "hr", "auth": auth, "streams": [STREAM]}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(source))
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())

    def find(name: str) -> ConnectionInfo:
        return connection[NAME]

    def put(name: str, extra: dict[str, str]) -> bool:
        connection[NAME] = ConnectionInfo(NAME, "spine", connection[NAME].host, login=CLIENT, password=SECRET, extra=dict(extra))
        return True

    made = Services(database, MemoryVariables({"spine.tenants": f'{{"asked": ["{tenant}"]}}'}), find, put=put)
    monkeypatch.setattr(world, "services", lambda: made)
    return made


@pytest.fixture
def run(tenant: str) -> Callable[..., Result]:
    return lambda *words, **options: CliRunner().invoke(app, ["auth", *words, "--tenant", tenant], prog_name="spine", **options)


# Python looks once for a browser, so all tests have this one: it goes where it is led, and writes down where it ends if somebody asks.
BROWSER = """
import http.client, os, sys, urllib.parse
to, ended = sys.argv[1], os.environ.get("BROWSER_ENDS_IN")
while to:
    parts = urllib.parse.urlsplit(to)
    line = http.client.HTTPConnection(parts.netloc, timeout=10)
    line.request("GET", f"{parts.path}?{parts.query}")
    to = line.getresponse().headers["location"]
    if to and ended:
        open(ended, "w").write(to + chr(10))
        break
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    script = tmp_path_factory.mktemp("browser") / "browser.py"
    script.write_text(BROWSER)
    return f"{sys.executable} {script} %s"


@pytest.fixture
def browser(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that opens what it is given and agrees, as a person would."""
    monkeypatch.setenv("BROWSER", program)


def reads(services: Services, tenant: str, connection: dict[str, ConnectionInfo]) -> list[str]:
    """What a worker reads with the grant."""
    reader = open_reader(load_source("asked"), tenant, connection[NAME], "run-1", services, lambda seconds: None)
    return [reader.client.get("/me").json()["subject"]]


def test_a_browser_brings_a_grant_that_workers_use_and_rotate(
    run: Callable[..., Result], services: Services, server: OAuthServer, browser: None, tenant: str, connection: dict[str, ConnectionInfo]
) -> None:
    done = run("asked")
    assert done.exit_code == 0, done.stderr
    assert "may be read" in done.stdout
    first = connection[NAME].extra["refresh_token"]
    assert reads(services, tenant, connection) == ["ada"]
    server.access.clear()
    assert reads(services, tenant, connection) == ["ada"]
    database = services.database.of(tenant)
    kept = TokenVault(database, "test").load(NAME)
    assert kept is not None
    assert kept.refresh_token not in (first, None)
    assert [one.connection_id for one in held(database) if one.grant_expires_at] == [NAME]
    acts = [(entry["action"], entry["resource_type"]) for entry in audit.entries(database)]
    assert ("grant_stored", "connection") in acts
    assert ("token_rotated", "token") in acts
    assert "connector.connected" in {told.event.kind for told in events.recent(database)}
    shown = done.output + str(audit.entries(database)) + str(events.recent(database))
    assert not [secret for secret in (first, kept.refresh_token, kept.access_token, SECRET) if str(secret) in shown]


def test_a_grant_ends_the_pause_that_refused_credentials_made(
    run: Callable[..., Result], services: Services, browser: None, tenant: str
) -> None:
    database = services.database.of(tenant)
    connections.failed(database, NAME, AuthFailed("gone"))
    assert not connections.state(database, NAME).active
    assert "runs again" in run("asked").stderr
    assert connections.state(database, NAME).active


class Pasted(io.StringIO):
    """A person who copies what a file holds by the time that they are asked."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def readline(self, *_: Any) -> str:
        return self._path.read_text()


def test_who_has_no_browser_here_pastes_where_another_one_ended(
    services: Services, tmp_path: Path, tenant: str, connection: dict[str, ConnectionInfo], monkeypatch: pytest.MonkeyPatch, browser: None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ended = tmp_path / "ended"
    monkeypatch.setenv("BROWSER_ENDS_IN", str(ended))
    monkeypatch.setattr(sys, "stdin", Pasted(ended))
    app(["auth", "asked", "--paste", "--tenant", tenant], standalone_mode=False)
    assert "may be read" in capsys.readouterr().out
    assert reads(services, tenant, connection) == ["ada"]


def test_a_code_is_typed_in_elsewhere(
    run: Callable[..., Result], services: Services, server: OAuthServer, tenant: str, connection: dict[str, ConnectionInfo]
) -> None:
    server.interval = 0.1

    def agree() -> None:
        while not server.devices:
            time.sleep(0.02)
        for device in list(server.devices.values()):
            requests.get(f"{server.url}/activate?user_code={device['user_code']}", timeout=5)

    threading.Thread(target=agree, daemon=True).start()
    done = run("asked", "--device", "--json")
    assert done.exit_code == 0, done.stderr
    assert '"in_connection": true' in done.stdout
    assert "/activate and type in" in done.stderr
    assert reads(services, tenant, connection) == ["ada"]


def test_what_asks_nobody_says_what_its_connection_needs(run: Callable[..., Result], services: Services) -> None:
    done = run("keyed")
    assert done.exit_code == 2
    assert "login (Account SID)" in done.stderr
    assert "password (Password)" in done.stderr


def test_a_person_who_refuses_leaves_everything_as_it_was(
    run: Callable[..., Result], services: Services, server: OAuthServer, browser: None, tenant: str, connection: dict[str, ConnectionInfo]
) -> None:
    server.denies = True
    done = run("asked")
    assert done.exit_code == 3
    assert "access_denied" in done.stderr
    assert connection[NAME].extra == {}
    assert held(services.database.of(tenant)) == []


def test_what_a_connection_needs_is_told_in_the_vendors_words(services: Services) -> None:
    done = CliRunner().invoke(app, ["connector", "fields", "keyed", "--json"], prog_name="spine")
    found = {row["field"]: row["label"] for row in json.loads(done.stdout)["fields"]}
    assert found == {"host": "Address", "login": "Account SID", "password": "Password"}  # pragma: allowlist secret
    assert "Client secret" in CliRunner().invoke(app, ["connector", "fields", "asked"], prog_name="spine").stdout
