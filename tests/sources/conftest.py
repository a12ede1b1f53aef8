"""Clients of the sandbox and of a server whose answers a test writes; no database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from spine.http.auth import Credentials
from spine.http.auth.bearer import Bearer
from spine.http.client import Client
from spine.http.transport import Transport
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer
from spine.sources.reading import Page, State


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """A client of a server that answers `serve(path, query)` with JSON, or with (status, JSON or bytes)."""
    servers: list[ThreadingHTTPServer] = []

    def make(serve: Callable[[str, dict[str, str]], Any]) -> Client:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                answer = serve(parts.path, dict(parse_qsl(parts.query)))
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else orjson.dumps(body))

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return Client(f"http://127.0.0.1:{server.server_port}", Transport(), sleep=lambda seconds: None)

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def hubspot_client() -> Callable[[SandboxServer], Client]:
    """A client of the sandbox's HubSpot as tenant `default`."""

    def make(server: SandboxServer) -> Client:
        auth = Bearer(Credentials(server.url, password=credentials("default").hubspot_token))
        return Client(server.url, Transport(), auth, sleep=lambda seconds: None)

    return make


@pytest.fixture
def resume() -> Callable[..., list[Page]]:
    """Reads a stream page by page, each time with a fresh generator that starts from the last page's token."""

    def read(reader: Any, stream: Any, window: Any, cursor: str | None = None) -> list[Page]:
        pages: list[Page] = []
        state = State(cursor)
        while True:
            page = next(iter(reader.read(stream, state, window)))
            pages.append(page)
            if page.next_token is None:
                return pages
            state = State(cursor, page.next_token, page.high_water)

    return read
