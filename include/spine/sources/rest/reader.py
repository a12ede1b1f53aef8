"""Walks through a stream: its partitions, their spans of time, their pages. What each of them is, is said elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jmespath

from spine.core.declarations import Place as FilePlace
from spine.http.client import Client
from spine.http.paging import Fetched
from spine.http.paging.pages import search
from spine.http.transport import Request
from spine.sources.reading import (
    Page,
    Position,
    Record,
    State,
    Turning,
    Window,
    flagged,
    later,
    lookup,
    make_record,
    position_of,
    require_fields,
)
from spine.sources.rest.parts import parts_of
from spine.sources.rest.place import Part, Place, Span, Walk, at_page
from spine.sources.rest.requester import request_of
from spine.sources.rest.selecting import records_of, said_empty
from spine.sources.rest.spans import Spans, bounds
from spine.sources.spec import Source, Stream

READS = frozenset({
    "path", "host", "method", "params", "lists", "raw", "headers", "body", "idempotent", "records", "later", "required_fields",
    "cursor.field", "cursor.since", "cursor.until", "paging", "deletes.field",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep"})


@dataclass(frozen=True)
class Reader:
    """Sources that need no code. `variables` are the Connection's values of the source's variables."""

    source: Source
    client: Client
    variables: Mapping[str, Any] = field(default_factory=dict)

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream; where the source cannot bound the reading, the records outside the window are left out."""
        asked = stream.asked(first=window.full)
        place, high_water = Place.parse(state.token), state.high_water
        spans = Spans.of(asked.cursor, window)
        walk = Walk(parts_of(asked, place.part), spans.first, spans.after, place)
        if walk.here is None:
            yield Page((), None, high_water)
        while walk.here is not None:
            part, span = walk.here
            place = replace(place, part=part.key, span=span)
            for fetched, following in self._pages(asked, window, part, span, place.page):
                records = [record for item in fetched.records if (record := self._record(asked, item, window)) is not None]
                for record in records:
                    high_water = later(high_water, record.cursor)
                upcoming = walk.go_on() if following is None else at_page(place, self.client.auth.unsigned(following))
                yield Page(records, upcoming.text() if upcoming else None, high_water)
            place = Place()

    def _pages(
        self, stream: Stream, window: Window, part: Part, span: Span | None, token: str | None
    ) -> Iterator[tuple[Fetched, str | None]]:  # fmt: skip
        """The pages of one step from a token on, each with the token of the one that follows in it."""
        first = self._first(stream, window, part, span)
        turning = Turning(stream, stream.paging.turned_by)
        while True:
            fetched = self._fetch(stream, stream.paging.request(first, token), token)
            following = stream.paging.following(fetched)
            turning.see(fetched.records, token, following)
            require_fields(stream, fetched.records)
            yield fetched, following
            if following is None:
                return
            token = following

    def _first(self, stream: Stream, window: Window, part: Part, span: Span | None) -> Request:
        """The request of a step's first page."""
        limits = bounds(stream.cursor, window, span)
        request = request_of(stream, {**self.variables, **part.values, **limits})
        if stream.cursor is None:
            return request
        asked = {stream.cursor.since: limits.get("start"), stream.cursor.until: limits.get("end")}
        return replace(request, params={**request.params, **{name: str(at) for name, at in asked.items() if name and at is not None}})

    def _fetch(self, stream: Stream, request: Request, token: str | None) -> Fetched:
        """The answer to a request, and the records in it."""
        response = self.client.request(request)
        body = response.json()
        selector = jmespath.compile(stream.records)
        found = records_of(stream, search(selector, body), empty=said_empty(body, stream.records))
        return Fetched(request, response, body, found, token)

    @staticmethod
    def _record(stream: Stream, item: Any, window: Window) -> Record | None:
        if stream.cursor is None:
            position = Position(None)
        else:
            position = position_of(lookup(item, stream.cursor.field), stream.cursor.field)
            if not window.full and not window.holds(position.moment()):
                return None
        flag = stream.deletes.detect == "flag" and stream.deletes.field and flagged(lookup(item, stream.deletes.field))
        return make_record(stream, item, cursor=position.cursor, op="delete" if flag else "upsert", mistake=position.mistake)


def mistakes(stream: Stream) -> Iterator[tuple[FilePlace, str]]:
    """What is wrong with a stream of this kind: places inside it, and why."""
    if stream.cursor is not None and "since" not in stream.cursor.model_fields_set:
        yield (
            ("cursor", "since"),
            (
                "no parameter asks the source for changes: name it, or write `since: null` if there is none; "
                "every run then reads everything and leaves out what is old"
            ),
        )
    if stream.deletes.detect == "flag" and stream.deletes.field is None:
        yield ("deletes", "field"), "`detect: flag` needs the field that tells a deleted record"
