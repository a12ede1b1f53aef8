"""Challenge and answer, judged by a server that computes them by itself (RFC 7616)."""

from __future__ import annotations

import hashlib
import re

import pytest

from spine.core.errors import AuthFailed
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.client import Client
from spine.http.transport import Transport
from tests.http.conftest import Answer

REALM = "records@example.com"


class Server:
    """Knows one user; a nonce is good for three requests."""

    def __init__(self, algorithm: str = "SHA-256", before: str = "") -> None:
        self.algorithm, self.before, self.nonce, self.left, self.bad = algorithm, before, 0, 0, 0

    def __call__(self, seen, number):
        told = dict(re.findall(r'(\w+)="?([^",]+)"?', seen.headers.get("authorization", "")))
        if not told or not self.right(seen, told) or self.left <= 0:
            stale = "true" if told and self.right(seen, told) else "false"
            self.nonce, self.left = self.nonce + 1, 3
            challenge = f'Digest realm="{REALM}", qop="auth", algorithm={self.algorithm}, nonce="n{self.nonce}", stale={stale}'
            return Answer(401, {}, {"WWW-Authenticate": f"{self.before}{challenge}"})
        self.left -= 1
        return Answer(json=[{"id": 1}])

    def right(self, seen, told):
        digest = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}[self.algorithm]

        def h(text):
            return digest(text.encode()).hexdigest()

        a1, a2 = h(f"me:{REALM}:key"), h(f"GET:{told['uri']}")
        right = h(f"{a1}:{told['nonce']}:{told['nc']}:{told['cnonce']}:auth:{a2}")
        return told["username"] == "me" and told["response"] == right and told["uri"].startswith("/x") and told["nonce"] == f"n{self.nonce}"


def client(vendor, password="key"):  # pragma: allowlist secret
    signer = AUTH_KINDS.parse(type="digest").signer(Account(Credentials(vendor.url, "me", password), None, None))
    return Client(vendor.url, Transport(), signer, sleep=lambda seconds: None)


@pytest.mark.parametrize(("algorithm", "before"), [("SHA-256", ""), ("MD5", 'Basic realm="x", ')])
def test_a_challenge_is_answered_and_good_for_several_requests(make_vendor, algorithm, before):
    vendor = make_vendor(Server(algorithm, before))
    asking = client(vendor)
    for _ in range(7):
        assert asking.get("/x", {"q": "a b&ä", "list": ["1", "2"]}).json() == [{"id": 1}]
    assert [bool(seen.headers.get("authorization")) for seen in vendor.seen].count(False) == 1
    assert len(vendor.seen) == 7 + 3  # the first one, and two whose nonce was used up
    assert all("key" not in seen.headers.get("authorization", "") for seen in vendor.seen)
    assert {seen.query["q"] for seen in vendor.seen} == {"a b&ä"}


def test_a_wrong_password_is_refused_and_not_tried_for_ever(make_vendor):
    vendor = make_vendor(Server())
    with pytest.raises(AuthFailed, match="refused our credentials"):
        client(vendor, "other").get("/x")
    assert len(vendor.seen) <= 3
