"""What the stack says of its own vendors: they are on this machine, and may be called."""

from __future__ import annotations

from spine.core.settings import PRIVATE_NETWORKS, settings
from spine.stack.vendors import allow_loopback


def test_the_stack_lets_its_home_call_this_machine_and_nobody_else(home, monkeypatch):
    monkeypatch.delenv("SPINE_PRIVATE_NETWORKS")
    assert not settings().private_networks.admits("127.0.0.1")
    allow_loopback()
    assert settings().private_networks.admits("127.0.0.1")
    assert not settings().private_networks.admits("10.0.0.1")


def test_what_an_operator_has_said_stays(home, monkeypatch):
    monkeypatch.delenv("SPINE_PRIVATE_NETWORKS")
    (home / PRIVATE_NETWORKS).parent.mkdir(parents=True, exist_ok=True)
    (home / PRIVATE_NETWORKS).write_text("10.1.0.0/16\n")
    allow_loopback()
    assert settings().private_networks.admits("10.1.2.3")
    assert not settings().private_networks.admits("127.0.0.1")
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "")  # the variable counts before the file, also where it allows nothing
    assert not settings().private_networks.admits("10.1.2.3")
