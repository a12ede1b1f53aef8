"""The bounds of a reading, and the spans of time into which a long one is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spine.core import clock
from spine.sources.reading import Window
from spine.sources.rest.place import Span
from spine.sources.spec import Cursor


@dataclass(frozen=True)
class Spans:
    """How one stream's window is cut; `whole` is what is read in all, None where nothing bounds it."""

    whole: Span | None

    @classmethod
    def of(cls, cursor: Cursor | None, window: Window) -> Spans:
        """The spans of a stream: one."""
        return cls(None)

    @property
    def first(self) -> Span | None:
        """The first span."""
        return self.whole

    def after(self, span: Span) -> Span | None:
        """The span after this one, None behind the last."""
        return None


def bounds(cursor: Cursor | None, window: Window, span: Span | None) -> Mapping[str, Any]:
    """The values of `{start}` and `{end}`: nothing on the first read, so that records without a cursor value are seen."""
    if cursor is None or window.full:
        return {}
    return {name: clock.to_text(at) for name, at in (("start", window.start), ("end", window.end)) if at}
