"""JSON as sources really send it: one bad value must cost one record and not the whole answer, and no digit may be lost.

What machine numbers and RFC 8259 allow takes the quick way. Otherwise it is read again with patience: a byte order mark is passed over,
long numbers stay texts, and what no JSON has (`NaN`, half a surrogate pair, bytes that are not UTF-8) stays in its place, so that
whoever writes that record finds it.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Letters that tell numbers, made few, so that a quick search finds digits that a machine number may not hold, or an exponent that it would
# read as nothing; one that is too large is refused by the quick parser itself.
_LETTERS = {**dict.fromkeys("0123456789", "0"), "e": "E", "E": "E", "-": "-"}
_SHAPES = bytes(ord(_LETTERS.get(chr(code), " ")) for code in range(256))
_SUSPECT = (b"0" * 17, b"E-000")
# The same as it stands in a document: identifiers in texts, as UUIDs are, have such runs too.
_LONG = re.compile(rb"(?:^|[:,\[\s])-?(?:(?:[0-9]\.?){17}|[0-9.]+[eE]-[0-9]{3})")

# Deeper than any record that is meant, and well below where orjson, Spark and Python's own stack end.
DEPTH = 100
# Values of one text: an empty list of two letters takes 64 bytes of memory.
VALUES = 10_000_000
_TOO_DEEP = f"nested more than {DEPTH} levels deep"
_CONTAINERS = frozenset({dict, list})
DIGITS = 38  # what Spark and Arrow hold exactly
_EXACT = re.compile(r"-?[0-9.]+")


class NotJson(str):
    """`NaN`, `Infinity` or `-Infinity`, which no JSON has."""

    __slots__ = ()


class LongNumber(str):
    """A number as it was sent, which no machine number holds in full."""

    __slots__ = ()


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises ValueError if it cannot be read with any patience, as for HTML.

    So it does for one nested more than DEPTH levels deep, or of more than VALUES values as its commas and brackets tell.
    """
    if len(body) > VALUES and body.count(b",") + body.count(b"[") + body.count(b"{") > VALUES:
        raise ValueError(f"more than {VALUES:,} values")
    value = _parsed(body)
    if _deeper(value, DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def _parsed(body: bytes) -> Any:
    if not _holds_long(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    try:
        return json.loads(_decoded(body), strict=False, parse_constant=NotJson, parse_int=_whole, parse_float=_broken)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def _holds_long(body: bytes) -> bool:
    """Whether a text may have a number that no machine number holds: a quick look first, a slow one where that finds something."""
    shapes = body.translate(_SHAPES, b".+")
    return any(suspect in shapes for suspect in _SUSPECT) and _LONG.search(body) is not None


def _deeper(value: Any, most: int) -> bool:
    """Whether a value is nested more than `most` levels deep."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(most + 1):
        level = [inner for item in level for inner in (item.values() if type(item) is dict else item) if type(inner) in _CONTAINERS]
        if not level:
            return False
    return True


def _whole(text: str) -> int | LongNumber:
    return int(text) if len(text) < 19 or -(2**63) <= int(text[:25]) < 2**64 else LongNumber(text)


def _broken(text: str) -> float | LongNumber:
    number = float(text)
    if repr(number) == text:
        return number
    try:
        return number if Decimal(repr(number)) == Decimal(text) else LongNumber(text)
    except InvalidOperation:  # an exponent beyond any
        return LongNumber(text)


def _decoded(body: bytes) -> str:
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "surrogatepass")
    return body.decode("utf-8", "surrogateescape")


def dump(value: Any, default: Callable[[Any], Any] = str, *, in_order: bool = False) -> str:
    """The value as JSON; `default` writes what JSON has no notation for. Raises ValueError, which says what no JSON can hold.

    `in_order` sorts the names of all objects, so that equal values have equal texts.

    A long number is written as the number that it is, one that no reader of ours would hold exactly as a text.
    """
    option = orjson.OPT_PASSTHROUGH_SUBCLASS | (orjson.OPT_SORT_KEYS if in_order else 0)
    try:
        return orjson.dumps(value, default=_other(default), option=option).decode()
    except TypeError as error:
        raise ValueError(mistake_in(value) or str(error)) from error


def dump_each(values: Sequence[Any], default: Callable[[Any], Any] = str) -> list[bytes | None]:
    """The text of each value as `dump` writes it, in UTF-8; None of one that no JSON can hold."""
    option, other = orjson.OPT_PASSTHROUGH_SUBCLASS, _other(default)
    with suppress(TypeError):
        return [orjson.dumps(value, default=other, option=option) for value in values]
    found: list[bytes | None] = []
    for value in values:
        try:
            found.append(orjson.dumps(value, default=other, option=option))
        except TypeError:
            found.append(None)
    return found


def _other(default: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def other(item: Any) -> Any:
        if isinstance(item, NotJson):
            raise TypeError
        if not isinstance(item, LongNumber):
            return default(item)
        return orjson.Fragment(item.encode()) if _EXACT.fullmatch(item) and sum(map(str.isdigit, item)) <= DIGITS else str(item)

    return other


def mistake_in(value: Any) -> str | None:
    """What in a value no JSON can hold, None if all is well."""
    waiting = [value]  # no recursion: a vendor may nest as deeply as the parser lets it
    while waiting:
        item = waiting.pop()
        if isinstance(item, NotJson):
            return f"{item} is no number of JSON"
        if isinstance(item, str) and _SURROGATE.search(item):
            return "a text has half a surrogate pair or bytes that are not UTF-8"
        if isinstance(item, dict):
            waiting += reversed([*item.keys(), *item.values()])
        elif isinstance(item, list):
            waiting += reversed(item)
    return None


def as_sent(value: Any) -> str:
    """The value as a text that can be kept anywhere, whatever is wrong with it; half pairs stay as their escapes."""
    return json.dumps(value, default=str, separators=(",", ":"))
