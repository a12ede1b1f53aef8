"""A source's own words in our messages, and nothing in them that should not be there."""

from __future__ import annotations

import orjson
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


def test_a_secret_that_holds_another_one_is_hidden_as_a_whole():
    assert said(b'{"message": "refused abcdef"}', ["abc", "abcdef"]) == "refused …"


@pytest.mark.parametrize(
    "around", [lambda value: {"error": value}, lambda value: {"errors": value}, lambda value: {"fault": value}, lambda value: [value]]
)
def test_what_lies_deep_may_be_a_record(around):
    value: object = {"message": "deep"}
    for _ in range(4):
        value = around(value)
    assert said(orjson.dumps(value)) == "deep"
    assert said(orjson.dumps(around(value))) == ""


def test_of_a_long_list_the_first_three_are_told():
    assert said(b'{"errors": [{"message": "a"}, {"message": "b"}, {"message": "c"}, {"message": "d"}]}') == "a b c"


def test_long_words_are_cut():
    assert len(said(b'{"message": "' + b"ab " * 500 + b'"}')) == LONGEST + 1
    assert said(b"a" * LONGEST) == "a" * LONGEST
