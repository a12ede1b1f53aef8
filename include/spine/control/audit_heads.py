"""How far each tenant's audit log went, kept outside PostgreSQL under the deployment's key.

Whoever may write in the database, its superuser too, could cut the end of a log off or write the whole chain anew. The head that was seen
last is therefore an Airflow Variable, sealed by the deployment's key (Fernet: AES and HMAC-SHA256), so that it can be made by nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import text

from spine.control import audit, keys
from spine.control.database import TenantDatabase
from spine.control.variables import Variables

PREFIX = "spine.audit_head."
SEALED = "audit_sealed"


@dataclass(frozen=True)
class Checked:
    """A tenant's log as it was found: its rows, the number and hash of its last one, and what is wrong with it, empty if nothing is."""

    tenant: str
    rows: int
    head: str
    wrong: str = ""


def check(database: TenantDatabase, variables: Variables, *, whole: bool = True) -> Checked:
    """Compare a tenant's log with itself and with the head that is kept outside, and keep the new head if all is well.

    Not `whole`: only what came after that head, which is quick. Raises ControlPlaneUnavailable, ConfigError for a malformed key.
    """
    kept, last = _kept(variables, database.tenant)
    chain = audit.verify_chain(database, after=0 if whole or last is None else last[0])
    wrong = ""
    if kept and last is None:
        wrong = "the head that is kept outside was not sealed by this deployment's key"
    elif last is not None and audit.hash_of(database, last[0]) != last[1]:
        wrong = f"row {last[0]}, which was there, is gone or is another one"
    elif chain.broken_at is not None:
        wrong = f"row {chain.broken_at} is not what was written, or a row before it is gone"
    elif last is None and _was_sealed(database):
        wrong = f"Variable {PREFIX}{database.tenant} is gone"
    found = Checked(database.tenant, chain.rows, chain.head, wrong)
    if chain.rows and not wrong and (whole or last != (chain.rows, chain.head)):  # by the newest key, each night
        _keep(database, variables, found, first=last is None)
    return found


def accept(database: TenantDatabase, variables: Variables, *, by: str, reason: str) -> Checked:
    """Take the log as it is now for right, as after PostgreSQL was restored from a backup; who said so and why is its newest row."""
    audit.record(database, audit.Entry(by, "audit_accepted", "audit_log", database.tenant, new_value={"reason": reason}))
    chain = audit.verify_chain(database)
    found = Checked(database.tenant, chain.rows, chain.head)
    _keep(database, variables, found, first=True)
    return found


def places(variables: Variables) -> dict[str, int | None]:
    """Which of the deployment's keys sealed each tenant's head: 0 is the newest; None if none of them did."""
    return {tenant: _place(kept) for tenant, kept in _all(variables)}


def reseal(variables: Variables) -> Iterator[str]:
    """Seal with the newest key what an older one has sealed, as it is; gives each tenant once its head is stored. Safe to repeat."""
    for tenant, kept in _all(variables):
        if _place(kept) and variables.get(PREFIX + tenant) == kept:  # else somebody has kept a newer one since
            _seal(variables, tenant, keys.deployment_key().decrypt(kept.encode()))
            yield tenant


def known_tenants(variables: Variables) -> set[str]:
    """Tenants whose head is kept: one that is in no list any more is looked at as well."""
    return {key.removeprefix(PREFIX) for key in variables.keys(PREFIX)}


def _keep(database: TenantDatabase, variables: Variables, found: Checked, *, first: bool) -> None:
    """The first time the log itself says so, so that a Variable that somebody removes is missed."""
    rows, head = found.rows, found.head
    if first:
        audit.record(database, audit.Entry("spine", SEALED, "audit_log", database.tenant))
        chain = audit.verify_chain(database)
        rows, head = chain.rows, chain.head
    _seal(variables, database.tenant, orjson.dumps({"audit_head": database.tenant, "id": rows, "hash": head}))


def _seal(variables: Variables, tenant: str, content: bytes) -> None:
    """By the newest key, and once more if a rotation has begun meanwhile: it may have looked at this head before."""
    newest = ""
    while newest != (now := keys.deployment_keys()[0]):
        newest = now
        variables.set(PREFIX + tenant, Fernet(newest).encrypt(content).decode())


def _kept(variables: Variables, tenant: str) -> tuple[str | None, tuple[int, str] | None]:
    """What is kept, and the number and hash in it; looked for twice, since a rotation may begin and end in between."""
    for _ in range(2):
        kept = variables.get(PREFIX + tenant)
        last = _opened(kept, tenant) if kept else None
        if last or not kept:
            break
    return kept, last


def _opened(kept: str, tenant: str) -> tuple[int, str] | None:
    """Number and hash of the head; None if it was not sealed by us, or is another tenant's."""
    try:
        content = orjson.loads(keys.deployment_key().decrypt(kept.encode()))
    except (InvalidToken, orjson.JSONDecodeError):
        return None
    return (content["id"], content["hash"]) if content.get("audit_head") == tenant else None


def _all(variables: Variables) -> Iterator[tuple[str, str]]:
    for tenant in sorted(known_tenants(variables)):
        if kept := variables.get(PREFIX + tenant):
            yield tenant, kept


def _place(kept: str) -> int | None:
    for place, key in enumerate(keys.deployment_keys()):
        try:
            Fernet(key).decrypt(kept.encode())
        except InvalidToken:
            continue
        return place
    return None


def _was_sealed(database: TenantDatabase) -> bool:
    with database.begin() as connection:
        question = text("SELECT EXISTS (SELECT FROM spine.audit_log WHERE action = :sealed)")
        return bool(connection.execute(question, {"sealed": SEALED}).scalar())
