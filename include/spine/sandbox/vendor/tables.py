"""The records that a vendor has: of each stream, and of each parent and partition of it, some that were made when somebody asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spine.core import clock, times
from spine.core.errors import ConfigError
from spine.sandbox.vendor.records import name_of, record_of, sent, written_time
from spine.sandbox.vendor.writing import reached
from spine.sources.spec import Cursor, Source, Stream

Scope = tuple[tuple[str, str], ...]
_NUMBERS = 1000  # what cursors that are numbers begin with


@dataclass
class Row:
    """One record as the source sends it, and when it changed last: a time, or a number. `revision` counts changes until then."""

    record: dict[str, Any]
    at: Any
    name: str
    revision: int = 0


@dataclass
class Table:
    """The records of one stream by scope; `spacing` lies between two changes, the last of which was made at `until`.

    `revision` counts what has happened to it since it was made, `gone` has the records that were dropped.
    """

    source: Source
    stream: Stream
    count: int
    until: datetime
    spacing: timedelta
    rows: dict[Scope, list[Row]] = field(default_factory=dict)
    revision: int = 0
    gone: dict[Scope, list[Row]] = field(default_factory=dict)

    def of(self, scope: Scope) -> list[Row]:
        """The records of a scope, in the order of their changes; the newest first where the stream says that they come so."""
        if scope not in self.rows:
            self.rows[scope] = [self._made(scope, number, self._moment(number, scope)) for number in range(self.count)]
        newest_first = self.stream.cursor is not None and self.stream.cursor.order == "descending"
        return sorted(self.rows[scope], key=lambda row: row.at, reverse=newest_first)

    @property
    def fields(self) -> list[str]:
        """The names of the fields of its records."""
        return list(self._made((), 0, self._moment(0)).record)

    def _moment(self, number: int, scope: Scope = ()) -> Any:
        cursor = self.stream.cursor
        if cursor is not None and cursor.type == "number":
            return _NUMBERS + number
        at = self.until - (self.count - 1 - number) * self.spacing
        told = cursor is not None and cursor.field in self.stream.key_fields  # then no two have the same
        return at - timedelta(seconds=int(name_of(dict(scope), 0)) // 10_000 % 3000) if told else at

    def _made(self, scope: Scope, number: int, at: Any) -> Row:
        name = name_of(dict(scope), number)
        return Row(record_of(self.source, self.stream, number, name, self._written(at)), at, name)

    def _written(self, at: Any) -> Any:
        cursor = self.stream.cursor
        return None if cursor is None else at if cursor.type == "number" else written_time(self.stream, at)

    def add(self, at: Any, scope: Scope | None = None) -> Row:
        """One more record, changed at a moment."""
        scope = scope if scope is not None else next(iter(self.rows))
        row = self._made(scope, len(self.rows[scope]) + 1000, at)
        row.revision = self._counted()
        self.rows[scope].append(row)
        return row

    def flag(self, row: Row, at: Any) -> None:
        """Say of a record that it was deleted at a moment."""
        stream = self.stream
        told: dict[str, Any] = reached({}, str(stream.deletes.field), True)
        if stream.cursor is not None:
            told = reached(told, stream.cursor.field, self._written(at))
        marked = sent(stream, told)
        row.record, row.at, row.revision = merged(row.record, marked), at, self._counted()

    def drop(self, row: Row) -> None:
        """Have a record no more."""
        row.revision = self._counted()
        for scope, rows in self.rows.items():
            self.gone.setdefault(scope, []).extend(other for other in rows if other is row)
            rows[:] = [other for other in rows if other is not row]

    def _counted(self) -> int:
        self.revision += 1
        return self.revision


def merged(record: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A record with what another says besides."""
    found = dict(record)
    for name, value in more.items():
        inner = found.get(name)
        found[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def within(cursor: Cursor, row: Row, start: Any, end: Any) -> bool:
    """Whether a record's change lies within bounds as they were asked for, both included, at the grain of their format.

    Raises ConfigError for a bound that is not written in the cursor's format.
    """
    if cursor.type == "number":
        return start is None or row.at >= int(start)
    at = times.read(times.write(row.at, cursor.format), cursor.format)
    try:
        low, high = (None if bound is None else times.read(bound, cursor.format) for bound in (start, end))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"the bound {start!r}, {end!r} is not of the format {cursor.format}") from error
    return (low is None or at >= low) and (high is None or at <= high)


def scaled(source: Source, *, size: int, now: datetime) -> Source:
    """The source with the numbers of a small vendor: sizes of pages, ceilings, and where first reads begin. Nothing else differs."""
    return source.model_copy(update={"streams": tuple(_scaled(stream, size, now) for stream in source.streams)})


def _scaled(stream: Stream, size: int, now: datetime) -> Stream:
    changed: dict[str, Any] = {"paging": _sized(stream.paging, size)}
    if stream.later is not None and "paging" in stream.later.model_fields_set:
        changed["later"] = stream.later.model_copy(update={"paging": _sized(stream.later.paging, size)})
    cursor = stream.cursor
    if cursor is not None and cursor.windows is not None:
        step = cursor.windows.step if isinstance(cursor.windows.step, timedelta) else timedelta(days=10)
        ceiling = min(cursor.windows.ceiling, size) if cursor.windows.ceiling else None
        windows = cursor.windows.model_copy(update={"ceiling": ceiling})
        changed["cursor"] = cursor.model_copy(update={"windows": windows, "start": (now - 2.5 * step).isoformat()})
    return stream.model_copy(update=changed)


def _sized(paging: Any, size: int) -> Any:
    return paging.model_copy(update={"size": size})


def spacing_of(stream: Stream, count: int) -> timedelta:
    """How far apart the changes of a stream lie, so that all of them are behind its first moment and each is told from the next."""
    cursor = stream.cursor
    if cursor is None or cursor.type == "number":
        return timedelta(hours=1)
    least = max(times.grain(cursor.format), times.grain(cursor.reads or "iso_seconds"), timedelta(hours=1))
    start = cursor.start
    if cursor.windows is not None:
        step = cursor.windows.step if isinstance(cursor.windows.step, timedelta) else timedelta(days=10)
        return max(timedelta(seconds=1), step / max(1, count))
    if isinstance(start, timedelta):
        return max(timedelta(seconds=1), min(least, start / (2 * max(1, count))))
    return least


def now() -> datetime:
    """The present, to the second."""
    return clock.now().replace(microsecond=0)


__all__ = ["Row", "Scope", "Table", "merged", "now", "scaled", "spacing_of", "within"]
