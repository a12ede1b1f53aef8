"""Makes records of what a page holds, whole pages at once: those that belong to the window, as Bronze gets them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from operator import not_
from typing import Any

from spine.core import clock, jsontext
from spine.sources.columns import Records, counted, outlines_of, record_ids, times_of, values_at
from spine.sources.reading import Op, Position, Record, Window, as_text, flagged, lookup, make_record, malformed
from spine.sources.rest.shaping import Out
from spine.sources.rest.stages import Stages
from spine.sources.rows import BadRow


class Recording:
    """Of one part of a stream in its window; `saved` is its cursor, `names` are the part's.

    `one` says what becomes of a record. What is regular of a page is made in columns, with the same result; the rest goes one by one.
    """

    def __init__(self, stages: Stages, window: Window, saved: str | None, names: Sequence[str]) -> None:
        self._stages, self._stream, self._window, self._saved = stages, stages.stream, window, saved
        self._names = "|".join(names)
        self._start = clock.to_text(window.start) if window.start else None
        self._end = clock.to_text(window.end) if window.end else None
        self._own = type(stages).position is not Stages.position
        # Their order is that of the readings that have brought them: no field of a record tells it, and of what is gone there is none.
        self._told_at = self._end if self._stream.changes else None
        deletes = self._stream.deletes
        self._flag = deletes.field if deletes.detect == "flag" else None

    def before(self, position: Position) -> bool:
        """Whether a cursor lies before the window."""
        if position.cursor is None:
            return False
        if self._start is not None:
            return position.cursor < self._start
        return (
            self._saved is not None
            and self._stream.cursor is not None
            and self._stream.cursor.type == "number"
            and position.cursor <= self._saved
        )

    def all(self, items: Sequence[Any]) -> Records:
        """The records of a page, in its order."""
        if self._own:
            return Records.of([record for item in items if (record := self.one(item)) is not None])
        found, places, odd = self._regular(items)
        others = [(place, record) for place in odd if (record := self.one(items[place])) is not None]
        if not others:
            return found
        singly = Records.of([record for _, record in others])
        order = [*places, *(place for place, _ in others)]
        return Records.joined(found, singly).taken(sorted(range(len(order)), key=order.__getitem__))

    def changed(self, items: Sequence[Any], removed: Sequence[Any]) -> Records:
        """The records of a page of changes: of several of one key the last one, and what is gone behind them."""
        found = self.all(items)
        gone = [record for item in removed if (record := self.one(item.record if isinstance(item, Out) else item, "delete")) is not None]
        found = Records.joined(found, Records.of(gone)) if gone else found
        last = {name: place for place, name in enumerate(found.ids)}
        return found if len(last) == len(found) else found.taken(sorted(last.values()))

    def _regular(self, items: Sequence[Any]) -> tuple[Records, list[int], list[int]]:
        """The records of what is regular, their places among the items, and the places of what has to be looked at one by one."""
        places, odd = list(range(len(items))), list[int]()
        if set(map(type, items)) != {dict}:
            places, odd = _parted(places, [type(item) is dict for item in items])
        cursors: list[Any] = self._cursors([items[place] for place in places])
        if not self._window.full and self._stream.cursor is not None:
            held = [isinstance(at, Position) or self._holds(at) for at in cursors]
            places, cursors = list(compress(places, held)), list(compress(cursors, held))
        kept = [items[place] for place in places]
        ids: list[Any] = record_ids(self._stream, kept)
        payloads: list[Any] = jsontext.dump_each(kept, as_text)
        if None in ids or None in payloads or Position in set(map(type, cursors)):
            right, wrong = _parted(range(len(places)), [not _mistaken(*row) for row in zip(ids, cursors, payloads, strict=True)])
            odd += [places[number] for number in wrong]
            ids, cursors, payloads = ([column[number] for number in right] for column in (ids, cursors, payloads))
            places, kept = [places[number] for number in right], [kept[number] for number in right]
        if self._stream.key == "singleton" and self._names:
            ids = [self._names] * len(ids)
        outlines, ops = outlines_of(kept, payloads), self._ops(kept)
        made = Records.made(ids, ops, cursors, payloads, [one.fingerprint for one in outlines], counted(outlines, ops))
        return made, places, sorted(odd)

    def _cursors(self, records: Sequence[dict[str, Any]]) -> list[Any]:
        """The cursor of each, the Position with its mistake of those that have none that could be read."""
        cursor = self._stream.cursor
        if cursor is None:
            return [self._told_at] * len(records)
        values = values_at(records, cursor.field)
        known = times_of(values) if cursor.type == "time" and cursor.reads is None else None
        if known is not None:
            return known
        return [position if position.mistake else position.cursor for position in map(self._stages.read_cursor, values)]

    def _ops(self, records: Sequence[dict[str, Any]]) -> list[Op]:
        if not self._flag:
            return ["upsert"] * len(records)
        return ["delete" if flagged(value) else "upsert" for value in values_at(records, self._flag)]

    def one(self, item: Any, op: Op = "upsert") -> Record | None:
        """The record of an item; None of one that does not belong to the window. `op` is what the source says of it."""
        stream = self._stream
        passes = not isinstance(item, Out)
        if isinstance(item, Out):  # it may have passed before
            if self._window.full or stream.key == "hash":
                return None
            item = item.record
        if isinstance(item, BadRow):
            name = f"malformed:{hashlib.sha256(item.raw.encode(errors='replace')).hexdigest()[:16]}"
            return malformed(name, item.error, item.raw, cursor=None, line=item.line)
        position = self._stages.position(item)
        if stream.cursor is not None and not self._window.full and not self._holds(position.cursor):
            return None
        flag = self._flag and flagged(lookup(item, self._flag))
        kept = item if passes else {path: lookup(item, path) for path in stream.key_fields}
        told: Op = "delete" if flag or not passes else op
        record = make_record(stream, kept, cursor=position.cursor or self._told_at, op=told, mistake=position.mistake)
        return replace(record, record_id=self._names) if stream.key == "singleton" and self._names else record

    def _holds(self, cursor: str | None) -> bool:
        """Whether a record with that cursor belongs to a window that does not hold everything; cursors sort as texts."""
        number = self._stream.cursor is not None and self._stream.cursor.type == "number"
        if cursor is None:
            return number or not self._window.backfill
        if number:
            return self._saved is None or cursor > self._saved
        if self._own:  # in whatever form its times are
            return self._window.holds(clock.parse(cursor))
        start, end, backfill = self._start, self._end, self._window.backfill
        if start is not None and (cursor < start if backfill else cursor <= start):
            return False
        return end is None or (cursor < end if backfill else cursor <= end)


def _mistaken(name: str | None, cursor: Position | str | None, payload: bytes | None) -> bool:
    return name is None or payload is None or isinstance(cursor, Position)


def _parted(places: Sequence[int], good: Sequence[bool]) -> tuple[list[int], list[int]]:
    """Places of what is good, and of what is not."""
    return list(compress(places, good)), list(compress(places, map(not_, good)))
