"""Values of drivers that give rows one by one: as JSON has them, and as a place of the reading is kept. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from spine.core import clock, jsontext
from spine.sources.database.asking import Question
from spine.sources.database.rows import BATCH, Rows


def jsoned(value: Any) -> Any:
    """A value for a record's JSON: decimals keep their digits, bytes are told in hexadecimal, times without a zone as they are."""
    if isinstance(value, Decimal):
        return jsontext.LongNumber(f"{value:f}") if value.is_finite() else str(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, timedelta):
        return _clock(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, datetime | date) else value


def _clock(value: timedelta) -> str:
    """A TIME, which may be longer than a day and below nothing: -838:59:59.5."""
    sign, rest = ("-", -value) if value < timedelta() else ("", value)
    seconds, micro = rest.seconds + rest.days * 86400, rest.microseconds
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{micro:06d}".rstrip("0") if micro else text


def kept(value: Any) -> Any:
    """A value of a place as JSON has it, so that `meant` gives it back."""
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    return jsoned(value) if isinstance(value, datetime | date | timedelta) else value


def meant(value: Any) -> Any:
    """The value that `kept` was given; times stay texts, which servers compare as times."""
    if isinstance(value, Mapping):
        return bytes.fromhex(value["bytes"]) if "bytes" in value else Decimal(value["decimal"])
    return clock.to_text(value).removesuffix("Z") if isinstance(value, datetime) else value


def batched(found: Iterable[Sequence[Any]], names: Sequence[str], question: Question, change: Any = None) -> Iterator[Rows]:
    """Rows of a driver in batches, with their places."""
    order = [names.index(column.name) for column in question.order]
    wanted = set(question.columns)
    rows = iter(found)
    while batch := list(islice(rows, BATCH)):
        items = [
            {name: (change or jsoned_of)(name, value) for name, value in zip(names, row, strict=True) if name in wanted} for row in batch
        ]
        yield Rows(len(batch), tuple(kept(batch[-1][at]) for at in order), items)


def jsoned_of(_name: str, value: Any) -> Any:
    """A value whatever its column is."""
    return jsoned(value)
