"""Tables of `spine match` as files: reads records of CSV, Parquet and Delta as texts, writes CSV and Parquet whole or not at all.

Everything runs on Arrow columns; no value becomes a Python object. Touches nothing but the paths it is given.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import glob
import gzip
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from spine.core.errors import ConfigError, LakeError

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz")
OUTPUT_SUFFIXES = (".csv", ".parquet")
DELIMITERS = ",;\t|"
# Arrow reads a CSV in blocks, and a row must fit into one: first as is quick, then as the largest row that is believable wants.
_BLOCKS = (8 << 20, 1 << 30)
_HEADER = 1 << 20


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """The named columns of a CSV, Parquet or Delta table as texts, in the order of `columns`; an empty text is null.

    Raises ConfigError for a missing or unreadable file, an unknown column (with those there are) and values that are no texts.
    """
    wanted = list(dict.fromkeys(columns))
    if path.is_dir():
        return _texts(_delta(path, wanted), path)
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", hint=_neighbours(path))
    if path.stat().st_size == 0:
        raise ConfigError(f"{path} is empty: it has not even a header", hint="A CSV starts with a line of column names")
    if path.name.lower().endswith(CSV_SUFFIXES):
        return _csv(path, wanted)
    if path.suffix.lower() == ".parquet":
        return _texts(_parquet(path, wanted), path)
    raise ConfigError(
        f"{path.name} is neither CSV nor Parquet nor the folder of a Delta table", hint="Name it .csv, .tsv, .csv.gz or .parquet"
    )


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


def require_columns(path: Path, wanted: Sequence[str], present: Sequence[str]) -> None:
    """Raises ConfigError that names the wanted columns which are absent, what each may be meant for, and those there are."""
    missing = [name for name in wanted if name not in present]
    if not missing:
        return
    guesses = {name: difflib.get_close_matches(name.lower(), {item.lower(): None for item in present}, 1, 0.6) for name in missing}
    meant = [next(item for item in present if item.lower() == found[0]) for found in guesses.values() if found]
    shown = ", ".join(present[:40]) + (f" and {len(present) - 40} more" if len(present) > 40 else "")
    plural = "s" if len(missing) > 1 else ""
    hint = f"Did you mean {', '.join(meant)}? " if meant else ""
    raise ConfigError(f"{path.name} has no column{plural} {', '.join(missing)}", hint=f"{hint}It has {shown}")


def _csv(path: Path, wanted: Sequence[str]) -> pa.Table:
    header, delimiter, only = _header(path)
    names = [name.strip() for name in header]
    require_columns(path, wanted, names)
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise ConfigError(f"{path.name} has more than one column {twice[0]}", hint="Give each column a name of its own")
    if only:
        return pa.table({name: pa.array([], pa.string()) for name in wanted})
    raw = [header[names.index(name)] for name in wanted]
    for block in _BLOCKS:
        try:
            table = _read_csv(path, raw, delimiter, block, threads=True).rename_columns(list(wanted))
        except pa.ArrowInvalid as error:
            problem = str(error)
            if "straddl" not in problem or block == _BLOCKS[-1]:
                raise _csv_error(path, raw, delimiter, problem) from None
        else:
            break
    _require_closed_quotes(path, delimiter)
    return table


def _require_closed_quotes(path: Path, delimiter: str) -> None:
    """Raises ConfigError for a quote that is never closed: Arrow takes all rows behind it for one value without a word."""
    with _opened(path) as file:
        quotes = sum(piece.count(b'"') for piece in iter(lambda: file.read(_HEADER), b""))
    if quotes % 2 == 0:
        return
    csv.field_size_limit(_BLOCKS[-1])
    with io.TextIOWrapper(_opened(path), encoding="utf-8", errors="replace", newline="") as lines:
        rows, last = csv.reader(lines, delimiter=delimiter, strict=True), 0
        try:
            for _ in rows:
                last = rows.line_num
        except csv.Error as error:  # other liberties, such as a letter behind a closing quote, do no harm
            if "unexpected end" in str(error):
                raise ConfigError(
                    f"{path.name} has a quote that is never closed (line {last + 1:,})", hint="Close it, or double it"
                ) from None


def _read_csv(path: Path, raw: Sequence[str], delimiter: str, block: int, *, threads: bool) -> pa.Table:
    return pacsv.read_csv(
        path,
        pacsv.ReadOptions(block_size=block, use_threads=threads),
        pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pacsv.ConvertOptions(
            include_columns=list(raw), column_types=dict.fromkeys(raw, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )


def _csv_error(path: Path, raw: Sequence[str], delimiter: str, problem: str) -> ConfigError:
    """What is wrong with a CSV, and in which row; never the row itself."""
    if "UTF8" in problem:
        line = _first_foreign_line(path)
        return ConfigError(
            f"{path.name} is not UTF-8 text (line {line:,})", hint="Convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
        )
    try:  # one thread knows the number of the row
        _read_csv(path, raw, delimiter, _BLOCKS[-1], threads=False)
    except pa.ArrowInvalid as error:
        problem = str(error)
    short = re.sub(r"(got \d+).*", r"\1", problem.removeprefix("CSV parse error: "), flags=re.DOTALL)
    return ConfigError(
        f"{path.name} is not a whole CSV: {short.splitlines()[0][:200]}", hint="Look for a quote that is not closed, or a torn row"
    )


def _header(path: Path) -> tuple[list[str], str, bool]:
    """Column names as they are written, the delimiter that splits them best, and whether nothing follows them."""
    with _opened(path) as file:
        start = file.read(_HEADER)
    if b"\0" in start[:4096]:
        raise ConfigError(f"{path.name} is not UTF-8 text", hint="Convert it, for example: iconv -f UTF-16 -t UTF-8 OLD > NEW")
    text = start.decode("utf-8-sig", errors="replace").lstrip("\r\n")
    if not text.strip():
        raise ConfigError(f"{path} is empty: it has not even a header", hint="A CSV starts with a line of column names")
    readings = []
    for delimiter in DELIMITERS:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        readings.append((next(lines), delimiter, len(start) < _HEADER and not any(any(line) for line in lines)))
    header, delimiter, only = max(readings, key=lambda reading: len(reading[0]))
    if any("\ufffd" in name for name in header):
        raise ConfigError(
            f"{path.name} is not UTF-8 text (line 1)", hint="Convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
        )
    return header, delimiter, only


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile is a binary stream
    return path.open("rb")


def _first_foreign_line(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    with _opened(path) as file:
        while piece := file.read(_HEADER):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                return lines + piece[: error.start].count(b"\n")
            lines += piece.count(b"\n")
    return lines


def _parquet(path: Path, wanted: Sequence[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            require_columns(path, wanted, file.schema_arrow.names)
            return file.read(columns=list(wanted)).select(list(wanted))
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(
            f"{path.name} is not a Parquet file: {_first_line(error)}", hint="Write it anew; it may have been cut off"
        ) from None


def _delta(path: Path, wanted: Sequence[str]) -> pa.Table:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if not DeltaTable.is_deltatable(str(path)):
        raise ConfigError(
            f"{path} is a folder, but not a Delta table (it has no _delta_log)", hint="Name a CSV or Parquet file, or a Delta table"
        )
    try:
        dataset = DeltaTable(str(path)).to_pyarrow_dataset()
        require_columns(path, wanted, dataset.schema.names)
        return dataset.to_table(columns=list(wanted))
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise ConfigError(f"the Delta table {path} does not open: {_first_line(error)}", hint="Check its log and files") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _texts(table: pa.Table, path: Path) -> pa.Table:
    columns = {}
    for name in table.column_names:
        try:
            text = _as_text(table.column(name))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = table.schema.field(name).type
            raise ConfigError(f"column {name} of {path.name} holds {kind}, not texts", hint="Turn it into text or a number first") from None
        columns[name] = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return pa.table(columns)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = _whole_numbers(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) or pa.types.is_nested(column.type):
        raise pa.ArrowInvalid("no text")
    return column.cast(pa.string())


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers of a float column as such: what had a gap somewhere often became float on its way (a phone as 3865286.0)."""
    try:
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column).cast(pa.int64())
    except pa.ArrowInvalid:
        return column


def flat(column: Any) -> Any:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def duplicates(ids: Any, most: int = 5) -> str:
    """`'a' (3 times), 'b' (2 times)`: the texts that occur more than once in sorted `ids`, most frequent first; empty if none does."""
    counted = pc.value_counts(ids.filter(_repeated(ids)))
    if not len(counted):
        return ""
    table = pa.table({"id": counted.field("values"), "times": counted.field("counts")})
    table = table.sort_by([("times", "descending"), ("id", "ascending")])
    shown = [f"{str(row['id'])[:60]!r} ({row['times']:,} times)" for row in table.slice(0, most).to_pylist()]
    more = f" and {table.num_rows - most:,} more" if table.num_rows > most else ""
    return f"{', '.join(shown)}{more}"


def _repeated(ids: Any) -> Any:
    """A flag per sorted text: whether a neighbour is the same."""
    if not len(ids):
        return pa.array([], pa.bool_())
    whole = flat(ids)
    same, none = pc.equal(whole.slice(1), whole.slice(0, len(whole) - 1)), pa.array([False])
    return pc.or_(pa.concat_arrays([none, same]), pa.concat_arrays([same, none]))
