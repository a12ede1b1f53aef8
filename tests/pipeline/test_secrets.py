"""A secret in every place that can hold one, a vendor that quotes all it is sent in every failure, and a search of all that is left.

What is searched: log lines, errors as Airflow would print them, results, control tables, events, Variables, every file of lake and home,
and what commands print. A class of error that is not provoked here has to be named with its reason.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import yaml
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from spine.cli import world
from spine.cli.commands import app
from spine.control import airflow_state
from spine.control.airflow_state import ConnectionInfo
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.control.tokens import TokenVault
from spine.control.variables import MemoryVariables
from spine.core import errors
from spine.core.errors import SpineError
from spine.core.names import connection_id
from spine.core.settings import settings
from spine.dagkit.quiet import quiet
from spine.events.routes import routes
from spine.pipeline import closing, extract
from spine.pipeline.probe import probe
from spine.pipeline.services import Services
from spine.pipeline.work import Sync
from spine.stack import analysts

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
# A word that no encoding changes, between letters that every encoding does.
WORDS = ("password", "login", "extra", "refresh", "access", "rotated", "fernet", "analyst", "notifier", "admin", "url")
MARK = {word: f"MK{word}{os.urandom(4).hex()}" for word in WORDS}
SECRET = {word: f"{mark}/+=&% ~" for word, mark in MARK.items()}
AUTHS = {
    "bearing": {"type": "bearer"},
    "basic": {"type": "basic"},
    "keyed": {"type": "api_key", "header": "X-Auth-Key"},
    "asking": {"type": "api_key", "param": "api_key"},
    "granted": {"type": "oauth2", "grant": "refresh_token", "token_path": "/token", "rotates": True},
    "written": {"type": "api_key", "header": "Authorization", "value": "Token token={password}"},
    "spread": {"type": "api_key", "send": {"headers": {"X-App": "{custom}"}, "params": {"sig": "{password}"}}},
    "posted": {"type": "api_key", "send": {"body": {"key": "{password}", "more": "{custom}"}}},
    "logged": {
        "type": "session", "login_path": "/token", "request": {"token": "access_token"},
        "send": {"cookies": {"SID": "{token}"}, "params": {"session": "{token}"}},
    },
    "asserted": {"type": "jwt_bearer", "token_path": "/token", "jwt": {"algorithm": "HS256", "claims": {"sub": "{custom}"}}},
    "minted": {"type": "jwt", "jwt": {"algorithm": "HS256", "claims": {"iss": "{login}"}}},
    "amazon": {"type": "aws_sigv4", "service": "logs", "region": "x", "session_token": "{refresh_token}"},
    "consumed": {"type": "oauth1", "token": "{custom}", "token_secret": "{refresh_token}"},
}  # fmt: skip
FAILURES = ("s400", "s401", "s403", "s404", "s429", "s500", "html", "text", "cut", "circle", "away", "lacks", "next", "named")
PROVOKED = {
    "AuthFailed", "RateLimited", "SourceUnavailable", "SourceRejected", "CircuitOpen", "SchemaMismatch", "SyncInProgress", "ConfigError",
    "SecretUnreadable", "JobFailed", "ControlPlaneUnavailable",
}  # fmt: skip
HOLD_NO_SECRET = {
    # Of rows: tests/e2e/test_personal_data.py.
    "LakeError", "QualityFailed", "ConservationFailed", "DeleteSweepRefused", "IdentityConflict", "PublishFailed",
    "RunFailed", "StackFailed", "SourceTooLarge",  # counts of tasks; a service and its log; a number of bytes
    "StreamStopped", "AuditBroken", "FileRefused",  # a time; a tenant and the number of a row; a file and its bounds
    "NothingToMatch", "ApprovalNeeded",  # of `spine match`, of a way back: counts
    "PushFailed",  # the vendor's words: tests/push/test_rest.py
    "ConnectorError", "SpineError",  # nobody raises them themselves
}  # fmt: skip


class Vendor(BaseHTTPRequestHandler):
    """Quotes the whole request in whatever it answers."""

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        """The token endpoint: hands out a token that the next refusal tells."""
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if "fail" in self.path:
            self._answer(400, orjson.dumps({"error": "invalid_grant", "error_description": form}))
            return
        token = {"access_token": SECRET["access"].replace(" ", ""), "refresh_token": SECRET["rotated"], "expires_in": 3600}
        self._answer(200, orjson.dumps(token))

    def do_GET(self) -> None:
        """By the first word of the path."""
        address = urlsplit(self.path)
        word, told = address.path.strip("/"), f"refused {self.path} with {dict(self.headers)}"
        if word[1:].isdigit():
            self._answer(int(word[1:]), orjson.dumps({"message": told, "errors": [{"message": told}]}), **{"Retry-After": "1"})
        elif word in ("html", "text"):
            body = f"<title>{told}</title>" if word == "html" else told
            self._answer(200, body.encode())
        elif word == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b'{"data": [')
        elif word == "circle":
            self._answer(302, b"", Location=self.path)
        elif word == "away":
            self._answer(302, b"", Location=f"http://[::1]:1/{address.query}?{address.query}")
        elif word == "next":
            late = "page" in parse_qs(address.query)
            body = {"data": [{"id": 1, "value": "x"}], "next": f"/next?page=2&{address.query}"}
            self._answer(500 if late else 200, orjson.dumps({"message": told} if late else body))
        else:
            self._answer(200, orjson.dumps({"data": [{"id": 1}]}))

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def vendor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    mapping = {"fields": {"given_name": "id"}}
    for name, auth in AUTHS.items():
        streams = [
            {"name": word, "path": f"/{word}", "records": "data", "key": ["id"], "entity": "person", "mapping": mapping}
            | ({"required_fields": ["value"]} if word == "lacks" else {})
            | ({"paging": {"type": "next_url", "next": "next"}} if word == "next" else {})
            for word in FAILURES
        ]
        source = {"source": name, "label": name, "domain": "hr", "auth": auth, "streams": streams, "retry": {"max_retries": 0}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(source))
    monkeypatch.setenv("SPINE_SOURCES", str(folder))


@pytest.fixture
def services(
    database: Database, lake: str, home: Path, vendor: str, declared: None, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> Services:
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("SPINE_ANALYST_PASSWORD", SECRET["analyst"])
    known = {}
    for name in AUTHS:
        extra = {"allow_private": True, "refresh_token": SECRET["refresh"], "custom": SECRET["extra"]}
        password = SECRET["password"].replace(" ", "") if name in ("bearing", "keyed") else SECRET["password"]
        id_ = connection_id(name, tenant)
        known[id_] = ConnectionInfo(id_, "spine", vendor, login=SECRET["login"], password=password, extra=extra)
    listed = {airflow_state.TENANTS_VARIABLE: orjson.dumps({name: [tenant] for name in AUTHS}).decode()}
    return Services(database, MemoryVariables(listed), known.__getitem__, lambda seconds: None)


class Kept:
    """All that was said and raised."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.kinds: set[type[BaseException]] = set()

    def __call__(self, work, *arguments):
        """Run as a task does; what it raised is kept as Airflow prints it, and as the result file and the screen have it."""
        try:
            result = quiet(work)(*arguments)
        except SpineError as error:
            self.kinds.add(type(error))
            self.texts += [*traceback.format_exception(error), repr(error), error.line(), orjson.dumps(error.as_dict()).decode()]
            return error
        self.texts.append(repr(result))
        return result


def leaks(texts: list[str]) -> list[str]:
    forms = [*MARK.values(), *(base64.b64encode(SECRET[word].encode()).decode()[8:24] for word in SECRET)]
    forms.append(base64.b64encode(f"{SECRET['login']}:{SECRET['password']}".encode()).decode()[16:40])
    return [text[max(0, text.find(form) - 200) : text.find(form) + 60] for text in texts for form in forms if form in text]


def left(services: Services, tenant: str, *folders: str | Path) -> list[str]:
    """Every row of the control plane, every Variable, every file."""
    found = [repr(services.variables.get(name)) for name in services.variables.keys("")]
    with services.database.of(tenant).begin() as connection:
        names = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'spine'").scalars().all()
        for name in names:
            if name != "alembic_version":
                found += [repr(row) for row in connection.exec_driver_sql(f"SELECT * FROM spine.{name}").all()]
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return found + [path.read_bytes().decode("latin-1") for path in files if path.name != "fernet.key"]


def test_no_failure_of_a_vendor_leaves_a_secret_anywhere(
    services: Services, tenant: str, lake: str, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "spine")
    kept = Kept()
    for source in AUTHS:
        works = extract.plan(Sync(source, f"run-{source}", [tenant]), services)
        kept(extract.plan, Sync(source, "second", [tenant]), services)  # while the first one holds the connection
        for work in works:
            with services.database.of(tenant).begin() as connection:
                connection.exec_driver_sql("DELETE FROM spine.breakers")
            kept(extract.extract, work, services)
        for work in [one for one in works if one.stream == "cut"] * 6:
            kept(extract.extract, work, services)  # the breaker opens
        kept(closing.finish, source, f"run-{source}", [tenant], services)
        kept(probe, source, tenant, services, "probe")
    monkeypatch.setattr(world, "services", lambda: services)
    commands = ("connector list", "connector list --json", f"connector test asking -t {tenant}", "status", "status --json")
    shown = [CliRunner().invoke(app, command.split()) for command in commands]
    expected = {errors.AuthFailed, errors.RateLimited, errors.SourceUnavailable, errors.SourceRejected, errors.CircuitOpen}
    assert expected | {errors.SchemaMismatch, errors.SyncInProgress} <= kept.kinds
    outputs = [result.output + repr(result.exception) for result in shown]
    assert any("asking" in output for output in outputs)
    assert leaks([caplog.text, *kept.texts, *outputs, *left(services, tenant, lake, home)]) == []


def test_wrong_settings_keys_and_connections_say_so_without_the_secret(
    services: Services, tenant: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, admin_url: str
) -> None:
    caplog.set_level(logging.DEBUG, "spine")
    kept = Kept()
    broken = {
        "settle_seconds": SECRET["extra"],
        "path": 7,
        "s3": SECRET["extra"],
        "allow_private": SECRET["extra"],
        "token_url": SECRET["extra"],
    }
    for source in AUTHS:
        for change in ({"host": f"http://u:{SECRET['password']}@[bad"}, {"host": ""}, {"extra": broken}, {"password": ""}, {"port": -1}):
            info = services.connections(connection_id(source, tenant))
            moved = type(info)(**{**vars(info), **change})
            other = Services(services.database, services.variables, lambda _name, moved=moved: moved, services.sleep)
            kept(probe, source, tenant, other, "probe", ["s400"])
    vault = TokenVault(services.database.of(tenant), "run")
    for key in (f"{MARK['fernet']}", Fernet.generate_key().decode()):
        monkeypatch.setenv("SPINE_FERNET_KEY", key)
        kept(vault.load, connection_id("granted", tenant))
        kept(vault.fingerprint, SECRET["password"].encode())
    kept(vault.make_key)
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    kept(vault.fingerprint, b"x")
    for url in (f"postgresql://spine_app:{MARK['url']}@127.0.0.1:1/spine", f"postgresql://a:{SECRET['url']}@[bad/spine"):
        kept(bootstrap, url)
        kept(lambda url=url: Database(url).begin().__enter__())
        kept(repr, Database(url)) if "[bad" not in url else None
    notifiers = tmp_path / "notifiers.yaml"
    notifiers.write_text(
        yaml.safe_dump({"notifiers": [{"notifier": 7, "arguments": {"url": SECRET["notifier"]}, "odd": SECRET["notifier"]}]})
    )
    monkeypatch.setenv("SPINE_NOTIFIERS", str(notifiers))
    kept(routes)
    monkeypatch.setenv("SPINE_ADMIN_URL", admin_url)
    kept(analysts.login_of, tenant)
    kept(repr, settings())
    kept({SECRET["url"]: 1}.__getitem__, MARK["admin"])
    assert {errors.ConfigError, errors.SecretUnreadable, errors.JobFailed, errors.ControlPlaneUnavailable} <= kept.kinds
    assert leaks([caplog.text, *kept.texts, *left(services, tenant)]) == []


def test_every_class_of_error_is_provoked_or_has_a_reason_why_not() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, SpineError)}
    assert kinds <= PROVOKED | HOLD_NO_SECRET
