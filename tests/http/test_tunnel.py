"""The deployment's proxy: what goes through it, what does not, and that its credentials reach it alone."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spine.core.addresses import Networks
from spine.core.errors import ConfigError, SourceUnavailable, SpineError
from spine.core.proxies import Proxy
from spine.core.settings import settings, without_secrets
from spine.http.gate import Gate
from spine.http.transport import Request, Transport
from spine.http.tunnel import outer
from spine.sources.buckets import open_bucket
from tests.certificates import certificate

VENDOR = "vendor.spine-tests.example"  # no such host is known here, as behind many a company's resolver
BUCKET = "storage.spine-tests.example"
WORD = "p@ss/w%rd:1"  # pragma: allowlist secret
CREDENTIALS = b64encode(f"ana:{WORD}".encode()).decode()


class ProxyServer:
    """An HTTP proxy that serves CONNECT for whoever has the credentials, and knows where its hosts are."""

    def __init__(self, hosts: dict[str, int]) -> None:
        self.hosts, self.asked, self.heads = hosts, list[str](), list[bytes]()
        self.answer: bytes | None = None
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head)
            place = head.split(b" ")[1].decode()
            self.asked.append(place)
            if self.answer is not None:
                client.sendall(self.answer)
                client.recv(1)  # until the other side has had enough
            elif f"Proxy-Authorization: Basic {CREDENTIALS}\r\n".encode() not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            elif place.rpartition(":")[0] not in self.hosts:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            else:
                self._relay(client, self.hosts[place.rpartition(":")[0]])

    def _relay(self, client: socket.socket, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as vendor:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(vendor, client), daemon=True)
            back.start()
            _pump(client, vendor)
            back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Vendor(BaseHTTPRequestHandler):
    """Answers, and keeps what it was sent; `/away` leads to `target`."""

    seen: list[dict[str, str]]
    target = ""

    def do_HEAD(self) -> None:
        self._say(b"")

    def do_GET(self) -> None:
        self._say(b'{"a": 1}')

    def _say(self, body: bytes) -> None:
        self.seen.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location" if self.path == "/away" else "X-Own", self.target)
        self.send_header("Content-Length", "8")
        self.send_header("Last-Modified", "Tue, 01 Sep 2026 10:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Vendor], int]]:
    """A vendor with TLS that only the proxy reaches by its name; this machine is no listed network."""
    kind = type("Own", (Vendor,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    pem = certificate(tmp_path, VENDOR, BUCKET)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "")
    yield kind, server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxy(vendor: tuple[type[Vendor], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyServer]:
    """The proxy of SPINE_PROXY, with credentials that have to be written in percents."""
    server = ProxyServer({VENDOR: vendor[1], BUCKET: vendor[1]})
    monkeypatch.setenv("SPINE_PROXY", f"http://ana:p%40ss%2Fw%25rd%3A1@127.0.0.1:{server.port}")  # pragma: allowlist secret
    yield server
    server.socket.close()


def get(url: str, **options: Any) -> Any:
    return Transport(**options).send(Request("GET", url, secret_headers={"Authorization": "Bearer vendors-own"})).json()


def test_a_vendor_is_reached_through_the_proxy_which_sees_its_name_and_nothing_else(
    proxy: ProxyServer, vendor: tuple[type[Vendor], int]
) -> None:
    assert get(f"https://{VENDOR}/x?key=secret") == {"a": 1}
    assert proxy.asked == [f"{VENDOR}:443"]
    assert b"secret" not in proxy.heads[0]
    assert b"vendors-own" not in proxy.heads[0]
    (seen,) = vendor[0].seen
    assert (seen["path"], seen["authorization"], "proxy-authorization" in seen) == ("/x?key=secret", "Bearer vendors-own", False)


def test_an_address_is_checked_before_the_proxy_hears_of_it(proxy: ProxyServer, vendor: tuple[type[Vendor], int]) -> None:
    """Of what is known here: numbers in any notation, and names that this machine resolves."""
    hosts = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:10.0.0.1]", "localhost")
    for host in hosts:
        with pytest.raises(ConfigError, match="no address that may be called"):
            get(f"https://{host}/")
    vendor[0].target = "https://169.254.169.254/latest/meta-data"
    with pytest.raises(ConfigError, match="no address that may be called"):
        get(f"https://{VENDOR}/away")
    assert proxy.asked == [f"{VENDOR}:443"]


@pytest.mark.parametrize(
    "host",
    ["intranet", "printer.local", "metadata.google.internal", "router.lan", "x.home.arpa", "127.0.0.1.", "10.0.0.999", "1.2.3.4.5", "a.7",
     "0xa.b.0xc", "a..b"],
)  # fmt: skip
def test_what_is_no_name_of_the_whole_world_is_not_asked_of_the_proxy(proxy: ProxyServer, host: str) -> None:
    assert not outer(host)
    with pytest.raises(SpineError):
        get(f"https://{host}/")
    assert proxy.asked == []


def test_names_of_the_whole_world() -> None:
    assert all(map(outer, ("api.hubapi.com", "na1.salesforce.com.", "xn--bcher-kva.example", "a_b.example.co.uk", "API.Example.ORG")))


def test_a_name_that_resolves_to_forbidden_addresses_here_is_refused_and_one_that_is_public_goes_through(
    proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver is the attacker's, so it is replaced for that name."""
    whole, address = socket.getaddrinfo, "10.0.0.1"

    def resolved(host: str, port: int, *args: Any, **options: Any) -> Any:
        return whole(address if host == VENDOR else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with pytest.raises(ConfigError, match="no address that may be called"):
        get(f"https://{VENDOR}/")
    assert proxy.asked == []
    address = "93.184.216.34"
    assert get(f"https://{VENDOR}/") == {"a": 1}
    assert proxy.asked == [f"{VENDOR}:443"], "by its name: proxies decide by names"


def test_listed_networks_and_this_machine_are_called_directly(proxy: ProxyServer, vendor: tuple[type[Vendor], int]) -> None:
    assert get(f"https://localhost:{vendor[1]}/", private=Networks.parse("127.0.0.0/8 ::1")) == {"a": 1}
    assert proxy.asked == []


def test_a_bucket_is_reached_through_the_proxy_too(proxy: ProxyServer, vendor: tuple[type[Vendor], int]) -> None:
    options = {"endpoint_override": f"https://{BUCKET}", "access_key": "k", "secret_key": "s", "connect_timeout": 5, "request_timeout": 5}
    with Gate(settings().private_networks, settings().proxy) as gate:
        gate.allow(30, 1 << 20)
        assert open_bucket(options, gate).open_input_stream("bucket/x").read() == b'{"a": 1}'
    assert set(proxy.asked) == {f"{BUCKET}:443"}
    assert vendor[0].seen[0]["authorization"].startswith("AWS4-HMAC-SHA256 Credential=k/")


ANSWERS = {
    "refuses us": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ConfigError, "does not take its credentials"),
    "refuses the host": (b"HTTP/1.1 403 Forbidden\r\n\r\n", SourceUnavailable, "no connection to the host could be made"),
    "finds no host": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", SourceUnavailable, "no connection to the host could be made"),
    "speaks another language": (b"220 ready\r\n\r\n", SourceUnavailable, "proxy takes no connection"),
    "talks without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, SourceUnavailable, "proxy takes no connection"),
    "puts words into the vendor's mouth": (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK", SourceUnavailable, "no connection to the host"),
}


@pytest.mark.parametrize(("answer", "kind", "said"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_a_proxy_answers_is_an_error_of_ours(proxy: ProxyServer, answer: bytes, kind: type[SpineError], said: str) -> None:
    proxy.answer = answer
    with pytest.raises(kind, match=said):
        get(f"https://{VENDOR}/")


def test_a_proxy_that_says_nothing_or_is_not_there_is_left_in_time(proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.answer = b"HTTP/1.1 2"
    with pytest.raises(SourceUnavailable, match=r"0\.5 s are over"):
        get(f"https://{VENDOR}/", total=0.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("SPINE_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(SourceUnavailable, match="the deployment's proxy takes no connection"):
        get(f"https://{VENDOR}/")


@pytest.mark.parametrize("answer", [None, *(answer for answer, _, _ in ANSWERS.values())])
def test_the_credentials_are_in_no_error_log_or_child(
    proxy: ProxyServer, answer: bytes | None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy.answer = answer and answer + CREDENTIALS.encode() + WORD.encode()
    shown = [repr(settings()), repr(settings().proxy)]
    for host in (VENDOR, "unknown.spine-tests.example", "10.0.0.1"):
        try:
            get(f"https://{host}/")
        except SpineError as error:
            shown += [repr(error), error.describe(), str(error.as_dict()), repr(error.__cause__), repr(error.__context__)]
    shown += [record.getMessage() for record in caplog.records]
    assert proxy.asked
    for secret in (CREDENTIALS, WORD, "p%40ss%2Fw%25rd%3A1"):
        assert not [text for text in shown if secret in text]
    assert "SPINE_PROXY" not in without_secrets({"SPINE_PROXY": "x", "PATH": "y"})


@pytest.mark.parametrize(
    "text",
    ["proxy.example:3128", "https://proxy.example:3128", "http://proxy.example", "http://:3128", "http://a:b@:1", "http://proxy:0",
     "http://proxy:99999", "http://proxy:1/path", "http://pro xy:1", "http://proxy:1?x", "socks5://proxy:1"],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_without_quoting_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_PROXY", text)
    with pytest.raises(ConfigError, match=r"SPINE_PROXY is no address of a proxy. Write http://proxy\.example:3128") as refused:
        settings()
    assert "socks5" not in str(refused.value)


def test_what_an_operator_may_write() -> None:
    assert Proxy.parse("  ") is None
    assert Proxy.parse("http://proxy.example:3128/") == Proxy("proxy.example", 3128)
    assert Proxy.parse("http://[fd00::1]:3128") == Proxy("fd00::1", 3128)
    given = Proxy.parse("http://ana:p%40ss@proxy:1")
    assert given is not None
    assert (given.login, given.password, given.authorization) == ("ana", "p@ss", b64encode(b"ana:p@ss").decode())
