"""A fixed token."""

from __future__ import annotations

import pytest

from spine.core.errors import AuthFailed


def test_each_request_carries_the_token(signed):
    assert signed(type="bearer").headers.get("authorization") == "Bearer key"


def test_a_connection_without_secret_is_an_auth_failure(signed):
    with pytest.raises(AuthFailed, match="Connection has no"):
        signed(password="", type="bearer")
