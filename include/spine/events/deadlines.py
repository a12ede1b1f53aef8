"""Is a scheduled run done when its tier wants it to be?

Counted from the moment at which the run was due, so that a run that waits in a queue, or for a busy connection, is late as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spine.control.airflow_state import DagRunFacts
from spine.core import clock
from spine.core.events import DeadlineMissed


def missed(run: DagRunFacts, tier: str, allowed: timedelta, moment: datetime) -> DeadlineMissed | None:
    """The event if the run missed its deadline as of `moment`.

    Only a success in time counts. Nobody waits for a backfill, and a run that was cleared is somebody's work already.
    """
    deadline = run.due_at + allowed
    done = run.ended_at if run.state == "success" else None
    if run.run_type != "scheduled" or run.cleared or (done or moment) <= deadline:
        return None
    return DeadlineMissed(run.dag_id, run.run_id, tier, clock.to_text(deadline), run.state)
