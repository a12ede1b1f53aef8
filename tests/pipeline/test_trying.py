"""A page of a source is looked at with nothing around it, and what is shown holds no secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from spine.cli.commands import app
from spine.core.errors import AuthFailed, ConfigError
from spine.pipeline.trying import Trial, connection_of
from spine.sources.spec import load_source

KEY = "not-to-be-shown"
PEOPLE = [
    {"id": 1, "first": "Ada", "mail": "ada@example.org", "home": {"city": "London"}, "echo": KEY},
    {"id": 2, "first": None, "mail": "al@example.org"},
]


class Vendor(BaseHTTPRequestHandler):
    """Answers with people to who has the key, which it repeats everywhere."""

    def do_GET(self) -> None:
        path, granted = self.path.partition("?")[0], self.headers.get("X-Key") == KEY
        body = json.dumps(
            {"data": PEOPLE, "next": "2", "key": KEY} if path == "/people" else {"data": [], "error": f"bad key {KEY}"}
        ).encode()
        self.send_response(200 if granted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Echo", KEY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def acme(tmp_path: Path, vendor: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    mapping = {"fields": {"given_name": "first", "email": {"from": "mail", "transform": "email"}}}
    people = {
        "name": "people", "path": "/people", "records": "data", "key": ["id"], "entity": "person", "mapping": mapping,
        "paging": {"type": "next_token", "next": "next", "param": "page"},
    }  # fmt: skip
    below = {"name": "homes", "path": "/people/{parent.id}", "records": "data", "key": ["id"], "parent": {"stream": "people"}}
    content = {
        "source": "acme",
        "label": "Acme",
        "domain": "hr",
        "auth": {"type": "api_key", "header": "X-Key"},
        "streams": [people, below],
    }
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "127.0.0.1/32")
    monkeypatch.setenv("AIRFLOW_CONN_IPAI_CONNECTOR_ACME", json.dumps({"host": vendor, "password": KEY}))
    return tmp_path


def spine(*words: str) -> tuple[int, Any]:
    done = CliRunner().invoke(app, [*words], prog_name="spine")
    return done.exit_code, json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.output


def test_a_page_is_shown_with_request_answer_and_rows_and_without_the_key(acme: Path) -> None:
    code, found = spine("sources", "read", "acme", "people", "--as-sent", "--json")
    (sent,) = found["exchanges"]
    assert (code, found["records"], found["more"], found["entity"]) == (0, 2, True, "person")
    assert sent["url"].endswith("/people")
    assert sent["headers"]["X-Key"] == sent["answer_headers"]["X-Echo"] == found["rows"][0]["echo"] == "…"
    assert KEY not in json.dumps(found)
    assert json.loads(sent["answer"])["data"][1] == PEOPLE[1]


def test_what_people_read_is_the_same(acme: Path) -> None:
    code, text = spine("sources", "read", "acme", "--as-sent")
    assert code == 0
    assert all(word in text for word in ("→ GET", "← 200", "Row 2 of people", "ada@example.org", "2 records, and more pages"))
    assert KEY not in text


def test_fields_are_told_with_types_and_whether_the_mapping_uses_them(acme: Path) -> None:
    code, found = spine("sources", "discover", "acme", "people", "--json")
    fields = {one["field"]: (one["type"], one["used"]) for one in found["fields"]}
    assert (code, fields["id"], fields["first"], fields["home.city"], fields["echo"]) == (
        0,
        ("number", True),
        ("text", True),
        ("text", False),
        ("text", False),
    )


def test_children_are_looked_at_below_their_first_parent(acme: Path) -> None:
    look = Trial(load_source("acme"), connection_of("acme", "default"), "default").look(load_source("acme").stream("homes"))
    assert [exchange.url.rpartition("/")[2] for exchange in look.exchanges][:2] == ["people", "1"]


def test_a_check_asks_each_stream_without_a_parent(acme: Path) -> None:
    code, found = spine("sources", "check", "acme", "--json")
    assert (code, found["ok"], [one["stream"] for one in found["streams"]]) == (0, True, ["people"])


def test_a_refused_key_is_told_by_its_exit_code_and_not_by_the_key(acme: Path, vendor: str) -> None:
    (acme / "connection.json").write_text(json.dumps({"host": vendor, "password": f"{KEY}-2"}))
    code, found = spine("sources", "check", "acme", "--connection", str(acme / "connection.json"), "--json")
    assert (code, found["ok"], found["streams"][0]["error"]["code"]) == (3, False, AuthFailed.code)
    assert KEY not in json.dumps(found)


def test_without_a_connection_it_is_said_where_one_is_looked_for(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_IPAI_CONNECTOR_ACME")
    code, text = spine("sources", "read", "acme")
    assert code == 2
    assert "AIRFLOW_CONN_IPAI_CONNECTOR_ACME" in text


@pytest.mark.parametrize(("text", "said"), [
    ("https://user:p%40ss@api.acme:8443/?r=eu", ("api.acme", "user", "p@ss", 8443, {"r": "eu"})),  # pragma: allowlist secret
    ('generic://:k@h/?__extra__=%7B%22a%22%3A%201%7D', ("h", "", "k", None, {"a": 1})),
    ('{"host": "https://h", "password": "k", "extra": "{\\"a\\": 1}"}', ("https://h", "", "k", None, {"a": 1})),
])  # fmt: skip
def test_a_connection_is_read_as_airflow_reads_it(text: str, said: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IPAI_CONNECTOR_ACME__NORTH", text)
    info = connection_of("acme", "north")
    assert (info.host, info.login, info.password, info.port, info.extra) == said


@pytest.mark.parametrize("text", ["{", "no uri", '{"extra": "["}', '{"port": "x"}'])
def test_a_connection_that_is_none_is_refused_without_its_words(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IPAI_CONNECTOR_ACME", text)
    with pytest.raises(ConfigError, match="neither a URI nor JSON"):
        connection_of("acme", "default")


def test_a_folder_and_a_database_are_looked_at_without_a_server_around_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "people.csv").write_text("id,name\n1,Ada\n")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as made:
        made.executescript("create table people (id integer primary key, name text); insert into people values (7, 'Al');")
    head = {"label": "X", "domain": "hr"}
    drop = {"source": "drop", "kind": "files", **head, "streams": [{"name": "people", "path": "people*.csv", "key": ["id"]}]}
    (tmp_path / "drop.yaml").write_text(yaml.safe_dump(drop))
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_IPAI_CONNECTOR_DROP", json.dumps({"host": str(tmp_path)}))
    code, found = spine("sources", "read", "drop", "--json")
    assert (code, [row["name"] for row in found["rows"]], found["exchanges"]) == (0, ["Ada"], [])
    shop = {
        "source": "shop",
        "kind": "database",
        "reader": "sqlite",
        **head,
        "streams": [{"name": "people", "table": {"name": "people"}, "key": ["id"]}],
    }
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(shop))
    monkeypatch.setenv("AIRFLOW_CONN_IPAI_CONNECTOR_SHOP", json.dumps({"host": str(tmp_path / "shop.db")}))
    assert [row["name"] for row in spine("sources", "read", "shop", "--json")[1]["rows"]] == ["Al"]
