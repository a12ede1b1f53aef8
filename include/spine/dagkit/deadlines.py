"""What happens when a run misses its tier's deadline: one loud line in the triggerer's log, and Airflow's own mark on the run."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("spine.deadlines")


async def report_missed(tier: str, context: dict[str, Any] | None = None, **_: Any) -> None:
    """Log a missed deadline. Backfills have no reader who waits for them, so they are not reported."""
    run = (context or {}).get("dag_run") or {}
    if run.get("run_type") == "backfill":
        return
    log.error(
        "DEADLINE_MISSED tier=%s dag=%s run=%s: see docs/operations.md", tier, run.get("dag_id"), run.get("dag_run_id") or run.get("run_id")
    )
