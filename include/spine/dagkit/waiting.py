"""A run that nobody waits for waits itself, giving its slot back and using up no retry: while its connection is busy, and before it
resolves what other syncs are about to change again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow.sdk import timezone
from airflow.sdk.exceptions import AirflowRescheduleException

from spine.core.errors import SyncInProgress
from spine.core.screen import logger

log = logger(__name__)
_AGAIN = (20.0, 40.0)  # seconds; apart, so that the runs of a backfill do not all ask at once
# Longer than a turn of a busy scheduler: a task that is back before it has heard of its end is taken for a failed one.
_GATHER_AGAIN = timedelta(seconds=15)
_GATHER_AT_MOST = timedelta(minutes=2)  # a source that takes longer has a run of its own; a critical one has fifteen minutes in all
_PATIENCE = timedelta(minutes=5)  # a third of what a critical source has in all
_CHANCE = random.SystemRandom()


def by_a_person(run: Any) -> bool:
    """True if somebody triggered the run and looks at it: in the UI, by the API, by a command."""
    return str(getattr(run.run_type, "value", run.run_type)) in ("manual", "operator_triggered")


def waits_for_all(run: Any) -> bool:
    """Whether a run waits while one tenant's connection is busy. A scheduled one does for a while, then it goes on without that tenant.

    The next scheduled run reads what this one leaves out; nobody reads again what a backfill leaves out.
    """
    kind = str(getattr(run.run_type, "value", run.run_type))
    return kind == "backfill" or (not by_a_person(run) and timezone.utcnow() - run.start_date < _PATIENCE)


@contextmanager
def waiting_unless_manual(run: Any) -> Iterator[None]:
    """Turn SyncInProgress into a wait by reschedule for scheduled, backfilled and asset-triggered runs; a person is refused."""
    try:
        yield
    except SyncInProgress as error:
        if by_a_person(run):
            raise
        later = timezone.utcnow() + timedelta(seconds=_CHANCE.uniform(*_AGAIN))
        log.info("%s. This run waits until %s", error.describe(), later.isoformat(timespec="seconds"))
        raise AirflowRescheduleException(later) from error


def gathering(entity: str) -> Callable[[Any], None]:
    """Before a resolve that a sync woke: wait until no other sync of this entity is under way, so that one resolve serves them all."""

    def wait(context: Any) -> None:
        run = context["dag_run"]
        waited = timezone.utcnow() - run.start_date
        if by_a_person(run) or waited > _GATHER_AT_MOST:
            return
        news = [event for events in context["triggering_asset_events"].values() for event in events]
        woken_by = {(event.source_dag_id, event.source_run_id) for event in news}
        busy = sorted(source for source, holder in _under_way(entity) if (f"sync_{source}", holder) not in woken_by)
        if busy:
            log.info("%s is being synced: this run waits for its records, %d s at most", ", ".join(busy), _GATHER_AT_MOST.total_seconds())
            raise AirflowRescheduleException(timezone.utcnow() + _GATHER_AGAIN)

    return wait


def _under_way(entity: str) -> set[tuple[str, str]]:
    from spine.pipeline.services import services_from_environment
    from spine.sources.check import sources_of

    return services_from_environment().under_way(sources_of(entity))
