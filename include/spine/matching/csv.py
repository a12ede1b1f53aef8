"""CSV files of `spine match`: read whole by Arrow, or looked over before Spark reads them. Errors name a line, never a value."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pacsv

from spine.core.errors import ConfigError

DELIMITERS = ",;\t|"
# Arrow reads a CSV in blocks, and a row must fit into one: first as is quick, then as the largest row that is believable wants.
_BLOCKS = (8 << 20, 1 << 30)
_HEADER = 1 << 20


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


def shape(path: Path, wanted: Sequence[str]) -> tuple[list[str], str, bool]:
    """Column names of a CSV without spaces around them, its delimiter, and whether it has quotes.

    Raises ConfigError as `read_columns` does, but for rows of too few or too many values; reads the bytes and holds none of them.
    """
    header, delimiter, _ = _known_header(path, wanted)
    if line := _first_foreign_line(path):
        raise _foreign(path, line)
    quotes = _occurrences(path, b'"')
    _require_closed_quotes(path, delimiter, quotes)
    return [name.strip() for name in header], delimiter, quotes > 0


def _known_header(path: Path, wanted: Sequence[str]) -> tuple[list[str], str, bool]:
    """What `_header` says of a CSV that has each of the wanted columns once."""
    header, delimiter, only = _header(path)
    names = [name.strip() for name in header]
    require_columns(path, wanted, names)
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise ConfigError(f"{path.name} has more than one column {twice[0]}", hint="Give each column a name of its own")
    return header, delimiter, only


def read(path: Path, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as texts. Raises ConfigError for unknown columns, torn rows and what is not UTF-8."""
    header, delimiter, only = _known_header(path, wanted)
    if only:
        return pa.table({name: pa.array([], pa.string()) for name in wanted})
    names = [name.strip() for name in header]
    raw = [header[names.index(name)] for name in wanted]
    with ThreadPoolExecutor(1) as pool:
        quotes = pool.submit(_occurrences, path, b'"')
        for block in _BLOCKS:
            try:
                table = _read_csv(path, raw, delimiter, block, threads=True).rename_columns(list(wanted))
            except pa.ArrowInvalid as error:
                problem = str(error)
                if "straddl" not in problem or block == _BLOCKS[-1]:
                    raise _csv_error(path, raw, delimiter, problem) from None
            else:
                break
    _require_closed_quotes(path, delimiter, quotes.result())
    return table


def _require_closed_quotes(path: Path, delimiter: str, quotes: int) -> None:
    """Raises ConfigError for a quote that is never closed: Arrow takes all rows behind it for one value without a word."""
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
        return _foreign(path, _first_foreign_line(path))
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
        raise _foreign(path, 1)
    return header, delimiter, only


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile is a binary stream
    return path.open("rb")


def _foreign(path: Path, line: int) -> ConfigError:
    return ConfigError(
        f"{path.name} is not UTF-8 text (line {line:,})", hint="Convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
    )


def lines(path: Path) -> int:
    """How many lines a file has."""
    return _occurrences(path, b"\n")


def _occurrences(path: Path, letter: bytes) -> int:
    with _opened(path) as file:
        return sum(piece.count(letter) for piece in iter(lambda: file.read(_HEADER), b""))


def _first_foreign_line(path: Path) -> int:
    """The number of the first line that is not UTF-8, 0 if all are."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    with _opened(path) as file:
        while True:
            piece = file.read(_HEADER)
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                return lines + piece[: error.start].count(b"\n")
            if not piece:
                return 0
            lines += piece.count(b"\n")
