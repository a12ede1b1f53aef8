"""Odoo's RPC: a login gives the user's number, which stands before the arguments of each call with database and key."""

from __future__ import annotations

import orjson
import pytest

from spine.core.errors import AuthFailed
from spine.core.tokens import MemoryTokens
from spine.http.auth import Account, Credentials
from spine.http.auth.odoo_rpc import OdooRpcAuth
from spine.http.transport import Request, Transport

BODY = {"model": "res.partner", "method": "search_read", "kwargs": {"limit": 2}}


@pytest.fixture
def signer(make_vendor, answer):
    """A signer of an Odoo that knows one user; `calls` are the bodies that it has seen."""

    def make(password="key"):  # pragma: allowlist secret
        def serve(seen, number):
            arguments = orjson.loads(seen.body)["params"]["args"]
            return answer(json={"jsonrpc": "2.0", "id": 1, "result": 7 if arguments == ["acme", "ann", "key"] else False})

        vendor = make_vendor(serve)
        credentials = Credentials(vendor.url, "ann", password, {"database": "acme"}, "c")
        auth = OdooRpcAuth()
        return auth.signer(Account(credentials, MemoryTokens(), Transport().send)), vendor

    return make


def test_a_body_becomes_a_call_with_who_asks_before_its_arguments(signer):
    found, vendor = signer()
    signed = [found.sign(Request("POST", f"{vendor.url}/jsonrpc", json=BODY)) for _ in range(2)]
    params = signed[1].json["params"]
    assert (params["service"], params["method"]) == ("object", "execute_kw")
    assert params["args"] == ["acme", 7, "key", "res.partner", "search_read", [], {"limit": 2}]
    assert len(vendor.seen) == 1, "one login for both"
    assert "key" in signed[1].hidden


def test_a_wrong_key_is_refused_though_the_answer_is_200(signer):
    found, vendor = signer(password="x")
    with pytest.raises(AuthFailed, match="refuses"):
        found.sign(Request("POST", f"{vendor.url}/jsonrpc", json=BODY))
