"""Ports of this machine's own address, for servers that only it may reach."""

from __future__ import annotations

import socket

from spine.core.errors import StackFailed

LOOPBACK = "127.0.0.1"


def free_port(preferred: int) -> int:
    """`preferred` if it is free, otherwise any free port. Raises StackFailed."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackFailed("no free port on 127.0.0.1", hint="Close programs that hold many ports")
