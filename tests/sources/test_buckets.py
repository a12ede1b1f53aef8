"""Buckets of Connections: real S3 requests to servers of this machine."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spine.core.addresses import Networks
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.http.gate import Gate
from spine.sources import drops
from spine.sources.buckets import open_bucket
from spine.sources.files import Folder
from tests.certificates import certificate

CONTENT = b"id,name\n1,a\n"


@dataclass
class Storage:
    """A server that has every object, or answers `redirect`."""

    address: str
    redirect: str = ""
    behaves: Callable[[BaseHTTPRequestHandler], bool] = lambda request: False
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def handler(storage: Storage) -> type[BaseHTTPRequestHandler]:
    """Answers for a storage."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(CONTENT)

        def _answer(self, body: bytes) -> None:
            storage.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            if storage.behaves(self):
                return
            redirected = bool(storage.redirect and body)
            self.send_response(307 if redirected else 200)
            self.send_header("Location" if redirected else "X-Own", storage.redirect)
            self.send_header("Content-Length", "0" if redirected else str(len(CONTENT)))
            self.send_header("Last-Modified", "Tue, 01 Sep 2026 10:00:00 GMT")
            self.end_headers()
            self.wfile.write(b"" if redirected else body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Storage]]:
    """Starts such servers, with TLS or without."""
    servers: list[ThreadingHTTPServer] = []
    pem = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def make(*, tls: bool, host: str = "127.0.0.1") -> Storage:
        made = Storage("")
        server = ThreadingHTTPServer((host, 0), handler(made))
        server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        name = "localhost" if host == "127.0.0.1" else host
        made.address = f"http{'s' if tls else ''}://{name}:{server.server_port}"
        return made

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def read(storage: Storage, **options: Any) -> bytes:
    """The content of an object."""
    given = {"endpoint_override": storage.address, "access_key": "k", "secret_key": "s", "connect_timeout": 2, "request_timeout": 2}
    with Gate(settings().private_networks) as gate:
        gate.allow(30, 1 << 20)
        return bytes(open_bucket({**given, **options}, gate).open_input_stream("bucket/people.csv").read())


@pytest.mark.parametrize("tls", [True, False])
def test_an_endpoint_that_may_be_called_is_read(storage, tls):
    server = storage(tls=tls)
    assert read(server) == CONTENT
    assert server.seen[0][1]["authorization"].startswith("AWS4-HMAC-SHA256 Credential=k/")


def test_an_endpoint_that_may_not_be_called_hears_nothing(storage, monkeypatch):
    server, inner = storage(tls=True), storage(tls=False)
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "")
    with pytest.raises(OSError, match=r"\S"):
        read(server)
    with pytest.raises(ConfigError, match="may not be called"):
        read(inner)
    assert server.seen == inner.seen == []


@pytest.mark.parametrize("tls", [True, False])
def test_a_redirect_of_an_endpoint_leads_to_no_other_address(storage, monkeypatch, tls):
    """Arrow follows redirects; the target stands for the metadata service, which answers there without TLS."""
    server, inner = storage(tls=True), storage(tls=tls, host="127.0.0.2")
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "127.0.0.1")
    server.redirect = f"{inner.address}/latest/meta-data"
    with pytest.raises(OSError, match=r"\S"):
        read(server)
    assert inner.seen == []


@pytest.mark.parametrize("asked", ["CONNECT {}", "GET http://{}/x"])
@pytest.mark.parametrize("word", [None, "", "guessed", "the gate's"])
def test_the_gate_serves_nobody_without_its_password(storage, asked, word):
    """Any program of this machine finds its port."""
    place = storage(tls=False).address.removeprefix("http://")
    with Gate(settings().private_networks) as gate:
        gate.allow(30, 1 << 20)
        options = gate.options()
        right = word == "the gate's"
        told = b64encode(f"spine:{options['password'] if right else word}".encode()).decode()
        said = "" if word is None else f"Proxy-Authorization: Basic {told}\r\n"
        with socket.create_connection((options["host"], options["port"])) as stranger:
            stranger.sendall(f"{asked.format(place)} HTTP/1.1\r\n{said}\r\n".encode())
            assert (b" 200 " in stranger.recv(100)) == right


def test_the_deployment_s_own_keys_open_no_bucket_of_a_connection(storage, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ambient")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient-secret")
    server = storage(tls=True)
    assert read(server, access_key=None, secret_key=None) == CONTENT
    assert all("authorization" not in headers for _, headers in server.seen)


@pytest.mark.parametrize(
    "options",
    [
        {"role_arn": "arn:aws:iam::1:role/x"}, {"proxy_options": "http://127.0.0.1:1"}, {"tls_ca_file_path": "/etc/passwd"},
        {"region": "x.evil.example/"}, {"endpoint_override": "http://10.1.2.3:9000"}, {"endpoint_override": "10.1.2.3", "scheme": "http"},
        {"endpoint_override": "ftp://x"}, {"endpoint_override": "https://["}, {"allow_bucket_creation": True}, {"scheme": "http"},
    ],
)  # fmt: skip
def test_what_a_connection_may_not_choose(options):
    with pytest.raises(ConfigError), Gate(Networks()) as gate:
        open_bucket(options, gate)


@pytest.mark.parametrize(
    "uri", ["gs://bucket/x", "hdfs://10.1.2.3:8020/x", "abfs://x@y/z", "S3://bucket?endpoint_override=169.254.169.254", "s3a://b"]
)
def test_other_file_systems_are_none_of_a_connection_s(uri):
    with pytest.raises(ConfigError, match=r"neither a path nor s3://"), Folder(uri, {}).open():
        pass


def drip(request: BaseHTTPRequestHandler) -> bool:
    """A byte now and then, without end."""
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    with suppress(OSError):
        while True:
            request.wfile.write(b"x")
            time.sleep(0.2)
    return True


def drip_objects(request: BaseHTTPRequestHandler) -> bool:
    return request.command == "GET" and drip(request)


def answered(request: BaseHTTPRequestHandler, status: int, page: str) -> bool:
    """Send a page of XML."""
    content = page.encode()
    request.send_response(status)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
    return True


def list_without_end(request: BaseHTTPRequestHandler) -> bool:
    """A thousand objects, and the token of a next page."""
    number = time.monotonic_ns()
    told = "<LastModified>2026-09-01T10:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>5</Size>"
    objects = "".join(f"<Contents><Key>p/f{number}_{place}.csv</Key>{told}</Contents>" for place in range(1000))
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>"
    page = f"<?xml version='1.0'?><ListBucketResult><Name>b</Name><Prefix>p/</Prefix>{more}{objects}</ListBucketResult>"
    return answered(request, 200, page)


def repeat_what_was_sent(request: BaseHTTPRequestHandler) -> bool:
    said = f"\x1b[2J {request.headers['x-amz-security-token']} {request.headers['authorization']}"
    page = f"<Error><Code>AccessDenied</Code><Message>{said}</Message><RequestId>r</RequestId></Error>"
    return answered(request, 403, page)


OPTIONS = {"access_key": "k", "secret_key": "s", "session_token": "session-7f3a"}


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("behaves", [drip, list_without_end])
def test_a_bucket_whose_list_has_no_end_is_left(storage, monkeypatch, behaves, tls):
    """Arrow waits in code that no signal interrupts: a task's time-out would not end it."""
    monkeypatch.setattr(drops, "_LISTING", 2.0)
    server = storage(tls=tls)
    server.behaves = behaves
    begun = time.monotonic()
    with Folder("s3://b/p", {**OPTIONS, "endpoint_override": server.address}).open() as drop, pytest.raises(OSError, match="AWS Error"):
        drop.list()
    assert 1 < time.monotonic() - begun < 20


def test_a_list_brings_no_more_than_a_folder_may_hold(storage, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "files=1000")
    server = storage(tls=True)
    server.behaves = list_without_end
    with Folder("s3://b/p", {**OPTIONS, "endpoint_override": server.address}).open() as drop, pytest.raises(OSError, match="AWS Error"):
        drop.list()
    assert len(server.seen) < 60


@pytest.mark.parametrize("tls", [True, False])
def test_an_object_that_drips_is_left(storage, monkeypatch, tls):
    monkeypatch.setattr(drops, "_STEP", 2.0)
    server = storage(tls=tls)
    server.behaves = drip_objects
    begun = time.monotonic()
    folder = Folder("s3://b/p", {**OPTIONS, "endpoint_override": server.address})
    with folder.open() as drop, drop.open("people.csv") as opened, pytest.raises(OSError, match="AWS Error"):
        opened.read(5)
    assert 1 < time.monotonic() - begun < 20


@pytest.mark.parametrize("tls", [True, False])
def test_a_store_that_repeats_what_it_was_sent_is_not_quoted(storage, tls):
    server = storage(tls=tls)
    server.behaves = repeat_what_was_sent
    with Folder("s3://b/p", {**OPTIONS, "endpoint_override": server.address}).open() as drop:
        with pytest.raises(OSError, match="AWS Error ACCESS_DENIED during ListObjectsV2 operation") as failed:
            drop.list()
        with pytest.raises(OSError, match=r"\S"):
            drop.open("people.csv")
    assert server.seen[0][1]["x-amz-security-token"] == OPTIONS["session_token"]
    told = "".join(traceback.format_exception(failed.value))
    assert not [word for word in ("\x1b", OPTIONS["session_token"], "AWS4-HMAC") if word in told]


def test_a_drop_that_was_left_has_no_way_to_its_store_any_more(storage):
    server = storage(tls=False)
    with Folder("s3://b/p", {**OPTIONS, "endpoint_override": server.address}).open() as drop, drop.open("people.csv") as opened:
        assert opened.read() == CONTENT
    with pytest.raises(OSError, match=r"\S"):
        drop.open("people.csv")
    asked = {name for _, headers in server.seen for name in headers}
    assert not [name for name in asked if name.startswith("proxy-")], "the gate's password is the gate's"
