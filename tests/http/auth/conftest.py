"""One signed request to a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.client import Client
from spine.http.transport import Transport


@pytest.fixture
def signed(make_vendor: Callable[..., Any]) -> Callable[..., Any]:
    """What the server saw of a request that is signed by the declaration of these words, for login `me` and password `key`."""

    def send(login: str = "me", password: str = "key", params: dict[str, str] | None = None, **words: Any) -> Any:
        vendor = make_vendor()
        transport = Transport()
        account = Account(Credentials(vendor.url, login, password), None, transport.send)
        Client(vendor.url, transport, AUTH_KINDS.parse(**words).signer(account)).get("/x", params)
        return vendor.seen[0]

    return send
