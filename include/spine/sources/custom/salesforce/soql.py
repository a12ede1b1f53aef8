"""Queries of an object's records in a window, and the place from which one goes on.

Facts: developer.salesforce.com, SOQL and SOSL Reference ("Quoted String Escape Sequences", "Date Formats and Date Literals"), Bulk API 2.0
Developer Guide ("Queries": ORDER BY takes away the chunks by which a job gets through large objects).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from spine.core.errors import ConfigError
from spine.sources.reading import Window
from spine.sources.spec import Stream

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})


def text_literal(value: str) -> str:
    """A SOQL string literal."""
    return f"'{value.translate(_ESCAPES)}'"


def time_literal(moment: datetime) -> str:
    """A SOQL dateTime literal, in milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def name(identifier: str) -> str:
    """An object or field name, which SOQL cannot quote. Raises ConfigError for anything else."""
    if not NAME.fullmatch(identifier):
        raise ConfigError(f"{identifier!r} is no name of an object or field", hint="Correct the source's file")
    return identifier


def object_of(stream: Stream) -> str:
    """The name of the stream's object, checked."""
    return name(stream.object or stream.name)


@dataclass(frozen=True)
class Place:
    """Where a query stands: the locator of its next page, and the last record read, from which it can start again.

    `ties` says that the query at hand reads only the rest of the records that share the last one's time, `deleted` that only the
    window's deleted records are left. Of a bulk `job`, `locator` is that of its next results, `END` when there are none.
    """

    locator: str | None = None
    after: tuple[str, str] | None = None
    ties: bool = False
    deleted: bool = False
    job: str | None = None

    def dump(self) -> str:
        """The place as a page token."""
        return orjson.dumps([self.locator, self.after, self.ties, self.deleted, self.job]).decode()

    @staticmethod
    def load(token: str | None) -> Place:
        """The place that a token names; the beginning for None."""
        if token is None:
            return Place()
        locator, after, *rest = orjson.loads(token)
        return Place(locator, tuple(after) if after else None, *rest)


END = "null"  # the vendor's own word in place of a locator, when there are no more results


def soql(stream: Stream, fields: Sequence[str], window: Window, place: Place, *, ordered: bool = True) -> str:
    """The query of the stream's records in the window, from `place.after` on, in the order of change and Id.

    Only a backfill has an upper bound. A full read has none, or what changed meanwhile would be taken for deleted; what an incremental one
    finds beyond the window's end is left to the next run by whoever makes the records.
    """
    conditions, order = [], ["Id"]
    if stream.cursor is not None:
        cursor = name(stream.cursor.field)
        order.insert(0, cursor)
        start = None if window.start is None else f"{cursor} {'>=' if window.backfill else '>'} {time_literal(window.start)}"
        if place.after:
            start = f"{cursor} {'=' if place.ties else '>'} {place.after[0]}"
        conditions = [start] if start else []
        if window.end is not None and window.backfill:
            conditions.append(f"{cursor} < {time_literal(window.end)}")
    if place.after and (place.ties or stream.cursor is None):
        conditions.append(f"Id > {text_literal(place.after[1])}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(name(item) for item in fields)
    # Every part is a checked name or an escaped literal.
    query = f"SELECT {columns} FROM {object_of(stream)}{where}"  # noqa: S608
    return f"{query} ORDER BY {', '.join(order)}" if ordered else query
