"""A run that nobody waits for waits itself: while its connection is busy it gives its slot back and uses up no retry."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow.sdk import timezone
from airflow.sdk.exceptions import AirflowRescheduleException

from spine.core.errors import SyncInProgress

log = logging.getLogger(__name__)
_AGAIN = (20.0, 40.0)  # seconds; apart, so that the runs of a backfill do not all ask at once
_CHANCE = random.SystemRandom()


def by_a_person(run: Any) -> bool:
    """True if somebody triggered the run and looks at it: in the UI, by the API, by a command."""
    return str(getattr(run.run_type, "value", run.run_type)) in ("manual", "operator_triggered")


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
