"""The lake's tables as Spark frames: how rows get from a table to Spark and back.

Spark computes either way. Where there is much, its own Delta reads and writes. Where there is little, delta-rs does, in this process:
Spark's Delta runs about twenty queries of its own to read three small tables and merge into two, which takes longer than the work itself.
The rows are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from spine.lake import amounts
from spine.lake.delta_sql import table_at
from spine.lake.merging import Merge, conflicts, merge_by_spark, merge_here
from spine.lake.paths import storage_options
from spine.lake.session import fit_to

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession


class Tables(Protocol):
    """Reads tables as frames of one session and writes frames into tables."""

    spark: SparkSession

    def read(self, uri: str, columns: Sequence[str], version: int | None = None) -> DataFrame:
        """Columns of a table, at a version (default: the newest)."""

    def appended(self, uri: str, columns: Sequence[str], first: int, last: int) -> DataFrame:
        """Columns of the rows that the commits `first` to `last` added to a table with a change feed."""

    def once(self, rows: DataFrame) -> DataFrame:
        """The same rows, computed once however often they are used; `release` them afterwards."""

    def release(self, rows: DataFrame) -> None:
        """Give back what `once` holds."""

    def append(self, uri: str, rows: DataFrame) -> None:
        """Add rows. Raises LakeError on a conflicting writer."""

    def merge(self, uri: str, merge: Merge, rows: DataFrame) -> None:
        """MERGE rows. Raises LakeError on a conflicting writer."""


def tables_for(spark: SparkSession, uris: Sequence[str]) -> Tables:
    """What fits work over all of these tables; sets the session up for it."""
    sizes = [size_of(table) for uri in uris if (table := table_at(uri)) is not None]
    rows, size = sum(rows for rows, _ in sizes), sum(size for _, size in sizes)
    fit_to(spark, rows)
    return PassedTables(spark) if rows <= amounts.FEW_ROWS and size <= amounts.FEW_BYTES else SparkTables(spark)


def size_of(table: DeltaTable) -> tuple[int, int]:
    """(rows, bytes) as the table's log says."""
    import pyarrow as pa

    actions = pa.table(table.get_add_actions())
    return sum(actions.column("num_records").to_pylist()), sum(actions.column("size_bytes").to_pylist())


class SparkTables:
    """Spark's own Delta reads and writes."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def read(self, uri: str, columns: Sequence[str], version: int | None = None) -> DataFrame:
        """Columns of a table, at a version (default: the newest)."""
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(uri).select(*columns)

    def appended(self, uri: str, columns: Sequence[str], first: int, last: int) -> DataFrame:
        """Rows that commits added to a table with a change feed."""
        changes = self.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", first)
        return changes.option("endingVersion", last).load(uri).where("_change_type = 'insert'").select(*columns)

    def once(self, rows: DataFrame) -> DataFrame:
        """A checkpoint on the executors, since a MERGE computes anew what is only cached; a cache where this is a Connect client.

        A client is told of nothing that was observed on the way to a checkpoint, and its collector waits for the server to drop it.
        """
        from pyspark.sql.utils import is_remote

        return rows.persist() if is_remote() else rows.localCheckpoint()

    def release(self, rows: DataFrame) -> None:
        """Drop the cache; Spark drops a checkpoint when nothing refers to it any more."""
        rows.unpersist()

    def append(self, uri: str, rows: DataFrame) -> None:
        """Add rows. Raises LakeError on a conflicting writer."""
        with conflicts(uri):
            rows.write.format("delta").mode("append").save(uri)

    def merge(self, uri: str, merge: Merge, rows: DataFrame) -> None:
        """MERGE rows. Raises LakeError on a conflicting writer."""
        merge_by_spark(self.spark, uri, merge, rows)


class PassedTables:
    """Rows pass through this process: delta-rs reads and writes, Spark computes."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def read(self, uri: str, columns: Sequence[str], version: int | None = None) -> DataFrame:
        """Columns of a table, at a version (default: the newest)."""
        from deltalake import DeltaTable

        from spine.lake.reading import dataset

        table = DeltaTable(uri, version=version, storage_options=storage_options())
        return self._frame(table, dataset(table).to_table(columns=list(columns)))

    def appended(self, uri: str, columns: Sequence[str], first: int, last: int) -> DataFrame:
        """Rows that commits added to a table with a change feed."""
        import pyarrow as pa
        from deltalake import DeltaTable

        table = DeltaTable(uri, version=last, storage_options=storage_options())
        feed = table.load_cdf(first, last, columns=list(columns), predicate="_change_type = 'insert'")
        return self._frame(table, pa.table(feed).select(columns))

    def _frame(self, table: DeltaTable, rows: pa.Table) -> DataFrame:
        """delta-rs may read texts as views, which Spark does not take: every column gets the type that the table declares."""
        import pyarrow as pa

        declared = pa.schema(table.schema().to_arrow())
        return self._given(rows.cast(pa.schema([declared.field(name) for name in rows.column_names])))

    def _given(self, rows: pa.Table) -> DataFrame:
        """With its types, since a table without rows has none to look at, and in one chunk at least, without which Spark fails."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import from_arrow_schema

        if rows.num_rows == 0:
            rows = pa.Table.from_batches([pa.RecordBatch.from_pylist([], rows.schema)])
        return self.spark.createDataFrame(rows, from_arrow_schema(rows.schema))

    def once(self, rows: DataFrame) -> DataFrame:
        """The rows, computed once."""
        return self._given(rows.toArrow())

    def release(self, rows: DataFrame) -> None:
        """Nothing is held."""

    def append(self, uri: str, rows: DataFrame) -> None:
        """Add rows. Raises LakeError on a conflicting writer."""
        from deltalake import write_deltalake

        with conflicts(uri):
            write_deltalake(uri, rows.toArrow(), mode="append", storage_options=storage_options())

    def merge(self, uri: str, merge: Merge, rows: DataFrame) -> None:
        """MERGE rows. Raises LakeError on a conflicting writer."""
        merge_here(uri, merge, rows.toArrow())
