"""Which network addresses may be called: public ones, and those of networks that the deployment's operator lists.

The ranges are those of IANA's special-purpose registries (RFC 6890 and its successors), multicast, and the addresses at which clouds
answer their own machines with credentials. Every notation that carries an IPv4 address inside an IPv6 one counts as that address.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from spine.core.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(word) for word in text.split())


# Nobody means these: this network, link-local, multicast, reserved, broadcast; then metadata services: Amazon's and Google's by IPv6,
# Alibaba's, Azure's, Oracle's. All others answer at 169.254.169.254 or another link-local address.
_NEVER = _networks(
    "0.0.0.0/8 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4 ::/128 fe80::/10 ff00::/8 "
    "fd00:ec2::/32 fd20:ce::/32 100.100.100.200 168.63.129.16 192.0.0.192"
)
# Private, carrier (RFC 6598), loopback, protocol assignments, documentation, AS112, 6to4 relays, AMT, benchmarks.
_SPECIAL_4 = _networks(
    "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 "
    "192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24"
)
# Of IPv6 only 2000::/3 is given out; in it lie protocol assignments (Teredo, ORCHID, benchmarks), documentation, 6to4, AS112. What lies
# outside of it is special by that: loopback, unique local fc00::/7, site-local fec0::/10, local NAT64 64:ff9b:1::/48, discard 100::/64.
_GIVEN_OUT_6 = IPv6Network("2000::/3")
_SPECIAL_6 = _networks("2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20")
_MAPPED, _COMPATIBLE, _NAT64 = IPv6Network("::ffff:0:0/96"), IPv6Network("::/96"), IPv6Network("64:ff9b::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # SIIT, RFC 2765
_ISATAP = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))  # RFC 5214: before the IPv4 address, whatever the prefix


@dataclass(frozen=True)
class Networks:
    """What an operator allows besides public addresses. Link-local, metadata and the like count only where the very address is named."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str = "SPINE_PRIVATE_NETWORKS") -> Networks:
        """Networks in CIDR notation, or single addresses, with spaces or commas between. Raises ConfigError that names the setting."""
        found: list[Network] = []
        for word in text.replace(",", " ").split():
            try:
                found.append(ip_network(word))
            except ValueError as error:
                raise ConfigError(
                    f"{name} has {word!r}, which is no network", hint="Write networks as in 127.0.0.0/8 10.1.0.0/16"
                ) from error
        return cls(tuple(found))

    def admits(self, address: str) -> bool:
        """Whether a numeric address may be called; False for what is none."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(self._admits(each) for each in _meant(found))

    def lists(self, address: str) -> bool:
        """Whether a numeric address lies in the operator's own list; False for what is none."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(any(each in network for network in self.allowed) for each in _meant(found))

    def _admits(self, address: Address) -> bool:
        listed = [network for network in self.allowed if network.version == address.version and address in network]
        if any(network.num_addresses == 1 for network in listed):
            return True
        if any(address in network for network in _NEVER):
            return False
        return bool(listed) or _public(address)


def loopback(address: str) -> bool:
    """Whether a numeric address is this machine, in any notation; False for what is none."""
    try:
        return all(each.is_loopback for each in _meant(ip_address(address.partition("%")[0])))
    except ValueError:
        return False


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    return address in _GIVEN_OUT_6 and not any(address in network for network in _SPECIAL_6)


def _meant(address: Address) -> tuple[Address, ...]:
    """The addresses that one stands for: an IPv4 address inside it instead of it, or besides it where its prefix counts as well."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner = IPv4Address(address.packed[12:])
    if int(address) <= 1:
        return (address,)  # unspecified and loopback
    if any(address in network for network in (_MAPPED, _COMPATIBLE, _NAT64, _TRANSLATED)):
        return (inner,)
    if address.packed[8:12] in _ISATAP:
        return (address, inner)
    return (address,)
