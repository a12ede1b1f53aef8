"""A merge is said once: which rows it deletes, changes and inserts, and how Spark is told; done here by delta-rs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from spine.core.errors import LakeError
from spine.lake.merging import Merge, conflicts, from_source, merge_here

OLD = [("acme", 1, "a"), ("acme", 2, "b"), ("acme", 3, "c"), ("north", 1, "n")]
NEW = [("acme", 1, "A"), ("acme", 2, ""), ("acme", 3, "c"), ("acme", 4, "d"), ("acme", 5, "")]
MERGE = Merge(
    keys=["tenant_id", "id"],
    pruned={"tenant_id": ["north", "acme"]},
    deleted="s.`name` = ''",
    updated=from_source(["name"], {"name": "concat(s.`name`, '!')"}),
    update_if="t.`name` <> s.`name`",
    inserted=["tenant_id", "id", "name"],
    insert_if="s.`name` <> ''",
    note={"run": "r1"},
)


def rows(content: list[tuple[Any, ...]]) -> pa.Table:
    tenants, ids, names = zip(*content, strict=True)
    return pa.table({"tenant_id": pa.array(tenants), "id": pa.array(ids, pa.int64()), "name": pa.array(names)})


def names(uri: str) -> dict[tuple[str, int], str]:
    return {(row["tenant_id"], row["id"]): row["name"] for row in DeltaTable(uri).to_pyarrow_table().to_pylist()}


def test_rows_are_deleted_changed_and_inserted_in_one_commit_with_a_note(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    write_deltalake(uri, rows(OLD), partition_by=["tenant_id"])
    merge_here(uri, MERGE, rows(NEW))
    assert names(uri) == {("acme", 1): "A!", ("acme", 3): "c", ("acme", 4): "d", ("north", 1): "n"}
    assert DeltaTable(uri).version() == 1
    assert DeltaTable(uri).history(1)[0]["userMetadata"] == '{"run": "r1"}'


def test_what_is_not_said_is_not_done(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    write_deltalake(uri, rows(OLD))
    merge_here(uri, Merge(keys=["tenant_id", "id"], pruned={}, inserted=["tenant_id", "id", "name"]), rows(NEW))
    assert names(uri) == {(tenant, number): name for tenant, number, name in [*OLD, *NEW[3:]]}
    assert "userMetadata" not in DeltaTable(uri).history(1)[0]


def test_spark_is_told_the_same() -> None:
    assert MERGE.statement("/lake/t", "v") == (
        "MERGE INTO delta.`/lake/t` AS t USING v AS s "
        "ON t.`tenant_id` = s.`tenant_id` AND t.`id` = s.`id` AND t.`tenant_id` IN ('acme', 'north') "
        "WHEN MATCHED AND s.`name` = '' THEN DELETE "
        "WHEN MATCHED AND t.`name` <> s.`name` THEN UPDATE SET t.`name` = concat(s.`name`, '!') "
        "WHEN NOT MATCHED AND s.`name` <> '' THEN INSERT (`tenant_id`, `id`, `name`) VALUES (s.`tenant_id`, s.`id`, s.`name`)"
    )
    assert Merge(keys=["id"], pruned={}, updated=from_source(["name"])).statement("/lake/t", "v") == (
        "MERGE INTO delta.`/lake/t` AS t USING v AS s ON t.`id` = s.`id` WHEN MATCHED THEN UPDATE SET t.`name` = s.`name`"
    )


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="no table to merge into"):
        merge_here(str(tmp_path / "nothing"), MERGE, rows(NEW))


def test_only_a_conflict_is_a_conflict() -> None:
    with pytest.raises(LakeError, match="another writer"), conflicts("t"):
        raise RuntimeError("[DELTA_CONCURRENT_APPEND] two at once")
    with pytest.raises(RuntimeError, match="disk"), conflicts("t"):
        raise RuntimeError("disk full")
