"""Each grant against an authorization server that rotates, refuses and fails in every way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core import clock
from spine.core.errors import AuthFailed, ConnectorError, RateLimited, SourceUnavailable
from spine.core.tokens import Token
from spine.http.auth.asking import TokenRequest
from spine.http.transport import Response
from spine.sandbox.oauth import FAULTS, PASSWORD, SECRET, USER

OAUTH = {"type": "oauth2", "token_path": "/token"}
REFUSED = {
    "200 with error", "200 and not ok", "error as object", "form", "401 with challenge", "400 text", "403", "redirect",
}  # fmt: skip
LIMITED = {"429", "400 slow down"}


def subject(client) -> str:
    return client.get("/me").json()["subject"]


def test_client_credentials(client, issuer):
    assert subject(client(grant="client_credentials", scopes=["read", "write"], **OAUTH)) == "client-1"
    assert issuer.said[0]["scope"] == "read write"


def test_the_connections_scope_stands_above_the_files(client, issuer):
    subject(client({"scope": "less"}, grant="client_credentials", scopes=["more"], **OAUTH))
    assert issuer.said[0]["scope"] == "less"


def test_a_client_may_say_who_it_is_by_basic_credentials(client, issuer):
    assert subject(client(grant="client_credentials", request={"client": "basic"}, **OAUTH)) == "client-1"
    assert "client_secret" not in issuer.said[0]


def test_a_wrong_secret_is_refused_without_a_word_of_it(client, account):
    with pytest.raises(AuthFailed, match="invalid_client") as caught:
        subject(client(to=account(password="wrong-one"), grant="client_credentials", **OAUTH))
    assert "wrong-one" not in str(caught.value)


def test_a_persons_password(client):
    assert subject(client({"username": USER, "user_password": PASSWORD}, grant="password", **OAUTH)) == USER


def test_refresh_tokens_are_rotated_and_kept(client, issuer, store):
    first = issuer.granted()
    reader = client({"refresh_token": first}, **OAUTH)
    assert subject(reader) == USER
    issuer.access.clear()
    assert subject(reader) == USER
    assert store.token.refresh_token not in (first, None)
    assert issuer.said[0]["refresh_token"] == first


def test_a_refresh_token_that_does_not_rotate_stays(client, issuer, store):
    issuer.rotates = False
    first = issuer.granted()
    assert subject(client({"refresh_token": first}, **OAUTH)) == USER
    assert store.token.refresh_token == first


def test_reuse_kills_the_grant_and_is_never_done_by_us(client, issuer, store):
    first = issuer.granted()
    readers = [client({"refresh_token": first}, **OAUTH) for _ in range(3)]
    for round_ in range(4):
        issuer.access.clear()
        assert [subject(reader) for reader in readers] == [USER] * 3, round_
    assert issuer.grants[0].alive


def test_short_lived_tokens_are_not_asked_for_at_each_request(client, issuer):
    issuer.lifetime = 20
    reader = client({"refresh_token": issuer.granted()}, **OAUTH)
    for _ in range(5):
        subject(reader)
    assert issuer.asked == 1


@pytest.mark.parametrize("fault", ["503", "500 html", "429", "html", "400 but passing"])
def test_a_token_endpoint_that_fails_stops_nobody_while_the_former_token_lives(client, issuer, store, fault):
    reader = client({"refresh_token": issuer.granted()}, **OAUTH)
    subject(reader)
    store.token = reader.auth._token = Token(
        store.token.access_token, store.token.refresh_token, clock.now() + timedelta(seconds=30)
    )  # fmt: skip
    issuer.fault, issuer.faults = fault, 9
    asked = issuer.asked
    assert [subject(reader) for _ in range(3)] == [USER] * 3
    assert issuer.asked == asked + 1, "it is asked again after a while, not at each request"


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_odd_answer_is_one_of_our_errors_without_a_secret(client, issuer, fault):
    first = issuer.granted()
    issuer.fault, issuer.faults = fault, 99
    wanted = AuthFailed if fault in REFUSED else RateLimited if fault in LIMITED else SourceUnavailable
    with pytest.raises(ConnectorError) as caught:
        subject(client({"refresh_token": first}, **OAUTH))
    assert type(caught.value) is wanted
    assert not [secret for secret in (first, SECRET) if secret in str(caught.value)]


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - REFUSED))
def test_what_was_no_refusal_is_asked_again_and_the_grant_lives_on(client, issuer, fault):
    issuer.fault, issuer.faults = fault, 1
    reader = client({"refresh_token": issuer.granted()}, **OAUTH)
    try:
        assert subject(reader) == USER
    except RateLimited:
        assert subject(reader) == USER


def test_the_request_may_be_declared_to_the_last_field(client, issuer):
    words = {
        "method": "POST", "encoding": "json", "headers": {"X-Client": "{login}"}, "client": "none",
        "fields": {"client_id": "{login}", "client_secret": "{password}", "grant_type": "client_credentials", "audience": "{base_url}/api"},
        "keep": {"who": "subject"},
    }  # fmt: skip
    send = {"headers": {"Authorization": "Bearer {token}", "X-Subject": "{token.who}"}}
    assert subject(client(grant="client_credentials", request=words, send=send, **OAUTH)) == "client-1"
    assert issuer.said[0]["audience"] == f"{issuer.url}/api"
    assert issuer.headers[0]["x-client"] == "client-1"


def test_a_grants_own_field_can_be_left_out_and_the_request_be_a_get(client, issuer):
    words = {"method": "GET", "encoding": "query", "fields": {"scope": None}}
    with pytest.raises(AuthFailed, match=r"unsupported_grant_type|invalid_client"):
        subject(client(grant="client_credentials", scopes=["x"], request=words, **OAUTH))
    assert set(issuer.said[0]) == {"grant_type", "client_id", "client_secret"}


@pytest.mark.parametrize("send", [{"headers": {"X-Session": "{token}"}}, {"cookies": {"SID": "{token}"}}])
def test_a_token_travels_where_the_vendor_wants_it_and_is_renewed_there(client, issuer, send):
    reader = client(grant="client_credentials", send=send, **OAUTH)
    assert subject(reader) == "client-1"
    issuer.access.clear()
    assert subject(reader) == "client-1"


ANSWERS = {
    ("expires_in", "seconds", "3600"): 3600,
    ("data.exp", "milliseconds", 60_000): 60,
    ("at", "epoch", "NOW+90"): 90,
    ("at", "epoch_milliseconds", "NOWMS+90000"): 90,
    ("at", "time", "ISO+90"): 90,
    ("at", "time", "yesterday"): None,
    ("at", "epoch", 10**17): 365 * 86_400,
    ("at", "epoch", 5): None,
}


@pytest.mark.parametrize(("said", "seconds"), ANSWERS.items())
def test_when_a_token_ends_is_read_as_the_vendor_writes_it(said, seconds):
    import orjson

    path, form, value = said
    now = clock.now()
    value = {
        "NOW+90": int(now.timestamp()) + 90, "NOWMS+90000": int(now.timestamp() * 1000) + 90_000,
        "ISO+90": clock.to_text(now + timedelta(seconds=90)),
    }.get(value, value) if isinstance(value, str) else value  # fmt: skip
    content: dict = {"access_token": "t", path.split(".")[-1]: value}
    content = content if "." not in path else {"access_token": "t", "data": {"exp": value}}
    token = TokenRequest(expires=path, expires_as=form).token_of(Response(200, {}, orjson.dumps(content), "POST x"))
    left = (token.expires_at - now).total_seconds() if token.expires_at else None
    assert left == (None if seconds is None else pytest.approx(seconds, abs=2))


def test_a_lifetime_that_the_answer_does_not_say_may_be_declared(client, issuer, store):
    words = {"expires": "nothing", "lifetime": "10m", "grant_lifetime": "90d"}
    subject(client({"refresh_token": issuer.granted()}, request=words, **OAUTH))
    assert (store.token.expires_at - clock.now()).total_seconds() == pytest.approx(600, abs=5)
    assert (store.token.grant_expires_at - clock.now()).days == 89


def test_the_end_of_a_refresh_token_is_kept(client, issuer, store):
    first = issuer.granted()
    issuer.refresh_lifetime = 7200
    subject(client({"refresh_token": first}, **OAUTH))
    assert (store.token.grant_expires_at - clock.now()).total_seconds() == pytest.approx(7200, abs=5)


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 201, 204, 302, 400, 401, 403, 429, 500, 503]), kind=st.sampled_from(
    ["application/json", "text/plain", "text/html", "application/x-www-form-urlencoded", ""]
))  # fmt: skip
def test_any_answer_is_a_token_or_an_error_of_ours(body, status, kind):
    try:
        token = TokenRequest().token_of(Response(status, {"content-type": kind}, body, "POST x"))
    except ConnectorError:
        return
    assert token.access_token.isprintable()
