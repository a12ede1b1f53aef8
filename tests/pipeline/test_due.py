"""How many Bronze rows wait for Silver, by the tables' logs alone, and from when on a job counts as large."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from spine.core.entities import load_entity
from spine.lake import amounts, silver
from spine.lake.paths import table_uri
from spine.pipeline.due import is_large, rows_due

Bronze = Callable[..., None]


def contacts(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"record_id": f"003{number}", "payload": {"Id": f"003{number}"}} for number in range(first, first + count)]


def read_up_to(version: int, table_id: str | None = None) -> None:
    """Silver has read the contacts up to a version of Bronze, as its commit says."""
    uri = table_uri("salesforce_person")
    schema = silver.silver_schema(load_entity("person"))
    found = silver.bronze_position(table_uri("raw_salesforce_contacts"))
    assert found is not None
    note = silver.note_of(silver.ReadUpTo({"contacts": silver.Position(table_id or found.table_id, version)}), {}, "r1")
    properties = CommitProperties(custom_metadata={"userMetadata": json.dumps(note)})
    write_deltalake(uri, schema.empty_table(), mode="append", partition_by=["tenant_id"], commit_properties=properties)


def test_a_lake_without_tables_has_nothing_to_do(lake: str) -> None:
    assert rows_due("salesforce") == 0


def test_before_silver_has_read_anything_all_rows_of_all_streams_are_due(bronze: Bronze) -> None:
    bronze("salesforce", "contacts", contacts(3))
    bronze("salesforce", "accounts", contacts(2))
    assert rows_due("salesforce") == 5


def test_what_silver_has_read_is_not_due_unless_it_is_read_again(bronze: Bronze) -> None:
    bronze("salesforce", "contacts", contacts(3))
    read_up_to(DeltaTable(table_uri("raw_salesforce_contacts")).version())
    assert rows_due("salesforce") == 0
    bronze("salesforce", "contacts", contacts(4, first=3))
    assert rows_due("salesforce") == 4
    assert rows_due("salesforce", renormalize=True) == 7


def test_a_table_that_was_made_anew_or_whose_log_is_gone_is_due_as_a_whole(bronze: Bronze) -> None:
    bronze("salesforce", "contacts", contacts(3))
    read_up_to(1, table_id="another")
    assert rows_due("salesforce") == 3
    read_up_to(99)
    assert rows_due("salesforce") == 3


def test_a_job_is_large_from_so_many_rows_on(bronze: Bronze, monkeypatch: pytest.MonkeyPatch) -> None:
    bronze("salesforce", "contacts", contacts(3))
    assert not is_large("salesforce")
    monkeypatch.setattr(amounts, "LARGE_ROWS", 3)
    assert is_large("salesforce")
