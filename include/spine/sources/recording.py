"""Records of what a source's own protocol gives as objects: shaped, with key and cursor, and only those of the window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spine.sources.columns import Records
from spine.sources.reading import Op, Record, Window
from spine.sources.rest.recording import Recording
from spine.sources.rest.shaping import Hasher, Shaper
from spine.sources.rest.stages import Stages
from spine.sources.spec import Stream


class Recorder:
    """Makes the records of one stream in one reading; `saved` is the cursor of the reads before, `values` are those of placeholders."""

    def __init__(
        self, stream: Stream, window: Window, saved: str | None = None, values: Mapping[str, Any] | None = None,
        hashed: Hasher | None = None,
    ) -> None:  # fmt: skip
        self._shaper, self._recording = Shaper(stream, values or {}, hashed), Recording(Stages(stream), window, saved, ())

    def records(self, items: Iterable[Any]) -> Records:
        """The records of some objects; those outside the window are left out, those that no filter keeps any more are deletes."""
        return self._recording.all(self._shaper.all(list(items)))

    def record(self, item: Any, op: Op = "upsert") -> Record | None:
        """The record of an object, None if it is none of this reading's."""
        (shaped,) = self._shaper.all([item])
        return self._recording.one(shaped, op)
