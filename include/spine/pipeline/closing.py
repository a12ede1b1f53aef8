"""Closing a run: each tenant's outcome is written down and told, its lock released, and a connection that was refused is paused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from spine.control import connections, events, locks, runs
from spine.control.database import TenantDatabase
from spine.core.errors import AuthFailed, JobFailed, SchemaMismatch, SpineError, as_ours, error_from_dict, together
from spine.core.events import DriftDetected, SyncCompleted, SyncFailed
from spine.core.names import connection_id
from spine.pipeline.services import Services
from spine.pipeline.work import RunClosed, TenantClosed


def finish(
    source: str, run_id: str, tenants: Sequence[str] | None, services: Services, errors: Sequence[SpineError | Mapping[str, Any]] = ()
) -> RunClosed:
    """Close the run of each tenant, release its lock, and pause a connection whose credentials were refused. Safe to call again.

    `errors` are failures after extraction, as SpineErrors or their `as_dict`; one that names a tenant concerns that tenant only, any other
    every tenant that the run has read. A tenant that was left out of the run has no part in it, and nothing is written of it. What
    keeps one tenant's run from being closed is raised when all others are.
    """
    faults = [error if isinstance(error, SpineError) else error_from_dict(dict(error)) for error in errors]
    closed, failures = {}, []
    for tenant in tenants or services.tenants(source):
        try:
            run = runs.SyncRun(source, run_id, connection_id(source, tenant), "incremental")
            closed[tenant] = _finish_tenant(services.database.of(tenant), run, faults)
        except Exception as error:  # the locks of the others are released all the same
            failures.append(as_ours(error, tenant=tenant))
    if failures:
        raise together(failures)
    return RunClosed(source, run_id, closed)


def _finish_tenant(database: TenantDatabase, run: runs.SyncRun, errors: list[SpineError]) -> TenantClosed:
    rows = runs.stream_runs(database, run.source, run.run_id)
    failures = [_stream_failure(row) for row in rows if row["status"] != "success"]
    failures += [error for error in errors if error.where.get("tenant", database.tenant if rows else None) == database.tenant]
    for row in rows:
        if row["status"] == "running":
            result = runs.StreamResult(row["rows"], row["bytes"], row["pages"], row["cursor_from"], row["cursor_to"])  # type: ignore[arg-type]
            runs.finish_stream(database, run, str(row["stream"]), "failed", result, error=_stream_failure(row))
    succeeded = sum(row["status"] == "success" for row in rows)
    status: runs.Status = "success" if not failures else ("partial" if succeeded else "failed")
    worst = next((error for error in failures if isinstance(error, AuthFailed)), failures[0] if failures else None)
    if not rows and not failures:
        status = "skipped"
    else:
        runs.finish(database, run, status, error=worst)
        if worst is None:
            ended = [moment for row in rows if isinstance(moment := row["ended_at"], datetime)]
            connections.succeeded(database, run.connection_id, max(ended, default=None))
        else:
            connections.failed(database, run.connection_id, worst)
        _tell(database, run, status, worst, rows)
    locks.release(database, run.connection_id, run.run_id)
    return TenantClosed(
        status,
        rows=sum(int(str(row["rows"])) for row in rows),
        bytes=sum(int(str(row["bytes"])) for row in rows),
        streams={str(row["stream"]): str(row["status"]) for row in rows},
        errors=[error.as_dict() for error in failures],
    )


def _tell(database: TenantDatabase, run: runs.SyncRun, status: runs.Status, worst: SpineError | None, rows: Sequence[Any]) -> None:
    """Record how the run ended, and each stream that has not the shape that it should."""
    for row in rows:
        if row["error_code"] == SchemaMismatch.code:
            events.record(database, DriftDetected(run.connection_id, str(row["stream"]), str(row["error_message"])))
    if worst is None:
        events.record(database, SyncCompleted(run.connection_id, run.run_id, sum(int(row["rows"]) for row in rows)))
    else:
        events.record(database, SyncFailed(run.connection_id, run.run_id, status, worst.code, worst.message))


def _stream_failure(row: Mapping[str, Any]) -> SpineError:
    if row["status"] == "running":
        return JobFailed("the stream's extraction ended without a word", hint="It was killed; the next run goes on", stream=row["stream"])
    return error_from_dict({"code": row["error_code"], "message": row["error_message"], "where": {"stream": row["stream"]}})
