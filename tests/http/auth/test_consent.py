"""A person is asked once: by a browser that comes back to this machine, or by a code that is typed in elsewhere."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from spine.core.errors import AuthFailed, ConfigError, SourceUnavailable
from spine.http.auth import AUTH_KINDS
from spine.http.auth.consent import Consent, device_code, wait_for_device
from spine.http.loopback import Loopback, is_here
from spine.sandbox.oauth import USER

WORDS = {"type": "oauth2", "token_path": "/token", "authorize_path": "/authorize", "device_path": "/device"}


@pytest.fixture
def declared():
    return AUTH_KINDS.parse(grant="authorization_code", scopes=["read", "offline"], authorize_params={"access_type": "offline"}, **WORDS)


def browse(consent: Consent, here: Loopback) -> dict[str, str]:
    """What comes back when a browser opens the address."""
    here.expect(consent.answers)
    answer = requests.get(consent.url(), timeout=10)
    assert answer.headers["cache-control"] == "no-store"
    return here.wait(10)


def test_a_code_is_bound_to_who_asked_and_becomes_a_grant(declared, account, issuer, client, store):
    issuer.public = True  # such a server wants PKCE
    with Loopback() as here:
        consent = Consent(declared, account(), here.uri)
        asked = dict(parse_qsl(urlsplit(consent.url()).query))
        assert (asked["scope"], asked["access_type"], asked["code_challenge_method"]) == ("read offline", "offline", "S256")
        params = browse(consent, here)
    token = consent.redeem(params)
    store.save(token)
    assert client(**WORDS, grant="authorization_code").get("/me").json() == {"subject": USER}
    with pytest.raises(AuthFailed, match="invalid_grant"):
        consent.redeem(params)  # a code is good once


def test_a_code_that_somebody_else_asked_for_is_worth_nothing(declared, account, issuer):
    with Loopback() as here:
        mine, other = (Consent(declared, account(), here.uri) for _ in range(2))
        params = browse(mine, here)
    with pytest.raises(AuthFailed, match="another question"):
        other.redeem(params)
    with pytest.raises(AuthFailed, match="invalid_grant"):
        other.redeem({**params, "state": other.state})  # nor with the right state: the verifier is another


def test_who_refuses_is_named_as_the_server_names_it(declared, account, issuer):
    issuer.denies = True
    with Loopback() as here:
        consent = Consent(declared, account(), here.uri)
        params = browse(consent, here)
    with pytest.raises(AuthFailed, match="access_denied"):
        consent.redeem(params)


def test_only_the_answer_is_taken_whoever_else_calls(declared, account, issuer):
    with Loopback() as here:
        consent = Consent(declared, account(), here.uri)
        base = here.uri.removesuffix("/callback")
        idle = socket.create_connection(("127.0.0.1", urlsplit(here.uri).port))  # browsers open connections ahead
        assert requests.get(f"{here.uri}?state={consent.state}&code=y", timeout=5).status_code == 400  # nothing is expected yet
        here.expect(consent.answers)
        for path in ("/callback?state=x&code=y", "/callback", "/", "/favicon.ico", "/callback?" + "a" * 5000):
            assert requests.get(base + path, timeout=5).status_code == 400
        answer = requests.get(consent.url(), timeout=5)
        assert answer.status_code == 200
        assert "code" not in answer.text
        assert requests.get(f"{here.uri}?state={consent.state}&code=other", timeout=5).status_code == 400
        assert here.wait(1)["code"] != "other"
        idle.close()


def test_a_registered_address_is_listened_on_and_a_taken_port_is_said(declared):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://localhost:{port}/oauth/done"
    with Loopback(uri) as here:
        assert here.uri == uri
        with pytest.raises(ConfigError, match="is taken"):
            Loopback(uri)


def test_nobody_comes(declared):
    with Loopback() as here, pytest.raises(AuthFailed, match="nobody came back"):
        here.wait(0.05)


@pytest.mark.parametrize(
    ("uri", "here"),
    [
        ("http://127.0.0.1:8080/x", True), ("http://localhost/x", True), ("http://[::1]:80/", True), ("https://localhost/x", False),
        ("https://app.example.com/x", False), ("http://127.0.0.1.example.com/", False), ("http://0.0.0.0/", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_this_machine(uri, here):
    assert is_here(uri) == here


@pytest.fixture
def typed():
    return AUTH_KINDS.parse(grant="device_code", scopes=["read"], **WORDS)


def test_a_device_code_is_waited_for_and_slower_when_asked(typed, account, issuer):
    issuer.interval = 0.05
    asked = device_code(typed, account())
    assert asked.user_code in {device["user_code"] for device in issuer.devices.values()}
    threading.Timer(0.3, lambda: requests.get(f"{asked.address}?user_code={asked.user_code}", timeout=5)).start()
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        time.sleep(0.01 if len(pauses) == 1 else min(seconds, 0.2))

    token = wait_for_device(typed, account(), asked, sleep)
    assert token.refresh_token
    assert pauses[-1] >= pauses[0]


def test_slow_down_lengthens_the_pause_for_good(typed, account, issuer):
    issuer.interval = 5
    asked = device_code(typed, account())
    pauses = []
    for device in issuer.devices.values():
        device["asked"] = time.monotonic()

    def sleep(seconds):
        pauses.append(seconds)
        for device in issuer.devices.values():
            device.update({"state": "agreed"} if len(pauses) > 1 else {})
            device["asked"] -= 10 if len(pauses) > 1 else 0

    assert wait_for_device(typed, account(), asked, sleep).access_token
    assert pauses == [5, 10]


def test_who_refuses_a_device_or_types_too_late_is_said(typed, account, issuer):
    issuer.interval = 0.01
    asked = device_code(typed, account())
    issuer.denies = True
    requests.get(f"{asked.address}?user_code={asked.user_code}", timeout=5)
    with pytest.raises(AuthFailed, match="access_denied"):
        wait_for_device(typed, account(), asked, lambda seconds: time.sleep(0.02))
    late = device_code(typed, account())
    with pytest.raises(AuthFailed, match="in time"):
        wait_for_device(typed, account(), type(late)(late.user_code, late.address, late.device_code, 0.01, 0.05), time.sleep)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500 html", SourceUnavailable),
        ("html", AuthFailed),
        ("401 with challenge", AuthFailed),
        ("list", AuthFailed),
        ("empty", AuthFailed),
    ],
)
def test_a_device_endpoint_that_gives_no_code_is_said(typed, account, issuer, fault, error):
    issuer.fault, issuer.faults = fault, 1
    with pytest.raises(error, match="device endpoint"):
        device_code(typed, account())
