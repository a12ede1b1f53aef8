"""Login and password."""

from __future__ import annotations

import base64

import pytest

from spine.core.errors import AuthFailed
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.transport import Request


def test_each_request_carries_login_and_password(signed):
    assert signed(type="basic").headers.get("authorization") == "Basic " + base64.b64encode(b"me:key").decode()


def test_a_connection_without_login_is_an_auth_failure(signed):
    with pytest.raises(AuthFailed, match="Connection has no"):
        signed(login="", type="basic")


@pytest.mark.parametrize(
    ("words", "pair"),
    [
        ({"login": "{login}/token"}, b"me/token:key"),
        ({"login": "{password}", "password": ""}, b"key:"),
        ({"login": "{password}", "password": "x"}, b"key:x"),
        ({"login": "api", "password": "{password}"}, b"api:key"),
    ],
)
def test_a_key_may_stand_in_any_place_of_the_pair(words, pair):
    account = Account(Credentials("https://x.test", "me", "key"), None, None)
    sent = AUTH_KINDS.parse(type="basic", **words).signer(account).sign(Request("GET", "https://x.test"))
    assert base64.b64decode(sent.secret_headers["Authorization"].removeprefix("Basic ")) == pair
    assert set(filter(None, pair.decode().split(":"))) <= set(sent.secrets)
