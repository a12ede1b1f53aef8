"""Grants against an authorization server that was not written for this project, where its scripts are there (`SPINE_SERVERS`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from spine.core.errors import AuthFailed
from spine.core.ports import free_port
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.auth.consent import Consent
from spine.http.transport import Request, Response, Transport

START = Path(os.environ.get("SPINE_SERVERS", "/nowhere")) / "start_oauth.sh"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not START.exists(), reason="SPINE_SERVERS names no folder with start_oauth.sh")]
WORDS = {"token_path": "/default/token", "authorize_path": "/default/authorize"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    done = subprocess.run([START, str(free_port())], capture_output=True, text=True, timeout=300, check=False)
    ready = next((line.split() for line in done.stdout.splitlines() if line.startswith("ready ")), None)
    if ready is None:
        pytest.skip(f"the server does not start here: {done.stderr[-200:]}")
    yield "http://127.0.0.1:" + ready[1].split("//")[1].split("/")[0].rpartition(":")[2]
    subprocess.run([START.with_name("stop.sh"), ready[3]], check=False, capture_output=True, timeout=60)


def account(url, store, password="secret", **extra):  # pragma: allowlist secret
    return Account(Credentials(url, "client-1", password, extra, "c"), store, Transport().send)


def bearer(auth, to) -> str:
    return auth.signer(to).sign(Request("GET", to.credentials.base_url)).secret_headers["Authorization"]


@pytest.mark.parametrize("client", ["basic", "body"])
def test_client_credentials(url, store, client):
    auth = AUTH_KINDS.parse(type="oauth2", grant="client_credentials", scopes=["read"], request={"client": client}, **WORDS)
    assert bearer(auth, account(url, store)).count(".") == 2  # a JWT
    assert store.token.expires_at is not None


def test_a_client_that_says_nothing_of_itself_is_refused(url, store):
    auth = AUTH_KINDS.parse(type="oauth2", grant="client_credentials", request={"client": "none"}, **WORDS)
    with pytest.raises(AuthFailed, match="invalid_client"):
        bearer(auth, account(url, store))


def test_an_authorization_code_and_its_refreshes(url, store):
    auth = AUTH_KINDS.parse(type="oauth2", grant="authorization_code", scopes=["openid", "offline_access"], **WORDS)
    consent = Consent(auth, account(url, store), "http://127.0.0.1:1/callback")
    answer = requests.get(consent.url(), allow_redirects=False, timeout=20)
    query = dict(pair.split("=", 1) for pair in answer.headers["location"].partition("?")[2].split("&"))
    token = consent.redeem({name: requests.utils.unquote(value) for name, value in query.items()})
    assert token.refresh_token
    store.save(token)
    first = bearer(auth, account(url, store))
    store.token = type(token)("ended", token.refresh_token)
    signer = auth.signer(account(url, store))
    sent = signer.sign(Request("GET", url))

    assert signer.renew(sent, Response(401, {}, b"", "GET x"))
    assert signer.sign(Request("GET", url)).secret_headers["Authorization"] not in (first, "Bearer ended")
