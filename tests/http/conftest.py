"""A real HTTP server on a free port whose answers a test writes as a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from tests.certificates import certificate


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    target: str = ""


@dataclass
class Answer:
    """What to send back, `body` in place of JSON. `cut` closes the connection half-way; `hang` seconds of silence come first."""

    status: int = 200
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: float = 0.0
    body: bytes | None = None


@dataclass
class Vendor:
    """A server; `answer` is called with each request and its number from 0."""

    url: str
    answer: Callable[[Seen, int], Answer]
    seen: list[Seen] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            seen = Seen(
                self.command, parts.path, dict(parse_qsl(parts.query)), {k.lower(): v for k, v in self.headers.items()}, body, self.path
            )
            vendor.seen.append(seen)
            answer = vendor.answer(seen, len(vendor.seen) - 1)
            if answer.hang:
                vendor.stop.wait(answer.hang)
            content = orjson.dumps(answer.json) if answer.body is None else answer.body
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if answer.cut else content)
            self.close_connection = answer.cut

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def make_vendor() -> Iterator[Callable[..., Vendor]]:
    """Starts a server with the given answer function."""
    running: list[tuple[ThreadingHTTPServer, Vendor]] = []

    def make(answer: Callable[[Seen, int], Answer] = lambda seen, number: Answer()) -> Vendor:
        vendor = Vendor("", answer)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(vendor))
        server.daemon_threads = True
        vendor.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append((server, vendor))
        return vendor

    yield make
    for server, vendor in running:
        vendor.stop.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(name="certificate")
def a_certificate(tmp_path: Path) -> Path:
    """Key and certificate of `localhost`, which nobody else has signed, in one file."""
    return certificate(tmp_path)


@pytest.fixture
def answer() -> type[Answer]:
    """The class of answers."""
    return Answer
