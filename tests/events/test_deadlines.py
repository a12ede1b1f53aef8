"""A scheduled run is late when it is not done in the time that its tier gives it from the moment at which it was due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spine.control.airflow_state import DagRunFacts
from spine.events.deadlines import missed

DUE = datetime(2026, 1, 1, 10, tzinfo=UTC)
ALLOWED = timedelta(minutes=15)


def run(state: str = "running", minutes: int | None = None, kind: str = "scheduled", cleared: int = 0) -> DagRunFacts:
    ended = None if minutes is None else DUE + timedelta(minutes=minutes)
    return DagRunFacts("sync_crm", "scheduled__1", kind, state, DUE, ended, cleared)


@pytest.mark.parametrize("late", [run(), run("queued"), run("success", 16), run("failed", 2)])
def test_what_has_not_succeeded_in_time_is_late(late: DagRunFacts) -> None:
    event = missed(late, "critical", ALLOWED, DUE + timedelta(minutes=20))
    assert event is not None
    assert event.deadline == "2026-01-01T10:15:00.000000Z"
    assert event.describe().startswith("deadline.missed: dag=sync_crm, run_id=scheduled__1, tier=critical")


@pytest.mark.parametrize("good", [run("success", 14), run("success", 99, "backfill"), run(kind="manual"), run(cleared=1)])
def test_in_time_backfilled_or_cleared_is_not_late(good: DagRunFacts) -> None:
    assert missed(good, "critical", ALLOWED, DUE + timedelta(hours=3)) is None


def test_a_run_under_way_has_until_its_deadline() -> None:
    assert missed(run(), "critical", ALLOWED, DUE + timedelta(minutes=15)) is None
