"""The DAG `maintain_lake`: compaction, archive, retention and vacuum, and whether the audit logs are what was written, every night."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from spine.dagkit.docs import MAINTAIN_DOC
from spine.dagkit.policies import default_args
from spine.dagkit.quiet import quiet
from spine.dagkit.sync import START


def build_maintenance_dag() -> DAG:
    """The one maintenance DAG."""
    with DAG(
        dag_id="maintain_lake",
        dag_display_name="Maintain the lake",
        description="Compact, archive, apply retention and vacuum; verify the audit logs",
        doc_md=MAINTAIN_DOC,
        schedule=CronDataIntervalTimetable("30 4 * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("best_effort"),
        params={"dry_run": Param(False, type="boolean", title="Dry run", description="Say what would be done and do nothing.")},
        tags=["spine", "maintenance"],
    ) as dag:
        _maintain.override(task_id="maintain")()
        _verify_audit.override(task_id="verify_audit")()
    return dag


@task
@quiet
def _maintain() -> dict[str, Any]:
    """Care for every table of the lake; one table's failure does not stop the others."""
    from spine.pipeline.maintain import maintain

    return maintain(dry_run=bool(get_current_context()["params"]["dry_run"]))


@task
@quiet
def _verify_audit() -> int:
    """Recompute every tenant's audit log; the number of logs. Raises AuditBroken at the end."""
    from spine.pipeline.auditing import require_sound, verify
    from spine.pipeline.services import services_from_environment

    found = verify(services_from_environment())
    require_sound(found)
    return len(found)
