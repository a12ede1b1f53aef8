"""The partitions of a stream, in order: each is read by itself, from its own first page on.

Parents are read as any stream is, page by page, so that memory stays flat however many there are. A partition's key names the page of its
parent, the parent, and its values in lists: from there a later run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any, TypeAlias

import orjson

from spine.core import clock
from spine.core.errors import SourceRejected
from spine.core.placeholders import Absent, fill_all, names_in, written
from spine.sources.columns import latest_of
from spine.sources.reading import MALFORMED, Page, Parents, Record, State, Window, later, lookup
from spine.sources.rest.place import Part
from spine.sources.rest.shaping import kept
from spine.sources.spec import Parent, Partition, Source, Stream
from spine.sources.spec.streams import TOLD

Read: TypeAlias = Callable[[Stream, State, Window], Iterator[Page]]
_LEAST = timedelta(microseconds=1)
_MOST_VALUES = 10_000  # of another stream, which are held at once


@dataclass(frozen=True)
class _Family:
    """Some parents that are asked for together: their page and the first one's id, by which they are found again."""

    token: str | None
    ids: tuple[str, ...]
    values: Mapping[str, Any]
    cursor: str | None = None
    skipped: str = ""


class Parts:
    """The partitions of one reading. `progress` is how far the changes of parents are read."""

    def __init__(self, source: Source, stream: Stream, values: Mapping[str, Any], read: Read, state: State, window: Window) -> None:
        self._source, self._stream, self._values, self._read = source, stream, values, read
        self._state, self._window = state, window
        self._reached = state.within.reached if state.within else state.parents
        self._held = state.within.held if state.within else None
        self._others: dict[tuple[str, str], tuple[Any, ...]] = {}
        parent = source.stream(stream.parent.stream) if stream.parent else None
        self._told_by = f"{parent.told_by} " if parent and parent.changes else ""

    @property
    def progress(self) -> Parents | None:
        """How far the changes of parents are read, None where nobody asks."""
        return Parents(self._reached, self._held) if self._stream.parent and self._stream.parent.changed else None

    def hold(self, part: Part) -> None:
        """A part was skipped: its parent is to be found among the changed ones again, all since the last token if that tells them."""
        if self._told_by:
            self._held = ""
        elif part.cursor is not None:
            before = clock.to_text(clock.parse(part.cursor) - _LEAST)
            self._held = before if self._held is None else min(self._held, before)

    def window_of(self, part: Part) -> tuple[Window, str | None]:
        """What of a part is read, and the cursor that it has: from its beginning, if one of its members has none."""
        window, cursor = self._window, self._stream.cursor
        if self._stream.changes is not None:
            token = None if window.full else self._state.parts.get("|".join(part.names))
            return (window, token) if token else (Window(end=window.end, full=True), None)
        if not self._stream.in_parts or window.full or window.backfill:
            return window, self._state.cursor
        saved = [self._state.parts.get(name) for name in part.names]
        least = None if None in saved else min((at for at in saved if at is not None), default=None)
        if cursor is None or least is None or self._too_old(least):
            return Window(end=window.end, full=True), None
        return Window(None if cursor.type == "number" else clock.parse(least) - cursor.lookback, window.end), least

    def _too_old(self, cursor: str) -> bool:
        """Whether the later request cannot be asked from there any more."""
        within = self._stream.later.within if self._stream.later else None
        if within is None or self._stream.cursor is None or self._stream.cursor.type == "number":
            return False
        return clock.parse(cursor) - self._stream.cursor.lookback < (self._window.end or clock.now()) - within

    def after(self, at: Any) -> Iterator[Part]:
        """The partitions from the one with the key `at` on; None is the first."""
        if not self._stream.in_parts:
            yield Part()
            return
        token, first, lists = at if at is not None else (None, None, None)
        names = list(self._stream.partitions)
        for family in self._families(token, first):
            combinations = list(product(*(self._chunks(entry) for entry in self._stream.partitions.values())))
            kept = [list(map(list, combination)) for combination in combinations]
            start = kept.index(lists) if lists in kept else 0
            lists = None
            for combination in combinations[start:]:
                chosen = dict(zip(names, combination, strict=True))
                yield self._part(family, chosen)

    def _part(self, family: _Family, chosen: Mapping[str, Sequence[Any]]) -> Part:
        asked = {name: values if self._stream.partitions[name].group > 1 else values[0] for name, values in chosen.items()}
        members = product(*([family.ids] if self._stream.parent else []), *chosen.values())
        names = tuple("|".join(_escaped(written(member)) for member in together) for together in members)
        values = {**({"parent": family.values} if self._stream.parent else {}), **({"partition": asked} if chosen else {})}
        key = [family.token, family.ids[0] if family.ids else None, [list(values) for values in chosen.values()]]
        return Part(key, values, names, family.cursor, family.skipped or self._lacks(values))

    def _lacks(self, values: Mapping[str, Any]) -> str:
        """Which value the address needs that a parent does not have."""
        needed = names_in([self._stream.path, self._stream.host])
        missing = [name for name in needed if name.startswith("parent.") and _none(name, values)]
        return f"the parent has no {missing[0].removeprefix('parent.')}" if missing else ""

    def _chunks(self, partition: Partition) -> list[tuple[Any, ...]]:
        values = partition.values or tuple(self._values.get(partition.variable or "") or ())
        if partition.stream is not None:
            values = self._records_of(partition)
        return [tuple(values[at : at + partition.group]) for at in range(0, len(values), partition.group)]

    def _records_of(self, partition: Partition) -> tuple[Any, ...]:
        """The values that another stream's records have, each once, in their order. Raises SourceRejected where they are not all known."""
        name = partition.stream or ""
        field = partition.field or next(iter(self._source.stream(name).key_fields), "")
        if (name, field) in self._others:
            return self._others[name, field]
        found: dict[Any, None] = {}
        for page in self._read(self._source.stream(name), State(), Window(end=self._window.end, full=True)):
            if page.skipped:
                raise SourceRejected(f"what it is read for is not all known, since {name} was skipped: {page.skipped}")
            values = (lookup({**page.of, **_fields(record)}, field) for record in page.records if _lives(record))
            found |= dict.fromkeys(value for value in values if isinstance(value, str | int | float) and value != "")
            if len(found) > _MOST_VALUES:
                raise SourceRejected(
                    f"{name} has more than {_MOST_VALUES:,} values of {field}", hint="Make it the parent, which may be large"
                )
        self._others[name, field] = tuple(found)
        return self._others[name, field]

    def _families(self, token: str | None, first: str | None) -> Iterator[_Family]:
        parent = self._stream.parent
        if parent is None:
            yield _Family(None, (), {})
            return
        found = self._listed(parent) or self._read_parents(parent, token)
        started = first is None
        waiting: list[_Family] = []
        for family in found:
            if not started and family.token == token:
                if first not in family.ids:
                    waiting.append(family)
                    continue
                started, waiting = True, []
            elif not started:  # the parent is no longer on its page: the whole page again
                yield from waiting
                started, waiting = True, []
            yield family
        yield from waiting

    def _listed(self, parent: Parent) -> Iterator[_Family] | None:
        values = self._values.get(parent.listed or "") if parent.listed else None
        if not values:
            return None
        key = self._source.stream(parent.stream).key_fields[0]
        return (_family(None, [(written(value), {key: value}, None)]) for value in values)

    def _read_parents(self, parent: Parent, token: str | None) -> Iterator[_Family]:
        stream = self._source.stream(parent.stream)
        window, state = self._parents_since(parent, stream, token)
        for page in self._read(stream, state, window):
            if page.skipped:
                yield _Family(token, (f"{parent.stream} {page.skipped}",), {}, skipped=f"its parents were skipped: {page.skipped}")
            known = [(record.record_id, {**page.of, **_fields(record)}, record.cursor) for record in page.records if _lives(record)]
            living = [found for found in known if kept(found[1], parent.filters)]
            for at in range(0, len(living), parent.group):
                yield _family(token, living[at : at + parent.group], together=parent.group > 1)
            if self._told_by:
                self._reached = self._told_by + page.change_token if page.change_token else self._reached
            else:
                self._reached = later(self._reached, latest_of(page.records))
            token = page.next_token

    def _parents_since(self, parent: Parent, stream: Stream, token: str | None) -> tuple[Window, State]:
        """What of the parents is read: all of them, or those that have changed since a cursor or a token."""
        saved = self._state.parents
        if not parent.changed or self._window.full or self._window.backfill or not saved:
            return Window(end=self._window.end, full=True), State(token=token)
        if self._told_by and saved.startswith(self._told_by):
            return Window(end=self._window.end), State(token=token, parts={"": saved.removeprefix(self._told_by)})
        if stream.cursor is None or saved.startswith(TOLD):
            return Window(end=self._window.end, full=True), State(token=token)
        return Window(clock.parse(saved) - stream.cursor.lookback, self._window.end), State(saved, token)


def _lives(record: Record) -> bool:
    return record.op == "upsert" and record.fingerprint != MALFORMED


def _fields(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(record.payload)
    return found


def _family(token: str | None, parents: Sequence[tuple[str, dict[str, Any], str | None]], *, together: bool = False) -> _Family:
    ids = tuple(name for name, _, _ in parents)
    cursors = [cursor for _, _, cursor in parents if cursor is not None]
    values: Mapping[str, Any] = gathered([fields for _, fields, _ in parents]) if together else parents[0][1]
    return _Family(token, ids, values, min(cursors, default=None))


def gathered(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each field of several records as a list of its values, also those inside of objects."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for fields in several for name in fields):
        values = [fields.get(name) for fields in several]
        inner = [value for value in values if value is not None]
        objects = bool(inner) and all(isinstance(value, Mapping) for value in inner)
        found[name] = gathered([value or {} for value in values]) if objects else values
    return found


def _none(name: str, values: Mapping[str, Any]) -> bool:
    try:
        fill_all(f"{{{name}}}", values)
    except Absent:
        return True
    return False


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
