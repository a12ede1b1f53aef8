"""A way through the deployment's own proxy: CONNECT (RFC 9110, 9.3.6), so that it sees a host, a port and what is encrypted.

What the proxy connects to is its operator's to say: see decision 11.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from spine.core.proxies import Proxy

_HEAD = 8192  # bytes of an answer to CONNECT
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TOP = re.compile(r"[a-z][a-z0-9-]{1,62}")
# Names of one network's own, whatever they mean there: RFC 6761, 6762, 8375, 9476, and ICANN's for private use.
_INNER = ("localhost", "local", "internal", "home.arpa", "alt", "onion", "test", "invalid", "lan")


class ProxyRefused(Exception):
    """The proxy does not take our credentials."""


class ProxyAway(Exception):
    """The proxy takes no connection, or speaks no HTTP."""


class NoWay(Exception):
    """The proxy makes no connection to that host."""


def outer(host: str) -> bool:
    """Whether a host is a name that only all the world may have given: no number in any notation, and no name of an inner network."""
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    inner = any(name == word or name.endswith(f".{word}") for word in _INNER)
    return len(labels) > 1 and len(name) <= 253 and all(map(_LABEL.fullmatch, labels)) and bool(_TOP.fullmatch(labels[-1])) and not inner


def connect(opened: socket.socket, proxy: Proxy, host: str, port: int, patience: Callable[[], float]) -> None:
    """Have the proxy at the other end of a socket connect it to a host; `patience` says how many seconds the next step may take.

    Raises ProxyRefused, ProxyAway, NoWay, OSError.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    said = f"Proxy-Authorization: Basic {proxy.authorization}\r\n" if proxy.authorization else ""
    opened.settimeout(patience())
    opened.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{said}\r\n".encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head:
        opened.settimeout(patience())
        more = opened.recv(_HEAD)
        head += more
        if not more or len(head) > _HEAD:
            raise ProxyAway
    status = _STATUS.match(head)
    if status is None:
        raise ProxyAway
    if status[1] == b"407":
        raise ProxyRefused
    if status[1][:1] != b"2" or not head.endswith(b"\r\n\r\n"):  # the host says nothing before it is asked
        raise NoWay
