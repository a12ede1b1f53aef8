"""Rows of Parquet files within bounds: what the footer says is judged before anything is decoded, each row before it becomes Python's.

Texts stay in their dictionaries while they are read: a million rows may share one text of a million letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spine.core import jsontext
from spine.core.bounds import Bounds
from spine.core.errors import FileRefused
from spine.sources.rows import BadRow, Row

_BATCH = 1000
_DECODED = 256 << 20  # bytes of a column without a dictionary that are decoded at once
_IN_DICTIONARIES = frozenset({"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"})
_VALUE = 8  # bytes at least, that a number or a place in a dictionary counts


def rows(stored: BinaryIO, bounds: Bounds) -> Iterator[Row]:
    """All rows of a Parquet file. Raises FileRefused beyond the bounds and for what breaks off, OSError if it cannot be read."""
    try:
        with pq.ParquetFile(stored, pre_buffer=False) as file:
            schema, texts, batch = _judged(file, bounds)
    except pa.ArrowInvalid as problem:
        yield BadRow(1, {}, 0, f"not Parquet: {_first_line(problem)}", "")
        return
    except (pa.ArrowException, OSError) as problem:
        raise _broken(problem) from None
    number = decoded = 0
    try:
        with pq.ParquetFile(stored, pre_buffer=False, coerce_int96_timestamp_unit="us", read_dictionary=texts) as file:
            for part in file.iter_batches(batch_size=batch):
                for piece, size in _pieces(part, bounds.row):
                    decoded += size
                    if decoded > bounds.file:
                        raise FileRefused(f"is larger than {bounds.file:,} bytes when decoded", hint="Divide it, or raise SPINE_BOUNDS")
                    yield from _rows(piece, size, schema, bounds.row, number)
                    number += piece.num_rows
    except (pa.ArrowException, OSError) as problem:
        raise _broken(problem) from None


def _broken(problem: BaseException) -> BaseException:
    """A file that is broken is refused; a disk or store that does not answer is no fault of the file."""
    if isinstance(problem, OSError) and (problem.errno is not None or "AWS Error" in str(problem)):
        return problem
    return FileRefused(f"is no whole Parquet: {_first_line(problem)}", hint="Write it anew")


def _judged(file: pq.ParquetFile, bounds: Bounds) -> tuple[pa.Schema, list[str], int]:
    """The schema, the columns of texts that can stay in dictionaries, and how many rows to decode at once. Raises FileRefused."""
    metadata = file.metadata
    if metadata.num_columns > bounds.columns:
        raise FileRefused(f"has {metadata.num_columns:,} columns, more than {bounds.columns:,}", hint="Divide it, or raise SPINE_BOUNDS")
    leaves = [file.schema.column(place) for place in range(metadata.num_columns)]
    if any(leaf.path.count(".") >= jsontext.DEPTH for leaf in leaves):
        raise FileRefused(f"is nested more than {jsontext.DEPTH} levels deep", hint="Make it flat")
    stored = decoded = largest = 0
    texts = {leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"}
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            stored, decoded = stored + column.total_compressed_size, decoded + column.total_uncompressed_size
            if not _IN_DICTIONARIES.issuperset(column.encodings):
                texts.discard(column.path_in_schema)
                largest = max(largest, column.total_uncompressed_size)
    if decoded > bounds.file:
        raise FileRefused(f"is larger than {bounds.file:,} bytes when decoded", hint="Divide it, or raise SPINE_BOUNDS")
    if decoded > bounds.small and decoded > bounds.ratio * max(1, stored):
        raise FileRefused(f"grows to more than {bounds.ratio} times its size when decoded", hint="Write it anew, or raise SPINE_BOUNDS")
    return file.schema_arrow, sorted(texts), max(1, min(_BATCH, _DECODED // max(1, largest)))


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
