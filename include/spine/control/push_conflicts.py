"""Fields that both sides of a sync have changed, as they wait for a person who says which side is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import text

from spine.control import audit
from spine.control.database import TenantDatabase
from spine.core.errors import ConfigError


def note(database: TenantDatabase, push: str, run_id: str, found: Sequence[tuple[str, str, Any, Any]]) -> None:
    """Keep (key, field, ours, theirs) for a person; what was decided about other values is forgotten."""
    with database.begin() as connection:
        for key, field, ours, theirs in found:
            connection.execute(
                text("""
                INSERT INTO spine.push_conflicts AS c (tenant_id, push, record_key, field, ours, theirs, run_id)
                VALUES (:tenant, :push, :key, :field, CAST(:ours AS jsonb), CAST(:theirs AS jsonb), :run)
                ON CONFLICT (tenant_id, push, record_key, field) DO UPDATE SET ours = excluded.ours, theirs = excluded.theirs,
                    run_id = excluded.run_id, decision = CASE WHEN c.ours IS NOT DISTINCT FROM excluded.ours
                        AND c.theirs IS NOT DISTINCT FROM excluded.theirs THEN c.decision ELSE '' END
                """),
                {"tenant": database.tenant, "push": push, "key": key, "field": field, "run": run_id,
                 "ours": _dumped(ours), "theirs": _dumped(theirs)},
            )  # fmt: skip


def waiting(database: TenantDatabase, push: str, *, limit: int = 100) -> list[Mapping[str, Any]]:
    """What waits for a decision, oldest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT record_key, field, ours, theirs, found_at FROM spine.push_conflicts
            WHERE push = :push AND decision = '' ORDER BY found_at, record_key, field LIMIT :limit
            """),
            {"push": push, "limit": limit},
        )
        return [dict(row) for row in rows.mappings()]


def decided(database: TenantDatabase, push: str, keys: Sequence[str]) -> dict[str, dict[str, tuple[str, Any, Any]]]:
    """By record key and field: the decision, and the values that it was made about."""
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT * FROM spine.push_conflicts WHERE push = :push AND decision <> '' AND record_key = ANY(:keys)"),
            {"push": push, "keys": list(keys)},
        )
        found: dict[str, dict[str, tuple[str, Any, Any]]] = {}
        for row in rows:
            found.setdefault(row.record_key, {})[row.field] = (row.decision, row.ours, row.theirs)
        return found


def decide(database: TenantDatabase, push: str, key: str, field: str, decision: str, *, by: str) -> None:
    """Say which side is right about a field: `source` or `target`. Audited. Raises ConfigError if nothing waits there."""
    with database.begin() as connection:
        done = connection.execute(
            text("""
            UPDATE spine.push_conflicts SET decision = :decision, decided_by = :by, decided_at = clock_timestamp()
            WHERE push = :push AND record_key = :key AND field = :field
            """),
            {"push": push, "key": key, "field": field, "decision": decision, "by": by},
        )
        if done.rowcount != 1:
            raise ConfigError(
                f"no conflict waits at field {field!r} of record {key!r}", hint="`spine push conflicts` lists them", push=push
            )
        entry = audit.Entry(by, "push_conflict_decided", "push", push, new_value={"key": key, "field": field, "decision": decision})
        audit.record_in(connection, database.tenant, entry)


def _dumped(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
