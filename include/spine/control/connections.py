"""Is a connection in use, and how did it last fail? An authentication failure pauses it until somebody resumes it.

Trying refused credentials again and again may lock the account at the source.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    @property
    def active(self) -> bool:
        """False while paused."""
        return self.paused_at is None


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


def succeeded(database: TenantDatabase, connection_id: str) -> None:
    """Keep the time of a successful sync."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.connectors (tenant_id, connection_id, last_success_at)
            VALUES (:tenant, :connection, clock_timestamp())
            ON CONFLICT (tenant_id, connection_id) DO UPDATE SET last_success_at = excluded.last_success_at
            """),
            {"tenant": database.tenant, "connection": connection_id},
        )


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


def resume(database: TenantDatabase, connection_id: str, *, by: str) -> None:
    """Let syncs of the connection start again; audited."""
    with database.begin() as connection:
        changed = connection.execute(
            text("""
            UPDATE spine.connectors SET paused_at = NULL, paused_by = '', pause_reason = ''
            WHERE connection_id = :connection AND paused_at IS NOT NULL RETURNING 1
            """),
            {"connection": connection_id},
        ).first()
        if changed:
            audit.record_in(connection, database.tenant, audit.Entry(by, "connector_resumed", "connector", connection_id))
            events.record_in(connection, database.tenant, ConnectorResumed(connection_id, by))


def state(database: TenantDatabase, connection_id: str) -> ConnectionState:
    """What is known of a connection."""
    with database.begin() as connection:
        row = connection.execute(
            text("""
            SELECT connection_id, paused_at, paused_by, pause_reason, last_error_code, last_error_message, last_error_at,
                   last_success_at
            FROM spine.connectors WHERE connection_id = :connection
            """),
            {"connection": connection_id},
        ).first()
        return ConnectionState(*row) if row else ConnectionState(connection_id)


def require_active(database: TenantDatabase, connection_id: str) -> None:
    """Pass, or raise why the connection is paused: AuthFailed after refused credentials, otherwise ConnectorError."""
    found = state(database, connection_id)
    if found.paused_at is None:
        return
    cause = AuthFailed if found.pause_reason == AuthFailed.code else ConnectorError
    raise cause(
        f"Paused by {found.paused_by} since {clock.to_text(found.paused_at)}: {found.pause_reason}",
        hint="Mend the cause (credentials are in the Airflow Connection of this name), then resume the connection",
        connection=connection_id,
    )
