"""Clients of the sandbox and of a server whose answers a test writes; no database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from spine.core.tokens import MemoryTokens
from spine.http.auth import Account, Credentials
from spine.http.auth.bearer import Bearer
from spine.http.client import Client
from spine.http.transport import Transport
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer
from spine.sources.reading import Page, State
from spine.sources.spec import load_source


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

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.do_GET()

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


_TOKENS: dict[str, MemoryTokens] = {}  # of each sandbox, which rotates what it grants


@pytest.fixture
def salesforce_client() -> Callable[..., Client]:
    """A client of the sandbox's Salesforce as tenant `default`, which signs as the source's file or the extra says."""

    def make(server: SandboxServer, extra: dict[str, Any] | None = None, key: str = "") -> Client:
        known, source, transport = credentials("default"), load_source("salesforce"), Transport()
        said = {"refresh_token": known.refresh_token} if extra is None else extra
        held = Credentials(server.url, known.client_id, key or known.client_secret, {"audience": "https://login.salesforce.com", **said})
        store = _TOKENS.setdefault(server.url, MemoryTokens())
        signer = source.auth_of(None, said).signer(Account(held, store, transport.send))
        return Client(server.url, transport, signer, sleep=lambda seconds: None)

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
