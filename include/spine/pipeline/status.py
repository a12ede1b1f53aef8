"""Where everything stands for one tenant: runs, cursors, rows per layer, quarantine, golden records, publications. Reads only."""

from __future__ import annotations

from typing import Any

import pyarrow.dataset as pads
from sqlalchemy import text
from sqlalchemy.exc import DataError, ProgrammingError

from spine.control import connections, runs
from spine.control.cursors import Cursors
from spine.control.database import TenantDatabase
from spine.core.entities import Entity
from spine.core.names import bronze_table, connection_id, quarantine_table, silver_table
from spine.gold.schema import LINKS
from spine.lake.reading import dataset, open_table, rows_by
from spine.pipeline.found import with_found
from spine.pipeline.services import Services
from spine.sources.check import readable_entities
from spine.sources.spec import Source, source_names


def status(services: Services, tenant: str, source: str | None = None) -> dict[str, Any]:
    """`{"tenant", "sources": […], "gold": […]}`, JSON-ready but for times. Raises ConfigError, LakeError, ControlPlaneUnavailable."""
    names, database = [source] if source else source_names(), services.database.of(tenant)
    return {
        "tenant": tenant,
        "sources": [_source(with_found(name), services, database) for name in names],
        "gold": [_gold(entity, database) for entity in readable_entities()],
    }


def _source(spec: Source, services: Services, database: TenantDatabase) -> dict[str, Any]:
    tenant = database.tenant
    connection = connection_id(spec.source, tenant)
    state = connections.state(database, connection)
    latest = runs.recent_runs(database, source=spec.source, limit=1)
    return {
        "source": spec.source,
        "connection": connection,
        "paused": not state.active,
        "last_run": _run(latest[0]) if latest else None,
        "streams": _streams(spec, tenant, Cursors(services.variables, database, connection)),
        "entities": [_silver(spec.source, entity, tenant) for entity in spec.silvers],
    }


def _run(run: runs.RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "mode": run.mode,
        "status": run.status,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "rows": run.rows_processed,
        "error": run.error_summary,
    }


def _streams(spec: Source, tenant: str, cursors: Cursors) -> list[dict[str, Any]]:
    found = []
    for stream in spec.streams:
        cursor = cursors.show(stream.name)
        found.append(
            {
                "stream": stream.name,
                "rows": _rows(bronze_table(spec.source, stream.name), tenant),
                "cursor": cursor.value if cursor else None,
                "cursor_moved_at": cursor.updated_at if cursor else None,
            }
        )
    return found


def _silver(source: str, entity: str, tenant: str) -> dict[str, Any]:
    table = open_table(quarantine_table(source, entity))
    waiting = dataset(table, [("tenant_id", "=", tenant)]).count_rows(filter=pads.field("status") == "open") if table else 0
    return {"entity": entity, "rows": _rows(silver_table(source, entity), tenant), "quarantined": waiting}


def _gold(entity: Entity, database: TenantDatabase) -> dict[str, Any]:
    tenant = database.tenant
    links = open_table(LINKS.delta) if entity.matching else None
    where = [("tenant_id", "=", tenant), ("entity", "=", entity.entity)]
    return {
        "entity": entity.entity,
        "rows": _rows(entity.gold_table, tenant),
        "linked_records": dataset(links, where).count_rows() if links else 0,
        **_publication(entity.entity, entity.gold_table.removeprefix("gold_"), database),
    }


def _rows(name: str, tenant: str) -> int:
    table = open_table(name)
    return rows_by(table, "tenant_id").get(tenant, 0) if table else 0


def _publication(entity: str, table: str, database: TenantDatabase) -> dict[str, Any]:
    """The latest publication as this tenant's analysts see it; empty before the first, or where the tenant has no analysts."""
    nothing = {"published_rows": None, "published_at": None, "run_id": None}
    try:
        with database.reading_gold() as connection:
            if not connection.execute(text("SELECT to_regclass('gold.publications')")).scalar():
                return nothing
            row = connection.execute(
                text(
                    "SELECT (rows ->> :table)::bigint AS published_rows, published_at, run_id FROM gold.publications "
                    "WHERE entity = :entity AND tenant_id = :tenant ORDER BY published_at DESC LIMIT 1"
                ),
                {"table": table, "entity": entity, "tenant": database.tenant},
            ).mappings()
            return dict(row.first() or nothing)
    except (ProgrammingError, DataError):  # no such role
        return nothing
