"""Rows of CSV, JSON Lines and Parquet files, one at a time; a row that cannot be read comes out as a BadRow with its text."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs as arrow_fs

from spine.core import jsontext
from spine.core.dialect import SAMPLE, UTF_8, Dialect, cleaned, dialect_of, empty, encoding_of

_BATCH = 1000


@dataclass(frozen=True)
class Row:
    """One row and the number of its first line (in Parquet: of the row itself), from 1."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True)
class BadRow(Row):
    """A row that cannot be read, why, and its text."""

    error: str = ""
    raw: str = field(default="", repr=False)


@dataclass(frozen=True)
class EmptyRow(Row):
    """A row of delimiters alone, as spreadsheets leave them behind their last one."""


def rows_of(filesystem: arrow_fs.FileSystem, path: str, remark: Callable[[str], None]) -> Iterator[Row]:
    """All rows of a file, by the format that its name tells in any case; `remark` is told what a person should know of the file.

    Raises OSError when the file cannot be opened or read.
    """
    name = path.lower()
    if name.endswith(".parquet"):
        yield from _parquet(filesystem, path)
        return
    compression = "gzip" if name.endswith(".gz") else None
    with filesystem.open_input_stream(path, compression=compression) as stream:
        start = _start(stream)
    with filesystem.open_input_stream(path, compression=compression) as stream:
        lines = _Lines(io.BufferedReader(stream), encoding_of(start))
        if name.removesuffix(".gz").endswith((".csv", ".tsv")):
            dialect = dialect_of(start, whole=len(start) < SAMPLE)
            if dialect is not None:
                for column, places in dialect.repeated.items():
                    remark(f"columns {' and '.join(map(str, places))} are all named {column}; the later ones got a number")
                yield from _csv(lines, dialect)
        else:
            yield from _json_lines(lines)


def _start(stream: pa.NativeFile) -> bytes:
    pieces, missing = [], SAMPLE
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


class _Lines:
    """Decoded lines of a file. Keeps the text since `take` was called last, and whether it was of the encoding."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._stream, self.encoding = stream, encoding
        self._taken: list[tuple[str, bool]] = []
        self._returned: deque[tuple[str, bool]] = deque()
        self._source = self._utf8() if encoding.startswith(UTF_8) else self._decoded()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._source)
        self.number += 1
        self._taken.append(line)
        return line[0]

    def _utf8(self) -> Iterator[tuple[str, bool]]:
        for number, line in enumerate(self._stream):
            try:
                yield line.decode("utf-8" if number else "utf-8-sig"), True
            except UnicodeDecodeError:
                yield line.decode("latin-1"), False

    def _decoded(self) -> Iterator[tuple[str, bool]]:
        for line in io.TextIOWrapper(self._stream, self.encoding, errors="replace", newline="\n"):
            yield line, "\ufffd" not in line

    def take(self) -> tuple[str, bool]:
        """The text of the row that was just read, and whether it was of the encoding."""
        text, sound = "".join(line for line, _ in self._taken), all(sound for _, sound in self._taken)
        self._taken.clear()
        return text.rstrip("\r\n"), sound

    def give_back(self) -> bool:
        """Keep the first line of the row that was just read and read the others anew; False if there was but one."""
        others = self._taken[1:]
        self._returned.extendleft(reversed(others))
        del self._taken[1:]
        self.number -= len(others)
        return bool(others)


def _csv(lines: _Lines, dialect: Dialect) -> Iterator[Row]:
    for _ in islice(lines, dialect.before):
        pass
    lines.take()
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    header, anew = False, 0  # lines up to `anew` were once taken into a value whose quote was never closed
    while True:
        line, error, values = lines.number + 1, "", []
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            error, last = f"not CSV: {problem}", lines.number
            if lines.give_back():  # a stray quote takes but its own line
                anew = max(anew, last)
                reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
        raw, sound = lines.take()
        if not raw and not values:
            continue
        if not header:
            header = True
            continue
        if not error and line <= anew and any('"' in value for value in values):
            error = "not CSV: a quote inside a value"
        yield _row(line, values, error, raw, sound, dialect)


def _row(line: int, values: list[str], error: str, raw: str, sound: bool, dialect: Dialect) -> Row:
    if not error and empty(values):
        return EmptyRow(line, {})
    if not error and len(values) != len(dialect.names):
        error = f"{len(values)} values for {len(dialect.names)} columns"
    if not error and not sound:
        error = f"not {dialect.encoding.upper().removesuffix('-SIG')}"
    if error:
        return BadRow(line, {}, error, raw)
    named = zip(dialect.names, dialect.header, values, strict=True)
    kept = {
        name: dialect.value(place, value) or None
        for place, (name, header, value) in enumerate(named)
        if value or cleaned(header)  # a column that has neither a name nor a value is a delimiter too many
    }
    return Row(line, kept)


def _json_lines(lines: _Lines) -> Iterator[Row]:
    for _ in lines:
        raw, sound = lines.take()
        if not raw.strip():
            continue
        error, values = "" if sound else f"not {lines.encoding.upper().removesuffix('-SIG')}", None
        if sound:
            try:
                values = jsontext.parse(raw.encode(errors="surrogatepass"))
            except ValueError as problem:
                error = f"not JSON: {problem}"
            else:
                error = "" if isinstance(values, dict) else "not a JSON object"
        yield BadRow(lines.number, {}, error, raw) if error else Row(lines.number, values or {})


def _parquet(filesystem: arrow_fs.FileSystem, path: str) -> Iterator[Row]:
    with filesystem.open_input_file(path) as stream:
        try:
            file = pq.ParquetFile(stream, coerce_int96_timestamp_unit="us")
        except pa.ArrowInvalid as problem:
            yield BadRow(1, {}, f"not Parquet: {str(problem).splitlines()[0]}", "")
            return
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH):
            for row in _typed(batch):
                number += 1
                if isinstance(row, dict):
                    yield Row(number, row)
                else:
                    yield BadRow(number, {}, row[0], jsontext.as_sent(row[1]))


def _typed(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | tuple[str, dict[str, Any]]]:
    """Rows of a batch; of one that has a value which Python cannot hold, why, and its other values."""
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):  # UnicodeDecodeError is a ValueError
        yield from (_alone(batch, place) for place in range(batch.num_rows))
    else:
        yield from rows


def _alone(batch: pa.RecordBatch, place: int) -> dict[str, Any] | tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    problem = ""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[place].as_py()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            problem = problem or f"{name} cannot be read as {column.type}: {str(error).splitlines()[0][:200]}"
    return (problem, values) if problem else values
