"""Ports for servers that start later than they are looked for."""

from __future__ import annotations

import socket

from spine.core.ports import LOOPBACK, free_port


def test_no_outgoing_connection_can_take_it_before_its_server_starts() -> None:
    assert max(free_port() for _ in range(50)) < 32_768, "Linux's outgoing connections start there"


def test_the_preferred_one_is_taken_where_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server((LOOPBACK, port)):
        assert free_port(port) != port
