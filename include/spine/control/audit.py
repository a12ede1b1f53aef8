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
    """Result of `verify_chain`. Keep `head` elsewhere: a later chain that lacks it was cut off at the end.

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


def verify_chain(database: TenantDatabase) -> Chain:
    """Recompute the tenant's whole chain in the database."""
    with database.begin() as connection:
        row = connection.execute(
            text("""
            WITH checked AS (
                SELECT id, hash,
                       hash = spine.audit_digest(a)
                       AND id = 1 + lag(id, 1, CAST(0 AS bigint)) OVER chain
                       AND previous_hash = lag(hash, 1, '') OVER chain AS sound
                FROM spine.audit_log a WINDOW chain AS (ORDER BY id)
            )
            SELECT count(*) AS rows, min(id) FILTER (WHERE NOT sound) AS broken_at,
                   (SELECT hash FROM checked ORDER BY id DESC LIMIT 1) AS head
            FROM checked
            """)
        ).one()
        return Chain(rows=row.rows, head=row.head or "", broken_at=row.broken_at)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
