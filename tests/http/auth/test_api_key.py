"""Keys in headers, in the query, in cookies and in bodies."""

from __future__ import annotations

from urllib.parse import parse_qsl

import orjson
import pytest
from pydantic import ValidationError

from spine.core.errors import AuthFailed, ConfigError
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.transport import Request, Transport


def signer(**words):
    extra = {"app": "a-1", "deep": {"key": "k 2&=/é"}, "number": 7}
    credentials = Credentials("https://x.test", "me", "s3cret", extra, "ipai_connector_x")
    return AUTH_KINDS.parse(type="api_key", **words).signer(Account(credentials, None, None))


def test_each_request_carries_the_key(signed):
    assert signed(type="api_key", header="X-Key").headers.get("x-key") == "key"
    assert signed(type="api_key").headers.get("x-api-key") == "key"


def test_an_api_key_may_go_in_the_query(signed):
    seen = signed(type="api_key", header="X", param="api_key", params={"a": "b"})
    assert seen.query == {"a": "b", "api_key": "key"}
    assert "x" not in seen.headers


@pytest.mark.parametrize("value", ["Token token={password}", "apikey {login}:{password}", "OAuth {password}", "{password}"])
def test_a_value_is_written_as_the_vendor_wants_it(signed, value):
    seen = signed(type="api_key", header="Authorization", value=value)
    assert seen.headers["authorization"] == value.format(login="me", password="key")


def test_several_secrets_travel_each_in_its_place(make_vendor):
    vendor = make_vendor()
    send = {
        "headers": {"X-App": "{app}", "X-Key": "{deep.key}"}, "params": {"n": "{number}"}, "cookies": {"sid": "{password}", "u": "{login}"},
    }  # fmt: skip
    send["headers"]["X-Key"] = "{password}"
    sent = signer(send=send).sign(Request("GET", vendor.url, params={"a": "1"}, headers={"Cookie": "theme=dark"}))
    Transport().send(sent)
    seen = vendor.seen[0]
    assert (seen.headers["x-app"], seen.headers["x-key"], seen.query) == ("a-1", "s3cret", {"a": "1", "n": "7"})
    assert seen.headers["cookie"] == "theme=dark; sid=s3cret; u=me"


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (Request("POST", "", json={"q": 1}), lambda body: orjson.loads(body) == {"q": 1, "api_key": "k 2&=/é"}),
        (Request("POST", "", form={"q": "1"}), lambda body: dict(parse_qsl(body.decode())) == {"q": "1", "api_key": "k 2&=/é"}),
        (Request("POST", ""), lambda body: dict(parse_qsl(body.decode())) == {"api_key": "k 2&=/é"}),
    ],
    ids=["JSON", "form", "nothing"],
)
def test_a_key_joins_the_body_that_there_is(make_vendor, request_, read):
    from dataclasses import replace

    vendor = make_vendor()
    Transport().send(signer(send={"body": {"api_key": "{deep.key}"}}).sign(replace(request_, url=vendor.url)))
    assert read(vendor.seen[0].body)


def test_a_body_that_is_a_list_has_no_place_for_a_key(make_vendor):
    vendor = make_vendor()
    with pytest.raises(ConfigError, match="no object"):
        Transport().send(signer(send={"body": {"k": "{password}"}}).sign(Request("POST", vendor.url, json=[1])))
    assert vendor.seen == []


def test_secrets_inside_longer_values_are_known_as_secrets():
    sent = signer(send={"headers": {"Authorization": "Token token={password}"}, "body": {"k": "{deep.key}"}}).sign(
        Request("POST", "https://x")
    )
    assert {"s3cret", "k 2&=/é"} <= set(sent.secrets)
    assert "s3cret" not in repr(sent)


@pytest.mark.parametrize("field", ["{nothing}", "{deep}", "{deep.other}", "{deep.key.more}", "{app.x}"])
def test_a_field_that_the_connection_lacks_is_named_before_anything_is_asked(field):
    with pytest.raises(AuthFailed, match=r"the Connection has no .* in its extra"):
        signer(header="X", value=field)


def test_a_connection_without_secret_is_an_auth_failure(signed):
    with pytest.raises(AuthFailed, match="Connection has no"):
        signed(password="", type="api_key")


@pytest.mark.parametrize("value", ["{{password}}", "{ password }", "{% if x %}", "{}"])
def test_a_template_language_is_refused(value):
    with pytest.raises(ValidationError, match="is no field"):
        AUTH_KINDS.parse(type="api_key", value=value)


def test_one_thing_is_said_in_one_way():
    with pytest.raises(ValidationError, match="says all of it"):
        AUTH_KINDS.parse(type="api_key", header="X", send={"headers": {"Y": "{password}"}})


def test_the_spelling_of_other_declarations_is_understood(signed):
    assert signed(type="api-key", header="X-Key").headers["x-key"] == "key"


@pytest.mark.parametrize(
    ("link", "left"),
    [
        ("https://x.test/a?page=2&key=s3cret%2F&b=%20", "https://x.test/a?page=2&b=%20"),
        ("https://x.test/a?k%65y=s3cret", "https://x.test/a"),
        ("/a?monkey=1", "/a?monkey=1"),
    ],
)
def test_a_link_is_kept_without_the_key_that_the_source_repeats_in_it(link: str, left: str) -> None:
    assert signer(param="key").unsigned(link) == left
    assert signer(header="X").unsigned(link) == link
