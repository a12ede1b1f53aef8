"""JSON whose numbers stay as they were sent: integers beyond 64 bits and decimals beyond a float's digits keep their text.

Ids of other systems are such numbers, and as floats two of them become one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

# Only a text with so many digits in a row (or so large an exponent) can hold a number that a float changes.
_LONG = re.compile(r"\d[\d.]{15}|[eE][+-]?\d{3}")
_DIGITS = 38  # what Spark and Arrow hold exactly


class Number(str):
    """The text of a number that neither a float nor 64 bits hold."""

    __slots__ = ()


def loads(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError (json.JSONDecodeError among others) for what is none."""
    value = orjson.loads(text)
    known = text if isinstance(text, str) else bytes(text).decode()
    if _LONG.search(known) is None:
        return value
    return json.loads(known, parse_int=_integer, parse_float=_decimal)


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """The value as JSON. A long number is written as the number that it is, one that no reader of ours holds exactly as a text."""

    def other(item: Any) -> Any:
        if isinstance(item, Number):
            plain = len(item.lstrip("-").replace(".", "")) <= _DIGITS and not re.search("[eE]", item)
            return orjson.Fragment(item.encode()) if plain else str(item)
        if default is None:
            raise TypeError(type(item).__name__)
        return default(item)

    return orjson.dumps(value, default=other, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()


def _integer(text: str) -> int | Number:
    value = int(text) if len(text) < 21 else None
    return value if value is not None and -(2**63) <= value < 2**63 else Number(text)


def _decimal(text: str) -> float | Number:
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else Number(text)
