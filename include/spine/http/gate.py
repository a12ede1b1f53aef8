"""A proxy inside this process for a library that connects by itself: it gets to the addresses that our own requests may call.

Arrow's S3 client resolves names anew and follows redirects wherever they lead, the cloud's metadata service included; whoever writes a
Connection chooses its endpoint. Only CONNECT is served: what goes through is encrypted between the client and the vendor.
"""

from __future__ import annotations

import hmac
import os
import secrets
import selectors
import socket
import threading
import time
from base64 import b64encode
from contextlib import suppress
from functools import lru_cache
from typing import Any

from spine.core.addresses import Networks
from spine.core.proxies import Proxy
from spine.core.screen import logger
from spine.http.line import Line, Overdue, Refused, Unreachable
from spine.http.tunnel import ProxyAway, ProxyRefused

_log = logger(__name__)

_HEAD = 8192  # bytes of a request to the gate
_CONNECT, _IDLE, _TOTAL = 10.0, 60.0, 3600.0  # seconds: to connect, without a byte, of a connection in all
_CHUNK = 65_536
_USER = "spine"


class Gate:
    """Listens on this machine only, for whoever knows its password."""

    def __init__(self, networks: Networks, proxy: Proxy | None = None) -> None:
        self._networks, self._proxy, self._password = networks, proxy, secrets.token_hex(16)
        self._key = b"basic " + b64encode(f"{_USER}:{self._password}".encode())
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, name="gate", daemon=True).start()

    def options(self) -> dict[str, Any]:
        """What Arrow calls `proxy_options`. Holds the password."""
        host, port = self._socket.getsockname()
        return {"scheme": "http", "host": host, "port": port, "username": _USER, "password": self._password}

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), name="gate", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(_CONNECT)
            head = _head(client)
            place = _place(head)
            if place is None or not self._knows(head):
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            line = Line(self._networks, _CONNECT, _IDLE, self._proxy)
            line.begin(_CONNECT, 0)
            try:
                vendor = line.open(*place, encrypted=True)
            except (Refused, Unreachable, Overdue, ProxyAway, ProxyRefused) as error:  # one answer, which tells none from the other
                if isinstance(error, ProxyAway | ProxyRefused):
                    _log.warning("the deployment's proxy (SPINE_PROXY) takes no connection, or not its credentials")
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with vendor:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(client, vendor)

    def _knows(self, head: bytes) -> bool:
        said = [line.partition(b":")[2].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization:")]
        return any(hmac.compare_digest(value[:6].lower() + value[6:], self._key) for value in said)


@lru_cache(maxsize=8)
def _of_process(networks: Networks, proxy: Proxy | None, _process: int) -> Gate:
    return Gate(networks, proxy)


def gate(networks: Networks, proxy: Proxy | None = None) -> Gate:
    """The gate of this process to public addresses, by the deployment's proxy if it has one, and to these networks.

    A fork has none of its parent's threads, so it makes its own.
    """
    return _of_process(networks, proxy, os.getpid())


def _head(client: socket.socket) -> bytes:
    head, ends = b"", time.monotonic() + _CONNECT
    while b"\r\n\r\n" not in head and len(head) < _HEAD and time.monotonic() < ends:
        more = client.recv(_HEAD)
        if not more:
            break
        head += more
    return head


def _place(head: bytes) -> tuple[str, int] | None:
    """Host and port of a CONNECT request, None for anything else."""
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    host, _, port = rest.partition(b" ")[0].decode("ascii", "replace").rpartition(":")
    if method != b"CONNECT" or not host or not port.isdecimal() or not 0 < int(port[:6]) < 65_536:
        return None
    return host, int(port)


def _relay(client: socket.socket, vendor: socket.socket) -> None:
    """Pass bytes both ways until one side ends, says nothing for a while, or takes too long in all."""
    ends, other = time.monotonic() + _TOTAL, {client: vendor, vendor: client}
    with selectors.DefaultSelector() as waiting:
        for side in other:
            side.settimeout(_IDLE)
            waiting.register(side, selectors.EVENT_READ)
        while time.monotonic() < ends and (ready := waiting.select(_IDLE)):
            for key, _ in ready:
                ready_side: Any = key.fileobj
                data = ready_side.recv(_CHUNK)
                if not data:
                    return
                other[ready_side].sendall(data)
