"""The events of a tenant in their order, and which of them have been handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, TextClause, text

from spine.control.database import TenantDatabase
from spine.core.events import Event, event_of

_INSERT = text("""
INSERT INTO spine.events (tenant_id, kind, facts, once_key) VALUES (:tenant, :kind, CAST(:facts AS jsonb), :key) ON CONFLICT DO NOTHING
""")
_COLUMNS = "SELECT event_id, kind, facts, created_at, handed_at FROM spine.events"


@dataclass(frozen=True)
class Told:
    """An event as it was recorded; `handed_at` is None until notifiers have it."""

    event_id: int
    tenant: str
    event: Event
    created_at: datetime
    handed_at: datetime | None


def record(database: TenantDatabase, event: Event) -> None:
    """Keep an event; one whose `key` is known already is the same one. Raises ControlPlaneUnavailable."""
    with database.begin() as connection:
        record_in(connection, database.tenant, event)


def record_in(connection: Connection, tenant: str, event: Event) -> None:
    """Keep an event within the transaction of what it tells of: both are kept or neither."""
    connection.execute(
        _INSERT, {"tenant": tenant, "kind": event.kind, "facts": orjson.dumps(event.facts()).decode(), "key": event.key}
    )  # fmt: skip


def recent(database: TenantDatabase, *, limit: int = 100) -> Sequence[Told]:
    """The tenant's latest events, newest first."""
    return _select(database, text(f"{_COLUMNS} ORDER BY event_id DESC LIMIT :limit"), limit)


def waiting(database: TenantDatabase, *, limit: int = 500) -> Sequence[Told]:
    """The tenant's events that no notifier has got yet, oldest first."""
    return _select(database, text(f"{_COLUMNS} WHERE handed_at IS NULL ORDER BY event_id LIMIT :limit"), limit)


def handed(database: TenantDatabase, event_id: int) -> None:
    """Note that notifiers have the event."""
    with database.begin() as connection:
        connection.execute(text("UPDATE spine.events SET handed_at = clock_timestamp() WHERE event_id = :id"), {"id": event_id})


def _select(database: TenantDatabase, query: TextClause, limit: int) -> Sequence[Told]:
    with database.begin() as connection:
        rows = connection.execute(query, {"limit": limit}).all()
        return [Told(row.event_id, database.tenant, event_of(row.kind, row.facts), row.created_at, row.handed_at) for row in rows]
