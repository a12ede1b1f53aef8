"""Words for what changed since the last read: the field that orders changes, and how a source is asked for them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from spine.core import times
from spine.core.declarations import Strict, refuse
from spine.core.texts import Duration, FieldPath, JmesPath, duration
from spine.core.times import TimeFormat

_VARIABLE = re.compile(r"\{[a-z][a-z0-9_]*\}")


def _span(value: Any) -> Any:
    """A duration, or the variable that has one."""
    return value if isinstance(value, str) and _VARIABLE.fullmatch(value) else duration(value)


def _start(value: Any) -> Any:
    """A date or time, a duration before now, or the variable that has one of these."""
    if isinstance(value, date | datetime | timedelta):
        return value.isoformat() if isinstance(value, date) else value
    if not isinstance(value, str):
        raise ValueError("write a date as 2020-01-31, a time before now as 90d, or a {variable}")
    if _VARIABLE.fullmatch(value):
        return value
    try:
        times.read(value, "iso")
    except ValueError:
        return duration(value)
    return value


Step = Annotated[timedelta | str, BeforeValidator(_span, json_schema_input_type=str)]
Start = Annotated[timedelta | str, BeforeValidator(_start, json_schema_input_type=str)]


class Windows(Strict):
    """A long range is read span by span, each from its own first page, and reading goes on from the last one that is committed.

    Neighbouring spans share their boundary, so that nothing is lost whichever of its ends a source counts; `granularity` spares what is
    then read twice. A span that holds more than the source gives (`ceiling`) is halved, or read on behind its last cursor.

    Example:
        step: 30d
        ceiling: 10000
        total: meta.total
    """

    step: Step | None = Field(default=None, description="How long a span is, or the variable that says so; else one for all")
    granularity: Duration = Field(default=timedelta(), description="How long before the next one a span ends: the least time told apart")
    ceiling: int | None = Field(default=None, ge=1, description="How many records the source gives for one question at most")
    total: JmesPath | None = Field(default=None, description="JMESPath of the count of all records, so that a span is halved at once")
    beyond: Literal["split", "restart"] = Field(
        default="split",
        description="Above `ceiling`: halve the span, or ask again from the last cursor (of records in its order)",
    )

    @model_validator(mode="after")
    def _sense(self) -> Windows:
        found: list[tuple[tuple[str, ...], str]] = []
        if self.ceiling is None:
            found += [((word,), "only a `ceiling` makes use of it") for word in ("total", "beyond") if word in self.model_fields_set]
            if self.step is None:
                found.append(((), "windows have a `step`, a `ceiling`, or both"))
        if isinstance(self.step, timedelta) and self.granularity >= self.step:
            found.append((("granularity",), "is not less than the step"))
        refuse(type(self), found)
        return self


class Cursor(Strict):
    """The field that orders changes. `lookback` is read again on each run, for records committed late.

    `formerly` is the field of cursors that were saved before they noted it. A cursor of another field than today's says nothing of what
    today's has passed: everything is read again, once. `since` and `until` name the parameters that ask a generic source for changes.
    `since: null` says that it has none: every run then reads everything and leaves out what is old, unless `{start}` stands elsewhere in
    the request. On the first read no bound is sent, so that records without a cursor value are seen, unless `start` says where it begins.

    Example:
        field: updated_at
        since: updated_after
        format: iso_seconds
        start: 2020-01-01
    """

    field: FieldPath = Field(description="The field of a record, nested with dots")
    formerly: FieldPath | None = Field(default=None, description="The field of cursors that were saved before they noted it")
    lookback: Duration = Field(default=timedelta(minutes=5), description="How much is read again on each run")
    since: str | None = Field(default=None, description="The parameter that asks for changes after the cursor, as `{start}` does elsewhere")
    until: str | None = Field(default=None, description="The parameter of the upper bound, as `{end}` elsewhere")
    type: Literal["time", "number"] = Field(default="time", description="What the field holds: times, or whole numbers that only grow")
    reads: TimeFormat | None = Field(default=None, description="How the field writes times; ISO 8601 and seconds since 1970 are recognised")
    format: TimeFormat = Field(default="iso", description="How `{start}` and `{end}`, `since` and `until` are written in requests")
    start: Start | None = Field(default=None, description="Where the first read begins: a date, a time before now as 90d, or a {variable}")
    order: Literal["any", "descending"] = Field(
        default="any", description="`descending`: the newest come first, so that pages behind one that is old as a whole are not asked for"
    )
    windows: Windows | None = Field(default=None, description="How a long range is divided")

    @model_validator(mode="after")
    def _of_its_type(self) -> Cursor:
        found: list[tuple[tuple[str, ...], str]] = []
        if self.type == "number":
            wrong = ("until", "reads", "format", "start", "windows", "lookback")
            found += [((word,), "is for times, and this cursor is a number") for word in wrong if word in self.model_fields_set]
        windows = self.windows
        if windows is not None and self.order == "descending":
            found.append((("order",), "spans of time are read from the oldest on"))
        if windows is not None and self.start is None and (windows.step is not None or windows.beyond == "split"):
            found.append((("start",), "spans of time need a first moment: write `start: 2020-01-01`, or 730d for a time before now"))
        refuse(type(self), found)
        return self

    @property
    def bounded(self) -> bool:
        """Whether a full read leaves out what is older than a first moment."""
        return self.start is not None
