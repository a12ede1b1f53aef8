"""A key in a header or in the query."""

from __future__ import annotations

import pytest

from spine.core.errors import AuthFailed


def test_each_request_carries_the_key(signed):
    assert signed(type="api_key", header="X-Key").headers.get("x-key") == "key"
    assert signed(type="api_key").headers.get("x-api-key") == "key"


def test_an_api_key_may_go_in_the_query(signed):
    seen = signed(type="api_key", header="X", param="api_key", params={"a": "b"})
    assert seen.query == {"a": "b", "api_key": "key"}
    assert "x" not in seen.headers


def test_a_connection_without_secret_is_an_auth_failure(signed):
    with pytest.raises(AuthFailed, match="Connection has no"):
        signed(password="", type="api_key")
