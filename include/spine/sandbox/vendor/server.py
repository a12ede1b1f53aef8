"""The vendor over HTTP, on 127.0.0.1: by its own address, and as the proxy behind which its hosts lie, with TLS for each of their names.

The proxy is how a source's file is used as it stands, with its own hosts: `SPINE_PROXY` is `server.proxy`, `REQUESTS_CA_BUNDLE` is
`server.bundle`. Nothing leaves this machine.
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol, Self

from spine.sandbox.vendor.calls import Answer, Call, NotCovered
from spine.sandbox.vendor.certificates import authority


class Answering(Protocol):
    """What a server speaks for."""

    lacks: list[str]
    broken: list[Exception]

    def answer(self, call: Call) -> Answer:
        """What it says to a call. Raises NotCovered."""
        ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    tunnel = ""
    vendor: Answering
    stop: threading.Event

    def do_CONNECT(self) -> None:
        """Be the host that the client wants to reach."""
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        host = self.path.rpartition(":")[0]
        self.connection = authority().context(host).wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.tunnel, self.close_connection = self.path.removesuffix(":443"), False

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        host, scheme = self.tunnel or self.headers.get("host", ""), "https" if self.tunnel else "http"
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        try:
            answer = self.vendor.answer(Call(self.command, scheme, host, self.path, headers, body))
        except NotCovered as lacking:
            self.vendor.lacks.append(str(lacking))
            answer = Answer.of({"message": f"not covered: {lacking}"}, 501)
        except Exception as error:  # a mistake of the vendor's own, which must not look like a refusal
            self.vendor.broken.append(error)
            answer = Answer.of({"message": "broken"}, 501)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        if answer.hang:
            self.stop.wait(answer.hang)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
        self.wfile.flush()
        if answer.cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve

    def handle(self) -> None:
        """One connection; a client that goes away is no mistake."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        """End it."""
        try:
            super().finish()
            self.connection.close()
        except OSError:
            pass

    def log_message(self, *args: Any) -> None:
        """Nothing is written anywhere."""


class VendorServer:
    """`with VendorServer(vendor) as server:`; it answers at `server.url`, and as its own hosts through `server.proxy`."""

    def __init__(self, vendor: Answering) -> None:
        self.vendor, self._stop = vendor, threading.Event()
        handler = type("Handler", (_Handler,), {"vendor": vendor, "stop": self._stop})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Its address without TLS."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def proxy(self) -> str:
        """Its address as a proxy."""
        return self.url

    @property
    def bundle(self) -> str:
        """The file of the authority that has signed for its hosts."""
        return str(authority().bundle)

    def __enter__(self) -> Self:
        """Start to answer."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
