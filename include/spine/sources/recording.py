"""Records of what a source's own protocol gives as objects: shaped, with key and cursor, and only those of the window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spine.sources.reading import Op, Position, Record, Window, flagged, lookup, make_record
from spine.sources.rest.shaping import Hasher, Shaper
from spine.sources.rest.stages import Stages
from spine.sources.spec import Stream


class Recorder:
    """Makes the records of one stream in one reading; `saved` is the cursor of the reads before, `values` are those of placeholders."""

    def __init__(
        self, stream: Stream, window: Window, saved: str | None = None, values: Mapping[str, Any] | None = None,
        hashed: Hasher | None = None,
    ) -> None:  # fmt: skip
        self._stream, self._window, self._saved = stream, window, saved
        self._shaper, self._stages = Shaper(stream, values or {}, hashed), Stages(stream)

    def records(self, items: Iterable[Any]) -> list[Record]:
        """The records of some objects; those outside the window are left out, those that no filter keeps any more are deletes."""
        return [record for item in items if (record := self.record(item)) is not None]

    def record(self, item: Any, op: Op = "upsert") -> Record | None:
        """The record of an object, None if it is none of this reading's."""
        stream, shaped = self._stream, self._shaper.shaped(item)
        position = self._stages.position(shaped)
        if not self._window.full and not self._holds(position):
            return None
        passes = self._shaper.passes(item)
        if not passes and (self._window.full or stream.key == "hash"):
            return None
        flag = stream.deletes.detect == "flag" and stream.deletes.field and flagged(lookup(shaped, stream.deletes.field))
        kept = shaped if passes else {path: lookup(shaped, path) for path in stream.key_fields}
        return make_record(stream, kept, cursor=position.cursor, op="delete" if flag or not passes else op, mistake=position.mistake)

    def _holds(self, position: Position) -> bool:
        cursor = self._stream.cursor
        if cursor is None:
            return True
        if cursor.type == "time":
            return self._window.holds(position.moment())
        return position.cursor is None or self._saved is None or position.cursor > self._saved
