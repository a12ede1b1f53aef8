"""The connections below a request: which addresses they may have, how long they may take, how much they may bring.

An address is checked before anything is sent to it, and the connected peer again before TLS says a word, so that DNS cannot change its
mind. Nobody connects to a forbidden address at all: how it would answer is therefore not to be learnt. Each single read is held to the
end of the whole request, since a server that drips never meets a time-out for one read.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from spine.core.addresses import Networks, loopback
from spine.core.proxies import Proxy
from spine.http import tunnel

# Their lines quote whole addresses, with the keys in them, and headers as the vendor sent them; what fails becomes an error of ours.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(lambda _record: False)


class Refused(Exception):
    """The host has no address that may be called."""


class Unreachable(Exception):
    """There is no such host, or it takes no connection."""


class Overdue(Exception):
    """The request has taken longer than it may in all."""


class TooMuch(Exception):
    """The answer is longer than it may be."""


class Line:
    """What the connections of one thread have to keep to. Seconds and bytes; `begin` starts the time and the count of a request.

    With a proxy all but the listed networks is called through it.
    """

    def __init__(self, networks: Networks, connect: float, read: float, proxy: Proxy | None = None) -> None:
        self._networks, self._connect, self._read, self._proxy = networks, connect, read, proxy
        self._ends, self._left = 0.0, 0

    def begin(self, total: float, most: int) -> None:
        """A request begins, which with all its redirects may take `total` seconds and bring `most` bytes."""
        self._ends, self._left = time.monotonic() + total, most

    @property
    def overdue(self) -> bool:
        """Whether the request's time is over."""
        return time.monotonic() >= self._ends

    def patience(self, step: float | None = None) -> float:
        """Seconds that the next step may take, a read unless told otherwise. Raises Overdue."""
        if self.overdue:
            raise Overdue
        return max(0.001, min(self._read if step is None else step, self._ends - time.monotonic()))

    def took(self, count: int) -> None:
        """So many bytes have come. Raises TooMuch."""
        self._left -= count
        if self._left < 0:
            raise TooMuch

    def open(self, host: str, port: int, *, encrypted: bool) -> socket.socket:
        """A socket that is connected to an allowed address of the host. Raises Refused, Unreachable, Overdue, ProxyRefused, ProxyAway."""
        found = _resolved(host, port)
        allowed = [entry for entry in found if self._admits(str(entry[4][0]), encrypted)]
        if found and not allowed:
            raise Refused
        if self._proxy is None or not encrypted or (found and all(self._networks.lists(str(entry[4][0])) for entry in allowed)):
            return self._first(allowed, lambda address: self._admits(address, encrypted))
        if not found and not tunnel.outer(host):  # a name that the world knows may be unknown inside a company, and the proxy knows it
            raise Unreachable
        return self._through(self._proxy, host, port)

    def _through(self, proxy: Proxy, host: str, port: int) -> socket.socket:
        try:
            opened = self._first(_resolved(proxy.host, proxy.port), lambda _address: True)
        except Unreachable:
            opened = None
        if opened is None:
            raise tunnel.ProxyAway
        try:
            tunnel.connect(opened, proxy, host.strip("[]"), port, lambda: self.patience(self._connect))
        except (OSError, UnicodeError, tunnel.NoWay):
            opened.close()
        except BaseException:
            opened.close()
            raise
        else:
            opened.settimeout(self.patience(self._connect))
            return opened
        raise Unreachable

    def _first(self, entries: Sequence[Any], admits: Callable[[str], bool]) -> socket.socket:
        for family, kind, protocol, _, address in entries:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(self.patience(self._connect))
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.connect(address)
                opened.settimeout(self.patience(self._connect))  # of the whole handshake that may follow
                if admits(str(opened.getpeername()[0])):
                    return opened
            except OSError:
                pass
            except Overdue:
                opened.close()
                raise
            opened.close()
        raise Unreachable

    def _admits(self, address: str, encrypted: bool) -> bool:
        """Unencrypted requests may not leave this machine."""
        return self._networks.admits(address) and (encrypted or loopback(address))


def _resolved(host: str, port: int) -> list[Any]:
    """The addresses of a host, none if there is no such host."""
    try:
        return socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []


class _Metered(io.RawIOBase):
    """The bytes of a socket, each read within what is left of the request's time and size."""

    def __init__(self, connected: socket.socket, line: Line) -> None:
        self._socket, self._line = connected, line
        self._raw: Any = connected.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._line.patience())
        count: int | None = self._raw.readinto(buffer)
        self._line.took(count or 0)
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


class _Answer(http.client.HTTPResponse):
    """An answer that is read through the meter, from its status line to its last trailer."""

    def __init__(self, connected: socket.socket, *args: Any, line: Line, **options: Any) -> None:
        super().__init__(connected, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Metered(connected, line))


class _Plain(HTTPConnection):
    line: Line
    encrypted = False

    def _new_conn(self) -> socket.socket:
        return self.line.open(self._dns_host, self.port, encrypted=self.encrypted)

    def response_class(self, *args: Any, **options: Any) -> http.client.HTTPResponse:  # type: ignore[override]
        return _Answer(*args, line=self.line, **options)


class _Encrypted(_Plain, HTTPSConnection):
    encrypted = True


def pools(line: Line, **options: Any) -> PoolManager:
    """urllib3's pools over connections of this line."""
    manager = PoolManager(**options)
    manager.pool_classes_by_scheme = {
        "http": _pool(HTTPConnectionPool, _Plain, line),
        "https": _pool(HTTPSConnectionPool, _Encrypted, line),
    }
    return manager


def _pool(kind: type[HTTPConnectionPool], connection: type[_Plain], line: Line) -> type[HTTPConnectionPool]:
    """A class of its own: urllib3 makes connections from the pool's class, and hands them nothing that it does not know."""
    return type(kind.__name__, (kind,), {"ConnectionCls": type(connection.__name__, (connection,), {"line": line})})
