"""Salesforce by SOQL over the REST API: `queryAll` (deleted rows included) ordered by cursor and Id, `nextRecordsUrl` paging.

Facts: developer.salesforce.com, REST API Developer Guide ("Query", "QueryAll", "Limit Info Header", "Status Codes and Error
Responses") and SOQL and SOSL Reference ("Quoted String Escape Sequences", "Date Formats and Date Literals").
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from spine.core.errors import ConfigError, RateLimited, SchemaMismatch, SourceRejected
from spine.http.client import Client
from spine.http.transport import Response
from spine.sources.reading import Page, State, Window, cursor_text, later, lookup, make_record, require_fields
from spine.sources.rest import records_of
from spine.sources.spec import Source, Stream

_log = logging.getLogger(__name__)
_PATH = "/services/data/v61.0/queryAll"
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$")
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})
_NO_FIELD = re.compile(r"No such column '([A-Za-z0-9_.]+)'")
_LIMIT_PAUSE = 900.0  # seconds; the daily limit is a rolling one, so that calls come back little by little
READS = frozenset({"path", "object", "fields", "required_fields", "cursor.field", "paging.size", "deletes.detect", "deletes.field"})


def text_literal(value: str) -> str:
    """A SOQL string literal."""
    return f"'{value.translate(_ESCAPES)}'"


def time_literal(moment: datetime) -> str:
    """A SOQL dateTime literal, in milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def name(identifier: str) -> str:
    """An object or field name, which SOQL cannot quote. Raises ConfigError for anything else."""
    if not _NAME.match(identifier):
        raise ConfigError(f"{identifier!r} is no name of an object or field", hint="Correct the source's file")
    return identifier


@dataclass(frozen=True)
class Place:
    """Where a query stands: the locator of its next page, and the last record read, from which it can start again.

    `ties` says that the query at hand reads only the rest of the records that share the last one's time.
    """

    locator: str | None = None
    after: tuple[str, str] | None = None
    ties: bool = False

    def dump(self) -> str:
        """The place as a page token."""
        return orjson.dumps([self.locator, self.after, self.ties]).decode()

    @staticmethod
    def load(token: str | None) -> Place:
        """The place that a token names; the beginning for None."""
        if token is None:
            return Place()
        locator, after, ties = orjson.loads(token)
        return Place(locator, tuple(after) if after else None, ties)


def soql(stream: Stream, fields: Sequence[str], window: Window, place: Place) -> str:
    """The query of the stream's records in the window, from `place.after` on, in the order of change and Id."""
    conditions, order = [], ["Id"]
    if stream.cursor is not None:
        cursor = name(stream.cursor.field)
        order.insert(0, cursor)
        start = None if window.start is None else f"{cursor} {'>=' if window.backfill else '>'} {time_literal(window.start)}"
        if place.after:
            start = f"{cursor} {'=' if place.ties else '>'} {place.after[0]}"
        conditions = [start] if start else []
        if window.end is not None:
            conditions.append(f"{cursor} {'<' if window.backfill else '<='} {time_literal(window.end)}")
    if place.after and (place.ties or stream.cursor is None):
        conditions.append(f"Id > {text_literal(place.after[1])}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(name(item) for item in fields)
    # Every part is a checked name or an escaped literal.
    return f"SELECT {columns} FROM {name(stream.object or stream.name)}{where} ORDER BY {', '.join(order)}"  # noqa: S608


@dataclass
class Reader:
    """Reads objects by SOQL. `used` is the share of the account's daily calls that are gone, as the last answer said."""

    source: Source
    client: Client
    used: float = 0.0
    _gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.client.inspect = self._inspect

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream, each record at most once unless it changes meanwhile."""
        place, high_water = Place.load(state.token), state.high_water
        while True:
            self._respect_share()
            try:
                answer = self._ask(stream, window, place)
            except SourceRejected as error:
                if error.where.get("reason") != "locator expired":
                    raise
                place = replace(place, locator=None, ties=place.after is not None and stream.cursor is not None)
                continue
            rows = [_without_attributes(row) for row in records_of(stream, lookup(answer, "records"))]
            require_fields(stream, rows)
            place = self._following(stream, place, rows, answer.get("nextRecordsUrl"))
            records = []
            for row in rows:
                cursor = cursor_text(row.get(stream.cursor.field)) if stream.cursor else None
                deleted = stream.deletes.detect == "flag" and bool(row.get(stream.deletes.field or "IsDeleted"))
                records.append(make_record(stream, row, cursor=cursor, op="delete" if deleted else "upsert"))
                high_water = later(high_water, cursor)
            more = place.locator is not None or place.ties
            yield Page(records, place.dump() if more else None, high_water)
            if not more:
                return
            if place.locator is None:
                place = replace(place, ties=False)

    @staticmethod
    def _following(stream: Stream, place: Place, rows: list[dict[str, Any]], locator: str | None) -> Place:
        after = place.after
        if rows:
            moment = cursor_text(rows[-1].get(stream.cursor.field)) if stream.cursor else None
            after = (time_literal(datetime.fromisoformat(moment)) if moment else "", str(rows[-1]["Id"]))
        return Place(locator, after, place.ties)

    def _ask(self, stream: Stream, window: Window, place: Place) -> dict[str, Any]:
        size = {"Sforce-Query-Options": f"batchSize={stream.paging.size}"}
        while True:
            if place.locator is not None:
                response = self.client.get(place.locator, headers=size)
            else:
                fields = [item for item in stream.fields if item not in self._gone]
                try:
                    response = self.client.get(stream.path or _PATH, {"q": soql(stream, fields, window, place)}, headers=size)
                except SourceRejected as error:
                    self._forget(stream, error)
                    continue
            answer = response.json()
            if not isinstance(answer, dict):
                raise SchemaMismatch("the answer is no query result", stream=stream.name)
            return answer

    def _forget(self, stream: Stream, error: SourceRejected) -> None:
        """Go on without an optional field that the object has lost. Raises SchemaMismatch for a required one, else the error."""
        lost = str(error.where.get("field"))
        wanted = next((item for item in stream.fields if item.lower() == lost.lower() and item not in self._gone), None)
        if wanted is None:
            raise error
        if wanted in (*stream.required_fields, *stream.key, stream.cursor.field if stream.cursor else None):
            raise SchemaMismatch(
                f"{stream.object} has no field {wanted} any more",
                hint="Ask who changed the object or the rights on its fields, or adapt the source's file",
                stream=stream.name,
            ) from error
        _log.warning("%s: field %s does not exist or may not be read; it is left out", stream.name, wanted)
        self._gone.add(wanted)

    def _respect_share(self) -> None:
        share = self.source.rate_limit.share
        if share < 1 and self.used >= share:
            raise RateLimited(
                f"{self.used:.0%} of the organisation's daily calls are used; this connection stops at {share:.0%}",
                hint="It is tried again later; `rate_limit.share` in the source's file is the limit",
                retry_after=_LIMIT_PAUSE,
                **self.client.where,
            )

    def _inspect(self, response: Response) -> None:
        usage = re.search(r"api-usage=(\d+)/(\d+)", response.headers.get("sforce-limit-info", ""))
        if usage and int(usage[2]):
            self.used = int(usage[1]) / int(usage[2])
        if response.status in (400, 403, 404):
            _raise_in_its_words(response)


def _raise_in_its_words(response: Response) -> None:
    """Raise our error for Salesforce's own error code, if we know it."""
    try:
        mistakes = orjson.loads(response.body)
        first = mistakes[0] if isinstance(mistakes, list) else {}
        code, message = str(first.get("errorCode", "")), str(first.get("message", ""))
    except (orjson.JSONDecodeError, IndexError, AttributeError):
        return
    if code == "REQUEST_LIMIT_EXCEEDED":
        raise RateLimited("the organisation's daily calls are used up", hint="It is tried again later", retry_after=_LIMIT_PAUSE)
    if code == "INVALID_QUERY_LOCATOR":
        raise SourceRejected("the query locator has expired", reason="locator expired")
    lost = _NO_FIELD.search(message)
    if code == "INVALID_FIELD" and lost:
        raise SourceRejected(f"there is no field {lost[1]}", hint="Adapt `fields` in the source's file", field=lost[1])
    if code == "INVALID_TYPE":
        raise SchemaMismatch("the object does not exist or may not be read", hint="Check the rights of the connected user")


def _without_attributes(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the API's own `attributes` (type and versioned URL), which are no data of the record."""
    return {key: value for key, value in row.items() if key != "attributes"}
