"""Rotated OAuth tokens, encrypted: a random key per tenant, itself wrapped by the deployment's Fernet key.

In Airflow 3 a task cannot write a Connection, so what a refresh returns lives here; the Connection keeps the client and
the first grant. A single-use refresh token is refreshed by one worker at a time, under a lock. Every read is audited.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import orjson
from cryptography.fernet import Fernet
from sqlalchemy import Connection, text

from spine.control import airflow_state, audit, keys
from spine.control.database import TenantDatabase
from spine.core import clock
from spine.core.errors import ConfigError, SecretUnreadable, SpineError
from spine.core.tokens import LockedToken, Token

LOCK_TIMEOUT = 60.0  # seconds to wait for another worker's refresh
_MOMENTS = ("expires_at", "grant_expires_at")
HOLD_TIMEOUT = 120.0  # seconds after which PostgreSQL takes the lock from a worker that hangs
# A row that is there is locked and not written, and one that is not there yet is waited for as well.
_LOCK = text("""
INSERT INTO spine.token_locks AS held (tenant_id, connection_id) VALUES (:tenant, :connection)
ON CONFLICT (tenant_id, connection_id) DO UPDATE SET connection_id = excluded.connection_id WHERE false
""")


@dataclass(frozen=True)
class HeldToken:
    """One connection's token while this worker alone may refresh it."""

    vault: TokenVault
    connection_id: str

    def load(self) -> Token | None:
        """The token as it is now: another worker may have refreshed it while this one waited for the lock."""
        return self.vault.load(self.connection_id)

    def save(self, token: Token) -> None:
        """Keep a refreshed token. Committed on return, so call it as soon as the source has answered."""
        self.vault.save(self.connection_id, token)


@dataclass(frozen=True)
class ConnectionToken:
    """The stored token of one connection, as whoever signs its requests needs it (`core.tokens.TokenStore`)."""

    vault: TokenVault
    connection_id: str

    def load(self) -> Token | None:
        """The stored token, without a lock."""
        return self.vault.load(self.connection_id)

    def locked(self) -> AbstractContextManager[LockedToken]:
        """The stored token while no other worker may refresh it."""
        return self.vault.locked(self.connection_id)


@dataclass(frozen=True)
class TokenVault:
    """The tokens of one tenant. `actor` is the run or person in the audit log."""

    database: TenantDatabase
    actor: str

    @property
    def tenant(self) -> str:
        """Whose tokens these are."""
        return self.database.tenant

    @contextmanager
    def locked(self, connection_id: str, *, timeout: float = LOCK_TIMEOUT) -> Iterator[HeldToken]:
        """Hold the connection's tokens; other workers wait. Raises ControlPlaneUnavailable after `timeout` seconds.

        The lock ends with the transaction, also when this process is killed.
        """
        with self.database.begin() as connection:
            connection.execute(
                text("""
                SELECT set_config('lock_timeout', :wait, true), set_config('idle_in_transaction_session_timeout', :hold, true)
                """),
                {"wait": f"{int(timeout * 1000)}ms", "hold": f"{int(HOLD_TIMEOUT * 1000)}ms"},
            )
            connection.execute(_LOCK, {"tenant": self.tenant, "connection": connection_id})
            yield HeldToken(self, connection_id)

    def load(self, connection_id: str) -> Token | None:
        """The stored token, None if there is none yet. Raises SecretUnreadable if the deployment's key does not open it.

        That it was asked for is in the log before it is opened, and that it could not be opened as well.
        """
        with self.database.begin() as connection:
            ciphertext = connection.execute(
                text("SELECT ciphertext FROM spine.oauth_tokens WHERE connection_id = :connection"),
                {"connection": connection_id},
            ).scalar()
            if ciphertext is None:
                return None
            audit.record_in(connection, self.tenant, audit.Entry(self.actor, "secret_read", "token", connection_id))
        try:
            data = self._opened(ciphertext, connection_id)
        except SpineError as error:
            facts = {"code": error.code, "message": error.message}
            audit.record(self.database, audit.Entry(self.actor, "secret_read_failed", "token", connection_id, new_value=facts))
            raise
        token = _restored(data)
        _mask(token)
        return token

    def _opened(self, ciphertext: str, connection_id: str) -> dict[str, Any]:
        """What a ciphertext of this connection holds. Raises SecretUnreadable, or ConfigError if it is another connection's."""
        where = {"tenant": self.tenant, "connection": connection_id}
        with self.database.begin() as connection:
            data = keys.open_sealed(self._tenant_key(connection), ciphertext, f"the token of {connection_id}", **where)
        if (data.pop("tenant"), data.pop("connection")) != (self.tenant, connection_id):
            raise ConfigError("The stored token belongs to another connection", hint="Authorise again", connection=connection_id)
        return data

    def save(self, connection_id: str, token: Token) -> None:
        """Store a token in place of the former one; audited with its version and expiry only."""
        _mask(token)
        moments = {name: clock.to_text(at) if (at := getattr(token, name)) else None for name in _MOMENTS}
        content = {**asdict(token), **moments, "tenant": self.tenant, "connection": connection_id}
        with self.database.begin() as connection:
            sealed = self._tenant_key(connection).encrypt(orjson.dumps(content)).decode()
            version = connection.execute(
                text("""
                INSERT INTO spine.oauth_tokens AS t (tenant_id, connection_id, ciphertext, expires_at, grant_expires_at, rotated_at)
                VALUES (:tenant, :connection, :sealed, :expires_at, :grant_expires_at, clock_timestamp())
                ON CONFLICT (tenant_id, connection_id) DO UPDATE
                SET ciphertext = excluded.ciphertext, expires_at = excluded.expires_at, grant_expires_at = excluded.grant_expires_at,
                    rotated_at = excluded.rotated_at, version = t.version + 1
                RETURNING version
                """),
                {
                    "tenant": self.tenant,
                    "connection": connection_id,
                    "sealed": sealed,
                    "expires_at": token.expires_at,
                    "grant_expires_at": token.grant_expires_at,
                },
            ).scalar_one()
            facts = {"version": version, **moments}
            entry = audit.Entry(self.actor, "token_rotated", "token", connection_id, new_value=facts)
            audit.record_in(connection, self.tenant, entry)

    def forget(self, connection_id: str) -> None:
        """Remove a token, as after a new grant was put into the Connection; audited."""
        with self.database.begin() as connection:
            connection.execute(text("DELETE FROM spine.oauth_tokens WHERE connection_id = :connection"), {"connection": connection_id})
            audit.record_in(connection, self.tenant, audit.Entry(self.actor, "token_removed", "token", connection_id))

    def make_key(self) -> None:
        """Make the tenant's key unless it has one. Raises SecretUnreadable if the deployment's key does not open the one that it has."""
        with self.database.begin() as connection:
            self._tenant_key(connection)

    def fingerprint(self, content: bytes) -> str:
        """What tells `content` from any other, and tells nothing about it to whoever lacks the tenant's key."""
        with self.database.begin() as connection:
            key = self._key_text(connection)
        return hmac.new(key.encode(), self.tenant.encode() + b"\0" + content, hashlib.sha256).hexdigest()

    def hasher(self) -> Callable[[str], str]:
        """What stands for personal values: equal ones have the same of it in all runs of the tenant, and nobody else can tell it."""
        with self.database.begin() as connection:
            key = self._key_text(connection).encode()
        begin = hmac.new(key, self.tenant.encode() + b"\0personal\0", hashlib.sha256)

        def hashed(value: str) -> str:
            digest = begin.copy()
            digest.update(value.encode("utf-8", "surrogatepass"))
            return digest.hexdigest()[:32]

        return hashed

    def _tenant_key(self, connection: Connection) -> Fernet:
        return Fernet(self._key_text(connection))

    def _key_text(self, connection: Connection) -> str:
        """The tenant's own key, made at its first use."""
        wrapped = self._wrapped_key(connection)
        if wrapped is None:
            # The deployment's key is read after the lock was had: nobody drops it (`rotation.Keeper.drop`) before this key is there.
            connection.execute(text("LOCK TABLE spine.tenant_keys IN ROW EXCLUSIVE MODE"))
            connection.execute(
                text("INSERT INTO spine.tenant_keys (tenant_id, wrapped_key) VALUES (:tenant, :key) ON CONFLICT DO NOTHING"),
                {"tenant": self.tenant, "key": keys.wrap(self.tenant, Fernet.generate_key().decode(), keys.deployment_key())},
            )
            wrapped = str(self._wrapped_key(connection))
        try:
            return keys.unwrap(self.tenant, wrapped, keys.deployment_key())
        except SecretUnreadable:
            newer = str(self._wrapped_key(connection))
            if newer == wrapped:
                raise
            return keys.unwrap(self.tenant, newer, keys.deployment_key())  # a rotation began and ended in between

    def _wrapped_key(self, connection: Connection) -> str | None:
        found: str | None = connection.execute(text("SELECT wrapped_key FROM spine.tenant_keys")).scalar_one_or_none()
        return found


@dataclass(frozen=True)
class Held:
    """What is known of a stored token without opening it; the times are None where the vendor did not say."""

    connection_id: str
    version: int
    rotated_at: datetime
    expires_at: datetime | None
    grant_expires_at: datetime | None


def held(database: TenantDatabase) -> Sequence[Held]:
    """The tenant's stored tokens, by connection; none is opened."""
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT connection_id, version, rotated_at, expires_at, grant_expires_at FROM spine.oauth_tokens ORDER BY connection_id")
        )
        return [Held(*row) for row in rows]


def _restored(data: dict[str, Any]) -> Token:
    """A token from what was sealed, by this version or an older or newer one."""
    known = {one.name for one in fields(Token)}
    moments = {name: clock.parse(at) if (at := data.get(name)) else None for name in _MOMENTS}
    return Token(**{**{name: value for name, value in data.items() if name in known}, **moments})


def _mask(token: Token) -> None:
    airflow_state.mask([token.access_token, token.refresh_token or "", *token.extra.values()])
