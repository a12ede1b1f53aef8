"""The bounds of a reading, and the spans of time into which a long one is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from spine.core import clock, times
from spine.core.errors import ConfigError, SourceRejected
from spine.sources.reading import Window, number_of
from spine.sources.rest.place import Span
from spine.sources.spec import Cursor

_LEAST = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Spans:
    """How one stream's window is cut; `whole` is what is read in all, None where it is read in one go."""

    whole: Span | None = None
    step: timedelta | None = None
    least: timedelta = _LEAST

    @classmethod
    def of(cls, cursor: Cursor | None, window: Window, values: Mapping[str, Any]) -> Spans:
        """The spans of a stream in a window. Raises ConfigError."""
        if cursor is None or cursor.windows is None:
            return cls()
        end = window.end or clock.now()
        start = first_moment(cursor, window, values) if window.full else window.start
        step = cursor.windows.step
        if isinstance(step, str):
            step = _of_variable(step, values, timedelta)
        if step is not None and step <= timedelta():
            raise ConfigError("the step of `windows` is no time at all", hint="Write a variable's value as 30d")
        return cls(Span(start, end), step, max(_LEAST, times.grain(cursor.format), cursor.windows.granularity))

    @property
    def first(self) -> Span | None:
        """The first span."""
        if self.whole is None or self.whole.start is None or self.step is None:
            return self.whole
        return self._from(self.whole.start, self.step)

    def after(self, span: Span) -> Span | None:
        """The span after this one, None behind the last; one that follows a halved one is twice as long as that."""
        if self.whole is None or span.end is None or self.whole.end is None or span.end >= self.whole.end:
            return None
        size = span.end - span.start if span.start else timedelta()
        grown = max(size * 2, self.least)
        return self._from(span.end, grown if self.step is None else min(grown, self.step))

    def half(self, span: Span) -> Span:
        """The first half of a span that holds too much. Raises SourceRejected where there is no half."""
        if span.start is None or span.end is None or span.end - span.start < 2 * self.least:
            raise SourceRejected(
                "more records than the source gives lie within the shortest span of time", hint="Raise `ceiling` of the cursor's windows",
            )  # fmt: skip
        count = (span.end - span.start) // self.least // 2
        return Span(span.start, span.start + count * self.least)

    def behind(self, span: Span, reached: datetime | None) -> Span:
        """The rest of a span from the last cursor on. Raises SourceRejected if that is where it began."""
        if reached is None or (span.start is not None and reached <= span.start):
            raise SourceRejected(
                "more records than the source gives have the same cursor, so that asking from there gives the same again",
                hint="Use `beyond: split`, or a finer cursor field",
            )
        return Span(reached, span.end)

    def _from(self, start: datetime, size: timedelta) -> Span:
        end = start + size
        return Span(start, end if self.whole is None or self.whole.end is None else min(end, self.whole.end))


def first_moment(cursor: Cursor, window: Window, values: Mapping[str, Any]) -> datetime | None:
    """Where a read without a saved cursor begins, None if it is not bounded. Raises ConfigError."""
    start: Any = cursor.start
    if isinstance(start, str) and start.startswith("{"):
        start = _of_variable(start, values, (datetime, timedelta))
    if isinstance(start, timedelta):
        return (window.end or clock.now()) - start
    return times.read(start, "iso") if isinstance(start, str) else start


def bounds(cursor: Cursor | None, window: Window, span: Span | None, values: Mapping[str, Any], saved: str | None = None) -> dict[str, Any]:
    """The values of `{start}` and `{end}`: nothing on the first read, so that records without a cursor value are seen."""
    if cursor is None:
        return {}
    if cursor.type == "number":
        return {"start": number_of(saved)} if saved is not None and not window.full else {}
    if span is None:
        start = first_moment(cursor, window, values) if window.full else window.start
        span = Span(start, window.end)
    if span.start is None and window.full:
        return {}
    end = span.end
    if cursor.windows is not None and end is not None and end != window.end:
        end -= cursor.windows.granularity
    return {name: times.write(at, cursor.format) for name, at in (("start", span.start), ("end", end)) if at}


def _of_variable(text: str, values: Mapping[str, Any], kind: Any) -> Any:
    value = values.get(text.strip("{}"))
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"the variable {text} is of another type than its place needs", hint="Declare it as date, time or duration")
    return value
