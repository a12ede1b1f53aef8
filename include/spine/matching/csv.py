"""CSV files of `spine match`: read whole by Arrow, or looked over before Spark reads them. Errors name a line, never a value."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from spine.core.dialect import SAMPLE, UTF_8, Dialect, dialect_of, plain_number
from spine.core.errors import ConfigError
from spine.matching.compressed import opened, packed
from spine.matching.quotes import plainly_sound

# Arrow reads a CSV in blocks, and a row must fit into one: first as is quick, then as the largest row that is believable wants.
_BLOCKS = (8 << 20, 1 << 30)
_PIECE = 1 << 20


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


def shape(path: Path, wanted: Sequence[str]) -> tuple[Dialect, bool]:
    """The dialect of a CSV that has each of the wanted columns once, and whether it has quotes.

    Raises ConfigError as `read_columns` does, but for rows of too few or too many values; reads the bytes and holds none of them.
    """
    dialect = _known(path, wanted)
    if dialect.encoding.startswith(UTF_8) and (line := _first_foreign_line(path)):
        raise _foreign(path, line)
    quotes = _occurrences(path, b'"')
    _require_sound_quotes(path, dialect, quotes)
    return dialect, quotes > 0


def _known(path: Path, wanted: Sequence[str]) -> Dialect:
    """The dialect of a CSV that has each of the wanted columns once."""
    dialect = _dialect(path)
    require_columns(path, wanted, dialect.names)
    for name in wanted:
        if places := dialect.repeated.get(name):
            listed = " and ".join(map(str, places))
            raise ConfigError(f"{path.name} has more than one column {name} (columns {listed})", hint="Give each column a name of its own")
    return dialect


def read(path: Path, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as texts. Raises ConfigError for unknown columns, torn rows, stray quotes and what is not of the encoding.

    FileRefused for a compressed one that grows beyond the bounds of SPINE_BOUNDS: it is unpacked no further than that.
    """
    dialect = _known(path, wanted)
    if dialect.bare:
        return pa.table({name: pa.array([], pa.string()) for name in wanted})
    places = [dialect.names.index(name) for name in wanted]
    raw = [dialect.header[place] for place in places]
    with ThreadPoolExecutor(1) as pool:
        quotes = pool.submit(_occurrences, path, b'"')
        for block in _BLOCKS:
            try:
                table = _read_csv(path, raw, dialect, block, threads=True).rename_columns(list(wanted))
            except (pa.ArrowInvalid, UnicodeError) as error:
                problem = str(error)
                if "straddl" not in problem or block == _BLOCKS[-1]:
                    _require_sound_quotes(path, dialect, quotes.result())  # mostly the cause, and then the better place to look at
                    raise _csv_error(path, raw, dialect, problem) from None
            else:
                break
        _require_sound_quotes(path, dialect, quotes.result())
    for place, name in zip(places, wanted, strict=True):
        if place in dialect.commas:
            table = table.set_column(table.column_names.index(name), name, _with_points(table.column(name)))
    return table


@contextmanager
def _long_values() -> Iterator[None]:
    """Values of any length for Python's parser, whose limit is one of the whole process: others rely on it."""
    usual = csv.field_size_limit(_BLOCKS[-1])
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def sample(path: Path, most: int) -> pa.Table:
    """The first rows with all columns, as far as they can be read. Raises ConfigError as `read` does for the header alone."""
    dialect = _dialect(path)
    rows: list[list[str]] = []
    with _long_values(), opened(path) as file, io.TextIOWrapper(file, encoding=dialect.encoding, errors="replace", newline="") as lines:
        for _ in range(dialect.before):
            next(lines, None)
        with suppress(csv.Error):  # whoever reads all of it says what is wrong
            rows += islice(csv.reader(lines, delimiter=dialect.delimiter), 1, most + 1)
    width = len(dialect.names)
    whole = [row for row in rows if len(row) == width]
    return pa.table({name: pa.array([row[at] or None for row in whole], pa.string()) for at, name in enumerate(dialect.names)})


def _with_points(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers with decimal points for decimal commas; each distinct text is turned once."""
    distinct = column.combine_chunks().dictionary_encode()
    plain = pa.array([plain_number(text) for text in distinct.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([plain.take(distinct.indices)])


def _require_sound_quotes(path: Path, dialect: Dialect, quotes: int) -> None:
    """Raises ConfigError for a stray quote: Arrow takes all rows up to the next one for one value without a word."""
    if quotes == 0 or (dialect.encoding.startswith(UTF_8) and plainly_sound(path, dialect.delimiter)):
        return
    with _long_values(), opened(path) as file, io.TextIOWrapper(file, encoding=dialect.encoding, errors="replace", newline="") as lines:
        rows, last = csv.reader(lines, delimiter=dialect.delimiter, strict=True), 0
        try:
            for _ in rows:
                last = rows.line_num
        except csv.Error as error:
            never = "is never closed" if "unexpected end" in str(error) else "is neither closed nor doubled"
            raise ConfigError(f"{path.name} has a quote that {never} (line {last + 1:,})", hint="Close it, or double it") from None


def _read_csv(path: Path, raw: Sequence[str], dialect: Dialect, block: int, *, threads: bool) -> pa.Table:
    encoding = "utf8" if dialect.encoding.startswith(UTF_8) else dialect.encoding
    reading = pacsv.ReadOptions(block_size=block, use_threads=threads, skip_rows=dialect.before, encoding=encoding)
    parsing = pacsv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True)
    types = dict.fromkeys(raw, pa.string())
    turning = pacsv.ConvertOptions(include_columns=list(raw), column_types=types, null_values=[""], strings_can_be_null=True)
    with opened(path) if packed(path) else nullcontext(path) as given:
        return pacsv.read_csv(given, reading, parsing, turning)


def _csv_error(path: Path, raw: Sequence[str], dialect: Dialect, problem: str) -> ConfigError:
    """What is wrong with a CSV, and in which row; never the row itself."""
    if "UTF8" in problem or "codec" in problem:
        return _foreign(path, _first_foreign_line(path) if dialect.encoding.startswith(UTF_8) else 0)
    try:  # one thread knows the number of the row
        _read_csv(path, raw, dialect, _BLOCKS[-1], threads=False)
    except pa.ArrowInvalid as error:
        problem = str(error)
    short = re.sub(r"(got \d+).*", r"\1", problem.removeprefix("CSV parse error: "), flags=re.DOTALL)
    return ConfigError(
        f"{path.name} is not a whole CSV: {short.splitlines()[0][:200]}", hint="Look for a quote that is not closed, or a torn row"
    )


def _dialect(path: Path) -> Dialect:
    with opened(path) as file:
        start = file.read(SAMPLE)
    dialect = dialect_of(start, whole=len(start) < SAMPLE)
    if dialect is None:
        raise ConfigError(f"{path} is empty: it has not even a header", hint="A CSV starts with a line of column names")
    if any("\ufffd" in name for name in dialect.header):
        raise _foreign(path, 1)
    return dialect


def _foreign(path: Path, line: int) -> ConfigError:
    place = f" (line {line:,})" if line else ""
    return ConfigError(f"{path.name} is not UTF-8 text{place}", hint="Convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW")


def lines(path: Path) -> int:
    """How many lines a file has."""
    return _occurrences(path, b"\n")


def _occurrences(path: Path, letter: bytes) -> int:
    with opened(path) as file:
        return sum(piece.count(letter) for piece in iter(lambda: file.read(_PIECE), b""))


def _first_foreign_line(path: Path) -> int:
    """The number of the first line that is not UTF-8, 0 if all are."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    with opened(path) as file:
        while True:
            piece = file.read(_PIECE)
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                return lines + piece[: error.start].count(b"\n")
            if not piece:
                return 0
            lines += piece.count(b"\n")
