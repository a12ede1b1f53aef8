"""When two systems mean the same value: numbers as texts, nothing as an empty text, and times in many forms. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from spine.core import clock
from spine.core.errors import ConfigError

_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII)
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00:?00)?", re.ASCII)
_EXACT = 15  # digits that a machine number holds


def plain(value: Any) -> Any:
    """A value of a table as JSON has it: a decimal as a number if none of its digits is lost, a time as text in UTC."""
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        return float(value) if len(value.normalize().as_tuple().digits) <= _EXACT else format(value.normalize(), "f")
    if isinstance(value, datetime):
        return clock.to_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def same(left: Any, right: Any) -> bool:
    """Whether two values mean the same: `12`, `12.0` and `"12"`, true and `"true"`, None and an empty text, one moment in two forms."""
    if left == right and isinstance(left, bool) == isinstance(right, bool):
        return True
    return bool(_meant(left) == _meant(right))


def _meant(value: Any) -> Any:
    value = plain(value)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(str(value))
    if not isinstance(value, str):
        return value
    if _NUMBER.fullmatch(value) and not _code(value):
        return _number(value)
    if _TIME.fullmatch(value):
        if midnight := _MIDNIGHT.fullmatch(value):
            return midnight[1]
        try:
            return clock.parse(value.replace(" ", "T", 1))
        except ConfigError:
            return value
    return value


def _code(text: str) -> bool:
    """Digits that are no number: a postcode or an account with a zero in front."""
    digits = text.lstrip("-")
    return len(digits) > 1 and digits[0] == "0" and digits[1] != "."


def _number(text: str) -> Any:
    try:
        return Decimal(text).normalize()
    except InvalidOperation:
        return text


def empty(value: Any) -> bool:
    """Whether a value says nothing."""
    return value is None or value == ""


def written_alike(sent: Any, held: Any) -> bool:
    """Whether what a system holds is what it was sent, written in its own way: letter case, white space, signs between the digits."""
    if same(sent, held):
        return True
    left, right = (re.sub(r"[^0-9a-z@.\u0080-\uffff]", "", str(value or "").casefold()) for value in (sent, held))
    return bool(left) and left == right


def key_text(values: Sequence[Any], *, folds: bool) -> str | None:
    """The values of a key as one text; None if one of them is empty. `folds`: the system tells no capitals from small letters."""
    texts = []
    for value in values:
        if empty(value):
            return None
        meant = _meant(value)
        text = format(meant, "f") if isinstance(meant, Decimal) else clock.to_text(meant) if isinstance(meant, datetime) else str(meant)
        texts.append(text.replace("\\", "\\\\").replace("|", "\\|"))
    text = "|".join(texts)
    return text.casefold().strip() if folds else text


def moment(value: Any) -> datetime | None:
    """A time as vendors write it: ISO 8601, or seconds or milliseconds since 1970. None if it is none."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    text = str(value or "")
    try:
        if re.fullmatch(r"\d{10}(?:\.\d+)?|\d{13}", text):
            return datetime.fromtimestamp(float(text) / (1000 if len(text) == 13 and "." not in text else 1), tz=UTC)
        return clock.parse(text) if text else None
    except (ConfigError, OverflowError, ValueError):
        return None
