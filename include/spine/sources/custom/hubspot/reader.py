"""HubSpot CRM v3: the list endpoint for full reads and archived records, the search endpoint for changes.

A search gives 200 records a call and a list 100, so that changes are searched however many they are; a full read is listed, since the
search's index lags behind. What is not searchable (owners), or by a server that has no search, is listed and looked through.

Search returns at most 10,000 results per query and sorts by one property only. So a query is never paged by offset: each page
starts at the last page's greatest time, whose records were held back, and a time that fills a whole page is read by record id.
Facts: developers.hubspot.com, "CRM API | Search" (limits, filters, sorts), "CRM API | Contacts", "CRM API | Properties", "CRM API |
Schemas", "CRM API | Owners" (500 a page), "API usage guidelines".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from spine.core import declarations
from spine.core.errors import SchemaMismatch, SourceRejected
from spine.core.placeholders import needed
from spine.core.screen import logger
from spine.core.texts import nearest
from spine.http.client import Client
from spine.http.transport import Request
from spine.sources.columns import Records, latest_of
from spine.sources.custom.hubspot.associations import Associations
from spine.sources.custom.hubspot.faults import absent, raise_in_its_words, scopeless
from spine.sources.custom.hubspot.place import Place
from spine.sources.custom.hubspot.records import Making, ms, rows_of
from spine.sources.reading import Page, Record, State, Turning, Window, later, lookup, require_fields
from spine.sources.rest.requester import params_of
from spine.sources.spec import Source, Stream

_log = logger(__name__)
_LIST_MAX, _SEARCH_MAX, _OWNERS_MAX = 100, 200, 500  # records per page
_CEILING = 10_000
_LONGEST = 6000  # letters of an address that is asked for; names of properties beyond that go into a body
_OBJECTS = "/crm/v3/objects/"
READS = frozenset({"path", "object", "found", "params", "fields", "required_fields", "cursor.field", "paging.size"})
DETECTS = frozenset({"archived", "sweep"})


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of CRM objects: places inside it, and why. HubSpot sends the properties that `fields` asks for.

    A stream without `fields` asks for all properties that its kind of object has. `object` names what its objects are associated with,
    which is then what is read.
    """
    if stream.cursor is None and _searchable(stream):
        yield ("cursor",), "is missing: name the property of the last change"
    if not stream.path:
        yield ("path",), "is missing: name the list of the objects, as /crm/v3/objects/contacts"
    for name, mapped in stream.mapped.items() if stream.fields else ():
        for path in mapped.source:
            asked = path.removeprefix("properties.")
            if asked != path and asked not in stream.fields:
                yield (
                    ("mapping", "fields", name, "from"),
                    f"{asked!r} is not in `fields`, so that it is never read{nearest(asked, stream.fields)}",
                )


@dataclass
class Reader:
    """Reads CRM objects. Streams name the property that tells a record's last change as their cursor.

    `values` are those of the source's variables: the custom `objects` that are read.
    """

    source: Source
    client: Client
    values: Mapping[str, Any] = field(default_factory=dict)
    _properties: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client.inspect = raise_in_its_words

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream, each record at most once unless it changes meanwhile; archived records last, as deletes."""
        if stream.found is not None:
            stream = stream.model_copy(update={"path": needed(stream.path, stream.named)})
        if stream.cursor is None and _searchable(stream):
            raise SchemaMismatch("the stream has no cursor", hint="Name the property of the last change", stream=stream.name)
        start = None if window.start is None else ms(window.start)
        changes = Place("changes", time=start, inclusive=window.backfill)
        place: Place | None = Place("live") if window.full or not _searchable(stream) else changes
        if state.token is not None:
            place = Place.load(state.token)
        high_water, walk = state.high_water, _Walk(self, stream, window)
        turning = Turning(stream, "the parameter 'after'")
        while place is not None:
            asked = place
            records, place = walk.page(place)
            following = place.dump() if place else None
            turning.see(walk.seen, asked.dump(), following)
            high_water = later(high_water, latest_of(records))
            yield Page(records, following, high_water, walk.notes(), skipped=walk.skipped)

    def properties(self, stream: Stream) -> Sequence[str]:
        """The properties that are asked for: those of the file, or all that the kind of object has."""
        if stream.fields or not _searchable(stream):
            return stream.fields
        kind = _kind(stream)
        if kind not in self._properties:
            rows = rows_of(stream, self.client.get(f"/crm/v3/properties/{kind}").json())
            self._properties[kind] = [str(row["name"]) for row in rows if isinstance(row, dict) and row.get("name")]
        return self._properties[kind]


class _Walk:
    """One stream of one reading. `seen` are the rows of the last page, as they were sent."""

    def __init__(self, reader: Reader, stream: Stream, window: Window) -> None:
        self._reader, self._client, self._stream, self._window = reader, reader.client, stream, window
        self._making = Making(stream, window)
        self._cursor = stream.cursor.field if stream.cursor else ""
        self._asked = list(reader.properties(stream))
        self._associations = Associations(self._client, _kind(stream), stream.object) if stream.object else None
        self._notes: list[str] = []
        self.seen: Sequence[Any] = ()
        self.skipped = ""

    def notes(self) -> tuple[str, ...]:
        """What a person should know, once."""
        told, self._notes = tuple(self._notes), []
        for note in told:
            _log.info("%s: %s", self._stream.name, note)
        return told

    def page(self, place: Place) -> tuple[Sequence[Record], Place | None]:
        """The records at a place, and what follows them."""
        if place.phase == "live":
            return self._schemas(place) if _optional(self._stream) else self._live(place)
        if place.phase == "archived":
            return self._archived(place)
        try:
            return self._ties(place) if place.phase == "ties" else self._changes(place)
        except SourceRejected as error:
            if not absent(error):
                raise
        self._notes.append("the account has no search for them, so that all are listed")
        return self._live(Place("live"))

    def _records(self, rows: Sequence[Any]) -> Records:
        self.seen = rows
        return self._making.all(self._associations.of(rows) if self._associations else rows)

    # Lists

    def _live(self, place: Place) -> tuple[Sequence[Record], Place | None]:
        params = self._named()
        rows, after = self._list(place, params)
        if self._asked and not params:
            rows = self._filled(rows)
        require_fields(self._stream, rows)
        return self._records(rows), Place("live", after) if after else self._then_archived()

    def _schemas(self, place: Place) -> tuple[Sequence[Record], Place | None]:
        """Custom objects, none where the Connection names none to be read.

        Smaller plans do not have them, and not every token may see them.
        """
        if not self._reader.values.get("objects"):
            return [], None
        try:
            return self._live(place)
        except SourceRejected as error:
            if not (absent(error) or scopeless(error)):
                raise
            self.skipped = f"custom objects are not shown to this account: {error.message}"
            return [], None

    def _archived(self, place: Place) -> tuple[Sequence[Record], Place | None]:
        rows, after = self._list(place, {**self._named(), "archived": "true"})
        self.seen = self._making.gone(rows)
        heeded = bool(self.seen) or not rows  # or the server lists what is there again
        return self._making.archived(self.seen), Place("archived", after) if after and heeded else None

    def _named(self) -> dict[str, str]:
        """The properties as a parameter; none where they are too long for an address."""
        params = {"properties": ",".join(self._asked)} if self._asked else {}
        return params if len(urlencode(params)) <= _LONGEST else {}

    def _list(self, place: Place, params: dict[str, str]) -> tuple[list[Any], str | None]:
        """The rows of a list and where its next page begins. `archived` is not said where it is false, as servers read any text as true."""
        most = _LIST_MAX if _searchable(self._stream) else _OWNERS_MAX
        asked = {**params_of(self._stream, {}), "limit": str(min(self._stream.paging.size, most)), **params}
        answer = self._client.get(self._stream.path, {**asked, "after": place.after} if place.after else asked).json()
        after = lookup(answer, "paging.next.after")
        return rows_of(self._stream, answer), str(after) if after else None

    def _filled(self, rows: Sequence[Any]) -> list[Any]:
        """The same objects with all properties, by a batch of at most 100, as a list has."""
        inputs = [{"id": str(row["id"])} for row in rows if isinstance(row, dict) and row.get("id")]
        if not inputs:
            return list(rows)
        body = {"properties": self._asked, "inputs": inputs}
        answer = self._client.request(Request("POST", f"{self._stream.path}/batch/read", json=body, idempotent=True)).json()
        order = {one["id"]: place for place, one in enumerate(inputs)}  # a batch answers in an order of its own
        return sorted(rows_of(self._stream, answer), key=lambda row: order.get(str(lookup(row, "id")), len(order)))

    def _then_archived(self) -> Place | None:
        return Place("archived") if self._stream.deletes.detect == "archived" else None

    # Searches

    def _changes(self, place: Place) -> tuple[Sequence[Record], Place | None]:
        filters = []
        if place.time is not None:
            filters.append(self._filter(self._cursor, "GTE" if place.inclusive else "GT", place.time))
        if self._window.end is not None:
            filters.append(self._filter(self._cursor, "LT" if self._window.backfill else "LTE", ms(self._window.end)))
        rows, more = self._search(filters, sort=self._cursor)
        if not more:
            return self._records(rows), self._then_archived()
        last = next((time for row in reversed(rows) if (time := self._making.time(row)) is not None), None)
        if last is None:
            raise SchemaMismatch(f"no record of a page has its {self._cursor}", stream=self._stream.name)
        complete = [row for row in rows if self._making.time(row) != last]
        if not complete:
            self.seen = ()
            return [], Place("ties", time=last)
        return self._records(complete), Place("changes", time=last, inclusive=True)

    def _ties(self, place: Place) -> tuple[Sequence[Record], Place | None]:
        assert place.time is not None
        filters = [self._filter(self._cursor, "EQ", place.time)]
        if place.after:
            filters.append(self._filter("hs_object_id", "GT", place.after))
        rows, more = self._search(filters, sort="hs_object_id")
        records = self._records(rows)
        if not more:
            return records, Place("changes", time=place.time)
        last = next((str(row["id"]) for row in reversed(rows) if isinstance(row, dict) and row.get("id")), None)
        if last is None:
            raise SchemaMismatch("no record of a page has its id", stream=self._stream.name)
        return records, Place("ties", last, place.time)

    def _search(self, filters: list[dict[str, str]], sort: str) -> tuple[list[Any], bool]:
        """One page of results, and whether there are more."""
        body = {
            "filterGroups": [{"filters": filters}] if filters else [],
            "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
            "properties": self._asked,
            "limit": min(self._stream.paging.size, _SEARCH_MAX),
        }
        answer = self._client.search(f"{self._stream.path}/search", body).json()
        rows, total = rows_of(self._stream, answer), lookup(answer, "total")
        require_fields(self._stream, rows)
        if not self.seen and isinstance(total, int) and total > _CEILING:
            self._notes.append(f"{total:,} changes are searched by their time, since a search gives {_CEILING:,}")
        return rows, bool(rows) and lookup(answer, "paging.next.after") is not None

    @staticmethod
    def _filter(name: str, operator: str, value: int | str) -> dict[str, str]:
        return {"propertyName": name, "operator": operator, "value": str(value)}


def _kind(stream: Stream) -> str:
    """The kind of a stream's objects: the last part of its path."""
    return stream.path.rstrip("/").rpartition("/")[2]


def _optional(stream: Stream) -> bool:
    return stream.path.rstrip("/").endswith("/schemas")


def _searchable(stream: Stream) -> bool:
    return stream.path.startswith(_OBJECTS)
