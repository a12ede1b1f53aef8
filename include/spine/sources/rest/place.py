"""Where a reading stands: which partition, which span of time, which job, and in it which page. As a text it is a page's token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from spine.core import clock
from spine.core.errors import ConfigError

_MARK = '{"at":'


@dataclass(frozen=True)
class Span:
    """The part of a window that one walk through pages reads; None where it has no bound."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Part:
    """One partition: what its requests' placeholders name, and the `key` by which a later run finds it again (any JSON).

    `names` are what its cursors are kept under, several where some share a request. `cursor` is its parent's; `skipped` tells why it is
    left out without being asked.
    """

    key: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    cursor: str | None = None
    skipped: str = ""


@dataclass(frozen=True)
class Rows:
    """How many rows of a file were read, and what tells the file from another one."""

    count: int
    mark: str


@dataclass(frozen=True)
class Place:
    """A place of a reading. `page` is the paging's own token, None the first page; `job` what is known of a job that was ordered.

    `seen` counts the records of the span so far, where a source gives only so many of them; `rows` is how far a page
    that is a file was read. `token` is the one that changes will be told from, asked for before everything was; `anew`: everything is read
    because the one that was kept was refused.
    """

    part: Any = None
    span: Span | None = None
    job: Any = None
    page: str | None = None
    seen: int = 0
    rows: Rows | None = None
    token: str | None = None
    anew: bool = False

    def text(self) -> str | None:
        """The token of this place: the paging's own where there is nothing besides, None for the very beginning."""
        besides = (self.part, self.span, self.job, self.rows, self.token, self.anew or None)
        if besides == (None,) * len(besides) and not (self.page or "").startswith(_MARK):
            return self.page
        span = None if self.span is None else [at and clock.to_text(at) for at in (self.span.start, self.span.end)]
        said: dict[str, Any] = {"part": self.part, "span": span, "job": self.job, "page": self.page, "seen": self.seen or None}
        said |= {"token": self.token, "anew": self.anew or None}
        if self.rows is not None:
            said["rows"] = [self.rows.count, self.rows.mark]
        return _MARK + orjson.dumps({name: value for name, value in said.items() if value is not None}).decode() + "}"

    @classmethod
    def parse(cls, token: str | None) -> Place:
        """The place of a token that `text` gave. Raises ConfigError."""
        if token is None or not token.startswith(_MARK):
            return cls(page=token)
        try:
            said = orjson.loads(token)["at"]
            span = None if said.get("span") is None else Span(*(at and clock.parse(at) for at in said["span"]))
            rows = None if said.get("rows") is None else Rows(int(said["rows"][0]), str(said["rows"][1]))
            seen, token, anew = int(said.get("seen", 0)), said.get("token"), bool(said.get("anew"))
            return cls(said.get("part"), span, said.get("job"), said.get("page"), seen, rows, token, anew)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError("the page token of this run cannot be read", hint="Start a new run") from error


class Walk:
    """The steps of a reading, a span of a partition each, in order: `here` is the one that is read, `go_on` moves to the next."""

    def __init__(self, parts: Iterator[Part], first: Span | None, after: Callable[[Span], Span | None], at: Place) -> None:
        self._parts, self._first, self._after = parts, first, after
        self._part = next(parts, None)
        self._span = at.span if at.span is not None and self._part is not None and self._part.key == at.part else first

    @property
    def here(self) -> tuple[Part, Span | None] | None:
        """The partition and the span, None behind the last one."""
        return None if self._part is None else (self._part, self._span)

    def go_on(self, instead: Span | None = None) -> Place | None:
        """Move on; the place where the next step begins, None at the end. `instead` is read in place of what is left of this span."""
        if self._part is None:
            return None
        if instead is not None:
            self._span = instead
            return Place(self._part.key, instead)
        self._span = self._after(self._span) if self._span is not None else None
        if self._span is None:
            self._part, self._span = next(self._parts, None), self._first
        return None if self._part is None else Place(self._part.key, self._span)
