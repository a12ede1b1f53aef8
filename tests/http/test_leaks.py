"""A secret in every place that a request has, every way of failing, and nothing of it in what leaves this package."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from spine.core.addresses import Networks
from spine.core.errors import ConnectorError, SpineError
from spine.http import transport
from spine.http.auth import Signer
from spine.http.client import Client
from spine.http.retry import Retry
from spine.http.transport import Request, Transport

MARKER = 'm4rk/er+&" s3cret='
FORMS = {
    MARKER, quote(MARKER), quote(MARKER, safe=""), quote_plus(MARKER), base64.b64encode(MARKER.encode()).decode(), json.dumps(MARKER)[1:-1],
    "m4rk", base64.b64encode(f"login:{MARKER}".encode()).decode(),
}  # fmt: skip


class Places(Signer):
    """Puts the marker wherever a request can hold a secret."""

    def __init__(self, form: bool) -> None:
        self._form = form

    def sign(self, request: Request) -> Request:
        pair = base64.b64encode(f"login:{MARKER}".encode()).decode()
        return Request(
            "POST" if self._form else "GET",
            request.url,
            params={"plain": MARKER},
            headers={**request.headers, "X-Api-Key": MARKER},
            form={"client_secret": MARKER} if self._form else None,
            json=None if self._form else {"q": MARKER},
            idempotent=True,
            secret_headers={"Authorization": f"Basic {pair}", "X-Token": MARKER, "Cookie": f"theme=dark; sid={MARKER}"},
            secret_params={"key": MARKER},
            secret_body={"api_key": MARKER},
            hidden=(MARKER,),
            token=MARKER,
        )


def echoes() -> list[bytes]:
    """What a vendor may answer with our own secret in it."""
    quoted = quote(MARKER, safe="")
    return [
        json.dumps({"message": f"bad key {MARKER}"}).encode(),
        json.dumps({"message": f"bad url /x?key={quoted}&plain={quote_plus(MARKER)}"}).encode(),
        json.dumps({"error": {"message": f"refused Basic {base64.b64encode(f'login:{MARKER}'.encode()).decode()}"}}).encode(),
        json.dumps({"message": json.dumps({"key": MARKER})}).encode(),
        f"<title>No {MARKER}</title>".encode(),
        f"{MARKER} is no key".encode(),
    ]


@pytest.fixture(params=[False, True], ids=["GET", "POST"])
def asked(request: pytest.FixtureRequest) -> Callable[..., SpineError]:
    """The error of a client that asks an address with the marker in all places."""

    def ask(url: str, **options: Any) -> SpineError:
        options.setdefault("read", 0.3)
        client = Client(url, Transport(**options), Places(request.param), retry=Retry(max_retries=1, base=0), sleep=lambda seconds: None)
        with pytest.raises(SpineError) as caught:
            client.get("/x")
        return caught.value

    return ask


def require_clean(error: SpineError, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the marker in the traceback as Airflow prints it, in the fields, in the log, nor in anything that hangs on the error."""
    shown = "".join(traceback.format_exception(error)) + str(error) + repr(error) + json.dumps(error.as_dict()) + error.line() + caplog.text
    link: BaseException | None = error
    while link is not None:
        assert isinstance(link, SpineError), f"{type(link)} hangs on the error"
        shown += repr(vars(link))
        link = link.__cause__ or link.__context__
    assert [form for form in FORMS if form in shown] == []


@pytest.fixture(autouse=True)
def all_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("https://no-such-host.invalid", {}),
        ("http://127.0.0.1:9", {"connect": 0.5}),
        ("https://127.0.0.1:9", {"private": Networks()}),
        ("http://vendor.example", {}),
        ("https://[::1", {}),
        ("https://127.0.0.1:99999", {}),
        ("https://" + "a" * 70 + ".example", {}),
        ("ftp://127.0.0.1", {}),
    ],
    ids=["no name", "refused", "forbidden", "unencrypted", "malformed", "port", "label", "scheme"],
)
def test_no_connection(asked, caplog, url, options):
    require_clean(asked(url, **options), caplog)


@pytest.mark.parametrize("body", echoes())
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500, 503])
def test_answers_that_echo_it(asked, caplog, make_vendor, answer, status, body):
    if status == 200 and body.startswith(b"{"):
        body += b"}"
    vendor = make_vendor(lambda seen, number: answer(status, body=body, headers={"Content-Type": f"text/{MARKER}"}))
    require_clean(asked(vendor.url), caplog)
    assert vendor.seen[0].headers["x-token"] == MARKER


@pytest.mark.parametrize(
    "target",
    ["https://[" + MARKER, f"ftp://x/{MARKER}", f"//{MARKER}", f"http://vendor.example/{MARKER}", f"/x?{MARKER}", "https://a..b/?m4rk",
     "https://no-such-host.invalid/?key=m4rk"],
)  # fmt: skip
def test_redirects(caplog, make_vendor, answer, target):
    vendor = make_vendor(lambda seen, number: answer(302, None, {"Location": target}))
    client = Client(vendor.url, Transport(read=0.3), Places(form=False), retry=Retry(max_retries=0))
    with pytest.raises(SpineError) as caught:
        client.get("/x")
    require_clean(caught.value, caplog)


@pytest.mark.parametrize("fault", ["hang", "cut", "large", "bad gzip", "no length", "no HTTP"])
def test_broken_answers(asked, caplog, make_vendor, answer, monkeypatch, fault):
    faults = {
        "hang": answer(hang=5),
        "cut": answer(json=MARKER * 1000, cut=True),
        "large": answer(json=MARKER * 100_000),
        "bad gzip": answer(json=MARKER, headers={"Content-Encoding": "gzip"}),
        "no length": answer(json=MARKER, headers={"Content-Length": "x", "Transfer-Encoding": "chunked"}),
        "no HTTP": answer(json=MARKER, headers={"X": "y" * 70_000}),
    }
    monkeypatch.setattr(transport, "MAX_BODY", 100_000)
    vendor = make_vendor(lambda seen, number: faults[fault])
    require_clean(asked(vendor.url), caplog)


class Silent(BaseHTTPRequestHandler):
    """Answers `{}`."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def untrusted(certificate: Path) -> Iterator[str]:
    """The address of a server whose certificate nobody has signed."""
    server = HTTPServer(("127.0.0.1", 0), Silent)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_tls_failures(asked, caplog, make_vendor, untrusted):
    error = asked(untrusted)
    assert (error.code, "certificate" in error.message) == ("SOURCE_REJECTED", True)
    require_clean(error, caplog)
    require_clean(asked(make_vendor().url.replace("http:", "https:")), caplog)


def test_an_operator_s_own_authority_is_trusted(untrusted, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert Transport().send(Request("GET", untrusted)).json() == {}


@pytest.mark.parametrize("value", [f"{MARKER}\nX-More: y", f"{MARKER}\r\n\r\nGET /", f"{MARKER} €", f"{MARKER}\0", f"{MARKER}\ud800"])
def test_values_that_no_header_may_hold(caplog, make_vendor, value):
    vendor = make_vendor()
    for request in (
        Request("GET", vendor.url, secret_headers={"Authorization": value}),
        Request("GET", vendor.url, headers={"X-Key": value}),
        Request("GET", vendor.url, headers={value: "x"}),
        Request("GET", vendor.url, headers={f"{MARKER}:": "x"}),
    ):
        with pytest.raises(SpineError) as caught:
            Transport().send(request)
        require_clean(caught.value, caplog)
        assert caught.value.code == "CONFIG_INVALID"
    assert vendor.seen == []


def test_a_request_shows_nothing_of_itself():
    shown = repr(Places(form=False).sign(Request("GET", "https://vendor.example/x")))
    assert [form for form in FORMS if form in shown] == []


def test_another_origin_gets_the_address_and_nothing_else(make_vendor, answer):
    other = make_vendor(lambda seen, number: answer(302, None, {"Location": f"{vendor.url}/back"}) if number == 0 else answer(json=1))
    vendor = make_vendor(lambda seen, number: answer(302, None, {"Location": f"{other.url}/away"}) if number == 0 else answer(json="back"))
    client = Client(vendor.url, Transport(), Places(form=False), headers={"X-Spec-Key": MARKER, "User-Agent": "ours"})
    assert client.get("/x").json() == "back"
    for seen in (other.seen[0], vendor.seen[1]):  # nor does what was dropped come back by a second redirect
        told = json.dumps([seen.headers, seen.query]) + seen.body.decode()
        assert [form for form in FORMS if form in told] == []
        assert "ours" not in told
    assert vendor.seen[0].headers["x-spec-key"] == MARKER


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_form_with_secrets_is_never_sent_on(make_vendor, answer, status):
    other = make_vendor()
    vendor = make_vendor(lambda seen, number: answer(status, None, {"Location": other.url}))
    client = Client(vendor.url, Transport(), Places(form=True), retry=Retry(max_retries=0))
    with pytest.raises(ConnectorError):
        client.request(Request("POST", "/x"))
    assert (len(vendor.seen), len(other.seen)) == (1, 0)


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:{good}\\@127.0.0.1:{evil}/x",  # pragma: allowlist secret
        "http://127.0.0.1:{good}@127.0.0.1:{evil}/x",  # pragma: allowlist secret
        "http://127.0.0.1:{evil}\\.127.0.0.1:{good}/x",
        "http://127.0.0.1:{evil}#@127.0.0.1:{good}/x",
    ],
)
def test_a_link_that_two_parsers_read_differently_leaks_nothing(make_vendor, link):
    good, evil = make_vendor(), make_vendor()
    client = Client(good.url, Transport(), Places(form=False), retry=Retry(max_retries=0))
    with contextlib.suppress(SpineError):
        client.get(link.format(good=good.url.rpartition(":")[2], evil=evil.url.rpartition(":")[2]))
    assert evil.seen == []
