"""Walks through a stream: its partitions, their spans of time, their pages. What each of them is, is said elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jmespath

from spine.core import clock
from spine.core.blobs import Keep
from spine.core.errors import SourceRejected
from spine.http.client import Client
from spine.http.paging import Fetched, Paging
from spine.http.paging.pages import SLOT, search
from spine.http.rules import Expired, Restarted, Skipped
from spine.http.transport import NOTHING, Request
from spine.sources.columns import Records
from spine.sources.reading import (
    Page,
    State,
    Turning,
    Window,
    later,
    require_fields,
)
from spine.sources.rest.ahead import Ahead
from spine.sources.rest.answers import Answers, Piece
from spine.sources.rest.changes import UNTOLD, expired_rules, first_token, token_in
from spine.sources.rest.downloads import Downloads
from spine.sources.rest.fields import chunks_of, names_of
from spine.sources.rest.jobs import Done, Jobs, Stale
from spine.sources.rest.parts import Parts
from spine.sources.rest.place import Part, Place, Span, Walk
from spine.sources.rest.recording import Recording
from spine.sources.rest.shaping import Hasher, Out, Shaper
from spine.sources.rest.spans import Spans, bounds
from spine.sources.rest.stages import Stages
from spine.sources.rows import BadRow
from spine.sources.spec import Source, Stream
from spine.sources.variables import typed_values, values_of

READS = frozenset({
    "auth", "path", "host", "method", "params", "lists", "raw", "headers", "body", "idempotent", "fields", "field_list", "later", "job",
    "response", "records", "map_key", "columns", "required_fields", "cursor", "changes", "found", "paging", "download", "deletes.field",
    "slashes", "searches", "parent", "partitions", "errors", "filters", "case", "flatten", "rename", "compute", "personal", "drop",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep", "reread"})


@dataclass(frozen=True)
class Reader:
    """Sources that need no code. `extra` is the Connection's, which has the values of variables; `stages` may be a source's own.

    `hashed` makes of a personal value what stands for it, by the tenant's key. `keep` keeps files in the lake; without it none is fetched.
    `ahead`: the next page is asked for while its reader is busy
    with the one before, where that is known to ask for nothing else.
    """

    source: Source
    client: Client
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stages: type[Stages] = Stages
    hashed: Hasher | None = field(default=None, repr=False)
    ahead: bool = False
    keep: Keep | None = field(default=None, repr=False)

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream; where the source cannot bound the reading, the records outside the window are left out."""
        with Ahead() as ahead:
            yield from self._read(stream, state, window, ahead)

    def _read(self, stream: Stream, state: State, window: Window, ahead: Ahead) -> Iterator[Page]:
        reader = replace(self, client=replace(self.client, rules=(*expired_rules(stream), *stream.errors, *self.source.errors)))
        parents = replace(self, ahead=False)  # else a page of them would be asked for while their children are
        values = {**values_of(self.source, self.extra, window.end), **stream.named}
        parts = Parts(self.source, stream, values, parents.read, state, window)
        place, answered, skips = Place.parse(state.token), state.answered, 0
        found = parts.after(place.part)
        part = next(found, None)
        if part is None:
            yield Page((), None, state.high_water, parents=parts.progress)
        while part is not None:
            here = place if place.part == part.key else Place(part.key)
            own, saved = (Window(end=window.end, full=True), None) if here.anew else parts.window_of(part)
            make = partial(_made, reader, stream, part, ahead)
            upcoming: Part | None = None
            for page in _from_token(make, own, replace(state, cursor=saved), here):
                state, token = replace(state, high_water=page.high_water), page.next_token
                if page.skipped:
                    skips += 1
                    parts.hold(part)
                else:
                    answered = True
                if token is None:
                    upcoming = next(found, None)
                    token = Place(upcoming.key).text() if upcoming else None
                yield replace(page, next_token=token, parts=part.names, parents=parts.progress, of=part.values)
            part, place = upcoming, Place()
        if skips and not answered:
            raise SourceRejected(
                f"every request was refused ({skips} in all): rules of the source's file skipped them",
                hint="Check the account's rights, and the rules in `errors`",
                stream=stream.name,
            )


def _made(reader: Reader, stream: Stream, part: Part, ahead: Ahead, window: Window, state: State) -> _Reading:
    return _Reading(reader, stream.asked(first=window.full), window, state, part, ahead)


def _from_token(make: Callable[[Window, State], _Reading], window: Window, state: State, place: Place) -> Iterator[Page]:
    """The pages of a part; all there is, as on a first read, where the source refuses the token of its changes."""
    try:
        for page in _restarted(make(window, state), place):
            yield replace(page, anew=place.anew)
        return
    except Expired as expired:
        refused = str(expired)
    note = f"{refused}: everything is read again"
    for page in _restarted(make(Window(end=window.end, full=True), replace(state, cursor=None)), Place(place.part, anew=True)):
        yield replace(page, anew=True, notes=(*page.notes, *([note] if note else [])))
        note = ""


def _restarted(reading: _Reading, place: Place) -> Iterator[Page]:
    """The pages of a part: from its first one anew where a rule says so, and none of what is left where a rule skips that."""
    restarts = 0
    while True:
        try:
            yield from reading.pages(place)
            return
        except Skipped as skipped:
            what = f"{', '.join(reading.part.names) or 'everything'}: {skipped}"
            yield Page((), None, reading.high_water, skipped=what)
            return
        except Restarted as again:
            if isinstance(again, Expired) and not reading.full:
                raise
            if restarts >= again.most:
                raise SourceRejected(str(again), hint="It did so again; look at what the source says") from again
            restarts, place = restarts + 1, Place(place.part, anew=place.anew)


class _Reading:
    """One reading of a part of a stream, as it is asked in its window."""

    def __init__(self, reader: Reader, stream: Stream, window: Window, state: State, part: Part, ahead: Ahead) -> None:
        self.part, self.full = part, window.full
        self._source, self._stream, self._window = reader.source.source, stream, window
        self._client = reader.client.of(stream.declared)
        self._saved, self.high_water = state.cursor, state.high_water
        self._typed = typed_values(reader.source, reader.extra, window.end)
        self._values = {**values_of(reader.source, reader.extra, window.end), **stream.named}
        self._hashed = reader.hashed
        self._stages = reader.stages(stream)
        self._answers = Answers(self._client, self._stages)
        self._recording = Recording(self._stages, window, state.cursor, part.names)
        self._downloads = Downloads(stream, self._client, reader.keep)
        self._chunks: list[list[str]] | None = None
        self._jobs = Jobs(self._client, stream, stream.job) if stream.job else None
        windows = stream.cursor.windows if stream.cursor else None
        self._ceiling = windows if windows and windows.ceiling else None
        # Not where a page decides whether the next one is asked for at all, nor where a source's own code might not expect it.
        plain = reader.stages is Stages and self._jobs is None and self._ceiling is None and not stream.response.by_rows
        self._ahead = ahead if reader.ahead and plain else None
        self._spans = Spans.of(stream.cursor, window, self._typed)

    def pages(self, place: Place) -> Iterator[Page]:
        """All pages from a place on."""
        if self.part.skipped:
            raise Skipped(self.part.skipped)
        if self.full and place.token is None:
            place = replace(place, token=first_token(self._stream, self._client, self._named(self.part, None)))
        walk = Walk(iter((self.part,)), self._spans.first, self._spans.after, place)
        if walk.here is None:
            yield Page((), None, self.high_water)
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
        yield Page((), place.text(), self.high_water, kept=True)
        return place, jobs.wait(place.job, values, ours=True)

    def _step(self, walk: Walk, part: Part, place: Place, done: Done | None) -> Iterator[Page]:
        """The pages of a step; at its end the walk has moved on."""
        before: str | None = None
        for piece, following in self._pages(part, place, done):
            if place.page is None and place.span is not None and self._too_many(piece.whole, 0):
                walk.go_on(self._spans.half(place.span))  # before anything of it is taken
                return
            records = self._records(piece)
            self.high_water = later(self.high_water, records.latest)
            seen, last = (place.seen + len(piece.records), self._last(piece.records)) if self._ceiling else (0, None)
            instead = self._instead(place.span, piece.whole, seen, last, before)
            before = last or before
            upcoming = walk.go_on(instead) if following is None or instead is not None else replace(following, seen=seen)
            token, notes = None, (*piece.notes, *self._downloads.notes())
            if upcoming is None and self._stream.changes is not None:
                token = place.token or token_in(self._stream, self._client, piece.whole)
                notes = notes if token else (*notes, UNTOLD)
            yield Page(records, upcoming.text() if upcoming else None, self.high_water, notes, change_token=token)
            if following is None or instead is not None:
                return
            place = replace(following, seen=seen)

    def _records(self, piece: Piece) -> Records:
        if self._stream.changes is None:
            return self._recording.all(piece.records)
        return self._recording.changed(piece.records, piece.removed)

    def _pages(self, part: Part, place: Place, done: Done | None) -> Iterator[tuple[Piece, Place | None]]:
        """The pages of a step from a place on, in pieces, each with the place in the step that follows it."""
        stream, paging = self._stream, done.paging if done and done.paging else self._stages.paging()
        values = self._named(part, place.span)
        shaper = Shaper(stream, values, self._hashed)
        first, *others = self._firsts(part, place.span, done)
        turning = Turning(stream, paging.turned_by, getattr(paging, "field", ""), events=stream.changes is not None and not self.full)
        if done is not None and done.empty:
            yield Piece((), Fetched(first, NOTHING, None, ())), None
            return
        pieces = self._asked(paging, (first, *others), place)
        while True:
            for sent in pieces():
                records = self._downloads.beside(sent.records, shaper.all(sent.records), values)
                piece = replace(sent, records=records, removed=shaper.all(sent.removed))
                require_fields(stream, piece.records)
                if piece.rest is not None:
                    yield piece, replace(place, rows=piece.rest)
            following = paging.following(piece.whole)
            turning.see(piece.records, place.page, following)
            if following is None or self._all_before(piece.records):
                yield piece, None
                return
            place = replace(place, page=self._client.unsigned(following), rows=None)
            pieces = self._asked(paging, (first, *others), place)
            yield piece, place

    def _asked(self, paging: Paging, firsts: Sequence[Request], place: Place) -> Callable[[], Iterable[Piece]]:
        """Ask for a page: at once, if that may be done ahead, else when its pieces are wanted."""
        request, *more = [paging.request(one, place.page) for one in firsts]
        pieces = partial(self._answers.ask, request, place.page, place.rows, more)
        if self._ahead is None or not all(one.repeatable for one in (request, *more)):
            return pieces
        return self._ahead.begin(lambda: list(pieces()))

    def _all_before(self, items: Sequence[Any]) -> bool:
        """Whether a page of records that come the newest first has none any more that the window holds, and so have those behind it."""
        cursor = self._stream.cursor
        if cursor is None or cursor.order != "descending" or self._window.full:
            return False
        plain = (item.record if isinstance(item, Out) else item for item in items)
        positions = [self._stages.position(item) for item in plain if not isinstance(item, BadRow)]
        return bool(positions) and all(self._recording.before(position) for position in positions)

    def _named(self, part: Part, span: Span | None) -> dict[str, Any]:
        """What the placeholders of a step name."""
        limits = bounds(self._stream.cursor, self._window, span, self._typed, self._saved)
        changes = {"changes": {"token": self._saved}} if self._stream.changes else {}
        return {"page": SLOT, **self._values, **part.values, **limits, **changes}

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

    def _last(self, items: Sequence[Any]) -> str | None:
        """The latest cursor of a page, whatever becomes of its records."""
        shaped = (item.record if isinstance(item, Out) else item for item in items)
        found = (self._stages.position(item).cursor for item in shaped if isinstance(item, dict))
        return max((cursor for cursor in found if cursor is not None), default=None)

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
