"""Signed requests to a real server, and an authorization server that trusts nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spine.core.tokens import MemoryTokens, Token
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.http.client import Client
from spine.http.retry import Retry
from spine.http.transport import Transport
from spine.sandbox.oauth import CLIENT, SECRET, OAuthServer


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


class Store(MemoryTokens):
    """A token store in memory that counts how often it is written."""

    saves = 0

    def save(self, token: Token) -> None:
        super().save(token)
        self.saves += 1


@pytest.fixture
def store() -> Store:
    """An empty token store."""
    return Store()


@pytest.fixture
def issuer() -> Iterator[OAuthServer]:
    """An authorization server that rotates and refuses."""
    with OAuthServer() as server:
        yield server


@pytest.fixture
def account(issuer: OAuthServer, store: Store) -> Callable[..., Account]:
    """An account at that server, with this extra."""

    def make(login: str = CLIENT, password: str = SECRET, **extra: Any) -> Account:
        return Account(Credentials(issuer.url, login, password, extra, "ipai_connector_x"), store, Transport().send)

    return make


@pytest.fixture
def client(account: Callable[..., Account]) -> Callable[..., Client]:
    """A client that signs by the declaration of these words; `extra` is the Connection's, `to` an account of one's own."""

    def make(extra: dict[str, Any] | None = None, to: Account | None = None, **words: Any) -> Client:
        mine = to or account(**(extra or {}))
        signer = AUTH_KINDS.parse(**words).signer(mine)
        return Client(mine.credentials.base_url, Transport(), signer, sleep=lambda seconds: None, retry=Retry(max_retries=1, base=0))

    return make
