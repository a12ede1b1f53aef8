"""Is a connection in use, and how did it last fail? Refused credentials pause it, since trying them again may lock the account there.

Such a pause ends when the source has taken the credentials after all (a good test, a cleared task), when the Connection has changed
since it was refused, or by a person; a pause made by a person ends by a person only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from spine.control import audit, events
from spine.control.database import TenantDatabase
from spine.core import clock
from spine.core.errors import AuthFailed, ConnectorError, SpineError
from spine.core.events import ConnectorPaused, ConnectorResumed

SYSTEM = "spine"


@dataclass(frozen=True)
class ConnectionState:
    """State of one connection; without a row it is active and has never failed."""

    connection_id: str
    paused_at: datetime | None = None
    paused_by: str = ""
    pause_reason: str = ""
    last_error_code: str = ""
    last_error_message: str = ""
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None
    refused_fingerprint: str = field(default="", repr=False)

    @property
    def active(self) -> bool:
        """False while paused."""
        return self.paused_at is None

    @property
    def standing_error(self) -> str:
        """Code of the last error; empty if the connection has worked since."""
        works = self.last_success_at is not None and (self.last_error_at is None or self.last_success_at > self.last_error_at)
        return "" if works else self.last_error_code

    @property
    def healthy(self) -> bool:
        """Whether nothing is known against it: it is neither paused nor has failed since it worked."""
        return self.active and not self.standing_error

    @property
    def refused(self) -> bool:
        """True while paused because the source refused the credentials."""
        return not self.active and (self.paused_by, self.pause_reason) == (SYSTEM, AuthFailed.code)


def failed(database: TenantDatabase, connection_id: str, error: SpineError) -> None:
    """Keep the error as the connection's last; AuthFailed pauses the connection as well."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.connectors (tenant_id, connection_id, last_error_code, last_error_message, last_error_at)
            VALUES (:tenant, :connection, :code, :message, clock_timestamp())
            ON CONFLICT (tenant_id, connection_id) DO UPDATE
            SET last_error_code = excluded.last_error_code, last_error_message = excluded.last_error_message,
                last_error_at = excluded.last_error_at
            """),
            {"tenant": database.tenant, "connection": connection_id, "code": error.code, "message": error.message},
        )
    if isinstance(error, AuthFailed):
        pause(database, connection_id, reason=error.code, by=SYSTEM)


def refused(database: TenantDatabase, connection_id: str, fingerprint: str) -> None:
    """Keep which Connection the source has refused: it may be another by the time that its run ends and pauses it."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.connectors (tenant_id, connection_id, refused_fingerprint) VALUES (:tenant, :connection, :fingerprint)
            ON CONFLICT (tenant_id, connection_id) DO UPDATE SET refused_fingerprint = excluded.refused_fingerprint
            """),
            {"tenant": database.tenant, "connection": connection_id, "fingerprint": fingerprint},
        )


def succeeded(database: TenantDatabase, connection_id: str, answered_at: datetime | None = None) -> None:
    """Keep the time of a success; credentials that the source took after they had paused the connection resume it.

    `answered_at` is when the source last answered, by default now: a run that is closed again proves nothing anew.
    """
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.connectors (tenant_id, connection_id, last_success_at)
            VALUES (:tenant, :connection, clock_timestamp())
            ON CONFLICT (tenant_id, connection_id) DO UPDATE SET last_success_at = excluded.last_success_at
            """),
            {"tenant": database.tenant, "connection": connection_id},
        )
    found = state(database, connection_id)
    if found.refused and (answered_at is None or found.paused_at is None or answered_at > found.paused_at):
        resume(database, connection_id, by=SYSTEM, reason="the source took the credentials")


def pause(database: TenantDatabase, connection_id: str, *, reason: str, by: str) -> None:
    """Let no sync of the connection start; audited. Pausing what is paused keeps the first reason."""
    with database.begin() as connection:
        changed = connection.execute(
            text("""
            INSERT INTO spine.connectors AS c (tenant_id, connection_id, paused_at, paused_by, pause_reason)
            VALUES (:tenant, :connection, clock_timestamp(), :by, :reason)
            ON CONFLICT (tenant_id, connection_id) DO UPDATE
            SET paused_at = excluded.paused_at, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
            WHERE c.paused_at IS NULL RETURNING 1
            """),
            {"tenant": database.tenant, "connection": connection_id, "by": by, "reason": reason},
        ).first()
        if changed:
            entry = audit.Entry(by, "connector_paused", "connector", connection_id, new_value={"reason": reason})
            audit.record_in(connection, database.tenant, entry)
            events.record_in(connection, database.tenant, ConnectorPaused(connection_id, reason, by))


def resume(database: TenantDatabase, connection_id: str, *, by: str, reason: str = "") -> bool:
    """Let syncs of the connection start again; audited. False if it was not paused."""
    with database.begin() as connection:
        changed = connection.execute(
            text("""
            UPDATE spine.connectors SET paused_at = NULL, paused_by = '', pause_reason = '', refused_fingerprint = ''
            WHERE connection_id = :connection AND paused_at IS NOT NULL RETURNING 1
            """),
            {"connection": connection_id},
        ).first()
        if changed:
            new = {"reason": reason} if reason else None
            entry = audit.Entry(by, "connector_resumed", "connector", connection_id, new_value=new)
            audit.record_in(connection, database.tenant, entry)
            events.record_in(connection, database.tenant, ConnectorResumed(connection_id, by))
    return changed is not None


_STATES = """
SELECT connection_id, paused_at, paused_by, pause_reason, last_error_code, last_error_message, last_error_at, last_success_at,
       refused_fingerprint
FROM spine.connectors
"""


def state(database: TenantDatabase, connection_id: str) -> ConnectionState:
    """What is known of a connection."""
    with database.begin() as connection:
        row = connection.execute(text(f"{_STATES} WHERE connection_id = :connection"), {"connection": connection_id}).first()
        return ConnectionState(*row) if row else ConnectionState(connection_id)


def states(database: TenantDatabase) -> list[ConnectionState]:
    """What is known of each of a tenant's connections."""
    with database.begin() as connection:
        return [ConnectionState(*row) for row in connection.execute(text(f"{_STATES} ORDER BY connection_id"))]


def make_known(database: TenantDatabase, connection_id: str) -> None:
    """A row for a connection that was never used."""
    with database.begin() as connection:
        connection.execute(
            text("INSERT INTO spine.connectors (tenant_id, connection_id) VALUES (:tenant, :connection) ON CONFLICT DO NOTHING"),
            {"tenant": database.tenant, "connection": connection_id},
        )


def require_active(database: TenantDatabase, connection_id: str) -> None:
    """Pass, or raise why the connection is paused: AuthFailed after refused credentials, otherwise ConnectorError."""
    found = state(database, connection_id)
    if found.paused_at is None:
        return
    told = f"Paused by {found.paused_by} since {clock.to_text(found.paused_at)}: {found.pause_reason}"
    if found.refused:
        raise AuthFailed(
            told,
            hint="Mend the credentials in the Airflow Connection of this name: the next run sees that it has changed. "
            "`spine connector test` tries it now, `spine connector resume` lets it run as it is",
            connection=connection_id,
        )
    raise ConnectorError(told, hint="`spine connector resume` lets it run again", connection=connection_id)
