"""Signatures over requests, against the vectors of their documents: AWS Signature Version 4 and OAuth 1.0a (RFC 5849)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import AuthFailed, ConfigError
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.auth.aws_sigv4 import Key, SigV4
from spine.http.auth.oauth1 import OAuth1, base_string
from spine.http.transport import Request, Transport

SUITE = Key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")  # pragma: allowlist secret
S3 = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")  # pragma: allowlist secret
AT = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
HOST = "https://example.amazonaws.com"
VECTORS = {
    # Of Amazon's test suite of Signature Version 4.
    # pragma: allowlist nextline secret
    "get-vanilla": (Request("GET", f"{HOST}/"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        # pragma: allowlist nextline secret
        Request("GET", f"{HOST}/?Param2=value2&Param1=value1"), "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "the same by parameters": (
        Request("GET", f"{HOST}/", params={"Param2": "value2", "Param1": "value1"}),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",  # pragma: allowlist secret
    ),
    # pragma: allowlist nextline secret
    "post-vanilla": (Request("POST", f"{HOST}/"), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-x-www-form-urlencoded": (
        # pragma: allowlist nextline secret
        Request("POST", f"{HOST}/", form={"Param1": "value1"}), "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}  # fmt: skip


def signature(request: Request) -> str:
    return request.secret_headers["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize("name", VECTORS)
def test_amazons_own_vectors(name):
    request, wanted = VECTORS[name]
    assert signature(SigV4(SUITE, "us-east-1", "service").signed(request, AT)) == wanted


def test_the_documents_example_of_iam():
    request = Request(
        "GET", "https://iam.amazonaws.com/", params={"Action": "ListUsers", "Version": "2010-05-08"},
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )  # fmt: skip
    signed = SigV4(SUITE, "us-east-1", "iam").signed(request, AT)
    assert signature(signed) == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"  # pragma: allowlist secret
    assert "SignedHeaders=content-type;host;x-amz-date" in signed.secret_headers["Authorization"]


def test_the_documents_example_of_s3():
    request = Request("GET", "https://examplebucket.s3.amazonaws.com/", params={"lifecycle": ""})
    signed = SigV4(S3, "us-east-1", "s3").signed(request, datetime(2013, 5, 24, tzinfo=UTC))
    assert signature(signed) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"  # pragma: allowlist secret


def test_temporary_keys_sign_their_token_too(make_vendor):
    vendor = make_vendor()
    account = Account(Credentials(vendor.url, "AKID", "sec/ret", {"region": "eu-west-1", "session_token": "t0k"}), None, None)
    auth = AUTH_KINDS.parse(type="aws_sigv4", service="logs", session_token="{session_token}").signer(account)
    signed = auth.sign(Request("POST", f"{vendor.url}/a b/ü?q=1 2", params={"x": "a b&/é"}, json={"limit": 1}))
    Transport().send(signed)
    seen = vendor.seen[0]
    assert "x-amz-security-token" in seen.headers["authorization"]
    assert seen.headers["x-amz-security-token"] == "t0k"
    assert seen.query == {"q": "1 2", "x": "a b&/é"}
    assert {"sec/ret", "t0k"} <= {*signed.secrets}


def test_what_lacks_is_named():
    for extra, login in (({}, "AKID"), ({"region": "x"}, "")):
        with pytest.raises(AuthFailed, match="the Connection has no"):
            AUTH_KINDS.parse(type="aws_sigv4", service="s").signer(Account(Credentials("https://x", login, "s", extra), None, None))


def test_the_rfcs_base_string():
    # RFC 5849, 3.4.1.1
    request = Request(
        "POST", "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", form={"c2": "", "a3": "2 q"},
    )  # fmt: skip
    own = {
        "oauth_consumer_key": "9djdj82h48djs9d2", "oauth_token": "kkk9d7dh3k39sjv7", "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "137131201", "oauth_nonce": "7d8f3e4a",
    }  # fmt: skip
    assert base_string(request, own) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer"
        "_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token"
        "%3Dkkk9d7dh3k39sjv7"
    )


def test_a_signature_that_everybody_knows():
    # The example of OAuth Core 1.0, A.5.2, which has `oauth_version`.
    auth = OAuth1("dpf43f3p2l4k3l03", "nnch734d00sl2jdk", ("kd94hf93k423kf44", "pfkkdhi9sl3r4s00"), "HMAC-SHA1")  # pragma: allowlist secret
    request = Request("GET", "http://photos.example.net/photos", params={"file": "vacation.jpg", "size": "original"})
    signed = auth.signed(request, "1191242096", "kllo9940pd9333jh")
    assert 'oauth_signature="tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D"' in signed.secret_headers["Authorization"]


def test_token_based_authentication_with_a_realm(make_vendor):
    vendor = make_vendor()
    extra = {"account": "1234_SB1", "token_id": "tok", "token_secret": "t&s"}
    account = Account(Credentials(vendor.url, "con", "c&s", extra), None, None)
    signed = AUTH_KINDS.parse(type="oauth1", realm="{account}").signer(account).sign(Request("GET", f"{vendor.url}/x", params={"q": "a b"}))
    Transport().send(signed)
    head = vendor.seen[0].headers["authorization"]
    assert head.startswith('OAuth realm="1234_SB1", ')
    own = {name: unquote(value.strip('"')) for name, _, value in (part.partition("=") for part in head.removeprefix("OAuth ").split(", "))}
    told = {name: value for name, value in own.items() if name not in ("realm", "oauth_signature")}
    pairs = "&".join(f"{name}={quote(value, safe='-._~')}" for name, value in sorted({**told, "q": "a b"}.items()))
    base = f"GET&{quote(f'{vendor.url}/x', safe='')}&{quote(pairs, safe='-._~')}"
    wanted = base64.b64encode(hmac.new(b"c%26s&t%26s", base.encode(), hashlib.sha256).digest()).decode()
    assert own["oauth_signature"] == wanted
    assert {"c&s", "t&s", wanted} <= {*signed.secrets}


@given(
    params=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.text(st.characters(exclude_categories=["Cs"]))
    ),
    path=st.text("ab /%~üñ+", max_size=12),
)
def test_any_request_can_be_signed(params, path):
    request = Request("GET", f"https://x.test/{quote(path)}", params=params)
    for auth in (SigV4(SUITE, "r", "s"), OAuth1("c", "t", ("a", "b"), "HMAC-SHA512")):
        assert auth.sign(request).secret_headers["Authorization"].isascii()


def test_a_database_is_asked_by_no_request():
    kind = AUTH_KINDS.parse(type="username_password", user="{login}@realm")
    credentials = Credentials("https://x", "me", "")
    assert kind.login(credentials) == ("me@realm", "")
    with pytest.raises(ConfigError, match="signs no requests"):
        kind.signer(Account(credentials, None, None))
