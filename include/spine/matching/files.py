"""Tables of `spine match` as files: reads records of CSV, Parquet and Delta as texts, writes CSV and Parquet whole or not at all.

Everything runs on Arrow columns; no value becomes a Python object. Touches nothing but the paths it is given.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from spine.core.errors import ConfigError, FileRefused, LakeError
from spine.core.foreign import told
from spine.core.settings import settings
from spine.matching import csv as match_csv
from spine.matching import jsonlines
from spine.matching.compressed import inner_name, packed
from spine.matching.csv import require_columns
from spine.sources import parquet

Array: TypeAlias = Any  # numpy arrays of many element types

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
OUTPUT_SUFFIXES = (".csv", ".parquet")


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """The named columns of a CSV, JSON, Parquet or Delta table as texts, in the order of `columns`; an empty text is null.

    Raises ConfigError for a missing or unreadable file, an unknown column (with those there are) and values that are no texts; FileRefused
    for a compressed one that grows beyond the bounds of SPINE_BOUNDS.
    """
    wanted = list(dict.fromkeys(columns))
    kind = kind_of(path)
    if kind == "csv":
        return match_csv.read(path, wanted)
    if kind == "json":
        return jsonlines.read(path, wanted)
    return _texts(_delta(path, wanted) if kind == "delta" else _parquet(path, wanted), path)


def sample(path: Path, most: int) -> pa.Table:
    """The first rows of a table with all columns that can be texts. Raises ConfigError for a missing or unreadable file."""
    kind = kind_of(path)
    if kind == "csv":
        return match_csv.sample(path, most)
    if kind == "json":
        return jsonlines.sample(path, most)
    if kind == "delta":
        return _texts_only(_dataset(path).head(most), path)
    with _parquet_file(path) as file, path.open("rb") as stored:
        names = [name for name in file.schema_arrow.names if _within_bounds(file, stored, name)]
        if not names:
            parquet.require_bounds(file, stored, file.schema_arrow.names, settings().bounds)
        first = next(file.iter_batches(most, columns=names), None)
        return _texts_only(file.schema_arrow.empty_table() if first is None else pa.Table.from_batches([first]), path)


def _within_bounds(file: pq.ParquetFile, stored: BinaryIO, name: str) -> bool:
    try:
        parquet.require_bounds(file, stored, [name], settings().bounds)
    except FileRefused:
        return False
    return True


def _texts_only(table: pa.Table, path: Path) -> pa.Table:
    found = {}
    for name in table.column_names:
        try:
            found[name] = _texts(table.select([name]), path).column(0)
        except (ConfigError, pa.ArrowInvalid):
            continue  # a list, a picture: nothing that is compared
    return pa.table(found)


def kind_of(path: Path) -> Literal["csv", "json", "parquet", "delta"]:
    """The format of a table, by its name. Raises ConfigError for a missing or empty file and for any other format."""
    if path.is_dir():
        return "delta"
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", hint=_neighbours(path))
    if path.stat().st_size == 0:
        raise ConfigError(f"{path} is empty: it has not even a header", hint="A CSV starts with a line of column names")
    if inner_name(path).endswith(CSV_SUFFIXES):
        return "csv"
    if inner_name(path).endswith(jsonlines.SUFFIXES):
        return "json"
    if path.suffix.lower() == ".parquet":
        return "parquet"
    raise ConfigError(
        f"{path.name} is neither CSV nor JSON nor Parquet nor the folder of a Delta table",
        hint="Name it .csv, .tsv, .jsonl or .parquet; CSV and JSON may be compressed (.gz, .bz2, .xz, .zst)",
    )


def has_more_rows(path: Path, most: int) -> bool:
    """Whether a table has more than `most` rows; lines are counted for rows in a CSV. False for what cannot be read."""
    try:
        kind = kind_of(path)
        if kind == "delta":
            return bool(_dataset(path).count_rows() > most)
        if kind == "parquet":
            return bool(pq.read_metadata(path).num_rows > most)
        if not packed(path) and path.stat().st_size <= 2 * most:
            return False
        return match_csv.lines(path) > most
    except (ConfigError, FileRefused, OSError, pa.ArrowException):
        return False  # whoever reads it says what is wrong


def typed_schema(path: Path, wanted: Sequence[str]) -> pa.Schema:
    """The types of columns of a Parquet or Delta table. Raises ConfigError as `read_columns` does, without reading a row."""
    if kind_of(path) == "delta":
        schema = _dataset(path).schema
    else:
        with _parquet_file(path) as file, path.open("rb") as stored:
            schema = file.schema_arrow
            require_columns(path, wanted, schema.names)
            parquet.require_bounds(file, stored, wanted, settings().bounds)
    require_columns(path, wanted, schema.names)
    found = pa.schema([schema.field(name) for name in wanted])
    _texts(found.empty_table(), path)
    return found


def require_output(path: Path) -> None:
    """Raises ConfigError unless a table can be written to `path`: a suffix that tells the format, in a folder that exists."""
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        raise ConfigError(f"{path.name} does not say which format it shall have", hint=f"End it with {' or '.join(OUTPUT_SUFFIXES)}")
    require_file(path)


def require_file(path: Path) -> None:
    """Raises ConfigError unless `path` can be a file in a folder that exists."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="Name a file")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", hint=f"Make it first: mkdir -p {path.parent}")


def write_table(table: pa.Table, path: Path) -> None:
    """Write CSV or Parquet by the path's suffix; readers see the old file or the whole new one, never a part."""
    with replacing(path) as partial:
        if path.suffix.lower() == ".csv":
            with partial.open("wb") as file:
                style = "needed" if _needs_quotes(table) else "none"
                pacsv.write_csv(table, file, pacsv.WriteOptions(quoting_style=style, quoting_header=style))
        else:
            pq.write_table(table, partial, compression="zstd")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there at the end is put on disk and takes the place of `path` in one step."""
    _sweep(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise LakeError(f"{path} could not be written: {error.strerror}", hint="The former file is as it was; see to the disk") from error
    finally:
        partial.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Take away what killed runs left; a run that is still alive keeps its own."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        owner = left.name.split(".")[-2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            left.unlink(missing_ok=True)


def _needs_quotes(table: pa.Table) -> bool:
    columns = [table.column(name) for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
    columns.append(pa.chunked_array([pa.array(table.column_names)]))
    return any(pc.any(pc.match_substring_regex(column, '[",\r\n]')).as_py() for column in columns)


def _neighbours(path: Path) -> str:
    try:
        names = sorted(item.name for item in path.parent.iterdir())
    except OSError:
        return f"There is no folder {path.parent} either"
    close = difflib.get_close_matches(path.name, names, 1, 0.6)
    return f"Is it {close[0]}?" if close else "Check the path"


def _parquet(path: Path, wanted: Sequence[str]) -> pa.Table:
    with _parquet_file(path) as file, path.open("rb") as stored:
        require_columns(path, wanted, file.schema_arrow.names)
        return parquet.columns(stored, wanted, settings().bounds)


@contextmanager
def _parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileRefused as error:
        raise FileRefused(f"{path.name} {error.message}", hint=error.hint) from None
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(
            f"{path.name} is not a Parquet file: {first_line(error)}", hint="Write it anew; it may have been cut off"
        ) from None


def _delta(path: Path, wanted: Sequence[str]) -> pa.Table:
    dataset = _dataset(path)
    require_columns(path, wanted, dataset.schema.names)
    try:
        return dataset.to_table(columns=list(wanted))
    except (pa.ArrowException, OSError) as error:
        raise _closed_delta(path, error) from None


def _dataset(path: Path) -> Any:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if not DeltaTable.is_deltatable(str(path)):
        raise ConfigError(
            f"{path} is a folder, but not a Delta table (it has no _delta_log)", hint="Name a CSV or Parquet file, or a Delta table"
        )
    try:
        return DeltaTable(str(path)).to_pyarrow_dataset()
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise _closed_delta(path, error) from None


def _closed_delta(path: Path, error: BaseException) -> ConfigError:
    return ConfigError(f"the Delta table {path} does not open: {first_line(error)}", hint="Check its log and files")


def first_line(error: BaseException) -> str:
    """The first line of what an error says, cut short, without what may be a value."""
    return told(error, 200)


def _texts(table: pa.Table, path: Path) -> pa.Table:
    columns = {}
    for name in table.column_names:
        try:
            text = as_text(table.column(name))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = table.schema.field(name).type
            raise ConfigError(f"column {name} of {path.name} holds {kind}, not texts", hint="Turn it into text or a number first") from None
        empty = pc.equal(text, "")
        columns[name] = pc.if_else(empty, pa.scalar(None, pa.string()), text) if pc.any(empty).as_py() else text
    return pa.table(columns)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as texts. Raises pa.ArrowInvalid or pa.ArrowNotImplementedError for what is none."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = whole_numbers(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) or pa.types.is_nested(column.type):
        raise pa.ArrowInvalid("no text")
    return column.cast(pa.string())


def without_empty_rows(table: pa.Table) -> tuple[pa.Table, int]:
    """The rows that hold any value, and how many hold none: spreadsheets leave such rows behind their last one."""
    blank = pa.repeat(pa.scalar(True), table.num_rows)
    for column in table.columns:
        missing = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
        blank = pc.and_(blank, flat(missing))
        if not pc.any(blank).as_py():
            return table, 0
    return table.filter(pc.invert(blank)), int(pc.sum(blank).as_py())


def whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers of a float column as such: what had a gap somewhere often became float on its way (a phone as 3865286.0)."""
    try:
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column).cast(pa.int64())
    except pa.ArrowInvalid:
        return column


def flat(column: Any) -> Any:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def places(ids: pa.Array, among: pa.Array) -> Array:
    """The place of each id among others, -1 where it is not there; mostly they are the same, which is quick to see."""
    if ids.equals(among):
        return np.arange(len(ids))
    return np.asarray(pc.fill_null(pc.index_in(ids, value_set=among), -1), dtype=np.int64)


def taken(table: pa.Table, rows: pa.Array) -> pa.Table:
    """Some rows of a table, in their order; all cores take them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return pa.table(list(pool.map(lambda column: column.take(rows), table.columns)), names=table.column_names)


def in_order(texts: pa.Array) -> bool:
    """Whether texts rise (or stay) from one to the next; none of them is null."""
    return bool(len(texts) < 2 or pc.all(pc.less_equal(texts.slice(0, len(texts) - 1), texts.slice(1))).as_py())


def duplicates(ids: Any, most: int = 5) -> str:
    """`'a' (3 times), 'b' (2 times)`: the texts that occur more than once in sorted `ids`, most frequent first; empty if none does."""
    counted = pc.value_counts(ids.filter(_repeated(ids)))
    if not len(counted):
        return ""
    table = pa.table({"id": counted.field("values"), "times": counted.field("counts")})
    return told_duplicates(table.sort_by([("times", "descending"), ("id", "ascending")]).slice(0, most), table.num_rows)


def told_duplicates(first: pa.Table, count: int) -> str:
    """The first (`id`, `times`) of `count` texts that occur more than once, in words."""
    shown = [f"{str(row['id'])[:60]!r} ({row['times']:,} times)" for row in first.to_pylist()]
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return f"{', '.join(shown)}{more}"


def _repeated(ids: Any) -> Any:
    """A flag per sorted text: whether a neighbour is the same."""
    if not len(ids):
        return pa.array([], pa.bool_())
    whole = flat(ids)
    same, none = pc.equal(whole.slice(1), whole.slice(0, len(whole) - 1)), pa.array([False])
    return pc.or_(pa.concat_arrays([none, same]), pa.concat_arrays([same, none]))
