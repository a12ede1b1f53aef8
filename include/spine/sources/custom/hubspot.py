"""HubSpot CRM v3: the list endpoint for full reads and archived records, the search endpoint for changes.

Search returns at most 10,000 results per query and sorts by one property only. So a query is never paged by offset: each page
starts at the last page's greatest time, whose records were held back, and a time that fills a whole page is read by record id.
Facts: developers.hubspot.com, "CRM API | Search" (limits, filters, sorts), "CRM API | Contacts", "API usage guidelines".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from spine.core import declarations
from spine.core.errors import RateLimited, SchemaMismatch
from spine.core.texts import nearest
from spine.http.client import Client
from spine.http.transport import Response
from spine.sources.reading import Page, Position, Record, State, Turning, Window, later, lookup, make_record, position_of, require_fields
from spine.sources.rest import records_of, said_empty
from spine.sources.rest.requester import params_of
from spine.sources.spec import Source, Stream

_DAILY_PAUSE = 3600.0  # seconds; the daily limit is reset at midnight of the account's time zone
_ROLLING_PAUSE = 10.0
_SECOND_PAUSE = 1.0
_LIST_MAX, _SEARCH_MAX = 100, 200  # records per page
_PAUSES = {"DAILY": _DAILY_PAUSE, "TEN_SECONDLY": _ROLLING_PAUSE, "SECONDLY": _SECOND_PAUSE}  # by the policy that the answer names
_SHORT_TERM = ("short-term", _ROLLING_PAUSE)
READS = frozenset({"path", "params", "fields", "required_fields", "cursor.field", "paging.size"})
DETECTS = frozenset({"archived", "sweep"})


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of CRM objects: places inside it, and why. HubSpot sends the properties that `fields` asks for."""
    if stream.cursor is None:
        yield ("cursor",), "is missing: name the property of the last change"
    if not stream.path:
        yield ("path",), "is missing: name the list of the objects, as /crm/v3/objects/contacts"
    for name, field in stream.mapped.items():
        for path in field.source:
            asked = path.removeprefix("properties.")
            if asked != path and asked not in stream.fields:
                yield (
                    ("mapping", "fields", name, "from"),
                    f"{asked!r} is not in `fields`, so that it is never read{nearest(asked, stream.fields)}",
                )


@dataclass(frozen=True)
class Place:
    """The next request: `live` and `archived` lists by `after`, `changes` from a time on, `ties` of one time by record id."""

    phase: str
    after: str | None = None
    time: int | None = None
    inclusive: bool = False

    def dump(self) -> str:
        """The place as a page token."""
        return orjson.dumps([self.phase, self.after, self.time, self.inclusive]).decode()

    @staticmethod
    def load(token: str) -> Place:
        """The place that a token names."""
        return Place(*orjson.loads(token))


@dataclass
class Reader:
    """Reads CRM objects. Streams name the property that tells a record's last change as their cursor."""

    source: Source
    client: Client

    def __post_init__(self) -> None:
        self.client.inspect = _inspect

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream, each record at most once unless it changes meanwhile; archived records last, as deletes."""
        start = None if window.start is None else _ms(window.start)
        changes = Place("changes", time=start, inclusive=window.backfill)
        place: Place | None = Place("live") if window.full else changes
        if state.token is not None:
            place = Place.load(state.token)
        high_water = state.high_water
        turning = Turning(stream, "the parameter 'after'")
        while place is not None:
            asked = place
            records, place = self._page(stream, window, place)
            following = place.dump() if place else None
            turning.see([record.record_id for record in records], asked.dump(), following)
            for record in records:
                high_water = later(high_water, record.cursor)
            yield Page(records, following, high_water)

    def _page(self, stream: Stream, window: Window, place: Place) -> tuple[list[Record], Place | None]:
        if place.phase in ("live", "archived"):
            return self._list(stream, window, place)
        return self._ties(stream, place) if place.phase == "ties" else self._changes(stream, window, place)

    def _list(self, stream: Stream, window: Window, place: Place) -> tuple[list[Record], Place | None]:
        archived = place.phase == "archived"
        params = {
            "limit": str(min(stream.paging.size, _LIST_MAX)),
            "archived": str(archived).lower(),
            "properties": ",".join(stream.fields),
        }
        if place.after:
            params["after"] = place.after
        answer = self.client.get(stream.path, {**params_of(stream, {}), **params}).json()
        rows = _rows(stream, answer)
        after = lookup(answer, "paging.next.after")
        following = Place(place.phase, str(after)) if after else (None if archived else _then_archived(stream))
        if not archived:
            require_fields(stream, rows)
            return [_record(stream, row) for row in rows], following
        gone = [(row, position_of(lookup(row, "archivedAt") or lookup(row, "updatedAt"), "archivedAt")) for row in rows]
        wanted = [(row, at) for row, at in gone if window.full or window.holds(at.moment())]
        return [make_record(stream, row, cursor=at.cursor, op="delete", mistake=at.mistake) for row, at in wanted], following

    def _changes(self, stream: Stream, window: Window, place: Place) -> tuple[list[Record], Place | None]:
        cursor = _cursor_property(stream)
        filters = []
        if place.time is not None:
            filters.append(_filter(cursor, "GTE" if place.inclusive else "GT", place.time))
        if window.end is not None:
            filters.append(_filter(cursor, "LT" if window.backfill else "LTE", _ms(window.end)))
        rows, more = self._search(stream, filters, sort=cursor)
        if not more:
            return [_record(stream, row) for row in rows], _then_archived(stream)
        last = next((time for row in reversed(rows) if (time := _time(stream, row)) is not None), None)
        if last is None:
            raise SchemaMismatch(f"no record of a page has its {cursor}", stream=stream.name)
        complete = [row for row in rows if _time(stream, row) != last]
        if not complete:
            return [], Place("ties", time=last)
        return [_record(stream, row) for row in complete], Place("changes", time=last, inclusive=True)

    def _ties(self, stream: Stream, place: Place) -> tuple[list[Record], Place | None]:
        assert place.time is not None
        filters = [_filter(_cursor_property(stream), "EQ", place.time)]
        if place.after:
            filters.append(_filter("hs_object_id", "GT", place.after))
        rows, more = self._search(stream, filters, sort="hs_object_id")
        records = [_record(stream, row) for row in rows]
        if not more:
            return records, Place("changes", time=place.time)
        last = next((str(row["id"]) for row in reversed(rows) if isinstance(row, dict) and row.get("id")), None)
        if last is None:
            raise SchemaMismatch("no record of a page has its id", stream=stream.name)
        return records, Place("ties", last, place.time)

    def _search(self, stream: Stream, filters: list[dict[str, str]], sort: str) -> tuple[list[Any], bool]:
        """One page of results, and whether there are more."""
        body = {
            "filterGroups": [{"filters": filters}] if filters else [],
            "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
            "properties": list(stream.fields),
            "limit": min(stream.paging.size, _SEARCH_MAX),
        }
        answer = self.client.search(f"{stream.path}/search", body).json()
        rows = _rows(stream, answer)
        require_fields(stream, rows)
        return rows, bool(rows) and lookup(answer, "paging.next.after") is not None


def _then_archived(stream: Stream) -> Place | None:
    return Place("archived") if stream.deletes.detect == "archived" else None


def _rows(stream: Stream, answer: Any) -> list[Any]:
    if answer is None:
        return []
    if not isinstance(answer, dict):
        raise SchemaMismatch("the answer is no page of records", stream=stream.name)
    return records_of(stream, answer.get("results"), empty=said_empty(answer, "results"))


def _record(stream: Stream, row: Any) -> Record:
    position = _position(stream, row)
    return make_record(stream, row, cursor=position.cursor, mistake=position.mistake)


def _cursor_property(stream: Stream) -> str:
    if stream.cursor is None:
        raise SchemaMismatch("the stream has no cursor", hint="Name the property of the last change", stream=stream.name)
    return stream.cursor.field


def _position(stream: Stream, row: Any) -> Position:
    name = _cursor_property(stream)
    return position_of(lookup(row, f"properties.{name}") or lookup(row, "updatedAt"), name)


def _time(stream: Stream, row: Any) -> int | None:
    moment = _position(stream, row).moment()
    return None if moment is None else _ms(moment)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _filter(name: str, operator: str, value: int | str) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _inspect(response: Response) -> None:
    """Wait as long as the limit that was hit asks for, where the answer has no Retry-After."""
    if response.status != 429 or response.headers.get("retry-after"):
        return
    kind, pause = next(((kind, pause) for kind, pause in _PAUSES.items() if kind.encode() in response.body.upper()), _SHORT_TERM)
    raise RateLimited(f"HubSpot's {kind.lower()} limit is used up", retry_after=pause)
