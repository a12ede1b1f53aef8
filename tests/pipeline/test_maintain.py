"""Maintenance treats each layer by its own rule, reads what Silver has consumed, and goes on when one table fails."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from spine.core.errors import LakeError
from spine.lake.bronze import PARTITIONS, SCHEMA
from spine.lake.paths import table_uri
from spine.lake.silver import Position, ReadUpTo, note_of
from spine.pipeline.maintain import maintain

NOW = dt.datetime(2026, 3, 31, 4, 30, tzinfo=dt.UTC)
BRONZE, SILVER = "raw_salesforce_contacts", "salesforce_person"


@pytest.fixture(autouse=True)
def _places(lake: str, home: Path) -> None:
    """Every test has a lake and a home of its own."""


def bronze(days_ago: int, rows: int) -> None:
    day = (NOW - dt.timedelta(days=days_ago)).date()
    filled = {name: ["x"] * rows for name in SCHEMA.names}
    filled |= {"tenant_id": ["default"] * rows, "emitted_date": [day] * rows, "emitted_at": [NOW] * rows}
    write_deltalake(table_uri(BRONZE), pa.table(filled, schema=SCHEMA), mode="append", partition_by=PARTITIONS)


def silver(deleted_days_ago: int = 400) -> None:
    """A current record and a deleted one; the commit says that Bronze was read up to its newest version."""
    table = DeltaTable(table_uri(BRONZE))
    note = note_of(ReadUpTo({"contacts": Position(str(table.metadata().id), table.version())}), {}, "run")
    stamps = [NOW - dt.timedelta(days=900), NOW - dt.timedelta(days=deleted_days_ago)]
    rows = pa.table(
        {
            "tenant_id": ["default", "default"],
            "record_ref": ["current", "gone"],
            "is_deleted": [False, True],
            "updated_at": pa.array(stamps, pa.timestamp("us", "UTC")),
        }
    )
    commit = CommitProperties(custom_metadata={"userMetadata": orjson.dumps(note).decode()})
    write_deltalake(table_uri(SILVER), rows, mode="overwrite", partition_by=["tenant_id"], commit_properties=commit)


def count(table: str) -> int:
    return DeltaTable(table_uri(table)).to_pyarrow_table().num_rows


def test_each_layer_by_its_own_rule(gold: Callable[..., None]) -> None:
    bronze(31, 3)
    bronze(29, 2)
    silver()
    gold("person", {"default": 2})
    result = maintain(moment=NOW)
    assert (count(BRONZE), count(SILVER), count("gold_party_person")) == (2, 1, 2)
    assert {key: result[key] for key in ("archived_rows", "held_rows", "pruned_rows", "tables")} == {
        "archived_rows": 3, "held_rows": 0, "pruned_rows": 1, "tables": 7,
    }  # fmt: skip
    again = maintain(moment=NOW)
    assert (again["archived_rows"], again["pruned_rows"], again["files_compacted"]) == (0, 0, 0)


def test_bronze_that_a_tenants_gate_refused_stays() -> None:
    bronze(31, 3)
    position = Position(str(DeltaTable(table_uri(BRONZE)).metadata().id), DeltaTable(table_uri(BRONZE)).version())
    silver()
    note = note_of(ReadUpTo({"contacts": position}, {"north": {}}), {}, "run")
    commit = CommitProperties(custom_metadata={"userMetadata": orjson.dumps(note).decode()})
    write_deltalake(table_uri(SILVER), DeltaTable(table_uri(SILVER)).to_pyarrow_table(), mode="overwrite", commit_properties=commit)
    assert maintain(moment=NOW)["archived_rows"] == 0


def test_bronze_that_silver_never_read_stays() -> None:
    bronze(31, 3)
    result = maintain(moment=NOW)
    assert (result["archived_rows"], result["held_rows"], count(BRONZE)) == (0, 3, 3)


def test_a_dry_run_changes_nothing(home: Path) -> None:
    bronze(31, 3)
    silver()
    page = home / "validations" / "old.html"
    page.parent.mkdir()
    page.write_text("old")
    os.utime(page, (0, 0))
    before = {name: DeltaTable(table_uri(name)).version() for name in (BRONZE, SILVER)}
    result = maintain(dry_run=True, moment=NOW)
    assert (result["archived_rows"], result["pruned_rows"], result["pages_removed"], result["dry_run"]) == (3, 1, 1, True)
    assert {name: DeltaTable(table_uri(name)).version() for name in before} == before
    assert page.exists()


def test_old_pages_and_logs_go_and_new_ones_stay(home: Path) -> None:
    for folder in ("validations/salesforce", "logs"):
        (home / folder).mkdir(parents=True)
        for name, age in (("old", 91), ("new", 89)):
            path = home / folder / name
            path.write_text(name)
            stamp = (NOW - dt.timedelta(days=age)).timestamp()
            os.utime(path, (stamp, stamp))
    assert maintain(moment=NOW)["pages_removed"] == 2
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["new", "new"]


def test_retention_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_RETENTION", "bronze=7 silver=14")
    bronze(10, 3)
    silver(deleted_days_ago=20)
    result = maintain(moment=NOW)
    assert (result["archived_rows"], result["pruned_rows"]) == (3, 1)


def test_one_broken_table_does_not_stop_the_others(lake: str) -> None:
    bronze(31, 3)
    silver()
    shutil.copytree(table_uri(BRONZE), f"{lake}/a_broken_one")
    for path in Path(lake, "a_broken_one", "_delta_log").glob("*.json"):
        path.write_text("{not json")
    with pytest.raises(LakeError, match=r"1 of 3 tables.*a_broken_one"):
        maintain(moment=NOW)
    assert count(BRONZE) == 0


def test_a_source_whose_declaration_is_broken_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bronze(31, 3)
    silver()
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "salesforce.yaml").write_text("source: [")
    monkeypatch.setenv("SPINE_SOURCES", str(sources))
    assert maintain(moment=NOW)["archived_rows"] == 0
    assert (count(BRONZE), count(SILVER)) == (3, 2)
