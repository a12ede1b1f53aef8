"""Reports that are restated: what a look-back reads again and what does not come any more, which is then marked as deleted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from spine.core import clock
from spine.lake.bronze import Envelope, Unseen, newest_in
from spine.pipeline.parts import PartCursors
from spine.sources.columns import Records
from spine.sources.reading import Window
from spine.sources.spec import Stream


@dataclass
class Reread:
    """Ids that one attempt has seen, to be compared with what Bronze has of the same span of cursors.

    An attempt that goes on from a page knows only of the pages behind it, and marks nothing: the next run reads the span again. Of a
    stream with parents or partitions, with which its keys begin, those are looked at that had a record: one that is not read any more
    keeps its own.
    """

    window: Window
    leading: int = 0
    seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, stream: Stream, window: Window, parts: PartCursors, *, first: bool) -> Reread | None:
        """For a stream whose deletes are seen so, and a reading that has a beginning; else None."""
        cursor, deletes = stream.cursor, stream.deletes
        if cursor is None or deletes.detect != "reread" or deletes.mode == "ignore" or window.full or not first:
            return None
        if parts.old and not window.backfill:  # each has its own; behind the latest of them all are read again
            window = replace(window, start=clock.parse(max(parts.old.values())) - cursor.lookback)
        return None if window.start is None else cls(window, len(stream.leading_key))

    def see(self, records: Records) -> None:
        """Take records into account as they came."""
        self.seen.update(records.ids)

    def unseen(self, uri: str, envelope: Envelope) -> Unseen:
        """What lives in Bronze within the span and did not come. Raises LakeError."""
        assert self.window.start is not None
        newest = newest_in(uri, envelope, [(clock.to_text(self.window.start), None)])
        parts = {self.part(name) for name in self.seen}
        alive = {name: cursor for name, (op, cursor, _) in newest.items() if op == "upsert" and self._within(cursor)}
        missing: dict[str, str | None] = {
            name: cursor
            for name, cursor in sorted(alive.items())
            if name not in self.seen and (not self.leading or self.part(name) in parts)
        }
        return Unseen(missing, len(alive), sum(name.startswith("malformed:") for name in self.seen))

    def _within(self, cursor: str) -> bool:
        return bool(cursor) and self.window.holds(clock.parse(cursor))

    def part(self, name: str) -> str:
        """What stands in an id for the partition: its first texts, in which a bar is written with a backslash."""
        found = re.match(rf"(?:(?:\\.|[^\\|])*\|){{{self.leading}}}", name)
        return found[0] if found else name
