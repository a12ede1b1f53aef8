"""A TCP relay before a server, so that a socket of this machine is a host, and a test may cut or silence the line."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any


class Relay:
    """Listens on a port of this machine and hands everything on to an address; `cut_after` bytes from the server it cuts the line."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cut_after: int | None = None
        self.silent_after: int | None = None
        self.asked = 0
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.asked += 1
                family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
                server = socket.socket(family)
                server.connect(self._target)
                self._ends += [client, server]
                threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        seen = 0
        with suppress(OSError):
            while data := source.recv(65536):
                seen += len(data)
                if back and self.silent_after is not None and seen > self.silent_after:
                    continue
                if back and self.cut_after is not None and seen > self.cut_after:
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        """Cut every line, and be no obstacle from now on."""
        self.cut_after = self.silent_after = None
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()
