"""Real databases: the session's PostgreSQL behind a relay, a MariaDB if its server is on the path, files of SQLite."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import psycopg
import pymysql
import pytest

from spine.sources import database
from spine.sources.access import Access
from spine.sources.reading import Page, Record, State, Window
from spine.sources.spec import Source
from tests.relay import Relay

END = datetime(2026, 6, 1, tzinfo=UTC)
FULL = Window(full=True, end=END)


def source_with(reader: str, **stream: Any) -> Source:
    """A source of one table."""
    stream = {"name": "people", "key": ["id"], **stream}
    auth = {"type": "none" if reader == "sqlite" else "database"}
    return Source(source="shop", label="Shop", domain="revops", kind="database", reader=reader, auth=auth, streams=[stream])


class Reading:
    """Reads the one table of a source."""

    def __init__(self, access: Access, reader: str, **stream: Any) -> None:
        self.source = source_with(reader, **stream)
        self.stream = self.source.streams[0]
        self.reader = database.Reader(self.source, access)

    def pages(self, window: Window = FULL, state: State | None = None) -> list[Page]:
        return list(self.reader.read(self.stream, state or State(), window))

    def records(self, window: Window = FULL, state: State | None = None) -> list[Record]:
        return [record for page in self.pages(window, state) for record in page.records]

    def rows(self, window: Window = FULL, state: State | None = None) -> dict[str, Any]:
        return {record.record_id: orjson.loads(record.payload) for record in self.records(window, state)}


class Server:
    """A server that tests fill and read."""

    def __init__(self, kind: str, access: Access, say: Callable[..., None], relay: Relay | None = None) -> None:
        self.kind, self.access, self.say, self.relay = kind, access, say, relay

    def reading(self, **stream: Any) -> Reading:
        return Reading(self.access, self.kind, **stream)


@pytest.fixture(scope="module")
def postgresql(postgres_server: Any, admin_url: str) -> Iterator[Server]:
    parts = urlsplit(admin_url)
    folder, port = parse_qs(parts.query)["host"][0], parts.port or int(parse_qs(parts.query).get("port", ["5432"])[0])
    found = [path for path in Path(folder).glob(".s.PGSQL.*") if not path.name.endswith(".lock")]
    relay = Relay(str(found[0] if found else Path(folder) / f".s.PGSQL.{port}"))
    name = parts.path.strip("/")

    def say(*said: str) -> None:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            for one in said:
                connection.execute(one)

    yield Server("postgresql", Access("127.0.0.1", relay.port, name, "postgres", "x"), say, relay)
    relay.close()


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Debian's server with data of its own."""
    program = shutil.which("mariadbd")
    installer = shutil.which("mariadb-install-db")
    if program is None or installer is None:
        pytest.skip("mariadbd is not on the path: install Debian's mariadb-server")
    home = tmp_path_factory.mktemp("mariadb")
    user = ["--user=root"] if os.geteuid() == 0 else []
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    base = [f"--datadir={home / 'data'}", "--no-defaults"]
    subprocess.run([installer, base[1], base[0], *user, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, **quiet)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        program,
        base[1],
        base[0],
        *user,
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--socket={home / 's'}",
        "--skip-grant-tables=0",
    ]
    server = subprocess.Popen(command, **quiet)
    try:
        for _ in range(300):
            try:
                pymysql.connect(unix_socket=str(home / "s"), user="root").close()
                break
            except pymysql.Error:
                assert server.poll() is None, "mariadbd did not start"
                time.sleep(0.1)

        def say(*said: str) -> None:
            opened = pymysql.connect(unix_socket=str(home / "s"), user="root", autocommit=True, database="mysql")
            with opened as connection, connection.cursor() as cursor:
                for one in said:
                    cursor.execute(one)

        say("CREATE DATABASE shop", "CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY 'x'", "GRANT SELECT ON shop.* TO 'reader'@'127.0.0.1'")
        yield Server("mariadb", Access("127.0.0.1", port, "shop", "reader", "x"), say)
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def sqlite(tmp_path: Path) -> Server:
    import sqlite3

    path = tmp_path / "shop.db"

    def say(*said: str) -> None:
        with sqlite3.connect(path) as connection:
            for one in said:
                connection.execute(one)
        connection.close()

    return Server("sqlite", Access(str(path)), say)


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each kind of server in turn."""
    found: Server = request.getfixturevalue(request.param)
    schema = "shop." if found.kind == "mariadb" else ""
    found.say(f"DROP TABLE IF EXISTS {schema}people")
    return found
