"""What changed in the shape of a tenant's streams: a row for each field and run. Names and types of fields, no value of any record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from spine.control.database import TenantDatabase
from spine.core.drifts import Drift

_LONGEST = 200  # letters of a field's name


@dataclass(frozen=True)
class Seen:
    """A drift as it was recorded."""

    connection_id: str
    stream: str
    run_id: str
    drift: Drift
    fingerprint: str
    detected_at: datetime


def record(database: TenantDatabase, connection_id: str, stream: str, run_id: str, fingerprint: str, found: Sequence[Drift]) -> None:
    """Keep what a run saw; the same run again adds nothing. Raises ControlPlaneUnavailable."""
    rows = [
        {"tenant": database.tenant, "connection": connection_id, "stream": stream, "run": run_id, "print": fingerprint,
         "destructive": drift.destructive, **vars(drift), "field": drift.field[:_LONGEST]}
        for drift in found
    ]  # fmt: skip
    if not rows:
        return
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.drift_events
                (tenant_id, connection_id, stream, run_id, kind, field, before, after, destructive, fingerprint)
            VALUES (:tenant, :connection, :stream, :run, :kind, :field, :before, :after, :destructive, :print) ON CONFLICT DO NOTHING
            """),
            rows,
        )


def recent(database: TenantDatabase, *, within: timedelta = timedelta(days=7), limit: int = 1000) -> Sequence[Seen]:
    """The tenant's drifts of the last days, newest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT connection_id, stream, run_id, kind, field, before, after, fingerprint, detected_at FROM spine.drift_events
            WHERE detected_at > clock_timestamp() - :within ORDER BY detected_at DESC, drift_id DESC LIMIT :limit
            """),
            {"within": within, "limit": limit},
        ).all()
    return [
        Seen(row.connection_id, row.stream, row.run_id, Drift(row.kind, row.field, row.before, row.after), row.fingerprint, row.detected_at)
        for row in rows
    ]
