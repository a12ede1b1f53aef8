"""Who waits for a busy connection, and who is told at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from spine.core.errors import SyncInProgress
from spine.dagkit.waiting import waiting_unless_manual


@pytest.mark.parametrize("kind", ["scheduled", "backfill", "asset_triggered"])
def test_a_run_that_nobody_waits_for_is_rescheduled(kind: str) -> None:
    with pytest.raises(AirflowRescheduleException) as caught, waiting_unless_manual(SimpleNamespace(run_type=kind)):
        raise SyncInProgress("busy")
    pause = caught.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=15) < pause < timedelta(seconds=45)


def test_a_person_is_refused() -> None:
    with pytest.raises(SyncInProgress), waiting_unless_manual(SimpleNamespace(run_type="manual")):
        raise SyncInProgress("busy")
