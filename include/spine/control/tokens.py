"""Rotated OAuth tokens, encrypted: a random key per tenant, itself wrapped by the deployment's Fernet key.

In Airflow 3 a task cannot write a Connection, so what a refresh returns lives here; the Connection keeps the client and
the first grant. A single-use refresh token is refreshed by one worker at a time, under a lock. Every read is audited.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, text

from spine.control import airflow_state, audit
from spine.control.database import TenantDatabase
from spine.core import clock
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.core.tokens import LockedToken, Token

LOCK_TIMEOUT = 60.0  # seconds to wait for another worker's refresh
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
        """The stored token, None if there is none yet. Raises ConfigError if the deployment's key does not open it.

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
        except ConfigError as error:
            facts = {"code": error.code, "message": error.message}
            audit.record(self.database, audit.Entry(self.actor, "secret_read_failed", "token", connection_id, new_value=facts))
            raise
        expires_at = data.pop("expires_at")
        token = Token(**data, expires_at=clock.parse(expires_at) if expires_at else None)
        _mask(token)
        return token

    def _opened(self, ciphertext: str, connection_id: str) -> dict[str, Any]:
        """What a ciphertext of this connection holds. Raises ConfigError."""
        with self.database.begin() as connection:
            data = _open(self._tenant_key(connection), ciphertext, connection_id)
        if (data.pop("tenant"), data.pop("connection")) != (self.tenant, connection_id):
            raise ConfigError("The stored token belongs to another connection", hint="Authorise again", connection=connection_id)
        return data

    def save(self, connection_id: str, token: Token) -> None:
        """Store a token in place of the former one; audited with its version and expiry only."""
        _mask(token)
        expires_at = clock.to_text(token.expires_at) if token.expires_at else None
        content = {**asdict(token), "expires_at": expires_at, "tenant": self.tenant, "connection": connection_id}
        with self.database.begin() as connection:
            sealed = self._tenant_key(connection).encrypt(orjson.dumps(content)).decode()
            version = connection.execute(
                text("""
                INSERT INTO spine.oauth_tokens AS t (tenant_id, connection_id, ciphertext, expires_at, rotated_at)
                VALUES (:tenant, :connection, :sealed, :expires_at, clock_timestamp())
                ON CONFLICT (tenant_id, connection_id) DO UPDATE
                SET ciphertext = excluded.ciphertext, expires_at = excluded.expires_at, rotated_at = excluded.rotated_at,
                    version = t.version + 1
                RETURNING version
                """),
                {"tenant": self.tenant, "connection": connection_id, "sealed": sealed, "expires_at": token.expires_at},
            ).scalar_one()
            facts = {"version": version, "expires_at": expires_at}
            entry = audit.Entry(self.actor, "token_rotated", "token", connection_id, new_value=facts)
            audit.record_in(connection, self.tenant, entry)

    def forget(self, connection_id: str) -> None:
        """Remove a token, as after a new grant was put into the Connection; audited."""
        with self.database.begin() as connection:
            connection.execute(text("DELETE FROM spine.oauth_tokens WHERE connection_id = :connection"), {"connection": connection_id})
            audit.record_in(connection, self.tenant, audit.Entry(self.actor, "token_removed", "token", connection_id))

    def make_key(self) -> None:
        """Make the tenant's key unless it has one. Raises ConfigError if the deployment's key does not open the one that it has."""
        with self.database.begin() as connection:
            self._tenant_key(connection)

    def fingerprint(self, content: bytes) -> str:
        """What tells `content` from any other, and tells nothing about it to whoever lacks the tenant's key."""
        with self.database.begin() as connection:
            key = self._key_text(connection)
        return hmac.new(key.encode(), self.tenant.encode() + b"\0" + content, hashlib.sha256).hexdigest()

    def _tenant_key(self, connection: Connection) -> Fernet:
        return Fernet(self._key_text(connection))

    def _key_text(self, connection: Connection) -> str:
        """The tenant's own key, made at its first use. The wrapped text names the tenant, so keys cannot be swapped."""
        master = deployment_key()
        fresh = orjson.dumps({"tenant": self.tenant, "key": Fernet.generate_key().decode()})
        connection.execute(
            text("INSERT INTO spine.tenant_keys (tenant_id, wrapped_key) VALUES (:tenant, :key) ON CONFLICT DO NOTHING"),
            {"tenant": self.tenant, "key": master.encrypt(fresh).decode()},
        )
        wrapped = connection.execute(text("SELECT wrapped_key FROM spine.tenant_keys")).scalar_one()
        data = _open(master, wrapped, f"key of tenant {self.tenant}")
        if data["tenant"] != self.tenant:
            raise ConfigError("The stored key belongs to another tenant", hint="Restore table spine.tenant_keys from a backup")
        return str(data["key"])


def _mask(token: Token) -> None:
    airflow_state.mask([token.access_token, token.refresh_token or "", *token.extra.values()])


def deployment_key() -> MultiFernet:
    """The key that wraps tenants' keys: SPINE_FERNET_KEY (newest first, separated by commas) or `<home>/fernet.key`."""
    given = settings().fernet_key or _key_file(settings().home / "fernet.key")
    try:
        return MultiFernet([Fernet(key.strip()) for key in given.split(",")])
    except ValueError as error:
        raise ConfigError("The deployment's Fernet key is malformed", hint="Set SPINE_FERNET_KEY to 32 url-safe base64 bytes") from error


def _key_file(path: Path) -> str:
    """The text of the key file, made once: of two processes that make it, the second takes the first one's."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(handle)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


def _open(key: Fernet | MultiFernet, sealed: str, what: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = orjson.loads(key.decrypt(sealed.encode()))
    except InvalidToken as error:
        raise ConfigError(
            f"The deployment's key does not open {what}",
            hint="Set SPINE_FERNET_KEY to the key it was stored with, or forget the token and authorise again",
        ) from error
    return data
