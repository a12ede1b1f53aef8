"""OAuth 2.0 against a real server, with expiry, rotation, races and refusals."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from spine.core import clock
from spine.core.addresses import Networks
from spine.core.errors import AuthFailed, ConfigError, ConnectorError, RateLimited, SourceRejected, SourceUnavailable
from spine.core.tokens import Token
from spine.http.auth import Account, Credentials
from spine.http.auth.oauth2 import OAuth2Auth
from spine.http.client import Client
from spine.http.retry import Retry
from spine.http.transport import Request, Transport
from tests.http.auth.conftest import Store


class Issuer:
    """A vendor with a token endpoint: single-use refresh tokens, and a resource that takes the newest access token only."""

    def __init__(self, make_vendor, answer) -> None:
        self.answer, self.number, self.lifetime, self.fault = answer, 0, 3600, None
        self.forms: list[dict[str, str]] = []
        self.vendor = make_vendor(self.serve)
        self.lock = threading.Lock()

    def serve(self, seen, number):
        with self.lock:
            if seen.path != "/oauth2/token":
                good = seen.headers.get("authorization") == f"Bearer access-{self.number}"
                return self.answer(200 if good else 401, {"ok": good})
            form = dict(parse_qsl(seen.body.decode()))
            self.forms.append(form)
            if self.fault:
                return self.answer(*self.fault)
            if form["grant_type"] == "refresh_token" and form["refresh_token"] != f"refresh-{self.number}":
                return self.answer(400, {"error": "invalid_grant"})
            self.number += 1
            token = {"access_token": f"access-{self.number}", "refresh_token": f"refresh-{self.number}", "expires_in": self.lifetime}
            return self.answer(200, token)

    def client(self, store: Store, grant: str = "refresh_token", **extra) -> Client:
        extra = {"refresh_token": "refresh-0", **extra}
        credentials = Credentials(self.vendor.url, "client-1", "client-secret", extra, "ipai_connector_x")
        transport = Transport()
        auth = OAuth2Auth(grant=grant).signer(Account(credentials, store, transport.send))
        return Client(self.vendor.url, transport, auth, sleep=lambda seconds: None, retry=Retry(max_retries=2))


@pytest.fixture
def issuer(make_vendor, answer) -> Issuer:
    return Issuer(make_vendor, answer)


def test_the_first_token_comes_from_the_connections_grant_and_is_kept_rotated(issuer):
    store = Store()
    assert issuer.client(store).get("/x").json() == {"ok": True}
    assert (store.token.access_token, store.token.refresh_token) == ("access-1", "refresh-1")
    assert issuer.forms[0]["client_id"] == "client-1"
    assert store.token.expires_at > clock.now()


def test_a_stored_token_is_used_without_asking(issuer):
    store = Store(Token("access-0", "refresh-0"))
    assert issuer.client(store).get("/x").json() == {"ok": True}
    assert issuer.forms == []


def test_a_token_about_to_end_is_refreshed_before_it_is_used(issuer):
    store = Store(Token("access-0", "refresh-0", clock.now() + timedelta(seconds=5)))
    issuer.client(store).get("/x")
    assert [seen.path for seen in issuer.vendor.seen] == ["/oauth2/token", "/x"]


def test_a_401_refreshes_once_with_the_rotated_token(issuer):
    store = Store()
    client = issuer.client(store)
    client.get("/x")
    issuer.number += 0
    issuer.vendor.answer, serve = (lambda seen, number: issuer.answer(401)), issuer.vendor.answer
    with pytest.raises(AuthFailed):
        client.get("/x")  # the token endpoint says 401 too
    issuer.vendor.answer = serve
    client.auth._token = Token("stale", "x")
    assert client.get("/x").json() == {"ok": True}


def test_a_resource_that_goes_on_refusing_is_an_auth_failure_after_one_refresh(issuer, answer):
    serve = issuer.vendor.answer
    issuer.vendor.answer = lambda seen, number: serve(seen, number) if seen.path == "/oauth2/token" else answer(401)
    with pytest.raises(AuthFailed, match="refused our credentials"):
        issuer.client(Store(Token("access-0", "refresh-0"))).get("/x")
    assert [seen.path for seen in issuer.vendor.seen] == ["/x", "/oauth2/token", "/x"]


def test_a_token_that_another_worker_left_may_be_dead_too(issuer):
    store = Store(Token("left by another", "refresh-0"))
    client = issuer.client(store)
    client.auth._token = Token("stale", "refresh-0")
    assert client.get("/x").json() == {"ok": True}
    assert [seen.path for seen in issuer.vendor.seen] == ["/x", "/x", "/oauth2/token", "/x"]


def test_workers_that_need_a_token_at_once_refresh_it_once(issuer):
    store = Store(Token("stale", "refresh-0"))
    clients = [issuer.client(store) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda client: client.get("/x").json(), clients))
    assert answers == [{"ok": True}] * 8
    assert len(issuer.forms) == 1


def test_an_operator_who_authorised_again_is_believed(issuer):
    store = Store(Token("stale", "used-up"))
    assert issuer.client(store).get("/x").json() == {"ok": True}
    assert [form["refresh_token"] for form in issuer.forms] == ["used-up", "refresh-0"]


@pytest.mark.parametrize(
    ("fault", "error", "calls"),
    [
        ((400, {"error": "invalid_grant"}), AuthFailed, 1),
        ((401, {"error": "invalid_client"}), AuthFailed, 1),
        ((400, "rubbish"), AuthFailed, 1),
        ((503, None), SourceUnavailable, 3),
        ((429, None), RateLimited, 3),
        ((200, {"nothing": 1}), SourceUnavailable, 3),
    ],
)
def test_token_endpoint_failures(issuer, fault, error, calls):
    issuer.fault = fault
    store = Store()
    with pytest.raises(error) as caught:
        issuer.client(store).get("/x")
    assert len(issuer.forms) == calls
    assert store.saves == 0
    for secret in ("client-secret", "refresh-0"):
        assert secret not in str(caught.value) + repr(caught.value.as_dict())


def test_a_token_endpoint_that_recovers(issuer):
    issuer.fault = (500, None)
    client = issuer.client(Store())

    def sleep(seconds):
        issuer.fault = None

    client.sleep = sleep
    assert client.get("/x").json() == {"ok": True}


def test_client_credentials_need_no_refresh_token(issuer):
    store = Store()
    client = issuer.client(store, "client_credentials", scope="read")
    assert client.get("/x").json() == {"ok": True}
    assert issuer.forms[0] == {
        "grant_type": "client_credentials",
        "scope": "read",
        "client_id": "client-1",
        "client_secret": "client-secret",
    }


def test_no_refresh_token_anywhere_is_an_auth_failure(issuer):
    client = issuer.client(Store(), refresh_token="")
    with pytest.raises(AuthFailed, match="no refresh token"):
        client.get("/x")


def test_nothing_shows_a_secret(issuer, caplog):
    caplog.set_level("DEBUG")
    store = Store()
    client = issuer.client(store)
    client.get("/x")
    issuer.fault = (400, {"error": "invalid_grant", "error_description": "refresh-1 is used up"})
    client.auth._token = Token("stale", "y")
    issuer.number = 99
    with pytest.raises(ConnectorError) as caught:
        client.get("/x")
    shown = caplog.text + str(caught.value) + repr(store.token) + repr(client.auth._account)
    assert not any(secret in shown for secret in ("client-secret", "refresh-1", "refresh-0", "access-1"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600), ("3600", 3600), (3600.5, 3600.5), (" 60 ", 60), (None, None), ("", None), ("soon", None), (0, None), (-5, None),
        ("-5", None), (True, None), (False, None), ([], None), ({"a": 1}, None), ("nan", None), ("-inf", None),
        ("inf", 365 * 86_400), (1e300, 365 * 86_400), (10**18, 365 * 86_400), ("9" * 5000, 365 * 86_400),
    ],
)  # fmt: skip
def test_a_lifetime_may_be_anything(issuer, said, seconds):
    issuer.lifetime, store, began = said, Store(), clock.now()
    assert issuer.client(store).get("/x").json() == {"ok": True}
    ends = store.token.expires_at
    assert (ends is None) == (seconds is None)
    if seconds is not None:
        assert 0 <= (ends - began).total_seconds() - seconds < 5


@pytest.mark.parametrize("number", [b"1e999999999999999999999", b"9" * 5000, b"NaN", b"-Infinity"])
def test_numbers_that_no_machine_holds(issuer, answer, number):
    serve, body = issuer.vendor.answer, b'{"access_token":"access-1","expires_in":' + number + b"}"
    issuer.number = 1
    issuer.vendor.answer = lambda seen, number: answer(body=body) if seen.path == "/oauth2/token" else serve(seen, number)
    assert issuer.client(Store()).get("/x").json() == {"ok": True}


@pytest.mark.parametrize("token", [7, "", " ", "a b", "a\r\nX-Evil: 1", "tök€n", ["x"], {"a": 1}, True, None])
def test_what_is_no_token_is_not_sent(issuer, token):
    issuer.fault = (200, {"access_token": token})
    with pytest.raises(SourceUnavailable, match="no access token"):
        issuer.client(Store()).get("/x")
    assert {seen.path for seen in issuer.vendor.seen} == {"/oauth2/token"}


@pytest.mark.parametrize("rotated", [7, ["x"], {"a": 1}, "", None])
def test_what_is_no_refresh_token_replaces_none(issuer, answer, rotated):
    serve = issuer.vendor.answer
    issuer.number = 1
    issuer.vendor.answer = lambda seen, number: (
        answer(json={"access_token": "access-1", "refresh_token": rotated}) if seen.path == "/oauth2/token" else serve(seen, number)
    )
    store = Store()
    issuer.client(store).get("/x")
    assert store.token.refresh_token == "refresh-0"


@pytest.mark.parametrize("url", ["http://vendor.example/token", "http://10.1.2.3/token", "http://169.254.169.254/latest/api/token"])
def test_a_token_address_is_encrypted_or_this_machine_s(issuer, url):
    with pytest.raises(ConfigError, match="not encrypted"):
        issuer.client(Store(), token_url=url)


@pytest.mark.parametrize("url", ["https://127.0.0.1/token", "https://10.1.2.3/token", "https://[::ffff:169.254.169.254]/token"])
def test_a_token_address_is_one_that_may_be_called(issuer, url):
    credentials = Credentials(issuer.vendor.url, "client-1", "client-secret", {"refresh_token": "r", "token_url": url}, "c")
    transport = Transport(private=Networks())
    signer = OAuth2Auth().signer(Account(credentials, Store(), transport.send))
    with pytest.raises(ConfigError, match="no address that may be called") as caught:
        signer.sign(Request("GET", issuer.vendor.url))
    assert "client-secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/x", "https://[", "/relative", 7])
def test_what_is_no_token_address_is_a_mistake_of_the_connection(issuer, url):
    with pytest.raises(ConfigError):
        issuer.client(Store(), token_url=url).get("/x")


def test_a_token_answer_is_small(issuer):
    issuer.fault = (200, {"access_token": "x" * 2_000_000})
    with pytest.raises(SourceRejected, match="more than 1048576 bytes"):
        issuer.client(Store()).get("/x")


def test_a_token_endpoint_that_redirects_gets_no_second_form(issuer, make_vendor, answer):
    thief = make_vendor()
    serve = issuer.vendor.answer
    issuer.vendor.answer = lambda seen, number: (
        answer(307, None, {"Location": thief.url}) if seen.path == "/oauth2/token" else serve(seen, number)
    )
    with pytest.raises(AuthFailed):
        issuer.client(Store()).get("/x")
    assert thief.seen == []
