"""Archived days come back whole, once, and only those that are meant."""

from __future__ import annotations

import datetime as dt

import pytest

from spine.core.errors import LakeError
from spine.lake import care
from spine.lake.restoring import Days, restore_bronze
from tests.lake.test_care import BEFORE, NAME, OLD, RECENT, all_read, append, ids, table

NEXT = OLD + dt.timedelta(days=1)


def archive() -> None:
    care.retire_bronze(NAME, BEFORE, all_read())


def test_what_was_archived_comes_back_once_however_often_it_is_asked_for(lake: str) -> None:
    append(OLD, 3)
    append(NEXT, 2, tenant="acme")
    append(RECENT, 1)
    before, schema = ids(), table().schema()
    archive()
    assert len(ids()) == 1
    assert restore_bronze(NAME, Days()) == {"rows": 5, "days": 2}
    assert (ids(), table().schema()) == (before, schema)
    version = table().version()
    assert restore_bronze(NAME, Days()) == {"rows": 0, "days": 0}
    assert (ids(), table().version()) == (before, version)


def test_a_day_that_was_archived_in_parts_and_again_after_a_restore_comes_back_once(lake: str) -> None:
    append(OLD, 3)
    archive()
    append(OLD, 2, start=10)
    archive()
    restore_bronze(NAME, Days())
    archive()
    assert ids() == []
    assert restore_bronze(NAME, Days()) == {"rows": 5, "days": 1}
    assert len(set(ids())) == len(ids()) == 5


def test_only_the_days_and_tenants_that_are_meant(lake: str) -> None:
    for day in (OLD, NEXT):
        for tenant in ("acme", "default"):
            append(day, 1, tenant=tenant)
    archive()
    assert restore_bronze(NAME, Days(since=NEXT, tenants=["acme"])) == {"rows": 1, "days": 1}
    assert restore_bronze(NAME, Days(until=OLD)) == {"rows": 2, "days": 1 + 1}
    assert restore_bronze(NAME, Days()) == {"rows": 1, "days": 1}


def test_restored_rows_are_new_to_readers_of_changes(lake: str) -> None:
    append(OLD, 3)
    archive()
    last = table().version()
    restore_bronze(NAME, Days())
    changes = table().load_cdf(last + 1, table().version()).read_all()
    assert changes.num_rows == 3


def test_a_table_that_is_not_there_is_said(lake: str) -> None:
    with pytest.raises(LakeError, match="no table raw_nobody"):
        restore_bronze("raw_nobody", Days())
