"""A key in a header or in the query."""

from __future__ import annotations

import pytest

from spine.core.errors import AuthFailed
from spine.http.auth.api_key import ApiKey
from spine.http.auth.signing import Credentials


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


@pytest.mark.parametrize(
    ("link", "left"),
    [
        ("https://x.test/a?page=2&key=s3cret%2F&b=%20", "https://x.test/a?page=2&b=%20"),
        ("https://x.test/a?k%65y=s3cret", "https://x.test/a"),
        ("/a?monkey=1", "/a?monkey=1"),
    ],
)
def test_a_link_is_kept_without_the_key_that_the_source_repeats_in_it(link: str, left: str) -> None:
    assert ApiKey(Credentials("https://x.test", password="x"), "X", "key").unsigned(link) == left
    assert ApiKey(Credentials("https://x.test", password="x"), "X").unsigned(link) == link
