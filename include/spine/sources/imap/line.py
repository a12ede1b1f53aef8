"""The connection to an IMAP server: an address that may be called, TLS, and answers within bounds of length and time.

`imaplib` waits for as many bytes as a server announces, and for each of them anew; so its two ways to read are ours.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
import time
from io import BufferedReader
from typing import Any, cast

from imapclient import IMAPClient

from spine.core.settings import settings
from spine.sources.access import Access, connected

_LONGEST = 64 << 20  # bytes of one line: the UIDs of some millions of messages


class _Line(imaplib.IMAP4):
    """imaplib's connection, on a socket that is there. `literal` is how long one value may be, `patience` how long one answer may take.

    An answer may be as long as one value and one line together: it is held in memory, and what a server says of sizes is not believed.
    """

    def __init__(self, sock: socket.socket, literal: int, patience: float) -> None:
        self._ready, self._literal, self._patience = sock, literal, patience
        self.anew()
        super().__init__()

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._ready

    def anew(self) -> None:
        """Another question: its answer has the whole time."""
        self._ends = time.monotonic() + self._patience
        self._left = self._literal + _LONGEST

    def read(self, size: int) -> bytes:
        """So many bytes. Raises abort if they are too many, TimeoutError if they take too long."""
        if size > self._literal:
            raise self.abort(f"a value of {size:,} bytes was announced")
        found = bytearray()
        while len(found) < size and (data := self._waiting()):
            found += self._buffer.read(min(len(data), size - len(found)))
        return self._within(found)

    def readline(self) -> bytes:
        """The next line. Raises abort if it is too long, TimeoutError if it takes too long."""
        found = bytearray()
        while not found.endswith(b"\n") and (data := self._waiting()):
            found += self._buffer.read(data.find(b"\n") + 1 or len(data))
            if len(found) > _LONGEST:
                raise self.abort(f"a line is longer than {_LONGEST:,} bytes")
        return self._within(found)

    def _within(self, found: bytearray) -> bytes:
        self._left -= len(found)
        if self._left < 0:
            raise self.abort(f"an answer is longer than {self._literal + _LONGEST:,} bytes")
        return bytes(found)

    def _waiting(self) -> bytes:
        if time.monotonic() > self._ends:
            raise TimeoutError("the answer takes too long")
        return self._buffer.peek(1)

    @property
    def _buffer(self) -> BufferedReader:
        return cast(BufferedReader, self.file)


class Client(IMAPClient):  # type: ignore[misc]  # the library has no types
    """The library's client on such a connection: `tls` is true, starttls or false. Raises ConfigError, SourceUnavailable, OSError."""

    def __init__(self, access: Access, port: int, tls: str, literal: int) -> None:
        self._access, self._tls, self._literal = access, tls, literal
        super().__init__(access.host.strip("[]"), port, ssl=False, timeout=access.times.total)
        self._imap.debug = 0  # it would log what is sent, logins included
        self.normalise_times = False
        if tls == "starttls":
            self.starttls(_trust())

    def _create_IMAP4(self) -> Any:
        times, name = self._access.times, self.host
        sock = connected(self._access.host, self.port, times.connect)
        sock.settimeout(times.total)
        if self._tls == "true":
            sock = _trust().wrap_socket(sock, server_hostname=name)
        return _Line(sock, self._literal, times.total)

    def anew(self) -> None:
        """Before each question: its answer has the whole time."""
        self._imap.anew()


def _trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings().ca_bundle or None)
