"""Login and password."""

from __future__ import annotations

import base64

import pytest

from spine.core.errors import AuthFailed


def test_each_request_carries_login_and_password(signed):
    assert signed(type="basic").headers.get("authorization") == "Basic " + base64.b64encode(b"me:key").decode()


def test_a_connection_without_login_is_an_auth_failure(signed):
    with pytest.raises(AuthFailed, match="Connection has no"):
        signed(login="", type="basic")
