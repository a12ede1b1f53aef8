"""A proxy inside this process for a library that connects by itself: it gets to the addresses that our own requests may call.

Arrow's S3 client resolves names anew and follows redirects wherever they lead, the cloud's metadata service included; whoever writes a
Connection chooses its endpoint. It also waits for as long as a server lets it, in code that no time-out of ours interrupts, and reads a
list of objects that has no end; so the gate says how long each step may take and what it may bring, and cuts the connection then.
"""

from __future__ import annotations

import hmac
import re
import secrets
import selectors
import socket
import threading
import time
from base64 import b64encode
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from spine.core.addresses import Networks
from spine.core.proxies import Proxy
from spine.core.screen import logger
from spine.http.line import Line, Overdue, Refused, Unreachable
from spine.http.tunnel import ProxyAway, ProxyRefused

_log = logger(__name__)

_HEAD = 16_384  # bytes of a request to the gate
_CONNECT, _IDLE, _LOOK = 10.0, 60.0, 0.5  # seconds: to connect, without a byte, between two looks whether it may go on
_CHUNK = 65_536
_USER = "spine"
_PLAIN = re.compile(rb"(GET|HEAD) http://([^/\s:]+|\[[^\]\s]+\]):(\d{1,5})(/\S*) HTTP/1\.1")
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Gate:
    """Listens on this machine only, for whoever knows its password, from `allow` on and until it is left.

    It serves CONNECT, where what goes through is encrypted between the client and the vendor, by the deployment's proxy if it has one; and
    GET of an address of this machine.
    """

    def __init__(self, networks: Networks, proxy: Proxy | None = None) -> None:
        self._networks, self._proxy, self._password = networks, proxy, secrets.token_hex(16)
        self._key = b"basic " + b64encode(f"{_USER}:{self._password}".encode())
        self._until, self._left = 0.0, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, name="gate", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._until = 0.0
        with suppress(OSError):  # whoever waits in `accept` is not woken by closing alone
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def allow(self, seconds: float, most: int) -> None:
        """From now on so many seconds and bytes of answers, whatever was left of those before."""
        self._until, self._left = time.monotonic() + seconds, most

    @property
    def _open(self) -> bool:
        return self._left >= 0 and time.monotonic() < self._until

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
            plain = _PLAIN.match(head)
            place = (plain[2].decode("ascii", "replace"), int(plain[3])) if plain else _place(head)
            if place is None or not self._knows(head) or not self._open:
                client.sendall(_FORBIDDEN)
                return
            line = Line(self._networks, _CONNECT, _IDLE, self._proxy)
            line.begin(_CONNECT, 0)
            try:
                vendor = line.open(*place, encrypted=plain is None)
            except (Refused, Unreachable, Overdue, ProxyAway, ProxyRefused) as error:  # one answer, which tells none from the other
                if isinstance(error, ProxyAway | ProxyRefused):
                    _log.warning("the deployment's proxy (SPINE_PROXY) takes no connection, or not its credentials")
                client.sendall(_FORBIDDEN)
                return
            with vendor:
                vendor.settimeout(_IDLE)
                if plain:
                    vendor.sendall(_passed_on(head, plain))
                else:
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._relay(client, vendor, both=plain is None)

    def _relay(self, client: socket.socket, vendor: socket.socket, *, both: bool) -> None:
        """Pass bytes on until one side ends, says nothing for a while, or the time or the bytes that are allowed are used up.

        Not `both`: what the client says next is for the gate to judge, on another connection.
        """
        other, silent = {vendor: client} | ({client: vendor} if both else {}), time.monotonic()
        with selectors.DefaultSelector() as waiting:
            for side in other:
                side.settimeout(_IDLE)
                waiting.register(side, selectors.EVENT_READ)
            while self._open and time.monotonic() - silent < _IDLE:
                for key, _ in waiting.select(_LOOK):
                    silent, ready = time.monotonic(), key.fileobj
                    data = ready.recv(_CHUNK)  # type: ignore[union-attr]  # a socket
                    if ready is vendor:
                        self._left -= len(data)
                    if not data or not self._open:
                        return
                    other[ready].sendall(data)  # type: ignore[index]

    def _knows(self, head: bytes) -> bool:
        said = [line.partition(b":")[2].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization:")]
        return any(hmac.compare_digest(value[:6].lower() + value[6:], self._key) for value in said)


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


def _passed_on(head: bytes, plain: re.Match[bytes]) -> bytes:
    """A request as the vendor should see it: for a path, without what is the gate's, and the last one of its connection."""
    lines = [line for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:] if not line.lower().startswith((b"proxy-", b"connection:"))]
    return b"\r\n".join([plain[1] + b" " + plain[4] + b" HTTP/1.1", *lines, b"Connection: close", b"", b""])
