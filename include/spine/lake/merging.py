"""MERGE into a Delta table: said once, done by delta-rs in this process where there is little to do, by Spark where there is much.

Conditions and expressions are SQL that both read alike, over the table's row (`t`) and the new one (`s`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from spine.core.errors import LakeError
from spine.core.foreign import told
from spine.lake.delta_sql import STORAGE_HINT, commit_note, literal, quoted, table_at, table_path

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Merge:
    """What becomes of the rows of one table, in one commit that carries `note`.

    A row with the `keys` of a new one is deleted if `deleted`, else `updated` (column -> expression) if `update_if`; a new one without
    is inserted with all `inserted` columns if `insert_if`. `pruned` gives the values that partition columns can have, so that other
    partitions are not read.
    """

    keys: Sequence[str]
    pruned: Mapping[str, Sequence[str]]
    deleted: str | None = None
    updated: Mapping[str, str] = field(default_factory=dict)
    update_if: str | None = None
    inserted: Sequence[str] = ()
    insert_if: str | None = None
    note: Mapping[str, Any] | None = None

    @property
    def condition(self) -> str:
        """Which row of the table is the same as a new one."""
        terms = [f"t.{quoted(key)} = s.{quoted(key)}" for key in self.keys]
        for column, values in self.pruned.items():
            terms.append(f"t.{quoted(column)} IN ({', '.join(literal(value) for value in sorted(values))})")
        return " AND ".join(terms)

    def statement(self, uri: str, view: str) -> str:
        """The MERGE of a view as Spark's SQL."""
        words = ["MERGE INTO", table_path(uri), "AS t USING", view, "AS s ON", self.condition]
        if self.deleted:
            words += ["WHEN MATCHED AND", self.deleted, "THEN DELETE"]
        if self.updated:
            changes = ", ".join(f"t.{quoted(name)} = {expression}" for name, expression in self.updated.items())
            words += ["WHEN MATCHED", *_condition(self.update_if), "THEN UPDATE SET", changes]
        if self.inserted:
            columns = ", ".join(quoted(name) for name in self.inserted)
            values = ", ".join(f"s.{quoted(name)}" for name in self.inserted)
            words += ["WHEN NOT MATCHED", *_condition(self.insert_if), "THEN INSERT", f"({columns})", "VALUES", f"({values})"]
        return " ".join(words)


def _condition(sql: str | None) -> list[str]:
    return ["AND", sql] if sql else []


def from_source(columns: Sequence[str], own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Expressions that take columns from the new row, but for those that have one of their `own`."""
    return {name: (own or {}).get(name, f"s.{quoted(name)}") for name in columns}


def merge_by_spark(spark: SparkSession, uri: str, merge: Merge, rows: DataFrame) -> None:
    """Do it in Spark. Always commits, also without a change. Raises LakeError on a conflicting writer."""
    view = f"merge_{uuid4().hex}"
    rows.createOrReplaceTempView(view)
    try:
        with commit_note(spark, merge.note), conflicts(uri):
            spark.sql(merge.statement(uri, view)).collect()
    finally:
        spark.catalog.dropTempView(view)


def merge_here(uri: str, merge: Merge, rows: pa.Table) -> None:
    """Do it in this process, by delta-rs, whose `delete` and `update` would write texts as Arrow views, which Arrow itself cannot compare.

    Raises LakeError if there is no table, or on a conflicting writer.
    """
    from deltalake import CommitProperties

    table = table_at(uri)
    if table is None:
        raise LakeError("there is no table to merge into", hint="A run makes it; run it again", table=uri)
    note = CommitProperties(custom_metadata={"userMetadata": json.dumps(merge.note, sort_keys=True)}) if merge.note is not None else None
    merger = table.merge(rows, merge.condition, source_alias="s", target_alias="t", commit_properties=note)
    if merge.deleted:
        merger = merger.when_matched_delete(merge.deleted)
    if merge.updated:
        merger = merger.when_matched_update({quoted(name): expression for name, expression in merge.updated.items()}, merge.update_if)
    if merge.inserted:
        merger = merger.when_not_matched_insert({quoted(name): f"s.{quoted(name)}" for name in merge.inserted}, merge.insert_if)
    with conflicts(uri):
        merger.execute()


# What Spark says of storage that fails, wherever in a chain of causes; also where it takes a table for absent that was there just before.
_STORAGE = (
    "No space left on device", "Not a directory", "java.io.IOException", "java.io.FileNotFoundException", "java.nio.file.",
    "AmazonS3Exception", "DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND", "DELTA_PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND",
)  # fmt: skip


@contextmanager
def conflicts(uri: str) -> Iterator[None]:
    """Turn the refusal of a commit that overlaps another one, and storage that fails Spark, into a retryable LakeError."""
    from deltalake.exceptions import CommitFailedError

    try:
        yield
    except Exception as error:
        words = str(error)
        if storage := next((sign for sign in _STORAGE if sign in words), None):
            line = next(line for line in words.splitlines() if storage in line)
            raise LakeError(f"the table could not be written: {told(line)}", hint=STORAGE_HINT, table=uri) from error
        spark = "DELTA_CONCURRENT" in words or "ConcurrentModification" in type(error).__name__
        if not spark and not isinstance(error, CommitFailedError):
            raise
        raise LakeError(
            "another writer changed the table at the same moment", hint="Run it again; nothing was written", table=uri
        ) from error


def run(spark: SparkSession, uri: str, statement: str) -> None:
    """Run one statement that writes to the table at `uri`. Raises LakeError on a conflicting writer."""
    with conflicts(uri):
        spark.sql(statement).collect()
