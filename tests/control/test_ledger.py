"""No row is lost or made up between layers without somebody saying so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spine.control import ledger
from spine.control.database import TenantDatabase
from spine.core.errors import ConservationFailed

pytestmark = pytest.mark.postgres
BALANCED = ledger.Line("silver", "hubspot_person", rows_in=10, published=6, quarantined=2, superseded=1, filtered=1)


def test_balanced_lines_pass(control: TenantDatabase) -> None:
    ledger.record(control, "run-1", BALANCED)
    assert ledger.check(control, "run-1") == [BALANCED]


def test_lost_rows_are_named_with_layer_table_and_numbers(control: TenantDatabase) -> None:
    ledger.record(control, "run-1", ledger.Line("bronze", "raw_hubspot_contacts", 10, 10))
    ledger.record(control, "run-1", replace(BALANCED, published=5))
    with pytest.raises(ConservationFailed) as lost:
        ledger.check(control, "run-1")
    assert "silver hubspot_person: 10 rows in, but 5 published + 2 quarantined + 1 superseded + 1 filtered = 9" in str(lost.value)


def test_rows_made_up_are_found_as_well() -> None:
    with pytest.raises(ConservationFailed, match="= 11"):
        replace(BALANCED, published=7).require_balance("run-1")


def test_a_retry_replaces_its_line(control: TenantDatabase) -> None:
    ledger.record(control, "run-1", replace(BALANCED, published=0))
    ledger.record(control, "run-1", BALANCED)
    assert ledger.check(control, "run-1") == [BALANCED]
    assert ledger.check(control, "another run") == []
