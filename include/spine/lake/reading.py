"""Reading Delta tables without a JVM: what tables there are, their rows as Arrow batches, their rows per tenant. Never writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.fs import DeltaStorageHandler

from spine.core.errors import LakeError
from spine.core.foreign import told
from spine.core.settings import settings
from spine.lake import delta_sql
from spine.lake.paths import storage_options, table_uri

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    from duckdb import DuckDBPyConnection

ARCHIVE = "_archive"
BATCH_ROWS = 8192
Filter = tuple[str, str, Any]


class _BytesSink:
    """delta-rs takes bytes only, while pyarrow hands over its own buffers."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.closed = False

    def write(self, data: Any) -> int:
        self._sink.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        self._sink.flush()

    def tell(self) -> int:
        return int(self._sink.tell())

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._sink.close()


class _Storage(DeltaStorageHandler):
    """The lake's storage, writable."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> Any:
        return pa.PythonFile(_BytesSink(self._handler.open_output_stream(path, metadata)), mode="w")


@contextmanager
def reading(table: str) -> Iterator[None]:
    """Turn failures of delta-rs, Arrow and storage into LakeError that names the table."""
    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        hint = "Check SPINE_LAKE and its storage; a retry is safe"
        raise LakeError(f"Table {table} did not open or read: {told(error)}", hint=hint) from error


@contextmanager
def storage(what: str) -> Iterator[None]:
    """Turn what a step meets at the lake's storage, if no block inside has named it, into LakeError; also a decorator."""
    try:
        yield
    except (DeltaError, OSError) as error:
        raise LakeError(f"{what} could not be read or written: {told(error)}", hint=delta_sql.STORAGE_HINT) from error


def filesystem() -> pafs.FileSystem:
    """The lake's folder or bucket as one file system, whose paths are relative to it."""
    return pafs.PyFileSystem(_Storage(settings().lake, storage_options()))


def open_table(table: str, version: int | None = None) -> DeltaTable | None:
    """The Delta table of that name at a version (default: newest), None if there is none. Raises LakeError."""
    with reading(table):
        return delta_sql.table_at(table_uri(table), version)


def table_names() -> list[str]:
    """Names of all Delta tables in the lake, sorted. Raises LakeError."""
    with reading("(all)"):
        if "://" not in settings().lake and not _exists(settings().lake):
            return []
        found = filesystem().get_file_info(pafs.FileSelector("", recursive=False))
        folders = sorted(info.base_name for info in found if info.type == pafs.FileType.Directory and not info.base_name.startswith("_"))
        return [name for name in folders if DeltaTable.is_deltatable(table_uri(name), storage_options())]


def _exists(folder: str) -> bool:
    return bool(pafs.LocalFileSystem().get_file_info(folder).type == pafs.FileType.Directory)


def dataset(table: DeltaTable, where: Sequence[Filter] = ()) -> pads.Dataset:
    """Files of the partitions that `where` (column, operator, value) names, as an Arrow dataset; other files are not in it.

    Tables may have files from before times were written as microseconds: as nanoseconds, INT96 holds no year before 1677 or after 2262.
    And they may have files that a MERGE of delta-rs from 1.6 on wrote: their texts are views, which Arrow does not compare with plain ones.
    Read by way of dictionaries, the texts of every file are plain.
    """
    import pyarrow.dataset as pads  # imports pandas, which a task that reads no rows does without

    found = table.to_pyarrow_dataset(partitions=list(where) or None)
    texts = {field.name for field in found.schema if field.type == pa.string()}
    options = pads.ParquetReadOptions(coerce_int96_timestamp_unit="us", dictionary_columns=texts)
    parquet = pads.ParquetFileFormat(read_options=options, default_fragment_scan_options=found.format.default_fragment_scan_options)
    files = [parquet.make_fragment(f.path, found.filesystem, f.partition_expression) for f in found.get_fragments()]
    return pads.FileSystemDataset(files, found.schema, parquet, found.filesystem)


def batches(source: pads.Dataset, schema: pa.Schema, where: pads.Expression | None = None) -> pa.RecordBatchReader:
    """Rows of a dataset as `schema`, a few thousand at a time with little read ahead, so that memory stays flat.

    Columns that the dataset lacks are null. Raises LakeError when a value does not fit its type.
    """
    present = [name for name in schema.names if name in source.schema.names]
    scanner = source.scanner(columns=present, filter=where, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1)

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in scanner.to_batches():
            arrays = [batch.column(f.name).cast(f.type) if f.name in present else pa.nulls(batch.num_rows, f.type) for f in schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, rows())


def rows_by(table: DeltaTable, column: str) -> dict[str, int]:
    """Rows per value of a partition column, from the log alone."""
    actions = pa.table(table.get_add_actions(flatten=True))
    counted: Counter[str] = Counter()
    if actions.num_rows == 0:
        return {}
    for value, rows in zip(actions[f"partition.{column}"].to_pylist(), actions["num_records"].to_pylist(), strict=True):
        counted[str(value)] += rows or 0
    return dict(counted)


def query_engine(tenant: str, tables: Sequence[str] | None = None) -> DuckDBPyConnection:
    """A DuckDB in memory with each Delta table as a view that holds one tenant's rows and nothing else.

    It cannot reach files, networks, extensions or Python's variables, and that cannot be switched on again. Raises LakeError.
    """
    import duckdb

    engine = duckdb.connect(":memory:", config={"enable_external_access": "false", "python_enable_replacements": "false"})
    engine.execute("SET TimeZone = 'UTC'")
    for name in table_names() if tables is None else tables:
        table = open_table(name)
        if table is None or "tenant_id" not in table.metadata().partition_columns:
            continue  # without the partition nothing would keep tenants apart
        with reading(name):
            engine.register(name, dataset(table, [("tenant_id", "=", tenant)]))
    engine.execute("SET lock_configuration = true")
    return engine
