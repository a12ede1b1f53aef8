"""Walks through a stream: its partitions, their spans of time, their pages. What each of them is, is said elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jmespath

from spine.core import clock
from spine.core.errors import SourceRejected
from spine.http.client import Client
from spine.http.paging import Fetched
from spine.http.paging.pages import SLOT, search
from spine.http.transport import NOTHING, Request
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
    malformed,
    require_fields,
)
from spine.sources.rest.answers import Answers, Piece
from spine.sources.rest.fields import chunks_of, names_of
from spine.sources.rest.jobs import Done, Jobs, Stale
from spine.sources.rest.parts import parts_of
from spine.sources.rest.place import Part, Place, Span, Walk
from spine.sources.rest.spans import Spans, bounds
from spine.sources.rest.stages import Stages
from spine.sources.rows import BadRow
from spine.sources.spec import Cursor, Source, Stream
from spine.sources.variables import typed_values, values_of

READS = frozenset({
    "auth", "path", "host", "method", "params", "lists", "raw", "headers", "body", "idempotent", "fields", "field_list", "later", "job",
    "response", "records", "map_key", "columns", "required_fields", "cursor", "paging", "deletes.field",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep"})


@dataclass(frozen=True)
class Reader:
    """Sources that need no code. `extra` is the Connection's, which has the values of variables; `stages` may be a source's own."""

    source: Source
    client: Client
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stages: type[Stages] = Stages

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream; where the source cannot bound the reading, the records outside the window are left out."""
        yield from _Reading(self, stream.asked(first=window.full), window, state).pages(Place.parse(state.token))


class _Reading:
    """One reading of a stream, as it is asked in its window."""

    def __init__(self, reader: Reader, stream: Stream, window: Window, state: State) -> None:
        self._source, self._stream, self._window = reader.source.source, stream, window
        self._client = reader.client.of(stream.name)
        self._saved, self._high_water = state.cursor, state.high_water
        self._typed = typed_values(reader.source, reader.extra, window.end)
        self._values = values_of(reader.source, reader.extra, window.end)
        self._stages = reader.stages(stream)
        self._answers = Answers(self._client, self._stages)
        self._chunks: list[list[str]] | None = None
        self._jobs = Jobs(self._client, stream, stream.job) if stream.job else None
        windows = stream.cursor.windows if stream.cursor else None
        self._ceiling = windows if windows and windows.ceiling else None
        self._spans = Spans.of(stream.cursor, window, self._typed)

    def pages(self, place: Place) -> Iterator[Page]:
        """All pages from a place on."""
        walk = Walk(parts_of(self._stream, place.part), self._spans.first, self._spans.after, place)
        if walk.here is None:
            yield Page((), None, self._high_water)
        while walk.here is not None:
            part, span = walk.here
            place = replace(place, part=part.key, span=span)
            done = None
            if self._jobs is not None:
                place, done = yield from self._job(self._jobs, part, place)
            yield from self._step(walk, part, place, done)
            place = Place()

    def _job(self, jobs: Jobs, part: Part, place: Place) -> Generator[Page, None, tuple[Place, Done]]:
        """The job of a step when it is done: the one that was ordered before, unless it is of no use any more, or a new one."""
        values, former = self._named(part, place.span), ""
        if place.job is not None:
            try:
                return place, jobs.wait(place.job, values, ours=False)
            except Stale:
                former = str(place.job)
        asked = place.span or Span(self._window.start, self._window.end)
        key = f"{self._source}.{self._stream.name}.{Place(part.key, asked).text()}{former}"
        place = Place(part.key, place.span, jobs.order(values, key))
        yield Page((), place.text(), self._high_water, kept=True)
        return place, jobs.wait(place.job, values, ours=True)

    def _step(self, walk: Walk, part: Part, place: Place, done: Done | None) -> Iterator[Page]:
        """The pages of a step; at its end the walk has moved on."""
        before: str | None = None
        for piece, following in self._pages(part, place, done):
            if place.page is None and place.span is not None and self._too_many(piece.whole, 0):
                walk.go_on(self._spans.half(place.span))  # before anything of it is taken
                return
            records, reached = self._records(piece.records)
            self._high_water = later(self._high_water, reached)
            seen = place.seen + len(piece.records) if self._ceiling else 0
            instead = self._instead(place.span, piece.whole, seen, reached, before)
            before = reached or before
            upcoming = walk.go_on(instead) if following is None or instead is not None else replace(following, seen=seen)
            yield Page(records, upcoming.text() if upcoming else None, self._high_water, piece.notes)
            if following is None or instead is not None:
                return
            place = replace(following, seen=seen)

    def _pages(self, part: Part, place: Place, done: Done | None) -> Iterator[tuple[Piece, Place | None]]:
        """The pages of a step from a place on, in pieces, each with the place in the step that follows it."""
        stream, paging = self._stream, done.paging if done and done.paging else self._stages.paging()
        first, *others = self._firsts(part, place.span, done)
        turning = Turning(stream, paging.turned_by)
        if done is not None and done.empty:
            yield Piece((), Fetched(first, NOTHING, None, ())), None
            return
        while True:
            request, *more = [paging.request(one, place.page) for one in (first, *others)]
            for piece in self._answers.ask(request, place.page, place.rows, more):
                require_fields(stream, piece.records)
                if piece.rest is not None:
                    yield piece, replace(place, rows=piece.rest)
            following = paging.following(piece.whole)
            turning.see(piece.records, place.page, following)
            if following is None:
                yield piece, None
                return
            place = replace(place, page=self._client.auth.unsigned(following), rows=None)
            yield piece, place

    def _named(self, part: Part, span: Span | None) -> dict[str, Any]:
        """What the placeholders of a step name."""
        limits = bounds(self._stream.cursor, self._window, span, self._typed, self._saved)
        return {"page": SLOT, **self._values, **part.values, **limits}

    def _firsts(self, part: Part, span: Span | None, done: Done | None) -> list[Request]:
        """The request of a step's first page; several where its fields come in chunks."""
        cursor, values = self._stream.cursor, {**self._named(part, span), **(done.values if done else {})}
        if self._chunks is None:
            self._chunks = chunks_of(self._stream, self._client, self._values)
        found = [self._stages.request({**values, **named}) for named in names_of(self._chunks)]
        if cursor is None or done is not None:
            return found
        asked = {cursor.since: values.get("start"), cursor.until: values.get("end")}
        told = {name: str(at) for name, at in asked.items() if name and at is not None}
        return [replace(request, params={**request.params, **told}) for request in found]

    def _records(self, items: Sequence[Any]) -> tuple[list[Record], str | None]:
        """The records that belong to the window, and the latest cursor of all of them."""
        records = [record for item in items if (record := self._record(item)) is not None]
        return records, max((record.cursor for record in records if record.cursor is not None), default=None)

    def _record(self, item: Any) -> Record | None:
        stream, cursor = self._stream, self._stream.cursor
        if isinstance(item, BadRow):
            name = f"malformed:{hashlib.sha256(item.raw.encode(errors='replace')).hexdigest()[:16]}"
            return malformed(name, item.error, item.raw, cursor=None, line=item.line)
        position = self._stages.position(item)
        if cursor is not None and not self._window.full and not self._holds(cursor, position):
            return None
        flag = stream.deletes.detect == "flag" and stream.deletes.field and flagged(lookup(item, stream.deletes.field))
        return make_record(stream, item, cursor=position.cursor, op="delete" if flag else "upsert", mistake=position.mistake)

    def _holds(self, cursor: Cursor, position: Position) -> bool:
        """Whether a record belongs to a window that does not hold everything."""
        if cursor.type == "time":
            return self._window.holds(position.moment())
        return position.cursor is None or self._saved is None or position.cursor > self._saved

    def _too_many(self, fetched: Fetched, seen: int) -> bool:
        """Whether a span holds more than the source gives: by the answer's own count, else by how many have come."""
        windows = self._ceiling
        if windows is None or windows.ceiling is None:
            return False
        total = search(jmespath.compile(windows.total), fetched.body) if windows.total else None
        if isinstance(total, int):
            return total > windows.ceiling and (windows.beyond == "split" or seen >= windows.ceiling)
        return seen >= windows.ceiling

    def _instead(self, span: Span | None, fetched: Fetched, seen: int, reached: str | None, before: str | None) -> Span | None:
        """What is read in place of the rest of a span of which the source gives no more, None while it does."""
        windows = self._ceiling
        if windows is None or span is None:
            return None
        if windows.beyond == "restart" and reached and before and reached < before:
            raise SourceRejected(
                "the records do not come in the order of their cursor, by which the reading would go on",
                hint="Ask the source to sort them, or use `beyond: split`",
                stream=self._stream.name,
            )
        if not self._too_many(fetched, seen):
            return None
        if windows.beyond == "restart":
            return self._spans.behind(span, clock.parse(reached) if reached else None)
        return self._spans.half(span)
