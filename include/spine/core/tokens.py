"""The OAuth token of one account, and what keeps it: the http package refreshes tokens, the control plane stores them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, Self

from spine.core import clock

LEEWAY = 60.0  # seconds before its end from which on a token is renewed; less of one that does not live long


@dataclass(frozen=True)
class Token:
    """What a token endpoint returned; it may end at a time, `extra` holds facts such as Salesforce's instance URL. Never printed.

    It is renewed `leeway` seconds ahead of its end. `grant_expires_at` is when there is nothing left to renew it with, None if unknown.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    extra: dict[str, str] = field(default_factory=dict, repr=False)
    leeway: float = LEEWAY
    grant_expires_at: datetime | None = None

    def usable(self) -> bool:
        """False when it has ended or is about to."""
        return self.expires_at is None or self.expires_at - timedelta(seconds=self.leeway) > clock.now()

    def alive(self) -> bool:
        """False when it has ended."""
        return self.expires_at is None or self.expires_at > clock.now()


class LockedToken(Protocol):
    """The stored token of one account while nobody else may change it."""

    def load(self) -> Token | None:
        """The token that is stored, if any."""
        ...

    def save(self, token: Token) -> None:
        """Replace it; must be durable on return."""
        ...


class TokenStore(Protocol):
    """Where the token of one account lives between processes."""

    def load(self) -> Token | None:
        """The token that is stored, if any, without a lock."""
        ...

    def locked(self) -> AbstractContextManager[LockedToken]:
        """The stored token with everyone else kept out until the block ends."""
        ...


class MemoryTokens:
    """A token that lives as long as this process, shared by its threads."""

    def __init__(self, token: Token | None = None) -> None:
        self.token, self._lock = token, threading.Lock()

    def load(self) -> Token | None:
        """As `TokenStore.load`."""
        return self.token

    def save(self, token: Token) -> None:
        """As `LockedToken.save`, for this process."""
        self.token = token

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """As `TokenStore.locked`."""
        with self._lock:
            yield self
