"""Words for values that differ from account to account: declared here, given in the Connection's extra."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from spine.core import times
from spine.core.declarations import Strict, refuse
from spine.core.texts import duration
from spine.core.times import TimeFormat
from spine.sources.spec.requests import Scalar

_CLOCK = re.compile(r"(now|today)(?:\s*-\s*(\d{1,6}[smhd]))?")
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class Variable(Strict):
    """A value of the Connection's extra, which placeholders name as `{name}`. Without a default the Connection must have it.

    It is no secret: what signs requests is said by `auth`. Addresses of pages, which may hold it, are kept in the lake.

    Example:
        type: date
        default: today-30d
        format: date
    """

    type: Literal["text", "integer", "number", "boolean", "date", "time", "duration", "list"] = Field(
        default="text", description="What it is; a `list` of texts may be written with commas"
    )
    default: Any = Field(default=None, description="Its value where the Connection has none; of times also `now`, `today` and `now-7d`")
    optional: bool = Field(default=False, description="Whether it may have no value: what names it is then not sent")
    choices: tuple[Scalar, ...] = Field(default=(), description="The values that it may have")
    lookup: dict[str, Scalar] = Field(
        default_factory=dict, description="What requests say in place of its values, as {live: api, test: sandbox}; others stay as they are"
    )
    format: TimeFormat = Field(default="iso", description="How a date or time is written in requests; a date as `date` if not given")
    description: str = Field(default="", description="What it is for whoever makes the Connection")

    @model_validator(mode="after")
    def _default_is_one(self) -> Variable:
        if self.default is not None:
            try:
                self.value(self.default, times.EPOCH)
            except ValueError as error:
                refuse(type(self), [(("default",), str(error))])
        if "format" in self.model_fields_set and self.type not in ("date", "time"):
            refuse(type(self), [(("format",), "only a `date` and a `time` have one")])
        return self

    def value(self, given: Any, now: datetime) -> Any:
        """The value of what the Connection or the default says. Raises ValueError, which does not quote it."""
        found = self._typed(given, now)
        allowed = [self._typed(choice, now) for choice in self.choices]
        inner = found if isinstance(found, list) else [found]
        if allowed and not all(item in allowed or [item] in allowed for item in inner):
            raise ValueError(f"is none of {', '.join(map(str, self.choices))}")
        return found

    def written(self, value: Any) -> Any:
        """A value as requests have it."""
        if self.lookup and not isinstance(value, datetime | list):
            return self.lookup.get("true" if value is True else "false" if value is False else str(value), value)
        if not isinstance(value, datetime):
            return value
        said = "format" in self.model_fields_set
        return times.write(value, self.format if said or self.type == "time" else "date")

    def _typed(self, given: Any, now: datetime) -> Any:
        try:
            return _READ[self.type](given, now)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"is no {self.type}") from None


def _text(given: Any, _now: datetime) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float) or given == "":
        raise ValueError
    return str(given)


def _boolean(given: Any, _now: datetime) -> bool:
    text = str(given).lower()
    if text not in _TRUE + _FALSE:
        raise ValueError
    return text in _TRUE


def _number(given: Any, _now: datetime) -> float | int:
    if isinstance(given, bool):
        raise ValueError
    number = float(given)
    if not abs(number) < float("inf"):
        raise ValueError
    return int(number) if number == int(number) else number


def _integer(given: Any, now: datetime) -> int:
    number = _number(given, now)
    if not isinstance(number, int):
        raise ValueError
    return number


def _time(given: Any, now: datetime) -> datetime:
    relative = _CLOCK.fullmatch(given.strip()) if isinstance(given, str) else None
    if relative:
        at = now if relative[1] == "now" else now.replace(hour=0, minute=0, second=0, microsecond=0)
        return at - (duration(relative[2]) if relative[2] else timedelta())
    if isinstance(given, date) and not isinstance(given, datetime):
        return datetime(given.year, given.month, given.day, tzinfo=UTC)
    return times.read(given.isoformat() if isinstance(given, datetime) else given, "iso")


def _list(given: Any, now: datetime) -> list[str]:
    items = [item for part in given.split(",") if (item := part.strip())] if isinstance(given, str) else given
    if not isinstance(items, list):
        raise ValueError
    return [_text(item, now) for item in items]


_READ: dict[str, Any] = {
    "text": _text, "integer": _integer, "number": _number, "boolean": _boolean, "date": _time, "time": _time,
    "duration": lambda given, _now: duration(given), "list": _list,
}  # fmt: skip
