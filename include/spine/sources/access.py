"""What a reader that does not speak HTTP is given of a Connection, and the addresses that it may speak to.

An address is judged as those of HTTP are: public ones and those of the operator's list. It is looked up here, once, and the reader connects
to what was judged, so that a name cannot mean something else in between.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spine.core.addresses import loopback
from spine.core.errors import ConfigError, SourceUnavailable
from spine.core.settings import settings
from spine.http.allowance import Allowance
from spine.sources.places import Place


@dataclass(frozen=True)
class Times:
    """Seconds for making a connection, for an answer, and for a whole stream."""

    connect: float = 30.0
    total: float = 300.0
    stream: float = 3600.0


@dataclass(frozen=True)
class Access:
    """One account of a source: where it is, who logs in, and what its reader has to keep to.

    `values` are those of the source's variables, `hashed` makes of a personal value what stands for it, `place` says which folders are
    the tenant's. `bearer` gives the token of an account that has one in place of a password; with true another one, after a refusal.
    """

    host: str = ""
    port: int | None = None
    name: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    values: Mapping[str, Any] = field(default_factory=dict)
    hashed: Callable[[str], str] | None = field(default=None, repr=False)
    times: Times = Times()
    allowance: Allowance = field(default_factory=Allowance)
    place: Place = field(default_factory=Place)
    bearer: Callable[[bool], str] | None = field(default=None, repr=False)

    def word(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """A word of the Connection's extra. Raises ConfigError for one that is none of the choices."""
        found = str(self.extra.get(name) or default)
        if found not in choices:
            raise ConfigError(f"`{name}` in the Connection's extra is none of {', '.join(choices)}", hint="Correct the Connection")
        return found


def addresses_of(host: str, port: int) -> list[str]:
    """The numeric addresses of a host that may be called. Raises ConfigError if none of them may, SourceUnavailable if there are none."""
    networks = settings().private_networks
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise SourceUnavailable(f"{host}: there is no such host", hint="Check the host of the Connection") from None
    admitted = [address for address in dict.fromkeys(found) if networks.admits(address)]
    if not admitted:
        raise ConfigError(
            f"{host}: the host has no address that may be called",
            hint="Private networks are the operator's to allow, by SPINE_PRIVATE_NETWORKS",
        )
    direct = [address for address in admitted if networks.lists(address)]
    if settings().proxy is not None and not direct:
        raise ConfigError(
            f"{host}: the deployment's proxy is for HTTP, and this source does not speak it",
            hint="The operator may list the address in SPINE_PRIVATE_NETWORKS, which lets it be called without the proxy",
        )
    return direct or admitted


def in_clear(address: str) -> bool:
    """Whether a connection to an address may do without encryption, if the Connection says so: this machine, and networks of the list."""
    return loopback(address) or settings().private_networks.lists(address)


def connected(host: str, port: int, seconds: float) -> socket.socket:
    """A socket that is connected to an allowed address of the host. Raises ConfigError, SourceUnavailable."""
    for address in addresses_of(host, port):
        try:
            return socket.create_connection((address, port), timeout=seconds)
        except OSError:
            continue
    raise SourceUnavailable(f"{host}:{port} takes no connection", hint="Check host and port of the Connection, and the network")
