"""Rows of CSV, JSON Lines and Parquet files, one at a time; a row that cannot be read comes out as a BadRow with its text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs as arrow_fs

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


def rows_of(filesystem: arrow_fs.FileSystem, path: str) -> Iterator[Row]:
    """All rows of a file, by the format that its name tells. Raises OSError when the file cannot be opened or read."""
    if path.endswith(".parquet"):
        yield from _parquet(filesystem, path)
        return
    compression = "gzip" if path.endswith(".gz") else None
    with filesystem.open_input_stream(path, compression=compression) as stream:
        lines = _Lines(io.BufferedReader(stream))
        yield from _csv(lines) if path.removesuffix(".gz").endswith(".csv") else _json_lines(lines)


class _Lines:
    """Decoded lines of a file. Keeps the text since `take` was called last, and whether it was UTF-8."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._taken: list[str] = []
        self.utf8 = True
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.number += 1
            try:
                text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError:
                self.utf8, text = False, line.decode("latin-1")
            self._taken.append(text)
            yield text

    def take(self) -> tuple[str, bool]:
        """The text of the row that was just read, and whether it was UTF-8."""
        text, utf8 = "".join(self._taken), self.utf8
        self._taken.clear()
        self.utf8 = True
        return text.rstrip("\r\n"), utf8


def _csv(lines: _Lines) -> Iterator[Row]:
    reader = csv.reader(iter(lines), strict=True)
    header: list[str] = []
    while True:
        line, error, values = lines.number + 1, "", []
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            error = f"not CSV: {problem}"
        raw, utf8 = lines.take()
        if not raw and not values:
            continue
        if not header and not error:
            header = [name.strip() for name in values]
            continue
        if not error and len(values) != len(header):
            error = f"{len(values)} values for {len(header)} columns"
        if not error and not utf8:
            error = "not UTF-8"
        yield (
            BadRow(line, {}, error, raw) if error else Row(line, {name: value or None for name, value in zip(header, values, strict=True)})
        )


def _json_lines(lines: _Lines) -> Iterator[Row]:
    for _ in lines:
        raw, utf8 = lines.take()
        if not raw.strip():
            continue
        error, values = "" if utf8 else "not UTF-8", {}
        if utf8:
            try:
                values = orjson.loads(raw)
            except orjson.JSONDecodeError as problem:
                error = f"not JSON: {problem.msg}"
            else:
                error = "" if isinstance(values, dict) else "not a JSON object"
        yield BadRow(lines.number, {}, error, raw) if error else Row(lines.number, values)


def _parquet(filesystem: arrow_fs.FileSystem, path: str) -> Iterator[Row]:
    with filesystem.open_input_file(path) as stream:
        try:
            file = pq.ParquetFile(stream)
        except pa.ArrowInvalid as problem:
            yield BadRow(1, {}, f"not Parquet: {str(problem).splitlines()[0]}", "")
            return
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH):
            for values in batch.to_pylist():
                number += 1
                yield Row(number, values)
