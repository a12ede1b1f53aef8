"""One running sync per connection: a lease that its holder renews and that others may take once it has run out.

A run takes the lease once, before its streams are read in parallel, and gives it back after the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from spine.control.database import TenantDatabase
from spine.core import clock
from spine.core.errors import SyncInProgress

TTL = 120.0  # seconds without a renewal after which a holder is taken for dead


@dataclass(frozen=True)
class Lease:
    """Who holds a connection, since when, and until when if not renewed."""

    holder: str
    acquired_at: datetime
    expires_at: datetime


def acquire(database: TenantDatabase, connection_id: str, run_id: str, *, ttl: float = TTL) -> Lease:
    """Take the connection for `run_id`, or extend what it has. Raises SyncInProgress naming holder and start."""
    # One statement decides, so that of two workers exactly one gets the row.
    with database.begin() as connection:
        row = connection.execute(
            text("""
            INSERT INTO spine.leases AS l (tenant_id, connection_id, holder, acquired_at, expires_at)
            VALUES (:tenant, :connection, :run_id, clock_timestamp(), clock_timestamp() + make_interval(secs => :ttl))
            ON CONFLICT (tenant_id, connection_id) DO UPDATE
            SET holder = excluded.holder, expires_at = excluded.expires_at,
                acquired_at = CASE WHEN l.holder = excluded.holder THEN l.acquired_at ELSE excluded.acquired_at END
            WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
            RETURNING holder, acquired_at, expires_at
            """),
            {"tenant": database.tenant, "connection": connection_id, "run_id": run_id, "ttl": ttl},
        ).first()
    if row is None:
        raise _in_progress(database, connection_id, run_id)
    return Lease(*row)


def acquire_any(database: TenantDatabase, names: Sequence[str], holder: str, *, ttl: float) -> str | None:
    """Take the first of the tenant's leases `names` that is free, or the one that `holder` has; its name, None if others have them all."""
    with database.begin() as connection:
        mine = connection.execute(
            text("SELECT connection_id FROM spine.leases WHERE holder = :holder AND connection_id = ANY(:names)"),
            {"holder": holder, "names": list(names)},
        ).scalar()
    for name in names if mine is None else [mine]:
        with suppress(SyncInProgress):
            acquire(database, name, holder, ttl=ttl)
            return name
    return None


def renew(database: TenantDatabase, connection_id: str, run_id: str, *, ttl: float = TTL) -> Lease:
    """Extend the lease by `ttl` seconds from now. Raises SyncInProgress if another run took it meanwhile."""
    with database.begin() as connection:
        row = connection.execute(
            text("""
            UPDATE spine.leases SET expires_at = clock_timestamp() + make_interval(secs => :ttl)
            WHERE connection_id = :connection AND holder = :run_id RETURNING holder, acquired_at, expires_at
            """),
            {"connection": connection_id, "run_id": run_id, "ttl": ttl},
        ).first()
    if row is None:
        raise _in_progress(database, connection_id, run_id)
    return Lease(*row)


def release(database: TenantDatabase, connection_id: str, run_id: str) -> bool:
    """Give the connection back; only its holder can. False if `run_id` does not hold it (any more)."""
    with database.begin() as connection:
        done = connection.execute(
            text("DELETE FROM spine.leases WHERE connection_id = :connection AND holder = :run_id"),
            {"connection": connection_id, "run_id": run_id},
        )
        return done.rowcount == 1


def held(database: TenantDatabase, connection_id: str) -> Lease | None:
    """The lease in force on a connection, if any."""
    with database.begin() as connection:
        row = connection.execute(
            text("""
            SELECT holder, acquired_at, expires_at FROM spine.leases
            WHERE connection_id = :connection AND expires_at > clock_timestamp()
            """),
            {"connection": connection_id},
        ).first()
        return Lease(*row) if row else None


def _in_progress(database: TenantDatabase, connection_id: str, run_id: str) -> SyncInProgress:
    lease = held(database, connection_id)
    if lease is None:
        return SyncInProgress("The lease of this run was lost to another", hint="Start it again", connection=connection_id, run=run_id)
    return SyncInProgress(
        f"Run {lease.holder} has held this connection since {clock.to_text(lease.acquired_at)}",
        hint=f"Wait for it; if it is dead, its lease ends at {clock.to_text(lease.expires_at)}",
        connection=connection_id,
        run=run_id,
    )
