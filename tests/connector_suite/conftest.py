"""Servers of protocols that are no HTTP, each started when the first source that speaks to it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from spine.sources.access import Access
from spine.sources.spec import Source
from tests.relay import Relay
from tests.servers.conftest import SERVERS, free_ports, started, stopped


@dataclass(frozen=True)
class Postgres:
    """The session's PostgreSQL by TCP, with a database of the suite's own."""

    url: str
    access: Access

    def say(self, *said: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as opened:
            for one in said:
                opened.execute(one)


@pytest.fixture(scope="module")
def where(request: pytest.FixtureRequest) -> Iterator[Callable[[Source], Mapping[str, Any]]]:
    """Which servers there are for a source."""
    found: dict[str, Any] = {"sqlite": True}
    with ExitStack() as stack:

        def servers(source: Source) -> Mapping[str, Any]:
            if source.reader == "postgresql" and "postgresql" not in found:
                found["postgresql"] = _postgres(request.getfixturevalue("admin_url"), stack)
            if source.kind == "mongodb" and "mongodb" not in found and (SERVERS / "lib.sh").exists():
                found["mongodb"], process = started("start_mongo.sh", str(free_ports(1)))
                stack.callback(stopped, process)
            return found

        yield servers


def _postgres(url: str, stack: ExitStack) -> Postgres:
    parts = urlsplit(url)
    folder = Path(parse_qs(parts.query)["host"][0])
    relay = Relay(str(next(path for path in folder.glob(".s.PGSQL.*") if path.suffix != ".lock")))
    stack.callback(relay.close)
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute("DROP DATABASE IF EXISTS connector_suite WITH (FORCE)")
        opened.execute("CREATE DATABASE connector_suite")
    return Postgres(parts._replace(path="/connector_suite").geturl(), Access("127.0.0.1", relay.port, "connector_suite", "postgres", "x"))
