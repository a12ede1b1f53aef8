"""Rows of files by the format that their names tell, one at a time; a row that cannot be read comes out as a BadRow with its text."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO, cast

from spine.core import jsontext
from spine.core.bounds import Bounds
from spine.core.dialect import SAMPLE, UTF_8, Dialect, cleaned, dialect_of, empty, encoding_of
from spine.core.errors import FileRefused
from spine.sources import archives, documents, parquet, sheets
from spine.sources.bounded import Bounded
from spine.sources.forms import PLAIN, Form
from spine.sources.rows import BadRow, EmptyRow, Row

_BUFFER = 1 << 18
TEXTS, SHEETS, FIXED = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".xml"), (".xlsx", ".xlsm"), (".txt", ".dat", ".fwf")
_PATIENCE = 20
_SHOWN = 1000  # of what is too long
_END = "the end"
_CUT = "\n\0cut"  # no line goes on behind its end
_TOO_LONG = "a row longer than its bound (`row` of SPINE_BOUNDS), or a quote that is never closed"


class _TooLong(Exception):
    """A line, or a row of several, is longer than its bound."""


def rows_of(stored: BinaryIO, name: str, remark: Callable[[str], None], bounds: Bounds, form: Form = PLAIN) -> Iterator[Row]:
    """All rows of a file, by the format that its name tells in any case; `remark` is told what a person should know of the file.

    `form` says what the name does not. Raises OSError when the file cannot be read, FileRefused where it is larger than the bounds: the
    rows before that stay.
    """
    name = name.lower()
    if name.endswith(".parquet"):
        yield from parquet.rows(stored, bounds)
    elif name.endswith(SHEETS):
        yield from sheets.rows(stored, remark, bounds, form)
    elif name.endswith(".zip"):
        yield from _members(stored, remark, bounds, form)
    else:
        yield from _texts(Bounded(stored, packed=name.endswith(".gz"), bounds=bounds), name.removesuffix(".gz"), remark, bounds, form)


def is_known(name: str, form: Form = PLAIN) -> bool:
    """Whether a file of that name is read: by its last words, in any case."""
    name = name.lower()
    texts = (*TEXTS, *(FIXED if form.layout else ()))
    return name.endswith((".parquet", ".zip", *SHEETS)) or name.removesuffix(".gz").endswith(texts)


def _members(stored: BinaryIO, remark: Callable[[str], None], bounds: Bounds, form: Form) -> Iterator[Row]:
    """The rows of all files of a zip, numbered through."""
    line = 0
    for name, inner in archives.members(stored, bounds):
        if not is_known(name, form) or name.lower().endswith(".zip") or name.rpartition("/")[2].startswith((".", "_")):
            remark(f"{name[:_SHOWN]} in it is of no known kind and is left alone")
            continue
        for row in rows_of(inner, name, remark, bounds, form):
            line += 1
            yield replace(row, line=line)


def _texts(decoded: Bounded, name: str, remark: Callable[[str], None], bounds: Bounds, form: Form) -> Iterator[Row]:
    start = decoded.start(SAMPLE)
    if name.endswith(".xml"):
        yield from documents.xml_rows(cast(BinaryIO, decoded), bounds, form)
        return
    if name.endswith(".json"):
        yield from _json(decoded, bounds, form)
        return
    lines = _Lines(io.BufferedReader(decoded, _BUFFER), encoding_of(start), bounds.row)
    if name.endswith(FIXED):
        yield from _fixed(lines, form)
    elif name.endswith((".csv", ".tsv")):
        dialect = _dialect(start, bounds)
        if dialect is not None:
            for column, places in dialect.repeated.items():
                remark(f"columns {' and '.join(map(str, places[:_SHOWN]))} are all named {column[:_SHOWN]}; the later ones got a number")
            yield from _csv(lines, dialect)
    else:
        yield from _json_lines(lines, bounds.columns)


def _dialect(start: bytes, bounds: Bounds) -> Dialect | None:
    whole = len(start) < SAMPLE
    if not whole and b"\n" not in start:
        raise FileRefused(f"has a first line of more than {SAMPLE:,} bytes", hint="A CSV starts with a line of column names")
    dialect = dialect_of(start, whole=whole)
    if dialect is not None and len(dialect.names) > bounds.columns:
        raise FileRefused(f"has {len(dialect.names):,} columns, more than {bounds.columns:,}", hint="Divide it, or raise SPINE_BOUNDS")
    return dialect


class _Lines:
    """Decoded lines of a file. Keeps the text since `take` was called last, and whether it was of the encoding.

    Of a line that is too long only its beginning is kept. Raises _TooLong for it, and for a row whose lines are too long together.
    """

    def __init__(self, stream: io.BufferedReader, encoding: str, most: int) -> None:
        self._stream, self.encoding, self._most = stream, encoding, most
        self._taken: list[tuple[str, bool]] = []
        self._returned: deque[tuple[str, bool]] = deque()
        self._size = 0
        self._source = self._utf8() if encoding.startswith(UTF_8) else self._decoded()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._source)
        self.number += 1
        self._taken.append(line)
        self._size += len(line[0])
        if line[0].endswith(_CUT) or self._size > self._most:
            raise _TooLong
        return line[0]

    def _utf8(self) -> Iterator[tuple[str, bool]]:
        first = True
        while line := self._stream.readline(self._most + 1):
            if len(line) > self._most:
                yield line[:_SHOWN].decode("utf-8", "replace") + _CUT, False
                while line and not line.endswith(b"\n"):
                    line = self._stream.readline(_BUFFER)
            else:
                try:
                    yield line.decode("utf-8-sig" if first else "utf-8"), True
                except UnicodeDecodeError:
                    yield line.decode("latin-1"), False
            first = False

    def _decoded(self) -> Iterator[tuple[str, bool]]:
        text = io.TextIOWrapper(self._stream, self.encoding, errors="replace", newline="\n")
        while line := text.readline(self._most + 1):
            if len(line) > self._most:
                yield line[:_SHOWN] + _CUT, False
                while line and not line.endswith("\n"):
                    line = text.readline(_BUFFER)
            else:
                yield line, "\ufffd" not in line

    def take(self) -> tuple[str, bool]:
        """The text of the row that was just read, and whether it was of the encoding."""
        text, sound = "".join(line for line, _ in self._taken).removesuffix(_CUT), all(sound for _, sound in self._taken)
        self._taken.clear()
        self._size = 0
        return text.rstrip("\r\n"), sound

    def give_back(self) -> bool:
        """Keep the first line of the row that was just read and read the others anew; False if there was but one."""
        others = self._taken[1:]
        self._returned.extendleft(reversed(others))
        del self._taken[1:]
        self.number -= len(others)
        self._size = len(self._taken[0][0]) if self._taken else 0
        return bool(others)


def _csv(lines: _Lines, dialect: Dialect) -> Iterator[Row]:
    for _ in islice(lines, dialect.before):
        pass
    lines.take()
    reader: Iterator[list[str]] | None = None
    header, anew, tries = False, 0, 0  # lines up to `anew` were once taken into a value whose quote was never closed
    while True:
        # Each stray quote reads the lines behind it again. Where there are many of them, no value has more than one line any more.
        alone = tries > _PATIENCE and lines.number < anew
        if reader is None or alone:
            reader = csv.reader(islice(lines, 1) if alone else lines, delimiter=dialect.delimiter, strict=True)
        line = lines.number + 1
        values, error = _values(reader)
        if error == _END:
            return
        last = lines.number
        if error and lines.give_back():  # a stray quote takes but its own line
            tries = tries + 1 if line <= anew else 0
            anew = max(anew, last)
        if error or alone:
            reader = None
        raw, sound = lines.take()
        if header and (raw or values):
            if not error and line <= anew and any('"' in value for value in values):
                error = "not CSV: a quote inside a value"
            yield _row(line, values, error, raw, sound, dialect)
        header = header or bool(raw or values)


def _values(reader: Iterator[list[str]]) -> tuple[list[str], str]:
    """The next row's values, and why it is none; _END behind the last one."""
    try:
        return next(reader), ""
    except StopIteration:
        return [], _END
    except csv.Error as problem:
        return [], f"not CSV: {problem}"
    except _TooLong:
        return [], _TOO_LONG


def _row(line: int, values: list[str], error: str, raw: str, sound: bool, dialect: Dialect) -> Row:
    if not error and empty(values):
        return EmptyRow(line, {})
    if not error and len(values) != len(dialect.names):
        error = f"{len(values)} values for {len(dialect.names)} columns"
    if not error and not sound:
        error = f"not {dialect.encoding.upper().removesuffix('-SIG')}"
    if error:
        return BadRow(line, {}, len(raw), error, raw)
    named = zip(dialect.names, dialect.header, values, strict=True)
    kept = {
        name: dialect.value(place, value) or None
        for place, (name, header, value) in enumerate(named)
        if value or cleaned(header)  # a column that has neither a name nor a value is a delimiter too many
    }
    return Row(line, kept, len(raw))


def _each(lines: _Lines) -> Iterator[tuple[str, str]]:
    """Each line as it stands in the file, and why it cannot be read, if it cannot."""
    while True:
        error = ""
        try:
            next(lines)
        except StopIteration:
            return
        except _TooLong:
            error = _TOO_LONG
        raw, sound = lines.take()
        yield raw, error or ("" if sound else f"not {lines.encoding.upper().removesuffix('-SIG')}")


def _json_lines(lines: _Lines, columns: int) -> Iterator[Row]:
    for raw, error in _each(lines):
        values = None
        if not raw.strip():
            continue
        if not error:
            try:
                values = jsontext.parse(raw.encode(errors="surrogatepass"))
            except ValueError as problem:
                error = f"not JSON: {problem}"
            else:
                error = _no_row(values, columns)
        yield BadRow(lines.number, {}, len(raw), error, raw) if error else Row(lines.number, values or {}, len(raw))


def _json(decoded: Bounded, bounds: Bounds, form: Form) -> Iterator[Row]:
    """Records of a document of JSON; of several documents, one a line, each is a record, whatever the file is named."""
    body = documents.body_of(cast(BinaryIO, decoded), bounds)
    encoding = encoding_of(body[:SAMPLE])
    if not body.strip():
        return
    try:
        document = jsontext.parse(body.decode(encoding).removeprefix("\ufeff").encode(errors="surrogatepass"))
    except ValueError:
        yield from _json_lines(_Lines(io.BufferedReader(io.BytesIO(body)), encoding, bounds.row), bounds.columns)
        return
    yield from documents.records(document, bounds, form)


def _fixed(lines: _Lines, form: Form) -> Iterator[Row]:
    """Rows whose columns have so many letters each; a line may end before its last columns."""
    width = sum(form.layout.values())
    for raw, error in _each(lines):
        if lines.number <= form.skip:
            continue
        text = raw.rstrip(" \t\x1a")  # the end of a file in CP/M, which some programs still write
        if not error and not text:
            yield EmptyRow(lines.number, {})
            continue
        error = error or (f"{len(text)} letters for {width}" if len(text) > width else "")
        yield BadRow(lines.number, {}, len(raw), error, raw) if error else Row(lines.number, _cut(text, form.layout), len(raw))


def _cut(text: str, layout: dict[str, int]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    place = 0
    for name, letters in layout.items():
        values[name] = text[place : place + letters].strip() or None
        place += letters
    return values


def _no_row(values: Any, columns: int) -> str:
    if not isinstance(values, dict):
        return "not a JSON object"
    return f"{len(values):,} fields, more than {columns:,}" if len(values) > columns else ""
