"""The cursors of a stream's partitions within one run: what was saved of them, how far each is read, and what is saved at its end."""

from __future__ import annotations

from collections.abc import Mapping

from spine.control.cursors import Cursor
from spine.core import clock
from spine.lake.bronze import Range
from spine.sources.columns import Records
from spine.sources.reading import Page, Parents, later
from spine.sources.spec import Stream
from spine.sources.spec.streams import TOLD

_MOST_RANGES = 100
_SKIPPED = ""  # in place of a cursor: the partition keeps the one that it had


class PartCursors:
    """Of one stream in one run. `done` is what commits of this run say of partitions, if it goes on from one."""

    def __init__(self, stream: Stream, saved: Cursor | None, done: Mapping[str, str] | None, *, full: bool, backfill: bool) -> None:
        self._stream, self._saved, self._full, self._backfill = stream, saved, full, backfill
        fits = saved is not None and (stream.changes is None or saved.field == stream.told_by)
        self.old: Mapping[str, str] = (saved.parts if saved and fits else None) or {}
        self._now: dict[str, str] = dict(done or {})
        self._seen: set[str] | None = set() if done is None else None
        self.parents: Parents | None = None

    def ranges(self) -> list[Range]:
        """The cursors of which records are read again, by the look-back of each partition; none where the stream has no partitions."""
        cursor = self._stream.cursor
        if not self.old or cursor is None or cursor.type != "time":
            return [(min(self.old.values()), None)] if self.old else []
        found: list[list[str]] = []
        for end in sorted(set(self.old.values())):
            start = clock.to_text(clock.parse(end) - cursor.lookback)
            if found and start <= found[-1][1]:
                found[-1][1] = end
            else:
                found.append([start, end])
        return [(start, end) for start, end in found] if len(found) <= _MOST_RANGES else [(found[0][0], None)]

    def see(self, page: Page) -> dict[str, str]:
        """Take a page into account; what is new of its partitions, for the commit that the page goes into."""
        self.parents = page.parents or self.parents
        if self._stream.changes is not None:
            return self._see_token(page)
        news: dict[str, str] = {}
        reached = Records.of(page.records).latest if page.parts else None
        for name in page.parts:
            if self._seen is not None:
                self._seen.add(name)
            known = self._now.get(name)
            value = _SKIPPED if page.skipped or known == _SKIPPED else later(known, reached)
            if value is not None and value != known:
                self._now[name] = news[name] = value
        return news

    def _see_token(self, page: Page) -> dict[str, str]:
        """The token of a page's part, whose name is empty where the stream has no parts."""
        name = "|".join(page.parts)
        if self._seen is not None and page.parts:
            self._seen.add(name)
        token = _SKIPPED if page.skipped or self._now.get(name) == _SKIPPED else page.change_token
        if token is None:
            return {}
        self._now[name] = token
        return {name: token}

    def after(self, end: str | None) -> dict[str, str] | None:
        """The partitions' cursors after the run, None where none are kept.

        None passes the window's `end`. Those of partitions that were not there any more are dropped, where the run has seen all there are.
        """
        if self._stream.changes is None and (self._stream.cursor is None or not self._stream.in_parts):
            return None
        every = (
            self._seen is not None and not self._backfill and not (self._stream.parent and self._stream.parent.changed and not self._full)
        )
        every = every and self._stream.in_parts
        kept = {name: at for name, at in self.old.items() if not every or name in (self._seen or ())}
        if self._stream.changes is not None:
            return {**kept, **{name: token for name, token in self._now.items() if token != _SKIPPED}}
        for name, reached in self._now.items():
            if reached == _SKIPPED:
                continue
            value = min(reached, end or reached) if self._stream.cursor and self._stream.cursor.type == "time" else reached
            kept[name] = value if self._full else later(kept.get(name), value) or value
        return kept

    def parents_after(self, end: str | None) -> str | None:
        """How far the parents' changes are read after the run."""
        found = self.parents
        if found is None or found.reached is None:
            return self._saved.parents if self._saved else None
        if found.reached.startswith(TOLD):  # a token, which has no order: it stays where it was if something was skipped
            return found.reached if found.held is None else self._saved.parents if self._saved else None
        return min(at for at in (found.reached, found.held, end) if at is not None)
