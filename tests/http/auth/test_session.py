"""A session's token: logged in for once, renewed when it ends, wherever the answer has it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from spine.core.errors import AuthFailed, SourceUnavailable
from spine.http.auth import AUTH_KINDS
from spine.http.auth.session import cookie_of
from spine.http.transport import Response
from spine.sandbox.oauth import PASSWORD, USER

HEADER = {"headers": {"X-Session": "{token}"}}
PLACES = {
    "body": {"request": {"token": "data.session"}, "send": HEADER},
    "header": {"token_header": "X-Session", "send": HEADER},
    "cookie": {"token_cookie": "SID"},
    "form": {"request": {"token": "data.session", "encoding": "form"}, "send": HEADER},
}


@pytest.fixture
def person(account):
    return account(login=USER, password=PASSWORD)


@pytest.mark.parametrize("place", PLACES)
def test_one_login_serves_until_the_session_ends(client, person, issuer, store, place):
    readers = [client(to=person, type="session", login_path="/login", **PLACES[place]) for _ in range(2)]
    assert [reader.get("/me").json()["subject"] for reader in readers * 2] == [USER] * 4
    assert issuer.asked == 1
    issuer.access.clear()
    assert [reader.get("/me").json()["subject"] for reader in readers] == [USER] * 2
    assert issuer.asked == 2
    assert store.saves == 2


def test_a_wrong_password_is_refused(client, account):
    with pytest.raises(AuthFailed, match="refused"):
        client(to=account(login=USER, password="other"), type="session", login_path="/login", token_cookie="SID").get("/me")


def test_an_answer_without_a_session_is_no_refusal(client, person):
    with pytest.raises(SourceUnavailable, match="no session"):
        client(to=person, type="session", login_path="/login", token_cookie="OTHER").get("/me")


def test_another_status_may_say_that_a_session_has_ended(client, person, issuer, make_vendor, answer):
    vendor = make_vendor(lambda asked, number: answer(440 if number == 1 else 200, {"ok": True}))
    reader = client(to=person, type="session", login_path=f"{issuer.url}/login", refused=[440], token_cookie="SID")
    reader.base_url = vendor.url
    assert [reader.get("/x").json() for _ in range(2)] == [{"ok": True}] * 2
    seen = [one.headers["cookie"] for one in vendor.seen]
    assert len(set(seen)) == 2


def test_a_declared_lifetime_ends_a_session_of_which_nothing_is_said(client, person, issuer, store):
    client(to=person, type="session", login_path="/login", token_cookie="SID", lifetime="30m").get("/me")
    assert store.token.expires_at is not None


@pytest.mark.parametrize("words", [{}, {"token_cookie": "a", "token_header": "b"}])
def test_where_the_token_is_and_goes_has_to_be_said(words):
    with pytest.raises(ValidationError):
        AUTH_KINDS.parse(type="session", login_path="/login", **words)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("SID=abc", "abc"), ("a=1, SID=abc; Path=/", "abc"), ("a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Path=/, SID=abc", "abc"),
        ('SID="q w"; HttpOnly', "q w"), ("SIDE=x", None), ("SID=", None), ("", None), ("=;,=", None), ("SID=a; Max-Age=\x00", "a"),
    ],
)  # fmt: skip
def test_a_cookie_is_found_among_several(said, value):
    assert cookie_of(Response(200, {"set-cookie": said}, b"", "GET x"), "SID") == value
