"""Waits on this machine for the browser that brings an authorization code (RFC 8252, 7.3)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from spine.core.addresses import loopback
from spine.core.errors import AuthFailed, ConfigError

_PATH = "/callback"
_STEP = 10.0  # seconds that one connection may take: a browser opens some that it never uses
_THANKS = b"<!doctype html><title>Done</title><p>Done. You may close this page and go back to the terminal."
_OTHER = b"<!doctype html><title>Not this one</title><p>This address belongs to another question."
_HEADERS = {"Content-Type": "text/html", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Connection": "close"}


def is_here(uri: str) -> bool:
    """Whether an address is one that this machine can listen on for itself."""
    parts = urlsplit(uri)
    return parts.scheme == "http" and (parts.hostname == "localhost" or loopback(parts.hostname or ""))


class Loopback:
    """Listens at `uri`, by default at a free port of 127.0.0.1. Nothing of what comes is logged or shown."""

    def __init__(self, uri: str = "") -> None:
        parts = urlsplit(uri)
        host, self._path = ("::1" if parts.hostname == "::1" else "127.0.0.1"), (parts.path or "/") if uri else _PATH
        self._found: dict[str, str] = {}
        self._accepts: Callable[[Mapping[str, str]], bool] = lambda params: False
        self._came = threading.Event()
        try:
            self._server = _server(host, parts.port or 0, self._answer)
        except OSError as error:
            hint = "End the program that has it, or register another address and write it as `redirect_uri`"
            raise ConfigError(f"port {parts.port} of this machine is taken", hint=hint) from error
        self.uri = uri if uri and parts.port else f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_port}{self._path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def expect(self, accepts: Callable[[Mapping[str, str]], bool]) -> None:
        """Take the first call whose parameters `accepts` takes for ours; all others are turned away."""
        self._accepts = accepts

    def wait(self, seconds: float) -> dict[str, str]:
        """The parameters of the call that was expected. Raises AuthFailed if none comes in time."""
        if not self._came.wait(seconds):
            raise AuthFailed("nobody came back from the browser", hint="Run the command again; `--paste` takes the address by hand")
        return self._found

    def _answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        params = dict(parse_qsl(parts.query))
        if parts.path != self._path or self._came.is_set() or not self._accepts(params):
            return 400, _OTHER
        self._found = params
        self._came.set()
        return 200, _THANKS


def _server(host: str, port: int, answer: Callable[[str], tuple[int, bytes]]) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = _STEP
        server_version, sys_version = "", ""

        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing: the path holds the code."""

    kind = type(
        "Server", (ThreadingHTTPServer,), {"daemon_threads": True, "address_family": socket.AF_INET6 if ":" in host else socket.AF_INET}
    )
    server: HTTPServer = kind((host, port), Handler)
    return server
