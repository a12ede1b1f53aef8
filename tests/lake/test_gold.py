"""Gold tables and the journal of runs, without Spark: schemas, new fields, one writer at a time, rows that are added once."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from spine.core.entities import EntityField, load_entity
from spine.core.errors import LakeError
from spine.lake import gold
from spine.lake.paths import table_uri

PERSON = load_entity("person")
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def _entry(number: int, status: str = "staged", staged: dict[str, int] | None = None) -> gold.Entry:
    return gold.Entry(number, "r1", status, {"salesforce_person": {"id": "x", "version": 3}}, "rules", staged or {}, {"records": 2})


def _change(number: int) -> dict[str, object]:
    return {
        "tenant_id": "default", "entity": "person", "change_id": f"c{number}", "kind": "created", "entity_id": "per_1", "actor": "engine",
        "reason": "2 records", "changed_at": MOMENT, "run_id": "r1",
    }  # fmt: skip


def test_tables_are_made_once_and_other_engines_open_them(lake):
    gold.ensure_tables(PERSON)
    gold.ensure_tables(PERSON)
    for name in (*gold.SCHEMAS, gold.golden_table(PERSON), gold.history_table(PERSON)):
        table = DeltaTable(table_uri(name))
        assert table.version() == 0
        assert table.metadata().partition_columns[0] == "tenant_id"
        assert pl.read_delta(table_uri(name)).height == 0
        dataset = table.to_pyarrow_dataset()  # noqa: F841  (DuckDB finds it by name)
        assert duckdb.sql("SELECT count(*) FROM dataset").fetchall() == [(0,)]
    assert gold.versions(PERSON)["gold_party_person"] == 0


def test_a_newer_entity_version_adds_its_fields(lake):
    gold.ensure_tables(PERSON)
    newer = PERSON.model_copy(update={"fields": {**PERSON.fields, "nickname": EntityField(description="What friends say")}})
    gold.ensure_tables(newer)
    assert "nickname" in {field.name for field in DeltaTable(table_uri("gold_party_person")).schema().fields}


def test_the_journal_tells_the_newest_run_and_whether_it_was_applied(lake):
    assert gold.last_entry("person") is None
    gold.ensure_tables(PERSON)
    gold.write_entry("person", _entry(1))
    assert gold.last_entry("person") == _entry(1)
    gold.write_entry("person", _entry(1, "applied"))
    gold.write_entry("organization", _entry(7))
    last = gold.last_entry("person")
    assert last is not None
    assert (last.number, last.status, last.counts) == (1, "applied", {"records": 2})


def test_two_runs_cannot_take_the_same_number(lake):
    gold.ensure_tables(PERSON)
    gold.write_entry("person", _entry(1))
    with pytest.raises(LakeError, match="quicker"):
        gold.write_entry("person", _entry(1))


def test_staged_changes_are_added_once_however_often_they_are_applied(lake):
    gold.ensure_tables(PERSON)
    staged = gold.stage(PERSON, {gold.CHANGES: pa.Table.from_pylist([_change(1), _change(2)]), gold.LINKS: None})
    assert set(staged) == {gold.CHANGES}
    entry = _entry(1, staged=staged)
    gold.write_entry("person", entry)
    gold.append(PERSON, gold.CHANGES, entry)
    gold.append(PERSON, gold.CHANGES, entry)
    assert [row["change_id"] for row in gold.read_rows(gold.CHANGES, [("entity", "=", "person")])] == ["c1", "c2"]
    assert gold.read_rows(gold.CHANGES, [("entity", "=", "organization")]) == []
    assert gold.read_rows("gold_party_nothing", [("tenant_id", "=", "default")]) == []
