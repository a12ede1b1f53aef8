"""Tokens for assertions that we sign: JWT (RFC 7523), SAML (RFC 7522), and JWTs that go with each request."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.errors import AuthFailed
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.auth.saml import Assertion
from spine.http.transport import Request
from spine.sandbox import assertions

RSA, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
KEYS = {"RS256": RSA, "PS256": RSA, "ES256": ec.generate_private_key(ec.SECP256R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}


def in_pem(key) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("use", ["grant", "client"])
def test_a_token_for_a_jwt_of_each_algorithm(client, account, issuer, algorithm, use):
    issuer.key = KEYS[algorithm].public_key()
    words = {"type": "jwt_bearer", "token_path": "/token", "use": use, "jwt": {"algorithm": algorithm}}
    reader = client(to=account(password=in_pem(KEYS[algorithm])), **words)
    assert reader.get("/me").json() == {"subject": "client-1"}
    assert "client_secret" not in issuer.said[0]


def test_a_service_account_acts_for_somebody_with_what_the_extra_says(client, account, issuer):
    issuer.key = RSA.public_key()
    extra = {"account": {"client_email": "robot@x.test", "private_key": in_pem(RSA).replace("\n", "\\n"), "kid": "k-7"}}
    words = {
        "type": "jwt_bearer", "token_path": "/token",
        "jwt": {
            "key": "{account.private_key}", "headers": {"kid": "{account.kid}"},
            "claims": {"iss": "{account.client_email}", "sub": "ada", "scope": "read", "groups": ["a", "{login}"], "n": 1},
        },
    }  # fmt: skip
    assert client(to=account(password="", **extra), **words).get("/me").json() == {"subject": "ada"}
    assertion = issuer.said[0]["assertion"]
    claims = jwt.decode(assertion, RSA.public_key(), algorithms=["RS256"], audience=f"{issuer.url}/token")
    assert (claims["iss"], claims["scope"], claims["groups"], claims["n"]) == ("robot@x.test", "read", ["a", "client-1"], 1)
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert jwt.get_unverified_header(assertion)["kid"] == "k-7"


# pragma: allowlist nextline secret
@pytest.mark.parametrize("key", ["nonsense", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", in_pem(KEYS["ES256"])])
@pytest.mark.parametrize("words", [{"type": "jwt_bearer"}, {"type": "saml_bearer", "subject": "x"}], ids=["jwt", "saml"])
def test_a_key_that_is_none_is_refused_without_a_word_of_it(client, account, words, key):
    with pytest.raises(AuthFailed, match="can be signed with the Connection's key") as caught:
        client(to=account(password=key), token_path="/token", **words).get("/me")
    assert key[:9] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_wrong_key_is_refused(client, account, issuer):
    issuer.key = OTHER.public_key()
    for words in ({"type": "jwt_bearer"}, {"type": "saml_bearer", "subject": "x", "audience": "client-1"}):
        with pytest.raises(AuthFailed, match="invalid_grant"):
            client(to=account(password=in_pem(RSA)), token_path="/token", **words).get("/me")


def test_a_token_for_a_saml_assertion(client, account, issuer):
    issuer.key = RSA.public_key()
    words = {
        "type": "saml_bearer",
        "token_path": "/token",
        "audience": "client-1",
        "subject": "{user}",
        "attributes": {"company": "{company}"},
    }
    reader = client(to=account(password=in_pem(RSA), user='ada & <co> "é"', company="A > B"), **words)
    assert reader.get("/me").json() == {"subject": 'ada & <co> "é"'}
    assert issuer.said[0]["client_id"] == "client-1"
    assert "=" not in issuer.said[0]["assertion"]


def test_an_assertion_of_somebody_else_is_passed_on(client, account, issuer):
    issuer.key = RSA.public_key()
    made = Assertion("idp", "eve", "client-1", f"{issuer.url}/token", timedelta(minutes=5)).signed(in_pem(RSA), "", datetime.now(UTC), "_1")
    words = {"type": "saml", "token_path": "/token", "assertion": "{assertion}"}
    assert client(to=account(assertion=made), **words).get("/me").json() == {"subject": "eve"}
    whole = base64.urlsafe_b64encode(made.encode()).decode()
    assert client(to=account(assertion=whole), **words).get("/me").json() == {"subject": "eve"}


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(max_size=20), min_size=5, max_size=5))
def test_whatever_it_says_it_is_canonical_and_its_signature_holds(texts):
    issuer, subject, audience, name, value = texts
    made = Assertion(issuer, "s" + subject, "a" + audience, "https://x.test/token", timedelta(minutes=5), attributes={name: value})
    text = made.signed(in_pem(RSA), "", datetime.now(UTC), "_1")
    assert ET.canonicalize(text) == text.replace("\r", "")
    assertions.require_signature(text, RSA.public_key())


def test_a_changed_assertion_does_not_hold():
    made = Assertion("i", "ada", "a", "https://x.test/token", timedelta(minutes=5)).signed(in_pem(RSA), "", datetime.now(UTC), "_1")
    with pytest.raises(ValueError, match="changed"):
        assertions.require_signature(made.replace(">ada<", ">eve<"), RSA.public_key())


def signer(key: str, **words):
    return AUTH_KINDS.parse(type="jwt", **words).signer(Account(Credentials("https://x.test", "me", key), None, None))


def test_a_jwt_goes_with_each_request():
    auth = signer("0" * 40, jwt={"algorithm": "HS256", "claims": {"iss": "{login}", "aud": "v1"}}, send={"params": {"jwt": "{token}"}})
    sent = auth.sign(Request("GET", "https://x.test"))
    claims = jwt.decode(sent.secret_params["jwt"], "0" * 40, algorithms=["HS256"], audience="v1")
    assert claims["iss"] == "me"
    assert sent.secret_params["jwt"] in sent.secrets
    assert auth.unsigned("https://x.test/?jwt=abc&p=2") == "https://x.test/?p=2"


def test_a_jwt_is_made_anew_before_it_ends(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("spine.http.auth.jwt.time.monotonic", lambda: now[0])
    auth = signer("0" * 40, jwt={"algorithm": "HS256", "lifetime": "100s"})
    tokens = []
    for now[0] in (0, 79, 81):
        tokens.append(auth.sign(Request("GET", "https://x.test")).secret_headers["Authorization"])
    assert tokens[0] == tokens[1] != tokens[2]
