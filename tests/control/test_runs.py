"""The run log: what ran, how it ended, how many rows were committed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spine.control import runs
from spine.control.database import TenantDatabase
from spine.core.errors import RateLimited

pytestmark = pytest.mark.postgres
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def a_run(source: str = "hubspot", run_id: str = "scheduled__1") -> runs.SyncRun:
    return runs.SyncRun(source, run_id, f"ipai_connector_{source}", "incremental", "timetable", DAY, DAY)


def test_a_run_counts_the_rows_of_its_streams(control: TenantDatabase) -> None:
    run = a_run()
    runs.start(control, run)
    for stream, rows in (("contacts", 10), ("companies", 5)):
        runs.start_stream(control, run, stream)
        runs.finish_stream(control, run, stream, "success", runs.StreamResult(rows, 1000, 2, "a", "b"))
    runs.finish(control, run, "success")
    (summary,) = runs.recent_runs(control)
    assert (summary.status, summary.rows_processed, summary.interval_start) == ("success", 15, DAY)
    assert summary.ended_at is not None
    streams = runs.stream_runs(control, "hubspot", run.run_id)
    assert [(row["job"], row["rows"], row["cursor_to"]) for row in streams] == [
        ("sync_hubspot_companies_incremental", 5, "b"),
        ("sync_hubspot_contacts_incremental", 10, "b"),
    ]


def test_a_failure_keeps_its_code_and_message_and_a_retry_clears_it(control: TenantDatabase) -> None:
    run, error = a_run(), RateLimited("slow down", connection="c")
    for _ in range(2):  # everything may be said twice
        runs.start(control, run)
        runs.start_stream(control, run, "contacts")
        runs.finish_stream(control, run, "contacts", "failed", runs.StreamResult(), error=error)
        runs.finish(control, run, "failed", error=error)
    (failed,) = runs.recent_runs(control)
    assert failed.error_summary == "[CONNECTOR_RATE_LIMITED] slow down (connection=c)"
    (stream,) = runs.stream_runs(control, "hubspot", run.run_id)
    assert (stream["error_code"], stream["error_message"]) == ("CONNECTOR_RATE_LIMITED", "slow down")

    runs.start(control, run)
    (again,) = runs.recent_runs(control)
    assert (again.status, again.ended_at, again.error_summary) == ("running", None, "")
    assert again.started_at == failed.started_at


def test_runs_of_two_sources_with_airflows_same_run_id_are_two_runs(control: TenantDatabase) -> None:
    for source in ("hubspot", "salesforce"):
        runs.start(control, a_run(source))
    assert [run.source for run in runs.recent_runs(control)] == ["salesforce", "hubspot"]
    assert [run.source for run in runs.recent_runs(control, source="hubspot")] == ["hubspot"]
    assert len(runs.recent_runs(control, limit=1)) == 1


def test_a_run_that_ended_before_it_could_be_noted_is_still_in_the_log(control: TenantDatabase) -> None:
    runs.finish(control, a_run(), "skipped")
    assert [run.status for run in runs.recent_runs(control)] == ["skipped"]
