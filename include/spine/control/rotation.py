"""Rotation of the deployment's key: tenants' keys are wrapped anew, heads of audit logs sealed anew, what they hold stays as it is.

Works as role `spine_owner` with an administrator's URL, since the application may not change a tenant's key. Each tenant is a transaction
of its own: whoever opens a key finds it under the older key or under the newest, and both are given until the older one is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, text

from spine.control import audit, audit_heads, keys
from spine.control.database import new_engine, psycopg_url, reachable
from spine.control.variables import Variables
from spine.core.errors import ConfigError, SecretUnreadable
from spine.core.failpoints import failpoint

NEWEST, OLDER, LOST, NONE = "newest", "older", "lost", "none"


@dataclass(frozen=True)
class KeyState:
    """A tenant's key: under the `newest` key of the deployment, under an `older` one, `lost`, if none that is given opens it, or `none`.

    `tokens` counts the connections whose stored token opens, `lost_tokens` names the others. `audit_head` says of the head of its audit
    log what `state` says of its key.
    """

    tenant: str
    state: str
    tokens: int
    lost_tokens: tuple[str, ...]
    audit_head: str


class Keeper:
    """What an operator may do with tenants' keys; `actor` is the person in the audit log, `admin_url` an administrator's.

    `variables` hold the heads of the audit logs.
    """

    def __init__(self, admin_url: str, actor: str, variables: Variables) -> None:
        self._url, self._actor, self._variables = psycopg_url(admin_url), actor, variables

    def status(self) -> list[KeyState]:
        """Every tenant that has a key, a token, or an audit log that was seen. Raises ConfigError, ControlPlaneUnavailable."""
        with self._owning() as connection:
            return _states(connection, audit_heads.places(self._variables))

    def rotate(self) -> list[str]:
        """Wrap every key, and seal every head, that opens with the newest key; returns the tenants whose key has changed.

        Safe to repeat after a death. A key file that holds one key gets a new one first; keys of SPINE_FERNET_KEY are the operator's.
        """
        with keys.changing_file():
            if not keys.from_environment() and len(found := keys.deployment_keys()) == 1:
                keys.replace_file([Fernet.generate_key().decode(), *found])
            failpoint("keys.added")
            changed: list[str] = []
            while todo := [state.tenant for state in self.status() if state.state == OLDER]:  # again for those made meanwhile
                for tenant in todo:
                    with self._owning(tenant) as connection:
                        _rewrap(connection, tenant, self._actor)
                    changed.append(tenant)
                    failpoint("keys.rewrapped")
            for _ in audit_heads.reseal(self._variables):
                failpoint("keys.resealed")
        return changed

    def drop(self) -> int:
        """Forget the older keys of the key file; returns how many. Raises ConfigError while a key or a head still needs one of them."""
        with keys.changing_file(), self._owning() as connection:
            # No key is made meanwhile: who makes one reads the key file after having waited for this lock.
            connection.execute(text("LOCK TABLE spine.tenant_keys IN EXCLUSIVE MODE"))
            _require_newest(_states(connection, audit_heads.places(self._variables)))
            found = keys.deployment_keys()
            if not keys.from_environment() and len(found) > 1:
                failpoint("keys.dropping")
                keys.replace_file(found[:1])
        return len(found) - 1

    def renew(self) -> list[KeyState]:
        """Give each tenant whose key is lost a new one, and remove the tokens that nothing opens; returns what was lost."""
        lost = [state for state in self.status() if state.state == LOST or state.lost_tokens]
        for state in lost:
            with self._owning(state.tenant) as connection:
                _renew(connection, state, self._actor)
        return lost

    @contextmanager
    def _owning(self, tenant: str = "") -> Iterator[Connection]:
        engine = new_engine(self._url)
        try:
            with reachable(self._url), engine.begin() as connection:
                connection.execute(text("SET LOCAL ROLE spine_owner"))
                connection.execute(text("SELECT set_config('spine.tenant', :tenant, true)"), {"tenant": tenant})
                yield connection
        finally:
            engine.dispose()


def _require_newest(states: Sequence[KeyState]) -> None:
    for what, tenants in (
        ("keys are still under", [state.tenant for state in states if state.state == OLDER]),
        ("audit logs have a head that is sealed by", [state.tenant for state in states if state.audit_head == OLDER]),
    ):
        if tenants:
            raise ConfigError(f"{len(tenants)} tenants' {what} an older key: {', '.join(tenants)}", hint="`spine keys rotate` first")


def _states(connection: Connection, heads: Mapping[str, int | None]) -> list[KeyState]:
    wrapped: dict[str, str] = {row.tenant_id: row.wrapped_key for row in connection.execute(text("SELECT * FROM spine.tenant_keys"))}
    sealed: dict[str, dict[str, str]] = {tenant: {} for tenant in wrapped}
    query = text("SELECT tenant_id, connection_id, ciphertext FROM spine.oauth_tokens ORDER BY connection_id")
    for tenant, connection_id, ciphertext in connection.execute(query):
        sealed.setdefault(tenant, {})[connection_id] = ciphertext
    return [
        _state(tenant, wrapped.get(tenant, ""), sealed.get(tenant, {}), _word(heads[tenant]) if tenant in heads else NONE)
        for tenant in sorted({*sealed, *heads})
    ]


def _state(tenant: str, wrapped: str, sealed: Mapping[str, str], head: str) -> KeyState:
    state, key = _found(tenant, wrapped) if wrapped or sealed else (NONE, None)
    lost = tuple(name for name, ciphertext in sealed.items() if key is None or not _opens(key, tenant, name, ciphertext))
    return KeyState(tenant, state, len(sealed) - len(lost), lost, head)


def _word(place: int | None) -> str:
    return LOST if place is None else OLDER if place else NEWEST


def _found(tenant: str, wrapped: str) -> tuple[str, Fernet | None]:
    for place, master in enumerate(keys.deployment_keys()):
        try:
            return _word(place), Fernet(keys.unwrap(tenant, wrapped, Fernet(master)))
        except ConfigError:
            continue
    return LOST, None


def _opens(key: Fernet, tenant: str, connection_id: str, ciphertext: str) -> bool:
    try:
        data: dict[str, Any] = keys.open_sealed(key, ciphertext, "")
    except SecretUnreadable:
        return False
    return (data.get("tenant"), data.get("connection")) == (tenant, connection_id)


def _rewrap(connection: Connection, tenant: str, actor: str) -> None:
    query = text("SELECT wrapped_key FROM spine.tenant_keys WHERE tenant_id = :tenant FOR UPDATE")
    wrapped = connection.execute(query, {"tenant": tenant}).scalar_one()
    master = keys.deployment_key()
    _put(connection, tenant, keys.wrap(tenant, keys.unwrap(tenant, wrapped, master), master))
    _record(connection, tenant, actor, "key_rewrapped", "key", tenant)


def _renew(connection: Connection, state: KeyState, actor: str) -> None:
    """The fingerprints of refused credentials go as well: under the new key none of them could be told from a changed Connection."""
    if state.state == LOST:
        _put(connection, state.tenant, keys.wrap(state.tenant, Fernet.generate_key().decode(), keys.deployment_key()))
        connection.execute(text("UPDATE spine.connectors SET refused_fingerprint = '' WHERE tenant_id = :tenant"), {"tenant": state.tenant})
        _record(connection, state.tenant, actor, "key_renewed", "key", state.tenant)
    for name in state.lost_tokens:
        connection.execute(
            text("DELETE FROM spine.oauth_tokens WHERE tenant_id = :tenant AND connection_id = :connection"),
            {"tenant": state.tenant, "connection": name},
        )
        _record(connection, state.tenant, actor, "token_removed", "token", name)


def _put(connection: Connection, tenant: str, wrapped: str) -> None:
    connection.execute(
        text("""
        INSERT INTO spine.tenant_keys (tenant_id, wrapped_key) VALUES (:tenant, :key)
        ON CONFLICT (tenant_id) DO UPDATE SET wrapped_key = excluded.wrapped_key
        """),
        {"tenant": tenant, "key": wrapped},
    )


def _record(connection: Connection, tenant: str, actor: str, action: str, kind: str, name: str) -> None:
    facts = {"under": keys.name_of(keys.deployment_keys()[0])}
    audit.record_in(connection, tenant, audit.Entry(actor, action, kind, name, new_value=facts))
