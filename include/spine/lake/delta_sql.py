"""Delta by SQL, so that the same code runs by spark-submit and on a Spark Connect client: MERGE with a note in its commit.

The note (`userMetadata` of the commit) is read and written atomically with the data; see https://docs.delta.io/latest/delta-batch.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from spine.core.errors import LakeError
from spine.lake.paths import storage_options
from spine.lake.session import fit_to

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

_NOTE = "spark.databricks.delta.commitInfo.userMetadata"


def table_path(uri: str) -> str:
    """A table's place as SQL names it."""
    return f"delta.`{uri}`"


def quoted(name: str) -> str:
    """A column name in back-ticks."""
    return f"`{name}`"


def literal(value: str) -> str:
    """A text as an SQL literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def row_hash(columns: Sequence[str]) -> str:
    """SQL of a 64 bit hash over columns that also tells which of them are null (Spark's own skips nulls)."""
    return f"xxhash64({', '.join(f'{name}, {name} IS NULL' for name in columns)})"


@contextmanager
def commit_note(spark: SparkSession, note: Mapping[str, Any] | None) -> Iterator[None]:
    """Every commit of this session inside the block carries `note` as JSON."""
    if note is None:
        yield
        return
    spark.conf.set(_NOTE, json.dumps(note, sort_keys=True))
    try:
        yield
    finally:
        spark.conf.unset(_NOTE)


def merge(
    spark: SparkSession,
    uri: str,
    source: DataFrame,
    *,
    keys: Sequence[str],
    clauses: Sequence[str],
    pruned: Mapping[str, Iterable[str]] | None = None,
    note: Mapping[str, Any] | None = None,
) -> None:
    """MERGE `source` (alias `s`) into the table (alias `t`) on `keys`, in one commit that carries `note`.

    `clauses` are the WHEN parts. `pruned` gives the values that partition columns can have, so that other partitions are not read.
    A MERGE always commits, also without a change: call it with rows that change something. Raises LakeError on a conflicting writer.
    """
    fit_to(spark, row_count(uri))
    view = f"merge_{uuid4().hex}"
    source.createOrReplaceTempView(view)
    joined = [f"t.{quoted(key)} = s.{quoted(key)}" for key in keys]
    for column, values in (pruned or {}).items():
        joined.append(f"t.{quoted(column)} IN ({', '.join(literal(value) for value in sorted(values))})")
    statement = " ".join(["MERGE INTO", table_path(uri), "AS t USING", view, "AS s ON", " AND ".join(joined), *clauses])
    try:
        with commit_note(spark, note), conflicts(uri):
            spark.sql(statement).collect()
    finally:
        spark.catalog.dropTempView(view)


def run(spark: SparkSession, uri: str, statement: str) -> None:
    """Run one statement that writes to the table at `uri`. Raises LakeError on a conflicting writer."""
    with conflicts(uri):
        spark.sql(statement).collect()


@contextmanager
def conflicts(uri: str) -> Iterator[None]:
    """Turn Delta's refusal of a commit that overlaps another one into a retryable LakeError."""
    try:
        yield
    except Exception as error:
        if "DELTA_CONCURRENT" not in str(error) and "ConcurrentModification" not in type(error).__name__:
            raise
        raise LakeError(
            "another writer changed the table at the same moment", hint="Run it again; nothing was written", table=uri
        ) from error


def set_columns(names: Iterable[str], expressions: Mapping[str, str] | None = None) -> str:
    """`UPDATE SET` of columns from the source, or from an SQL expression of their own."""
    own = expressions or {}
    return "UPDATE SET " + ", ".join(f"t.{quoted(name)} = {own.get(name, f's.{quoted(name)}')}" for name in names)


def insert_columns(names: Sequence[str]) -> str:
    """`INSERT` of columns from the source."""
    columns, values = ", ".join(quoted(name) for name in names), ", ".join(f"s.{quoted(name)}" for name in names)
    return " ".join(["INSERT", f"({columns})", "VALUES", f"({values})"])


def open_table(uri: str) -> DeltaTable | None:
    """The table at its newest version, by delta-rs (milliseconds, no Spark job); None if there is none."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(uri, storage_options=storage_options())
    except TableNotFoundError:
        return None


def row_count(uri: str) -> int:
    """Rows of a table as its log says, without reading it; 0 if there is none."""
    import pyarrow as pa

    table = open_table(uri)
    return 0 if table is None else sum(pa.table(table.get_add_actions()).column("num_records").to_pylist())


def notes(table: DeltaTable, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The notes of a table's commits, newest first; commits without one are skipped."""
    for commit in table.history(limit):
        try:
            note = json.loads(commit.get("userMetadata") or "null")
        except json.JSONDecodeError:
            continue
        if isinstance(note, dict):
            yield note
