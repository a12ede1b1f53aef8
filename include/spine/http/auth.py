"""Signs requests: one class per kind of authentication. Secrets come in as Credentials and leave in requests, never in messages.

OAuth 2.0 follows RFC 6749 sections 4.4 and 6; rotated refresh tokens are kept before anything else may use them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from spine.core import clock
from spine.core.errors import AuthFailed, RateLimited, SourceUnavailable
from spine.http.transport import Request, Response

_LEEWAY = timedelta(seconds=60)


@dataclass(frozen=True)
class Credentials:
    """What a Connection holds: the address and the secrets of one account."""

    base_url: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connection: str = ""


@dataclass(frozen=True)
class Token:
    """An access token, the refresh token that follows it, and when the access token ends (None: unknown)."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None

    def usable(self) -> bool:
        """False when it has ended or is about to."""
        return self.expires_at is None or self.expires_at - _LEEWAY > clock.now()


class LockedToken(Protocol):
    """The stored token of one account while nobody else may change it."""

    def load(self) -> Token | None:
        """The token that is stored, if any."""
        ...

    def save(self, token: Token) -> None:
        """Replace it; must be durable on return."""
        ...


class TokenStore(Protocol):
    """Where the tokens of one account live between processes."""

    def load(self) -> Token | None:
        """The token that is stored, if any, without a lock."""
        ...

    def locked(self) -> AbstractContextManager[LockedToken]:
        """The stored token with everyone else kept out until the block ends."""
        ...


class Auth:
    """Signs nothing; the base of the other kinds."""

    def headers(self) -> dict[str, str]:
        """Headers that sign a request."""
        return {}

    def params(self) -> dict[str, str]:
        """Query parameters that sign a request."""
        return {}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """After a 401 to a request with these headers: True if it is worth signing and sending again."""
        return False


class Bearer(Auth):
    """A fixed token: the Connection's password."""

    def __init__(self, credentials: Credentials) -> None:
        self._token = _needed(credentials, credentials.password, "password")

    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": f"Bearer {self._token}"}


class Basic(Auth):
    """Login and password (RFC 7617)."""

    def __init__(self, credentials: Credentials) -> None:
        pair = f"{_needed(credentials, credentials.login, 'login')}:{credentials.password}"
        self._value = base64.b64encode(pair.encode()).decode()

    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": f"Basic {self._value}"}


class ApiKey(Auth):
    """A key in a header, or in the query when `param` is given."""

    def __init__(self, credentials: Credentials, header: str, param: str | None = None) -> None:
        self._key = _needed(credentials, credentials.password, "password")
        self._header, self._param = header, param

    def headers(self) -> dict[str, str]:
        """The key's header, unless it goes in the query."""
        return {} if self._param else {self._header: self._key}

    def params(self) -> dict[str, str]:
        """The key's parameter, if it goes in the query."""
        return {self._param: self._key} if self._param else {}


class OAuth2(Auth):
    """Access tokens by `refresh_token` or `client_credentials`, refreshed under the store's lock by one worker at a time.

    The Connection holds the client (login, password) and, in extra, the first `refresh_token`; `token_url` and `scope` may be there too.
    """

    def __init__(
        self, credentials: Credentials, grant: str, token_url: str, store: TokenStore, send: Callable[[Request], Response]
    ) -> None:
        self._credentials, self._grant, self._store, self._send = credentials, grant, store, send
        self._token_url = str(credentials.extra.get("token_url") or token_url)
        self._token: Token | None = None

    def headers(self) -> dict[str, str]:
        """The Authorization header with a token that has not ended. Raises AuthFailed, RateLimited, SourceUnavailable."""
        if self._token is None:
            self._token = self._store.load()
        if self._token is None or not self._token.usable():
            self._token = self._refresh(self._token.access_token if self._token else "")
        return {"Authorization": f"Bearer {self._token.access_token}"}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Get a token that differs from the refused one."""
        self._token = self._refresh(refused.get("Authorization", "").removeprefix("Bearer "))
        return True

    def _refresh(self, refused: str) -> Token:
        with self._store.locked() as stored:
            current = stored.load()
            if current and current.access_token != refused and current.usable():
                return current  # another worker was quicker
            token = self._ask(self._grants(current))
            stored.save(token)
            return token

    def _grants(self, current: Token | None) -> list[dict[str, str]]:
        """What to offer the token endpoint, in this order: the rotated grant, then the Connection's (an operator may have renewed it)."""
        scope = {"scope": str(self._credentials.extra["scope"])} if self._credentials.extra.get("scope") else {}
        if self._grant == "client_credentials":
            return [{"grant_type": "client_credentials", **scope}]
        first = str(self._credentials.extra.get("refresh_token") or "")
        offers = dict.fromkeys(token for token in (current.refresh_token if current else None, first) if token)
        if not offers:
            raise AuthFailed("no refresh token", hint="Put it in the Connection's extra", connection=self._credentials.connection)
        return [{"grant_type": "refresh_token", "refresh_token": token} for token in offers]

    def _ask(self, grants: list[dict[str, str]]) -> Token:
        refusal = ""
        for grant in grants:
            form = {**grant, "client_id": self._credentials.login, "client_secret": self._credentials.password}
            response = self._send(Request("POST", self._token_url, form=form, headers={"Accept": "application/json"}))
            if response.status == 200:
                return _token(response, grant.get("refresh_token"))
            refusal = self._refusal(response)
        raise AuthFailed(
            f"the token endpoint refused: {refusal}",
            hint="Authorise the connection again and put the new refresh token in the Connection's extra",
            connection=self._credentials.connection,
        )

    def _refusal(self, response: Response) -> str:
        """The endpoint's error word. Raises RateLimited and SourceUnavailable for what is not a refusal."""
        if response.status == 429:
            raise RateLimited("the token endpoint limits us", connection=self._credentials.connection)
        if response.status >= 500 or response.status == 408:
            raise SourceUnavailable("the token endpoint fails", status=response.status, connection=self._credentials.connection)
        try:
            word = str(dict(orjson.loads(response.body)).get("error", ""))
        except (ValueError, TypeError):
            word = ""
        return word[:60] if word.replace("_", "").isalnum() else f"status {response.status}"


def _token(response: Response, refresh_token: str | None) -> Token:
    answer = response.json()
    if not isinstance(answer, dict) or not answer.get("access_token"):
        raise SourceUnavailable("the token endpoint gave no access token")
    seconds = answer.get("expires_in")
    return Token(
        access_token=str(answer["access_token"]),
        refresh_token=answer.get("refresh_token") or refresh_token,
        expires_at=clock.now() + timedelta(seconds=float(seconds)) if seconds else None,
    )


def _needed(credentials: Credentials, value: str, name: str) -> str:
    if not value:
        raise AuthFailed(f"the Connection has no {name}", hint="Complete the Connection", connection=credentials.connection)
    return value
