"""Care changes no row that anybody needs: compaction keeps rows, archives are whole before anything is deleted, twice is as once."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from spine.core.errors import LakeError
from spine.lake import care
from spine.lake.bronze import PARTITIONS, SCHEMA
from spine.lake.paths import table_uri
from spine.lake.silver import Position

NAME = "raw_crm_contacts"
TODAY = dt.date(2026, 3, 31)
BEFORE = TODAY - dt.timedelta(days=30)
OLD, RECENT = dt.date(2026, 2, 1), dt.date(2026, 3, 30)


def append(day: dt.date, rows: int, tenant: str = "default", start: int = 0) -> None:
    filled = {name: ["x"] * rows for name in SCHEMA.names}
    filled |= {"tenant_id": [tenant] * rows, "record_id": [f"{day}-{start + n}" for n in range(rows)], "emitted_date": [day] * rows}
    filled["emitted_at"] = [dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)] * rows
    properties = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(table_uri(NAME), pa.table(filled, schema=SCHEMA), mode="append", partition_by=PARTITIONS, configuration=properties)


def table(name: str = NAME) -> DeltaTable:
    return DeltaTable(table_uri(name))


def ids() -> list[str]:
    return sorted(table().to_pyarrow_table(columns=["record_id"])["record_id"].to_pylist())


def archived(lake: str) -> list[str]:
    files = sorted(Path(lake, "_archive").rglob("*.parquet"))
    return sorted(value for path in files for value in pq.read_table(path, partitioning=None)["record_id"].to_pylist())


def all_read() -> Position:
    return Position(str(table().metadata().id), table().version())


def test_compaction_joins_small_files_of_a_partition_and_keeps_the_rows(lake: str) -> None:
    for n in range(5):
        append(OLD, 2, start=n * 10)
        append(OLD, 1, tenant="acme", start=n * 10)
    append(RECENT, 1)
    before = ids()
    assert care.compact(NAME, dry_run=True) == {"partitions": 2, "files_removed": 10, "files_added": 0}
    assert care.compact(NAME) == {"partitions": 2, "files_removed": 10, "files_added": 2}
    assert ids() == before
    version = table().version()
    assert care.compact(NAME)["partitions"] == 0
    assert table().version() == version


def test_old_days_are_archived_and_recent_ones_stay(lake: str) -> None:
    append(OLD, 3)
    append(OLD, 2, tenant="acme")
    append(RECENT, 4)
    expected = [value for value in ids() if value.startswith("2026-02")]
    dry = care.retire_bronze(NAME, BEFORE, all_read(), dry_run=True)
    assert dry == {"archived_rows": 5, "archived_days": 2, "held_rows": 0}
    assert len(ids()) == 9
    assert care.retire_bronze(NAME, BEFORE, all_read()) == dry
    assert len(ids()) == 4
    assert archived(lake) == expected
    found = pq.ParquetFile(Path(lake, "_archive", NAME, "tenant=acme", "date=2026-02-01", "rows-1.parquet"))
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"
    assert found.schema_arrow.names == SCHEMA.names


def test_a_second_time_does_nothing(lake: str) -> None:
    append(OLD, 3)
    care.retire_bronze(NAME, BEFORE, all_read())
    version, kept = table().version(), archived(lake)
    assert care.retire_bronze(NAME, BEFORE, all_read())["archived_rows"] == 0
    assert (table().version(), archived(lake)) == (version, kept)


def test_rows_that_silver_has_not_read_stay(lake: str) -> None:
    append(OLD, 3)
    read = all_read()
    append(OLD, 1, start=100)
    append(dt.date(2026, 2, 2), 2)
    assert care.retire_bronze(NAME, BEFORE, read) == {"archived_rows": 0, "archived_days": 0, "held_rows": 6}
    assert care.retire_bronze(NAME, BEFORE, None)["held_rows"] == 6
    assert care.retire_bronze(NAME, BEFORE, Position("another table", table().version()))["held_rows"] == 6
    assert care.retire_bronze(NAME, BEFORE, Position(read.table_id, 999))["held_rows"] == 6
    assert len(ids()) == 6


def test_compaction_after_silver_read_holds_nothing_back(lake: str) -> None:
    for n in range(4):
        append(OLD, 1, start=n)
    read = all_read()
    care.compact(NAME)
    assert care.retire_bronze(NAME, BEFORE, read)["archived_rows"] == 4


@pytest.mark.parametrize("nth", [1, 2])
def test_a_kill_between_archive_and_delete_loses_and_doubles_nothing(lake: str, nth: int) -> None:
    append(OLD, 3)
    append(dt.date(2026, 2, 2), 2)
    expected = ids()
    read = all_read()
    code = (
        "import datetime; from spine.lake import care; from spine.lake.silver import Position\n"
        f"before = datetime.date.fromisoformat({BEFORE.isoformat()!r})\n"
        f"care.retire_bronze({NAME!r}, before, Position({read.table_id!r}, {read.version}))"
    )
    environment = {**os.environ, "SPINE_FAILPOINT": f"maintain.archived:{nth}"}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert set(ids()) | set(archived(lake)) == set(expected)
    care.retire_bronze(NAME, BEFORE, read)
    assert ids() == []
    assert archived(lake) == expected


def test_rows_that_came_to_an_archived_day_later_get_a_file_of_their_own(lake: str) -> None:
    append(OLD, 3)
    care.retire_bronze(NAME, BEFORE, all_read())
    append(OLD, 2, start=50)
    care.retire_bronze(NAME, BEFORE, all_read())
    assert len(archived(lake)) == 5


def test_an_archive_that_is_short_stops_before_the_delete(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append(OLD, 3)
    monkeypatch.setattr(care, "_rows", lambda *_: 2)
    with pytest.raises(LakeError, match="2 of 3 rows"):
        care.retire_bronze(NAME, BEFORE, all_read())
    assert len(ids()) == 3
    assert archived(lake) == []


@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["default", "acme"]), st.integers(1, 3)), max_size=8), st.data())
def test_every_row_is_in_the_table_or_in_the_archive(tmp_path: Path, appends: list[tuple[int, str, int]], data: Any) -> None:
    lake = tmp_path / os.urandom(4).hex()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINE_LAKE", str(lake))
        read = None
        for number, (days, tenant, rows) in enumerate(appends):
            append(TODAY - dt.timedelta(days=days), rows, tenant, start=number * 10)
            if data.draw(st.booleans()):
                read = all_read()
        if not appends:
            return
        expected = ids()
        for _ in range(2):
            care.retire_bronze(NAME, BEFORE, read)
        assert sorted(ids() + archived(str(lake))) == expected
        assert all(dt.date.fromisoformat(value[:10]) < BEFORE for value in archived(str(lake)))


def test_vacuum_keeps_what_a_running_reader_may_need(lake: str) -> None:
    for n in range(4):
        append(OLD, 1, start=n)
    care.compact(NAME)
    version = table().version()
    assert care.vacuum(NAME, care.SAFE_VACUUM_HOURS) == 0
    assert table().version() == version
    with pytest.raises(LakeError, match="not safe"):
        care.vacuum(NAME, 1)


def test_vacuum_removes_dead_files_and_orphans_of_killed_writers(lake: str) -> None:
    append(OLD, 1)
    orphan = Path(table_uri(NAME), "tenant_id=default", "part-00000-orphan.parquet")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"half")
    ancient = dt.datetime(2020, 1, 1).timestamp()
    os.utime(orphan, (ancient, ancient))
    assert care.vacuum(NAME, care.SAFE_VACUUM_HOURS, dry_run=True) == 1
    assert orphan.exists()
    assert care.vacuum(NAME, care.SAFE_VACUUM_HOURS) == 1
    assert not orphan.exists()
    assert len(ids()) == 1


def silver(rows: list[tuple[str, bool, int]]) -> None:
    """(record, is deleted, days since it changed) of tenant `default`."""
    now = dt.datetime(2026, 3, 31, tzinfo=dt.UTC)
    data = pa.table(
        {
            "tenant_id": ["default"] * len(rows),
            "record_ref": [ref for ref, _, _ in rows],
            "is_deleted": [deleted for _, deleted, _ in rows],
            "updated_at": pa.array([now - dt.timedelta(days=age) for _, _, age in rows], pa.timestamp("us", "UTC")),
        }
    )
    configuration = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(table_uri("crm_person"), data, mode="overwrite", partition_by=["tenant_id"], configuration=configuration)


YEAR_AGO = dt.datetime(2025, 3, 31, tzinfo=dt.UTC)


def test_only_old_tombstones_leave_silver(lake: str) -> None:
    silver([("current-old", False, 900), ("current", False, 1), ("deleted-lately", True, 300), ("deleted-old", True, 400)])
    assert care.prune_tombstones("crm_person", YEAR_AGO, "links", dry_run=True) == {"pruned_rows": 1, "held_rows": 0}
    assert care.prune_tombstones("crm_person", YEAR_AGO, "links") == {"pruned_rows": 1, "held_rows": 0}
    assert sorted(table("crm_person").to_pyarrow_table()["record_ref"].to_pylist()) == ["current", "current-old", "deleted-lately"]
    version = table("crm_person").version()
    assert care.prune_tombstones("crm_person", YEAR_AGO, "links") == {"pruned_rows": 0, "held_rows": 0}
    assert table("crm_person").version() == version


def test_a_tombstone_that_a_golden_record_still_has_stays(lake: str) -> None:
    silver([("deleted-old", True, 400)])
    links = pa.table({"tenant_id": ["acme"], "entity": ["person"], "record_ref": ["deleted-old"]})
    write_deltalake(table_uri("links"), links, partition_by=["tenant_id", "entity"])
    assert care.prune_tombstones("crm_person", YEAR_AGO, "links", dry_run=True)["held_rows"] == 0  # another tenant's record
    mine = pa.table({"tenant_id": ["default"], "entity": ["person"], "record_ref": ["deleted-old"]})
    write_deltalake(table_uri("links"), mine, mode="append")
    assert care.prune_tombstones("crm_person", YEAR_AGO, "links") == {"pruned_rows": 0, "held_rows": 1}


def test_a_missing_table_is_named(lake: str) -> None:
    with pytest.raises(LakeError, match="raw_none"):
        care.compact("raw_none")
