"""Silver tables: read position in their own commits, readers without Spark, new entity versions, idempotent MERGE.

What reads or writes rows holds for both ways of moving them (`spine.lake.tables`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from spine.core.entities import Entity, load_entity
from spine.core.errors import LakeError
from spine.lake import silver
from spine.lake.delta_sql import commit_note, notes, table_at
from spine.lake.merging import conflicts
from spine.lake.paths import table_uri
from spine.lake.silver import Position, ReadUpTo
from spine.lake.tables import PassedTables, SparkTables, Tables

pytestmark = pytest.mark.spark
WHEN = dt.datetime(2026, 1, 31, 8, 15, tzinfo=dt.UTC)


@pytest.fixture(params=[PassedTables, SparkTables], ids=["passed", "by spark"])
def tables(request: pytest.FixtureRequest, spark: Any) -> Tables:
    return request.param(spark)


def rows(spark: Any, entity: Entity, *ids: str, name: str = "Ada", cursor: str = "1", outcome: str = "new", bare: bool = False) -> Any:
    """Judged rows as Silver rows."""
    from pyspark.sql import functions as F

    fields = [F.lit(name if field.type == "string" else None).cast(_sql(field.type)).alias(key) for key, field in entity.fields.items()]
    frame = spark.createDataFrame([(key,) for key in ids], "record_id string").select(
        "record_id",
        *[F.lit(value).alias(key) for key, value in {"tenant_id": "acme", "source": "s", "stream": "t", "connection_id": "c"}.items()],
        F.concat(F.lit("s:t:"), "record_id").alias("record_ref"),
        F.struct(*fields).alias("fields"),
        F.lit("{}").alias("custom_fields"),
        F.lit(bare).alias("is_deleted"),
        F.lit(cursor).alias("source_cursor"),
        F.lit(WHEN).alias("emitted_at"),
        F.lit(1).cast("bigint").alias("payload_hash"),
        F.xxhash64(F.lit(name)).alias("row_hash"),
        F.lit(1).alias("mapping_version"),
        F.lit(outcome).alias("outcome"),
        F.lit(bare).alias("bare"),
        F.lit(None).cast("timestamp").alias("swapped"),
    )
    return silver.silver_rows(frame, entity, "run", WHEN)


def _sql(kind: str) -> str:
    return {"integer": "bigint", "decimal": "decimal(28,6)"}.get(kind, kind)


def merge(
    tables: Any, entity: Entity, frame: Any, positions: dict[str, Position] | None = None, counts: dict[str, int] | None = None
) -> str:
    uri = table_uri("s_thing")
    silver.ensure_silver(tables.spark, uri, entity)
    silver.merge_silver(tables, uri, frame, entity, tenants=["acme"], note=silver.note_of(ReadUpTo(positions or {}), counts or {}, "run"))
    return uri


def contents(uri: str) -> list[dict[str, Any]]:
    return DeltaTable(uri).to_pyarrow_table().sort_by("record_id").to_pylist()


def test_the_read_position_is_part_of_the_commit(tables: Tables, spark: Any, lake: str) -> None:
    entity = load_entity("person")
    assert silver.position_of(table_at(table_uri("s_thing"))) == ReadUpTo()
    merge(tables, entity, rows(spark, entity, "1"), {"t": Position("bronze", 7)}, {"acme": 1})
    uri = merge(tables, entity, rows(spark, entity, "2"), {"t": Position("bronze", 9)}, {"acme": 5})
    table = table_at(uri)
    assert table is not None
    assert silver.position_of(table) == ReadUpTo({"t": Position("bronze", 9)}, {}, [{"acme": 5}, {"acme": 1}])
    assert len(list(notes(table))) == 2


def test_readers_without_spark_can_open_it(tables: Tables, spark: Any, lake: str) -> None:
    entity = load_entity("opportunity")
    uri = merge(tables, entity, rows(spark, entity, "1", "2"))
    table = DeltaTable(uri)
    assert table.metadata().configuration["delta.enableDeletionVectors"] == "false"
    assert table.metadata().configuration["delta.enableChangeDataFeed"] == "true"
    assert table.metadata().partition_columns == ["tenant_id"]
    assert [field.name for field in table.schema().fields] == silver.silver_schema(entity).names
    with duckdb.connect() as connection:
        connection.register("rows", table.to_pyarrow_dataset())
        found = connection.sql("SELECT record_id, name FROM rows ORDER BY 1").fetchall()
    assert found == [("1", "Ada"), ("2", "Ada")]
    changes = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(uri)
    assert changes.count() == 2


def test_an_older_version_never_replaces_a_newer_one(tables: Tables, spark: Any, lake: str) -> None:
    entity = load_entity("opportunity")
    merge(tables, entity, rows(spark, entity, "1", name="new", cursor="2"))
    uri = merge(tables, entity, rows(spark, entity, "1", name="old", cursor="1", outcome="changed"))
    assert [row["name"] for row in contents(uri)] == ["new"]


def test_a_delete_without_values_keeps_those_that_are_there(tables: Tables, spark: Any, lake: str) -> None:
    entity = load_entity("opportunity")
    merge(tables, entity, rows(spark, entity, "1", "2"))
    uri = merge(tables, entity, rows(spark, entity, "1", name="", cursor="2", outcome="changed", bare=True))
    assert [(row["name"], row["is_deleted"]) for row in contents(uri)] == [("Ada", True), ("Ada", False)]


def test_a_hard_delete_removes_the_row(tables: Tables, spark: Any, lake: str) -> None:
    entity = load_entity("opportunity")
    merge(tables, entity, rows(spark, entity, "1", "2"))
    uri = merge(tables, entity, rows(spark, entity, "1", cursor="2", outcome="removed"))
    assert [row["record_id"] for row in contents(uri)] == ["2"]


def test_a_new_entity_version_gives_older_rows_its_defaults(tables: Tables, spark: Any, lake: str) -> None:
    fields = {"name": {"description": "n"}}
    content = {"entity": "thing", "label": "T", "domain": "d", "description": "d", "version": 1, "fields": fields}
    first = Entity.model_validate(content)
    newer = {"score": {"description": "s", "type": "integer", "default": 3, "since": 2}, "note": {"description": "n", "since": 2}}
    second = Entity.model_validate(content | {"version": 2, "fields": fields | newer})
    merge(tables, first, rows(spark, first, "1"))
    uri = table_uri("s_thing")
    table = silver.ensure_silver(spark, uri, second)
    (row,) = contents(uri)
    assert (row["name"], row["score"], row["note"], row["schema_version"]) == ("Ada", 3, None, 2)
    assert silver.ensure_silver(spark, uri, second).version() == table.version()
    merge(tables, second, rows(spark, second, "2"))
    assert [row["schema_version"] for row in contents(uri)] == [2, 2]


def test_bronze_is_read_by_its_changes_and_as_it_is_where_these_are_unknown(tables: Tables, lake: str, bronze: Callable[..., None]) -> None:
    uri = table_uri("raw_s_t")
    assert silver.bronze_position(uri) is None
    for number in range(3):
        bronze("s", "t", [{"record_id": str(number), "payload": {}}])
        if number == 1:
            DeltaTable(uri).optimize.compact()  # writes rows again that are not new
    head = silver.bronze_position(uri)
    assert head is not None

    def ids(since: Position | None) -> list[str]:
        return sorted(row["record_id"] for row in silver.read_bronze(tables, uri, ["record_id"], since, head).collect())

    assert ids(Position(head.table_id, head.version - 1)) == ["2"]
    assert ids(Position(head.table_id, head.version - 3)) == ["1", "2"]
    assert (
        ids(None) == ids(Position("another table", head.version - 1)) == ids(Position(head.table_id, head.version + 5)) == ["0", "1", "2"]
    )
    DeltaTable(uri).alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    assert ids(Position(head.table_id, head.version - 1)) == ["0", "1", "2"]


def test_a_note_is_taken_back_after_its_block(spark: Any) -> None:
    key = "spark.databricks.delta.commitInfo.userMetadata"
    with commit_note(spark, {"a": 1}):
        assert spark.conf.get(key) == '{"a": 1}'
    assert spark.conf.get(key, None) is None


def test_a_conflict_is_retryable_and_other_errors_stay_themselves() -> None:
    with pytest.raises(LakeError, match="another writer") as caught, conflicts("uri"):
        raise RuntimeError("[DELTA_CONCURRENT_APPEND] files were added")
    assert caught.value.retryable
    with pytest.raises(ZeroDivisionError), conflicts("uri"):
        raise ZeroDivisionError


def test_a_writer_that_was_overtaken_writes_nothing_and_says_so(
    tables: Tables, spark: Any, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entity = load_entity("opportunity")
    uri = merge(tables, entity, rows(spark, entity, "1"))
    seen = DeltaTable(uri)
    merge(tables, entity, rows(spark, entity, "1", name="quick", cursor="2", outcome="changed"))
    monkeypatch.setattr("spine.lake.merging.table_at", lambda uri: seen)
    with pytest.raises(LakeError, match="another writer") as caught:
        merge(PassedTables(spark), entity, rows(spark, entity, "1", name="slow", cursor="3", outcome="changed"))
    assert caught.value.retryable
    assert [row["name"] for row in contents(uri)] == ["quick"]
