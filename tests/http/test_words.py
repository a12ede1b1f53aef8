"""A source's own words in our messages, and nothing in them that should not be there."""

from __future__ import annotations

import pytest

from spine.http.words import LONGEST, said


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b'[{"errorCode": "QUERY_TOO_BIG", "message": "\\nSELECT a\\n  ^\\nToo many"}]',
            "QUERY_TOO_BIG SELECT a ^ Too many",
        ),
        (b'{"error": {"code": 190, "message": "No such list"}}', "190 No such list"),
        (b'{"errors": [{"title": "Bad", "detail": "page is wrong"}]}', "Bad page is wrong"),
        (b'{"name": "Jane", "salary": 5}', ""),
        (b"<html><title>Maintenance</title><p>x", "Maintenance"),
        (b"No more calls\nfor you", "No more calls"),
        (b"", ""),
    ],
)
def test_the_words_are_those_that_say_what_is_wrong(body, words):
    assert said(body) == words


@pytest.mark.parametrize(
    "secret",
    ["s3cret", "s3 cret/+", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln", "jane@example.com"],  # pragma: allowlist secret
)
def test_no_secret_is_quoted(secret):
    from urllib.parse import quote

    body = f'{{"message": "refused {secret} and {quote(secret, safe="")}"}}'.encode()
    known = [secret] if secret.startswith("s3") else []
    assert said(body, known) == "refused … and …"


def test_long_words_are_cut():
    assert len(said(b'{"message": "' + b"ab " * 500 + b'"}')) == LONGEST + 1
