"""Ports of this machine's own address, for servers that only it may reach."""

from __future__ import annotations

import random
import socket

from spine.core.errors import StackFailed

LOOPBACK = "127.0.0.1"
# Below those that Linux (from 32768) and macOS (from 49152) give to outgoing connections, one of which could take a port between this look
# at it and its server's start, which for a JVM is seconds later.
_LASTING = range(20_000, 32_768)
_TRIES = 100
_CHANCE = random.SystemRandom()


def free_port(preferred: int = 0) -> int:
    """`preferred` if it is free, otherwise another one that no outgoing connection gets. Raises StackFailed."""
    others = _CHANCE.sample(_LASTING, _TRIES)
    for port in [preferred, *others] if preferred else others:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise StackFailed("no free port on 127.0.0.1", hint="Close programs that hold many ports")
