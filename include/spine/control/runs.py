"""What ran: one row per run of a connection and one per stream in it. Writing the same run again changes that row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text

from spine.control.database import TenantDatabase
from spine.core.errors import RateLimited, SpineError, StreamStopped
from spine.core.names import job_name

# Errors after which the next run goes on from the last page: the source was well, and there was more of it.
_TO_BE_CONTINUED = frozenset({StreamStopped.code, RateLimited.code})

Status = Literal["running", "success", "partial", "failed", "skipped"]


@dataclass(frozen=True)
class SyncRun:
    """A run of one connection of a tenant. Airflow's run ids repeat between DAGs, so it is known by tenant, source and run id."""

    source: str
    run_id: str
    connection_id: str
    mode: str
    triggered_by: str = ""
    interval_start: datetime | None = None
    interval_end: datetime | None = None


@dataclass(frozen=True)
class StreamResult:
    """What one stream's part of a run did; numbers are those of committed pages."""

    rows: int = 0
    bytes: int = 0
    pages: int = 0
    cursor_from: str | None = None
    cursor_to: str | None = None


@dataclass(frozen=True)
class RunSummary:
    """One line of the run log."""

    source: str
    run_id: str
    connection_id: str
    mode: str
    status: str
    triggered_by: str
    started_at: datetime
    ended_at: datetime | None
    interval_start: datetime | None
    interval_end: datetime | None
    rows_processed: int
    error_summary: str


def start(database: TenantDatabase, run: SyncRun) -> None:
    """Note that `run` is running; a retry keeps the first start time and clears the former end."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.sync_runs (tenant_id, source, run_id, connection_id, mode, triggered_by, status, started_at,
                                         interval_start, interval_end)
            VALUES (:tenant, :source, :run_id, :connection_id, :mode, :triggered_by, 'running', clock_timestamp(),
                    :interval_start, :interval_end)
            ON CONFLICT (tenant_id, source, run_id) DO UPDATE SET status = 'running', ended_at = NULL, error_summary = ''
            """),
            {"tenant": database.tenant, **vars(run)},
        )


def finish(database: TenantDatabase, run: SyncRun, status: Status, *, error: SpineError | None = None) -> None:
    """Note how `run` ended; its rows are the sum over its streams. Works also where `start` never ran."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.sync_runs AS r (tenant_id, source, run_id, connection_id, mode, triggered_by, status, started_at,
                                              ended_at, interval_start, interval_end, rows_processed, error_summary)
            VALUES (:tenant, :source, :run_id, :connection_id, :mode, :triggered_by, :status, clock_timestamp(),
                    clock_timestamp(), :interval_start, :interval_end, 0, :error)
            ON CONFLICT (tenant_id, source, run_id) DO UPDATE
            SET status = excluded.status, ended_at = excluded.ended_at, error_summary = excluded.error_summary,
                rows_processed = (SELECT coalesce(sum(s.rows), 0) FROM spine.stream_runs s
                                  WHERE s.tenant_id = r.tenant_id AND s.source = r.source AND s.run_id = r.run_id)
            """),
            {"tenant": database.tenant, **vars(run), "status": status, "error": str(error) if error else ""},
        )


def start_stream(database: TenantDatabase, run: SyncRun, stream: str) -> None:
    """Note that a stream of a started run is being read."""
    _write_stream(database, run, stream, "running", StreamResult(), None)


def finish_stream(
    database: TenantDatabase, run: SyncRun, stream: str, status: Status, result: StreamResult, *, error: SpineError | None = None
) -> None:
    """Note how a stream of a started run ended, with its counts and cursors."""
    _write_stream(database, run, stream, status, result, error)


def _write_stream(
    database: TenantDatabase, run: SyncRun, stream: str, status: Status, result: StreamResult, error: SpineError | None
) -> None:
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.stream_runs (tenant_id, source, run_id, stream, job, status, started_at, ended_at, rows, bytes,
                                           pages, cursor_from, cursor_to, error_code, error_message)
            VALUES (:tenant, :source, :run_id, :stream, :job, :status, clock_timestamp(),
                    CASE WHEN :status = 'running' THEN NULL ELSE clock_timestamp() END, :rows, :bytes,
                    :pages, :cursor_from, :cursor_to, :error_code, :error_message)
            ON CONFLICT (tenant_id, source, run_id, stream) DO UPDATE
            SET status = excluded.status, ended_at = excluded.ended_at, rows = excluded.rows, bytes = excluded.bytes,
                pages = excluded.pages, cursor_from = excluded.cursor_from, cursor_to = excluded.cursor_to,
                error_code = excluded.error_code, error_message = excluded.error_message
            """),
            {
                "tenant": database.tenant,
                **vars(run),
                **vars(result),
                "stream": stream,
                "job": job_name(run.source, stream, run.mode),
                "status": status,
                "error_code": error.code if error else "",
                "error_message": error.message if error else "",
            },
        )


def recent_runs(database: TenantDatabase, *, source: str | None = None, limit: int = 50) -> Sequence[RunSummary]:
    """The tenant's latest runs, newest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT source, run_id, connection_id, mode, status, triggered_by, started_at, ended_at, interval_start,
                   interval_end, rows_processed, error_summary
            FROM spine.sync_runs WHERE CAST(:source AS text) IS NULL OR source = :source
            ORDER BY started_at DESC, run_id LIMIT :limit
            """),
            {"source": source, "limit": limit},
        )
        return [RunSummary(**row) for row in rows.mappings()]


def under_way(database: TenantDatabase, sources: Collection[str]) -> set[tuple[str, str]]:
    """(Source, run id) of the tenant's runs of these sources that have begun and not ended; one of an hour ago is taken for dead."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT source, run_id FROM spine.sync_runs
            WHERE status = 'running' AND source = ANY(:sources) AND started_at > clock_timestamp() - interval '1 hour'
            """),
            {"sources": list(sources)},
        )
        return {(row.source, row.run_id) for row in rows}


def stream_runs(database: TenantDatabase, source: str, run_id: str) -> Sequence[dict[str, object]]:
    """The streams of one run, by name, as dictionaries of the table's columns."""
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT * FROM spine.stream_runs WHERE source = :source AND run_id = :run_id ORDER BY stream"),
            {"source": source, "run_id": run_id},
        )
        return [dict(row) for row in rows.mappings()]


def last_read(database: TenantDatabase, source: str, stream: str) -> datetime | None:
    """When the tenant's latest complete read of a stream began that was no backfill and no dry run; None if there was none."""
    with database.begin() as connection:
        row = connection.execute(
            text("""
            SELECT max(part.started_at) AS began
            FROM spine.stream_runs part JOIN spine.sync_runs whole USING (tenant_id, source, run_id)
            WHERE source = :source AND part.stream = :stream AND part.status = 'success'
              AND whole.mode IN ('incremental', 'full', 'resync') AND whole.interval_start IS NULL
            """),
            {"source": source, "stream": stream},
        ).one()
        found: datetime | None = row.began
        return found


def stopped(database: TenantDatabase, run: SyncRun, stream: str, cursor: str | None) -> str | None:
    """The run whose pages a new reading of the stream goes on from: the first of those that were stopped one after the other until now.

    None if the newest reading was not stopped, by its time or by the source's limit. They are of the same mode and begin at the same
    `cursor`: after one that was set since, reading begins anew. A week later the pages count as gone.
    """
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT s.run_id, s.error_code, s.cursor_from FROM spine.stream_runs s JOIN spine.sync_runs r USING (tenant_id, source, run_id)
            WHERE s.source = :source AND s.stream = :stream AND s.job = :job AND s.run_id <> :run_id AND r.interval_start IS NULL
              AND r.connection_id = :connection AND s.started_at > clock_timestamp() - interval '7 days'
            ORDER BY s.started_at DESC, s.run_id LIMIT 1000
            """),
            {
                "source": run.source, "stream": stream, "job": job_name(run.source, stream, run.mode), "run_id": run.run_id,
                "connection": run.connection_id,
            },
        ).all()  # fmt: skip
    first = None
    for row in rows:
        if row.error_code not in _TO_BE_CONTINUED or row.cursor_from != cursor:
            break
        first = row.run_id
    return first
