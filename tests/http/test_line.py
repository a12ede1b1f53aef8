"""What is below a request: which addresses are connected to, and that nobody holds a connection for ever."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from spine.core.addresses import Networks
from spine.core.errors import ConfigError, SourceRejected, SourceUnavailable
from spine.http import transport
from spine.http.transport import Request, Transport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TLS_RECORD = b"\x16\x03\x03\x40\x00"  # a handshake message of 16 KiB begins


class Raw:
    """A server of bytes: each connection gets `said` at once and then `dripped`, a byte at a time; it keeps what it is sent first."""

    def __init__(self, said: bytes, dripped: Callable[[], bytes], every: float = 0.05, host: str = "127.0.0.1") -> None:
        self.said, self.dripped, self.every = said, dripped, every
        self.heard: list[bytes] = []
        self.stop = threading.Event()
        self.socket = socket.create_server((host, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            self.heard.append(connection.recv(65536))
            connection.sendall(self.said)
            while not self.stop.wait(self.every):
                connection.sendall(self.dripped())


@pytest.fixture
def raw() -> Iterator[Callable[..., Raw]]:
    """Starts such a server."""
    running: list[Raw] = []

    def make(said: bytes, dripped: Callable[[], bytes] = lambda: b"x", every: float = 0.05) -> Raw:
        running.append(Raw(said, dripped, every))
        return running[-1]

    yield make
    for server in running:
        server.stop.set()
        server.socket.close()


@pytest.mark.parametrize(
    ("scheme", "said", "dripped"),
    [
        ("http", b"", b"H"),
        ("http", b"HTTP/1.1 200 O", b"K"),
        ("http", HEAD, b"x"),
        ("http", HEAD, b"X: y\r\n"),
        ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("http", HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
        ("http", HEAD + b"Connection: close\r\n\r\n", b"x"),
        ("http", CHUNKED, b"0"),
        ("http", CHUNKED + b"1;", b"x"),
        ("http", CHUNKED, b"1\r\nx\r\n"),
        ("http", CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n"),
        ("https", b"", iter(TLS_RECORD + bytes(1000))),
        ("https", TLS_RECORD, b"\x00"),
    ],
    ids=["nothing", "status", "header", "headers", "interim", "body", "body to the end", "chunk size", "chunk extension", "chunks",
         "trailers", "before TLS", "in TLS"],
)  # fmt: skip
def test_a_server_that_drips_is_left_when_the_request_s_time_is_over(raw, scheme, said, dripped):
    server = raw(said, lambda: dripped if isinstance(dripped, bytes) else bytes([next(dripped)]))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"in time: 0.5 s are over"):
        Transport(connect=5, read=5, total=0.5).send(Request("GET", f"{scheme}://127.0.0.1:{server.port}/x"))
    assert time.monotonic() - began < 2


def test_redirects_count_into_the_same_time(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(302, None, {"Location": f"/{number}"}, hang=0.3))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="in time"):
        Transport(total=0.5).send(Request("GET", f"{vendor.url}/x"))
    assert time.monotonic() - began < 1.5
    assert len(vendor.seen) == 2


def test_a_slow_answer_within_the_time_is_taken(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json={"ok": 1}, hang=0.3))
    sender = Transport(read=1, total=1)
    assert [sender.send(Request("GET", vendor.url)).json() for _ in range(4)] == [{"ok": 1}] * 4  # each has its own time


def test_a_bomb_is_noticed_while_it_is_unpacked(make_vendor, answer, monkeypatch):
    monkeypatch.setattr(transport, "MAX_BODY", 1_000_000)
    bomb = gzip.compress(bytes(500_000_000), 9)
    import tracemalloc

    for encoding, body in (("gzip", bomb), ("gzip, gzip", gzip.compress(bomb, 9))):
        vendor = make_vendor(lambda seen, number, e=encoding, b=body: answer(body=b, headers={"Content-Encoding": e}))
        tracemalloc.start()
        with pytest.raises(SourceRejected, match="more than 1000000 bytes"):
            Transport().send(Request("GET", vendor.url))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20_000_000


@pytest.mark.parametrize(
    ("said", "dripped"),
    [
        (CHUNKED, b"0" * 500_000),
        (CHUNKED + b"0\r\n", b"X: " + b"y" * 500_000),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n" + b"a\r\n" + gzip.compress(b"")[:10] + b"\r\n",
         b"186a0\r\n" + b"\x00\x00\x00\xff\xff" * 20_000 + b"\r\n"),
    ],
    ids=["chunk size", "trailer", "empty blocks"],
)  # fmt: skip
def test_bytes_that_are_no_body_are_counted_too(raw, monkeypatch, said, dripped):
    monkeypatch.setattr(transport, "MAX_BODY", 1_000_000)
    server = raw(said, lambda: dripped, every=0.001)
    began = time.monotonic()
    with pytest.raises(SourceRejected if b"gzip" in said else SourceUnavailable, match=r"more than 1000000 bytes|cut"):
        Transport(total=20).send(Request("GET", f"http://127.0.0.1:{server.port}/x"))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("header", [b"X: " + b"y" * 70_000, b"\r\n".join(b"X-%d: y" % n for n in range(200))], ids=["long", "many"])
def test_headers_have_an_end(raw, header):
    server = raw(HEAD + header + b"\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(SourceUnavailable, match="failed or was cut"):
        Transport().send(Request("GET", f"http://127.0.0.1:{server.port}/x"))


FORMS = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]")


@pytest.mark.parametrize("host", FORMS)
def test_a_forbidden_peer_hears_not_a_word_of_tls(raw, host):
    server = raw(b"")
    with pytest.raises(ConfigError, match="no address that may be called"):
        Transport(private=Networks()).send(Request("GET", f"https://{host}:{server.port}/x"))
    time.sleep(0.1)
    assert server.heard == []


def test_a_redirect_leads_to_no_forbidden_address(make_vendor, answer):
    """By its exact address the first host is allowed, so that its target alone is judged."""
    inner = Raw(b"", lambda: b"", host="127.0.0.2")
    vendor = make_vendor(lambda seen, number: answer(302, None, {"Location": f"https://127.0.0.2:{inner.port}/latest/meta-data"}))
    with pytest.raises(ConfigError, match="no address that may be called"):
        Transport(private=Networks.parse("127.0.0.1")).send(Request("GET", vendor.url))
    assert inner.heard == []
    inner.socket.close()


def test_open_closed_and_silent_ports_of_an_inner_network_look_the_same(raw):
    opened, silent = raw(HEAD), socket.create_server(("127.0.0.1", 0))
    closed = socket.create_server(("127.0.0.1", 0))
    ports = [opened.port, silent.getsockname()[1], closed.getsockname()[1]]
    closed.close()
    found, took = set(), []
    for port in ports:
        began = time.monotonic()
        with pytest.raises(ConfigError) as caught:
            Transport(private=Networks(), connect=1, read=1).send(Request("GET", f"https://127.0.0.1:{port}/x"))
        found.add(str(caught.value))
        took.append(time.monotonic() - began)
    silent.close()
    assert len(found) == 1
    assert max(took) < 0.5


def test_where_no_connection_is_made_nobody_learns_why():
    found = set()
    for host in ("no-such-host.invalid", "127.0.0.1:9"):
        with pytest.raises(SourceUnavailable) as caught:
            Transport(connect=0.5).send(Request("GET", f"https://{host}/x"))
        found.add(caught.value.message.replace(host.partition(":")[0], "HOST"))
    assert len(found) == 1


def test_dns_cannot_change_its_mind_between_the_look_and_the_connection(make_vendor, monkeypatch):
    """A name that is public when it is looked at and this machine afterwards. The resolver is the attacker's, so it is replaced."""
    vendor, asked = make_vendor(), []

    def rebinding(host, port, *args, **options):
        asked.append(host)
        address = "192.0.2.1" if len(asked) > 1 else "127.0.0.1"  # whichever it says first is the one that counts
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    Transport().send(Request("GET", vendor.url))
    assert len(asked) == 1
    assert len(vendor.seen) == 1


def test_a_peer_that_is_another_than_the_address_hears_nothing(raw):
    """The system connects 0.0.0.0 to this machine: who may call the one may not call the other by it."""
    server = raw(b"")
    with pytest.raises(SourceUnavailable, match="no connection to the host could be made"):
        Transport(private=Networks.parse("0.0.0.0")).send(Request("GET", f"https://0.0.0.0:{server.port}/x"))
    time.sleep(0.1)
    assert b"".join(server.heard) == b"", "it is connected and left, without a word of TLS"


def test_of_a_name_s_addresses_only_allowed_ones_are_called(raw, monkeypatch):
    server = raw(b"")
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port)) for address in ("127.0.0.1", "10.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: entries)
    with pytest.raises(SourceUnavailable, match=r"no connection|in time"):
        Transport(private=Networks.parse("127.0.0.2"), total=1).send(Request("GET", f"https://vendor.example:{server.port}/x"))
    assert len(server.heard) <= 1  # 127.0.0.2 is where nobody listens


def test_the_environment_s_proxy_is_not_used(make_vendor, monkeypatch):
    vendor, proxy = make_vendor(), make_vendor()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    Transport().send(Request("GET", f"{vendor.url}/x"))
    with pytest.raises(ConfigError):
        Transport(private=Networks()).send(Request("GET", "https://169.254.169.254/latest/meta-data"))
    assert (len(vendor.seen), len(proxy.seen)) == (1, 0)


@pytest.mark.parametrize("host", ["10.1.2.3", "vendor.example", "169.254.169.254", "[::ffff:10.1.2.3]"])
def test_nothing_goes_unencrypted_but_to_this_machine(host):
    with pytest.raises(ConfigError, match="not encrypted"):
        Transport(private=Networks.parse("10.0.0.0/8 169.254.169.254")).send(Request("GET", f"http://{host}/x"))


def test_a_name_that_says_localhost_and_means_another_gets_nothing_unencrypted(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", 80))])
    with pytest.raises(ConfigError, match="no address that may be called"):
        Transport(private=Networks.parse("10.0.0.0/8")).send(Request("GET", "http://localhost/x"))
