"""Which addresses may be called, in whatever notation they come."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.addresses import Networks, loopback
from spine.core.errors import ConfigError

NOBODY = Networks()
METADATA = [
    "169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "64:ff9b:1::a9fe:a9fe", "::ffff:0:169.254.169.254", "2001:0:a9fe:a9fe::1", "fe80::5efe:169.254.169.254", "fd00:ec2::254",
    "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fe80::1", "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:2800:21f:cb07::1", "2a00:1450::1", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_public_addresses_may_be_called(address):
    assert NOBODY.admits(address)


@pytest.mark.parametrize(
    "address",
    [
        *METADATA, "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.8",
        "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "100::1", "2001::1", "2001:20::1",
        "2001:db8::1", "2002:a00:1::1", "2002:101:101::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1",
        "2606:2800::5efe:10.0.0.1", "2606:2800::200:5efe:10.0.0.1", "nonsense", "", "127.1", "2130706433",
    ],
)  # fmt: skip
def test_special_addresses_may_not(address):
    assert not NOBODY.admits(address)


def test_an_operator_allows_networks_in_every_notation_of_their_addresses():
    allowed = Networks.parse("127.0.0.0/8, 10.1.0.0/16 ::1 fd12::/16")
    for address in ("127.0.0.1", "10.1.2.3", "::1", "fd12:3456::1", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "1.1.1.1"):
        assert allowed.admits(address), address
    for address in ("10.2.0.1", "192.168.0.1", "fd13::1", "169.254.169.254"):
        assert not allowed.admits(address), address


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_allowed_by_no_network_but_by_their_very_address(address):
    everything = Networks.parse("0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1")
    if address not in ("2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "64:ff9b:1::a9fe:a9fe"):  # tunnels are an operator's own affair
        assert not everything.admits(address)
    named = " ".join({address.partition("%")[0], "169.254.169.254"})
    assert Networks.parse(named).admits(address)


@pytest.mark.parametrize("text", ["10.1.2.3/16", "localhost", "10.0.0.0/33", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_said(text):
    with pytest.raises(ConfigError, match="SPINE_PRIVATE_NETWORKS has"):
        Networks.parse(f"127.0.0.0/8 {text}")


def test_this_machine_is_known_in_every_notation():
    assert all(map(loopback, ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(loopback, ("10.0.0.1", "::ffff:10.0.0.1", "0.0.0.0", "localhost", "", "2002:7f00:1::")))


@given(st.integers(0, 2**32 - 1).map(IPv4Address), st.sampled_from(["::ffff:0:0", "::", "64:ff9b::", "::ffff:0:0:0"]))
def test_an_address_inside_another_is_judged_as_itself(inner, prefix):
    outer = IPv6Address(int(ip_address(prefix)) | int(inner))
    if int(outer) > 1:
        assert NOBODY.admits(str(outer)) == NOBODY.admits(str(inner))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_nothing_is_public_that_the_standard_library_takes_for_special(address):
    if NOBODY.admits(str(address)):
        assert address.is_global
        assert not address.is_multicast
