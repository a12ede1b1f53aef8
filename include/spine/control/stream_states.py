"""Cursors of partitions that are too many for a Variable: whole states, each under an id that the Variable names.

A state is written before the Variable names it, and others go after that: whatever dies in between leaves the former one as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

import orjson
from sqlalchemy import text

from spine.control.database import TenantDatabase


def keep(database: TenantDatabase, connection_id: str, stream: str, parts: Mapping[str, str]) -> str:
    """Write a state; returns its id. Raises ControlPlaneUnavailable."""
    found = {"tenant": database.tenant, "connection": connection_id, "stream": stream, "id": uuid4().hex}
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.stream_states (tenant_id, connection_id, stream, state_id, parts)
            VALUES (:tenant, :connection, :stream, :id, :parts)
            """),
            {**found, "parts": orjson.dumps(dict(parts)).decode()},
        )
    return found["id"]


def load(database: TenantDatabase, connection_id: str, stream: str, state_id: str) -> dict[str, str] | None:
    """The state of that id, None if there is none."""
    with database.begin() as connection:
        found = connection.execute(
            text("SELECT parts FROM spine.stream_states WHERE connection_id = :connection AND stream = :stream AND state_id = :id"),
            {"connection": connection_id, "stream": stream, "id": state_id},
        ).scalar()
    return None if found is None else dict(orjson.loads(found))


def forget(database: TenantDatabase, connection_id: str, stream: str, *, but: str = "") -> None:
    """Remove the stream's states, all but one."""
    with database.begin() as connection:
        connection.execute(
            text("DELETE FROM spine.stream_states WHERE connection_id = :connection AND stream = :stream AND state_id <> :but"),
            {"connection": connection_id, "stream": stream, "but": but},
        )
