"""OAuth 2.0 (RFC 6749, sections 4.4 and 6). Rotated refresh tokens are kept before anything else may use them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import orjson
from pydantic import Field

from spine.core import clock
from spine.core.errors import AuthFailed, RateLimited, SourceUnavailable
from spine.core.tokens import Token, TokenStore
from spine.http.auth.signing import Account, Auth, Credentials, Signer, with_header
from spine.http.limits import wait_of
from spine.http.transport import Request, Response, require_encrypted

_MOST = 1024 * 1024  # bytes of a token endpoint's answer
_LONGEST = 365 * 86_400.0  # seconds; a token that lives longer is renewed by then, or when it is refused
Grant = Literal["refresh_token", "client_credentials"]


class OAuth2Auth(Auth):
    """Access tokens of a token endpoint. The Connection holds the client (login, password) and, in extra, the first `refresh_token`.

    `token_url` (in place of `token_path`) and `scope` may be in the extra too. A token is refreshed by one worker at a time.

    Example:
        type: oauth2
        grant: client_credentials
        token_path: /services/oauth2/token
    """

    type: Literal["oauth2"] = "oauth2"
    grant: Grant = Field(default="refresh_token", description="What the token endpoint is offered")
    token_path: str = Field(default="/oauth2/token", description="The token endpoint, below the Connection's host")

    def signer(self, account: Account) -> Signer:
        """Signs with a token that is refreshed when it ends."""
        credentials = account.credentials
        return OAuth2(credentials, self.grant, credentials.base_url + self.token_path, account.tokens, account.send)


class OAuth2(Signer):
    """Access tokens by `refresh_token` or `client_credentials`, refreshed under the store's lock by one worker at a time."""

    def __init__(
        self, credentials: Credentials, grant: str, token_url: str, store: TokenStore, send: Callable[[Request], Response]
    ) -> None:
        self._credentials, self._grant, self._store, self._send = credentials, grant, store, send
        self._token_url = str(credentials.extra.get("token_url") or token_url)
        require_encrypted(self._token_url, connection=credentials.connection)
        self._token: Token | None = None
        self._unproved = ""  # the token that we have asked for ourselves and that no answer has accepted yet

    def sign(self, request: Request) -> Request:
        """The request with a token that has not ended. Raises AuthFailed, RateLimited, SourceUnavailable."""
        if self._token is None:
            self._token = self._store.load()
        if self._token is None or not self._token.usable():
            self._token = self._refresh(self._token.access_token if self._token else "")
        return with_header(request, "Authorization", f"Bearer {self._token.access_token}")

    def renew(self, request: Request, response: Response) -> bool:
        """After a 401, get a token that differs from the refused one; the stored one first, which may be dead too."""
        used = request.secret_headers.get("Authorization", "").removeprefix("Bearer ")
        refused_anew = used == self._unproved
        if response.status != 401:
            self._unproved = "" if refused_anew else self._unproved
            return False
        if refused_anew:
            return False  # it is not the token's age
        self._token = self._refresh(used)
        return True

    def _refresh(self, refused: str) -> Token:
        with self._store.locked() as stored:
            current = stored.load()
            if current and current.access_token != refused and current.usable():
                return current  # another worker was quicker
            token = self._ask(self._grants(current))
            stored.save(token)
            self._unproved = token.access_token
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
            response = self._send(Request("POST", self._token_url, form=form, headers={"Accept": "application/json"}, most=_MOST))
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
            raise RateLimited(
                "the token endpoint limits us", retry_after=wait_of(response.headers), connection=self._credentials.connection
            )
        if response.status >= 500 or response.status == 408:
            raise SourceUnavailable("the token endpoint fails", status=response.status, connection=self._credentials.connection)
        try:
            word = str(dict(orjson.loads(response.body)).get("error", ""))
        except (ValueError, TypeError):
            word = ""
        return word[:60] if word.replace("_", "").isalnum() else f"status {response.status}"


def _token(response: Response, refresh_token: str | None) -> Token:
    answer = response.json()
    given = answer.get("access_token") if isinstance(answer, dict) else None
    # Of printable ASCII without spaces (RFC 6749, A.12), since it goes into a header.
    if not isinstance(given, str) or not given.isascii() or not given.isprintable() or not given or " " in given:
        raise SourceUnavailable("the token endpoint gave no access token")
    rotated, seconds = answer.get("refresh_token"), _lifetime(answer.get("expires_in"))
    return Token(
        access_token=given,
        refresh_token=rotated if isinstance(rotated, str) and rotated else refresh_token,
        expires_at=clock.now() + timedelta(seconds=seconds) if seconds else None,
    )


def _lifetime(said: Any) -> float | None:
    """Seconds that a token lives, at most a year; None for what is no such number: then it is used until it is refused."""
    try:
        seconds = float(said) if isinstance(said, int | float | str) and not isinstance(said, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST) if seconds > 0 else None
