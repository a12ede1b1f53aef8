"""How a CSV is written: its encoding, delimiter, header and decimal comma, told by its first bytes. One place for file drops and matching.

What people export: `;`, tab or `|` for the comma, a first line `sep=;`, a byte order mark or UTF-16, spaces of all kinds around names,
one name twice, rows of delimiters only, and `1.234,56` for 1234.56. An encoding without a mark is never guessed: a wrong letter is silent.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

DELIMITERS = ",;\t|"
SAMPLE = 1 << 18  # bytes that tell the dialect
UTF_8 = "utf-8"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
# What can be seen by nobody: zero-width marks, joiners at an end, directions, byte order marks, and all control characters.
INVISIBLE = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_UNSEEN = re.compile(f"[{INVISIBLE}\x00-\x08\x0e-\x1f\x7f]")
_COMMA_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:\.\d{3})+),\d+")
_PLAIN_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:\.\d{3})+)")


@dataclass(frozen=True)
class Dialect:
    """A CSV's dialect. `header` has the names as they are written, `names` cleaned and each once.

    `before` counts the lines before the header, of which one states the delimiter if `stated`. `commas` are the places of columns whose
    numbers have a decimal comma. `bare` is true if nothing follows the header.
    """

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    names: tuple[str, ...]
    before: int
    commas: frozenset[int]
    bare: bool
    stated: bool

    @property
    def repeated(self) -> dict[str, list[int]]:
        """Cleaned names that several columns have, with their positions from 1."""
        places: dict[str, list[int]] = {}
        for place, name in enumerate(map(cleaned, self.header), 1):
            places.setdefault(name, []).append(place)
        return {name: found for name, found in places.items() if name and len(found) > 1}

    def value(self, place: int, text: str) -> str:
        """A value of the column at `place` (from 0): with a decimal point if the column has decimal commas, else as it is."""
        return plain_number(text) if place in self.commas else text


def encoding_of(start: bytes) -> str:
    """The encoding that a text's byte order mark tells, or UTF-16's empty bytes where it has none; else UTF-8."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    head = start[:256]
    odd, even = head[1::2], head[::2]
    if len(odd) > 1 and odd.count(0) > 0.7 * len(odd):
        return "utf-16-le"
    return "utf-16-be" if len(odd) > 1 and even.count(0) > 0.7 * len(even) else UTF_8


def dialect_of(start: bytes, *, whole: bool) -> Dialect | None:
    """The dialect of a CSV that begins with `start` (`whole` if that is all of it); None if it has no header.

    Letters that are not of the encoding come out as U+FFFD.
    """
    encoding = encoding_of(start)
    text = start.decode(encoding, errors="replace").removeprefix("\ufeff")
    before, place = _skip_blank(text, 0, 0)
    line = next(_lines(text, place), "")
    stated = _SEPARATOR.fullmatch(line.rstrip("\r\n"))
    if stated:
        before, place = _skip_blank(text, place + len(line), before + 1)
    if place >= len(text):
        return None
    delimiter = stated[1] if stated else max(DELIMITERS, key=lambda letter: len(_first(text, place, letter)))
    header = _first(text, place, delimiter)
    bare = whole and not any(any(row) for row in _rows(text, place, delimiter, whole=True))
    # Where the comma divides columns there are no decimal ones.
    commas = frozenset[int]() if delimiter == "," else _commas(_rows(text, place, delimiter, whole=whole))
    return Dialect(encoding, delimiter, tuple(header), distinct(header), before, commas, bare, stated is not None)


def _skip_blank(text: str, place: int, number: int) -> tuple[int, int]:
    """(lines before the next one that is not empty, its place), from a place on that has `number` lines before it."""
    while place < len(text) and text[place] in "\r\n":
        number += text[place] == "\n"
        place += 1
    return number, place


def cleaned(name: str) -> str:
    """A name without what cannot be seen: no marks of width zero, single plain spaces inside, none around."""
    return " ".join(_UNSEEN.sub("", name).split())


def empty(values: Iterable[str | None]) -> bool:
    """Whether a row says nothing: only delimiters, spaces and what cannot be seen."""
    return not any(value and cleaned(value) for value in values)


def plain_number(text: str) -> str:
    """`1.234,56` as `1234.56`; any other text as it is."""
    bare = text.strip()
    if _COMMA_NUMBER.fullmatch(bare) or ("." in bare and _PLAIN_NUMBER.fullmatch(bare)):
        return bare.replace(".", "").replace(",", ".")
    return text


def _lines(text: str, place: int) -> Iterator[str]:
    while place < len(text):
        end = text.find("\n", place) + 1 or len(text)
        yield text[place:end]
        place = end


def _first(text: str, place: int, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(_lines(text, place), delimiter=delimiter), [])
    except csv.Error:
        return []


def distinct(header: Sequence[str]) -> tuple[str, ...]:
    """Cleaned names, each once: the second `email` becomes `email_2`, a column without a name `column_<position>`."""
    names = [cleaned(name) for name in header]
    taken, found = set(names), dict[str, None]()
    numbers: dict[str, int] = {}  # the next one for each name, since a header may have one name very often
    for place, name in enumerate(names):
        chosen, base = name or f"column_{place + 1}", name or "column"
        while chosen in found or (chosen != name and chosen in taken):
            number = numbers.get(base, 2)
            chosen, numbers[base] = f"{base}_{number}", number + 1
        found[chosen] = None
    return tuple(found)


def _rows(text: str, place: int, delimiter: str, *, whole: bool) -> Iterator[list[str]]:
    """The rows behind the header, but for a last one that may be cut, up to one that is no CSV."""
    former: list[str] | None = None
    rows = csv.reader(_lines(text, place), delimiter=delimiter)
    try:
        next(rows, None)
        for row in rows:
            if former is not None:
                yield former
            former = row
    except csv.Error:
        return
    if whole and former is not None:
        yield former


def _commas(rows: Iterable[Sequence[str]]) -> frozenset[int]:
    """Columns of which each value is a number and one has a decimal comma."""
    found: set[int] = set()
    other: set[int] = set()
    for row in rows:
        for place, value in enumerate(map(str.strip, row)):
            if _COMMA_NUMBER.fullmatch(value):
                found.add(place)
            elif value and not _PLAIN_NUMBER.fullmatch(value):
                other.add(place)
    return frozenset(found - other)
