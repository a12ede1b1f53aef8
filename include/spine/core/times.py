"""Times as vendors write them: `iso` and its kin, `date`, seconds or milliseconds since 1970, or any pattern of strftime."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator

from spine.core import clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"epoch": 1, "epoch_ms": 1000, "epoch_us": 1_000_000}
_FARTHEST = 10**18
_TEXTS = ("iso", "iso_seconds", "iso_ms", "date")
_DIRECTIVE = re.compile(r"%(.?)")
_KNOWN = frozenset("aAbBdHIjmMpSUwWyYzZfGuV%")


def _format(value: str) -> str:
    if value in _TEXTS or value in _UNITS:
        return value
    if "%" not in value:
        raise ValueError(f"{value!r} is no format of times: write one of {', '.join((*_TEXTS, *_UNITS))} or a pattern as %Y-%m-%d %H:%M:%S")
    wrong = [found[0] for found in _DIRECTIVE.finditer(value) if found[1] not in _KNOWN or not found[1]]
    if wrong:
        near = ": write `epoch`" if "%s" in wrong else ""
        raise ValueError(f"{value!r} has {wrong[0]}, which means different things on different machines{near}")
    return value


TimeFormat = Annotated[str, AfterValidator(_format)]


def write(moment: datetime, form: str) -> str | int:
    """A time in a format: a number for those since 1970, else a text in UTC; what the format does not hold is cut off."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if form in _UNITS:
        return (aware - EPOCH) // timedelta(microseconds=1_000_000 // _UNITS[form])
    if form == "iso":
        return clock.to_text(aware)
    if form == "date":
        return aware.date().isoformat()
    if form in _TEXTS:
        spec = "seconds" if form == "iso_seconds" else "milliseconds"
        return aware.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
    return aware.strftime(form.replace("%Y", f"{aware.year:04d}"))


def read(value: Any, form: str) -> datetime:
    """The time of what a vendor has written in a format. Raises ValueError, OverflowError or TypeError for what is none."""
    if form in _UNITS:
        return EPOCH + timedelta(microseconds=_microseconds(value, 1_000_000 // _UNITS[form]))
    # A text without a zone is of UTC.
    moment = datetime.fromisoformat(str(value)) if form in _TEXTS else datetime.strptime(str(value), form)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _microseconds(value: Any, unit: int) -> int:
    """A number of units as microseconds, without a float's loss."""
    try:
        number = Decimal(str(value))
        if abs(number) < _FARTHEST:  # a long exponent would take for ever to round
            return round(number * unit)
    except ArithmeticError:
        pass
    raise ValueError("no number of a time")


def grain(form: str) -> timedelta:
    """The least time that a format tells apart."""
    if form == "date":
        return timedelta(days=1)
    if form in ("iso", "epoch_us") or "%f" in form:
        return timedelta(microseconds=1)
    if form in ("iso_ms", "epoch_ms"):
        return timedelta(milliseconds=1)
    if "%" not in form or "%S" in form:
        return timedelta(seconds=1)
    if "%M" in form:
        return timedelta(minutes=1)
    return timedelta(hours=1) if "%H" in form or "%I" in form else timedelta(days=1)
