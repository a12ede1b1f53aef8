"""Rows and columns of Parquet files within bounds: their pages are judged before anything is decoded, each row before it becomes Python's.

Texts stay in their dictionaries while they are read: a million rows may share one text of a million letters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spine.core import jsontext
from spine.core.bounds import Bounds
from spine.core.errors import FileRefused
from spine.sources.parquet_pages import APART, Chunk, Pages
from spine.sources.rows import BadRow, Row

_BATCH = 1000
_BATCHES = (64_000, 16_000, 4000, _BATCH, 250, 60, 15, 4, 1)  # rows that may be decoded at once
_DECODED, _AT_ONCE = 256 << 20, 1 << 30  # bytes that they should take, and that one row may take with the pages which it is in
_BUFFER = 1 << 16  # of each column's bytes in the file; without one all of a column's are read at once
_IN_DICTIONARIES = frozenset({0, 2, 3, 4, 8})  # PLAIN, where a dictionary grew too large; PLAIN_DICTIONARY, RLE, BIT_PACKED, RLE_DICTIONARY
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_PLACE = 16  # bytes of a value besides its own: levels, offsets, places in a dictionary
_RESERVED = 1024  # values of a fixed length that Arrow makes room for, however few it reads
_VALUE = 8  # bytes at least, that a number or a place in a dictionary counts
_LEAST = 4  # bytes that a place in a dictionary takes while it is decoded; a run of one value takes none in the file


def columns(stored: BinaryIO, wanted: Sequence[str], bounds: Bounds) -> pa.Table:
    """The wanted columns. Raises FileRefused where they, each value written out, are larger than the bounds.

    pa.ArrowException or OSError for what is no whole Parquet. Where the longest text of a dictionary in every row were too much, texts stay
    in dictionaries until it is known how large they become.
    """
    with pq.ParquetFile(stored, pre_buffer=False) as file:
        judged = _judged(file, stored, bounds, wanted)
    decoded, parts = 0, []
    with pq.ParquetFile(stored, pre_buffer=False, buffer_size=_BUFFER, read_dictionary=judged.texts) as file:
        if not judged.hidden and not _beyond(bounds, judged.decoded + _at_most(file, wanted), judged.stored):
            with pq.ParquetFile(stored) as whole:
                return whole.read(columns=list(wanted)).select(list(wanted))
        for group in range(file.num_row_groups):
            for part in file.iter_batches(judged.at_once, row_groups=[group], columns=list(wanted)):
                decoded += sum(_weight(column) for column in part.columns)
                _require_within(bounds, decoded, judged.stored)
                parts.append(pa.table([_written_out(column) for column in part.columns], names=part.schema.names))
    return pa.concat_tables(parts) if parts else judged.schema.empty_table().select(list(wanted))


def _at_most(file: pq.ParquetFile, wanted: Sequence[str]) -> int:
    """Bytes of texts that come from dictionaries, if each were the longest one of its own; of each only the first row is decoded."""
    found = 0
    for group in range(file.num_row_groups):
        first = next(file.iter_batches(1, row_groups=[group], columns=list(wanted)), None)
        for column in first.columns if first else ():
            if isinstance(column, pa.DictionaryArray):
                longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
                found += longest * file.metadata.row_group(group).num_rows
    return found


def _written_out(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def rows(stored: BinaryIO, bounds: Bounds) -> Iterator[Row]:
    """All rows of a Parquet file. Raises FileRefused beyond the bounds and for what breaks off, OSError if it cannot be read."""
    try:
        with pq.ParquetFile(stored, pre_buffer=False) as file:
            judged = _judged(file, stored, bounds)
    except pa.ArrowInvalid as problem:
        yield BadRow(1, {}, 0, f"not Parquet: {_first_line(problem)}", "")
        return
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:  # a name in the footer may be no text
        raise _broken(problem) from None
    number = decoded = 0
    try:
        with pq.ParquetFile(
            stored, pre_buffer=False, buffer_size=_BUFFER, coerce_int96_timestamp_unit="us", read_dictionary=judged.texts
        ) as file:
            for part in file.iter_batches(batch_size=min(_BATCH, judged.at_once)):
                for piece, size in _pieces(part, bounds.row):
                    decoded += size
                    if decoded > bounds.file:
                        raise FileRefused(f"is larger than {bounds.file:,} bytes when decoded", hint="Divide it, or raise SPINE_BOUNDS")
                    yield from _rows(piece, size, judged.schema, bounds.row, number)
                    number += piece.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:  # a name in the footer may be no text
        raise _broken(problem) from None


def _broken(problem: BaseException) -> BaseException:
    """A file that is broken is refused; a disk or store that does not answer is no fault of the file."""
    if isinstance(problem, OSError) and (problem.errno is not None or "AWS Error" in str(problem)):
        return problem
    return FileRefused(f"is no whole Parquet: {_first_line(problem)}", hint="Write it anew")


@dataclass(frozen=True)
class _Judged:
    """What a file says of itself: the columns of `texts` that can stay in dictionaries, rows to decode `at_once`, bytes `stored` and
    `decoded`.

    `hidden`: values may grow by more than it says, since they are no dictionary's, lie deeper, or are of a fixed length.
    """

    schema: pa.Schema
    texts: list[str]
    at_once: int
    stored: int
    decoded: int
    hidden: bool


def require_bounds(file: pq.ParquetFile, stored: BinaryIO, wanted: Collection[str], bounds: Bounds) -> None:
    """Raise FileRefused for a file whose pages say that the wanted columns are larger than the bounds."""
    _judged(file, stored, bounds, wanted)


def _beyond(bounds: Bounds, decoded: int, stored: int) -> FileRefused | None:
    if decoded > bounds.file:
        return FileRefused(f"is larger than {bounds.file:,} bytes when decoded", hint="Divide it, or raise SPINE_BOUNDS")
    if decoded > bounds.small and decoded > bounds.ratio * max(1, stored):
        return FileRefused(f"grows to more than {bounds.ratio} times its size when decoded", hint="Write it anew, or raise SPINE_BOUNDS")
    return None


def _require_within(bounds: Bounds, decoded: int, stored: int) -> None:
    if refused := _beyond(bounds, decoded, stored):
        raise refused


def _judged(file: pq.ParquetFile, stored: BinaryIO, bounds: Bounds, wanted: Collection[str] | None = None) -> _Judged:
    """Raises FileRefused; the wanted columns count, all unless told."""
    metadata = file.metadata
    if metadata.num_columns > bounds.columns:
        raise FileRefused(f"has {metadata.num_columns:,} columns, more than {bounds.columns:,}", hint="Divide it, or raise SPINE_BOUNDS")
    leaves = {place: file.schema.column(place) for place in range(metadata.num_columns)}
    if any(leaf.path.count(".") >= jsontext.DEPTH for leaf in leaves.values()):
        raise FileRefused(f"is nested more than {jsontext.DEPTH} levels deep", hint="Make it flat")
    leaves = {place: leaf for place, leaf in leaves.items() if _asked(leaf.path, wanted)}
    pages, taken, decoded = Pages(stored), 0, 0
    texts = {leaf.path for leaf in leaves.values() if leaf.physical_type == "BYTE_ARRAY"}
    hidden = any(leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" or "." in leaf.path for leaf in leaves.values())
    groups: list[list[tuple[Any, Chunk]]] = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        groups.append([(leaf, pages.of(group.column(place))) for place, leaf in leaves.items()])
        for leaf, chunk in groups[-1]:
            taken, decoded = taken + chunk.stored, decoded + max(chunk.decoded, _LEAST * chunk.values)
            if not chunk.encodings <= _IN_DICTIONARIES:
                texts.discard(leaf.path)
                hidden = True
    _require_within(bounds, decoded, taken)
    at_once = min((_rows_at_once(group, texts) for group in groups), default=_BATCHES[0])
    return _Judged(file.schema_arrow, sorted(texts), at_once, taken, decoded, hidden)


def _rows_at_once(group: Sequence[tuple[Any, Chunk]], texts: set[str]) -> int:
    """How many rows of a group to decode at once. Raises FileRefused where a single one may take too much."""
    pages = sum(chunk.dictionary + chunk.largest for _, chunk in group)
    for rows in _BATCHES:
        values = sum(_most(leaf, chunk, rows, kept=leaf.path in texts) for leaf, chunk in group)
        if values <= _DECODED and pages <= _AT_ONCE:
            return rows
    if pages + values > _AT_ONCE:
        raise FileRefused(f"may take {pages + values:,} bytes for a single row", hint="Write smaller pages, and fewer rows in a group")
    return _BATCHES[-1]


def _most(leaf: Any, chunk: Chunk, rows: int, *, kept: bool) -> int:
    """Bytes that a column's values may take, of so many rows of a group; one row may have all values of lists."""
    count: int = chunk.values if leaf.max_repetition_level else min(rows, chunk.values)
    if kept:
        return count * _PLACE + min(chunk.decoded, count * chunk.largest)
    if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return max(count, min(_RESERVED, chunk.values)) * (_PLACE + int(leaf.length))
    if leaf.physical_type != "BYTE_ARRAY":
        return count * (_PLACE + _WIDTHS[leaf.physical_type])
    longest = max(chunk.largest, chunk.dictionary)
    return count * _PLACE + (min(chunk.decoded, count * longest) if chunk.encodings <= APART else count * longest)


def _asked(path: str, wanted: Collection[str] | None) -> bool:
    return wanted is None or any(path == name or path.startswith(f"{name}.") for name in wanted)


def _pieces(batch: pa.RecordBatch, most: int) -> Iterator[tuple[pa.RecordBatch, int]]:
    """A batch in parts that are not larger than `most`, with their sizes; a row that is larger comes alone."""
    size = sum(_weight(column) for column in batch.columns)
    if size <= most or batch.num_rows <= 1:
        yield batch, size
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half), most)
    yield from _pieces(batch.slice(half), most)


def _weight(column: pa.Array) -> int:
    """Bytes of all values of a column, each written out."""
    if isinstance(column, pa.ExtensionArray):
        return _weight(column.storage)
    if isinstance(column, pa.DictionaryArray):
        lengths = pc.binary_length(column.dictionary)
        return int(pc.sum(lengths.take(column.indices)).as_py() or 0) + _VALUE * len(column)
    if isinstance(column, pa.StructArray):
        return sum(_weight(inner) for inner in column.flatten())
    if pa.types.is_nested(column.type):
        return _weight(column.flatten()) + _VALUE * len(column)
    return max(int(column.nbytes), _VALUE * len(column))


def _rows(batch: pa.RecordBatch, size: int, schema: pa.Schema, most: int, before: int) -> Iterator[Row]:
    if size > most and batch.num_rows == 1:
        yield BadRow(before + 1, {}, 0, f"a row of {size:,} bytes, more than {most:,}", "")
        return
    share = size // max(1, batch.num_rows)
    for number, row in enumerate(_typed(batch, schema), before + 1):
        if isinstance(row, dict):
            yield Row(number, row, share)
        else:
            yield BadRow(number, {}, share, row[0], jsontext.as_sent(row[1]))


def _typed(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[dict[str, Any] | tuple[str, dict[str, Any]]]:
    """Rows of a batch; of one that has a value which Python cannot hold, why, and its other values."""
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):  # UnicodeDecodeError is a ValueError
        yield from (_alone(batch, schema, place) for place in range(batch.num_rows))
    else:
        yield from rows


def _alone(batch: pa.RecordBatch, schema: pa.Schema, place: int) -> dict[str, Any] | tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    problem = ""
    for name, kind, column in zip(batch.schema.names, schema.types, batch.columns, strict=True):
        try:
            values[name] = column[place].as_py()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            problem = problem or f"{name} cannot be read as {kind}: {_first_line(error)}"
    return (problem, values) if problem else values


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
