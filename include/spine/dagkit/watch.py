"""The DAG `watch_runs`: every five minutes, which runs miss their tier's deadline, which credentials end soon, and who is told.

It also ends analysts' sessions that are beyond their limits, and looks whether the audit logs go on where they ended.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronDataIntervalTimetable, task

from spine.dagkit.docs import WATCH_DOC
from spine.dagkit.policies import QUICK, TIERS, default_args
from spine.dagkit.quiet import quiet
from spine.dagkit.sync import START


def build_watch_dag() -> DAG:
    """The one watching DAG."""
    with DAG(
        dag_id="watch_runs",
        dag_display_name="Watch the runs",
        description="Late runs, expiring credentials, and notifications",
        doc_md=WATCH_DOC,
        schedule=CronDataIntervalTimetable("*/5 * * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("best_effort"),
        tags=["spine", "maintenance"],
    ) as dag:
        _watch.override(task_id="watch", execution_timeout=QUICK)()
    return dag


@task
@quiet
def _watch() -> int:
    """End sessions beyond their limits, record what is late, ends soon or was tampered with, then hand all events that wait to notifiers.

    Gives the number handed on.
    """
    from spine.control import airflow_state
    from spine.control.sessions import end_beyond
    from spine.core.settings import settings
    from spine.dagkit.notifying import send
    from spine.events.routes import hand_on, routes
    from spine.pipeline.auditing import verify
    from spine.pipeline.services import services_from_environment
    from spine.pipeline.watch import all_tenants, watch

    services, allowed = services_from_environment(), {tier: chosen.deadline for tier, chosen in TIERS.items()}
    try:
        end_beyond(services.database, settings().analyst_limits)
        watch(services, allowed, airflow_state.latest_scheduled_run)
        verify(services, whole=False)
    finally:  # whatever could not be watched, what has happened is told
        told = hand_on(services.database, all_tenants(services), routes(), send)
    return told
