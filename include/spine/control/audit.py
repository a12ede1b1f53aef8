"""Who did what: an append-only log whose rows are chained by hashes, per tenant.

The database numbers, dates and hashes the rows and refuses to change or delete them. Values hold facts, never secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from spine.control.database import TenantDatabase

_INSERT = text("""
INSERT INTO spine.audit_log (tenant_id, user_id, action, resource_type, resource_id, old_value, new_value, ip_address, user_agent)
VALUES (:tenant, :user_id, :action, :resource_type, :resource_id, CAST(:old_value AS jsonb), CAST(:new_value AS jsonb),
        :ip_address, :user_agent)
""")
_VERIFY = text("""
WITH checked AS (
    SELECT id, hash,
           hash = spine.audit_digest(a)
           AND (id = :after OR (id = 1 + lag(id, 1, CAST(0 AS bigint)) OVER chain AND previous_hash = lag(hash, 1, '') OVER chain)) AS sound
    FROM spine.audit_log a WHERE id >= :after WINDOW chain AS (ORDER BY id)
)
SELECT count(*) AS rows, min(id) FILTER (WHERE NOT sound) AS broken_at, max(id) AS last,
       (SELECT hash FROM checked ORDER BY id DESC LIMIT 1) AS head,
       (SELECT id FROM spine.audit_heads) AS head_id, (SELECT hash FROM spine.audit_heads) AS head_hash
FROM checked
""")


@dataclass(frozen=True)
class Entry:
    """One act: `user_id` did `action` to a resource. `old_value` and `new_value` are JSON-ready and hold no secret."""

    user_id: str
    action: str
    resource_type: str
    resource_id: str
    old_value: Mapping[str, Any] | None = None
    new_value: Mapping[str, Any] | None = None
    ip_address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True)
class Chain:
    """Result of `verify_chain`. `control.audit_heads` keeps `head` elsewhere: a later chain that lacks it was cut off or made anew.

    `broken_at` is the first row that does not fit what stands before it, None if all do.
    """

    rows: int
    head: str
    broken_at: int | None

    @property
    def intact(self) -> bool:
        """True if no row was changed, removed or put in between."""
        return self.broken_at is None


def record(database: TenantDatabase, entry: Entry) -> None:
    """Append one entry in a transaction of its own."""
    with database.begin() as connection:
        record_in(connection, database.tenant, entry)


def record_in(connection: Connection, tenant: str, entry: Entry) -> None:
    """Append one entry within the transaction of the act itself: both are kept or neither.

    Other writers of the tenant's log wait until that transaction ends, so end it soon.
    """
    facts = {**vars(entry), "tenant": tenant, "old_value": _json(entry.old_value), "new_value": _json(entry.new_value)}
    connection.execute(_INSERT, facts)


def entries(database: TenantDatabase, *, limit: int = 100) -> Sequence[dict[str, Any]]:
    """The tenant's latest entries, newest first, as dictionaries of the table's columns."""
    with database.begin() as connection:
        rows = connection.execute(text("SELECT * FROM spine.audit_log ORDER BY id DESC LIMIT :limit"), {"limit": limit})
        return [dict(row) for row in rows.mappings()]


def verify_chain(database: TenantDatabase, *, after: int = 0) -> Chain:
    """Recompute the tenant's chain in the database: the whole of it, or from row `after` on, whose own place in it is taken for right.

    A log that does not end where its head says (`spine.audit_heads`, which the application cannot write) is broken at the row that lacks.
    """
    with database.begin() as connection:
        row = connection.execute(_VERIFY, {"after": after}).one()
        broken = row.broken_at
        if broken is None and (row.last or 0, row.head or "") != (row.head_id or 0, row.head_hash or ""):
            broken = (row.last or 0) + (row.last != row.head_id)
        return Chain(rows=row.rows + max(after - 1, 0), head=row.head or "", broken_at=broken)


def hash_of(database: TenantDatabase, number: int) -> str | None:
    """The hash of one row as it stands there, None if there is no such row."""
    with database.begin() as connection:
        found = connection.execute(text("SELECT hash FROM spine.audit_log WHERE id = :id"), {"id": number})
        return found.scalar()


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
