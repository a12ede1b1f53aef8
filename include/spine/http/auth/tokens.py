"""Signs with a token that is asked for, kept for all workers of the account, renewed ahead of its end and when it is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace

from spine.core.errors import RateLimited, SourceUnavailable
from spine.core.tokens import Token
from spine.http.auth.signing import Account, Signer
from spine.http.auth.values import Send, looking_up
from spine.http.transport import Request, Response

_PATIENCE = 15.0  # seconds after which a token endpoint that failed is asked again, while the former token still lives
Ask = Callable[[Token | None], Token]


class Renewing(Signer):
    """`ask` gets the stored token, if any, and returns another; it is called by one worker at a time, under the store's lock."""

    def __init__(self, account: Account, send: Send, ask: Ask, refused: Collection[int] = (401,)) -> None:
        self._account, self._store, self._send, self._ask, self._refused = account, account.tokens, send, ask, refused
        self._token: Token | None = None
        self._unproved = ""  # the token that we have asked for ourselves and that no answer has accepted yet
        self._again = 0.0  # when a token endpoint that failed is asked again, by this process's clock

    def sign(self, request: Request) -> Request:
        """The request with a token that has not ended. Raises AuthFailed, RateLimited, SourceUnavailable."""
        token = self._current()
        facts = {"token": token.access_token, **{f"token.{name}": value for name, value in token.extra.items()}}
        signed = self._send.fill(request, looking_up(self._account.credentials, facts))
        return replace(signed, token=token.access_token)

    def renew(self, request: Request, response: Response) -> bool:
        """After a refusal, get a token that differs from the refused one; the stored one first, which may be dead too."""
        used = request.token
        refused_anew = used == self._unproved
        if response.status not in self._refused:
            self._unproved = "" if refused_anew else self._unproved
            return False
        if refused_anew:
            return False  # it is not the token's age
        self._token = self._refresh(used)
        return True

    def unsigned(self, link: str) -> str:
        """A link without the parameters that carry the token."""
        return self._send.unsigned(link)

    def _current(self) -> Token:
        token = self._token if self._token is not None else self._store.load()
        if token is None or not token.usable():
            token = self._renewed(token)
        self._token = token
        return token

    def _renewed(self, token: Token | None) -> Token:
        """Another token in time; while the former one lives, a token endpoint that fails or limits us stops nobody."""
        if token is not None and token.alive() and time.monotonic() < self._again:
            return token
        try:
            return self._refresh(token.access_token if token else "")
        except (SourceUnavailable, RateLimited):
            if token is None or not token.alive():
                raise
            self._again = time.monotonic() + _PATIENCE
            return token

    def _refresh(self, refused: str) -> Token:
        with self._store.locked() as stored:
            current = stored.load()
            if current and current.access_token != refused and current.usable():
                return current  # another worker was quicker
            token = self._ask(current)
            stored.save(token)
            self._unproved = token.access_token
            return token
