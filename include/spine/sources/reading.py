"""What readers yield: pages of records with the token that follows and the cursor that has been reached. No I/O."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, Protocol

from spine.core import clock, jsontext, times
from spine.core.errors import ConfigError, SchemaMismatch, SourceRejected
from spine.sources.spec import Stream

Op = Literal["upsert", "delete"]
_COMPOUND = "|"
_NO = frozenset({"", "false", "f", "no", "n", "0", "off", "null", "none"})
_EPOCH = re.compile(r"([0-9]{10,16})(\.[0-9]{1,9})?", re.ASCII)
_JSON_DATE = re.compile(r"/Date\((-?[0-9]{1,15})(?:[+-][0-9]{1,4})?\)/", re.ASCII)  # of OData 2: milliseconds; the offset moves nothing
_NUMBER = re.compile(r"[0-9]{1,19}(?:\.0+)?", re.ASCII)
_WIDTH = 20  # digits of a number as a cursor, since cursors are compared as texts
_EMPTY_PAGES = 10_000  # a source that filters after paging may send some


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one record. `cursor` orders the versions; `payload` is its JSON as sent."""

    record_id: str
    op: Op
    cursor: str | None
    payload: str
    fingerprint: str


@dataclass(frozen=True)
class Page:
    """Some records, the token of the page that follows (None: the end) and the cursor to keep if the run ended here.

    `notes` are what a person should know of the run: what was left alone or skipped. One that must be `kept` is committed at once:
    its token holds what would have to be ordered a second time.

    `unreadable` are fields that the source's file asks for and the source does not show to this account.

    Of a stream that is read part by part, `parts` are those that the page is of, and `skipped` tells why something of it was left out.
    `parents` is how far the parents' changes are read, `of` what placeholders named where it was asked for.

    `change_token` is what tells later changes from, of a stream or part that is read to its end by then; `anew`: the one that was kept was
    refused, so that this page is of everything.
    """

    records: Sequence[Record]
    next_token: str | None
    high_water: str | None
    notes: Sequence[str] = ()
    kept: bool = False
    parts: Sequence[str] = ()
    skipped: str = ""
    parents: Parents | None = None
    of: Mapping[str, Any] = field(default_factory=dict)
    change_token: str | None = None
    anew: bool = False
    unreadable: Sequence[str] = ()


@dataclass(frozen=True)
class Parents:
    """How far the changes of a stream's parents are read: `reached` is the latest cursor, `held` the first one that a skip keeps back."""

    reached: str | None = None
    held: str | None = None


@dataclass(frozen=True)
class Window:
    """What to read: changes after `start` up to and including `end`; a backfill reads [start, end) instead.

    `full` reads everything that exists; `end` still bounds it where the source can tell.
    """

    start: datetime | None = None
    end: datetime | None = None
    full: bool = False
    backfill: bool = False

    def holds(self, moment: datetime | None) -> bool:
        """True if a change at that time belongs to the window; a time that is not known belongs to all but backfills."""
        if moment is None:
            return not self.backfill
        if self.start is not None and (moment < self.start if self.backfill else moment <= self.start):
            return False
        return self.end is None or (moment < self.end if self.backfill else moment <= self.end)


@dataclass(frozen=True)
class State:
    """Where reading stands: the saved cursor, and within a run that is retried the token of the next page.

    Of a stream that is read part by part, `parts` has the saved cursor of each, `parents` that of their changes; `within` is how far
    this run has read those. `answered`: this run has had an answer already that was not refused.
    """

    cursor: str | None = None
    token: str | None = None
    high_water: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    parents: str | None = None
    within: Parents | None = None
    answered: bool = False


class Reader(Protocol):
    """Reads one source's streams."""

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages from `state.token` on. Raises ConnectorErrors; what was yielded before stays valid."""
        ...


@lru_cache(maxsize=4096)
def field_fingerprint(names: tuple[str, ...]) -> str:
    """A short hash of field names, whatever their order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def field_names(record: dict[str, Any]) -> tuple[str, ...]:
    """The record's field names, one level into objects."""
    names: list[str] = []
    for key, value in record.items():
        if isinstance(value, dict):
            names.extend(f"{key}.{inner}" for inner in value)
        else:
            names.append(key)
    return tuple(names)


def fingerprint(record: dict[str, Any]) -> str:
    """A short hash of the record's field names, whatever their order."""
    return field_fingerprint(field_names(record))


MALFORMED = fingerprint({"_error": "", "_line": None, "_raw": ""})  # of records that cannot be read


def lookup(record: Any, path: str) -> Any:
    """The value at a dotted path, None where it ends early; a field whose own name has the dots comes first."""
    value: Any = record
    if isinstance(record, dict) and path in record:
        return record[path]
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def record_id(stream: Stream, record: dict[str, Any]) -> str | None:
    """The record's key as text, None where a part is missing or cannot be a key; compound keys are joined by `|`.

    Of `key: hash` it is the digest of all that the record says, whatever the order of its fields; of `key: singleton` it is that word.
    """
    if stream.key == "singleton":
        return "singleton"
    if stream.key == "hash":
        try:
            return hashlib.sha256(jsontext.dump(record, as_text, in_order=True).encode()).hexdigest()[:32]
        except ValueError:  # of a value that no JSON can hold
            return None
    values = [lookup(record, path) for path in stream.key]
    texts = [key_text(value) for value in values]
    if not all(texts) or any(jsontext.mistake_in(text) for text in texts):
        return None
    return _COMPOUND.join(text.replace("\\", "\\\\").replace(_COMPOUND, "\\|") if len(texts) > 1 else text for text in texts)


def key_text(value: Any) -> str:
    """A part of a key as text, empty where there is none; no U+0000.

    `1001.0` is 1001, since integers with gaps among them become floats on their way.
    """
    if value is None:
        return ""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return "" if isinstance(value, float | Decimal) and math.isnan(value) else str(value).replace("\0", "")


def cursor_text(value: Any, form: str | None = None) -> str | None:
    """A time as text that sorts (ISO 8601 in UTC), also from seconds to microseconds since 1970, as `/Date(0)/`, or of a format of times.

    Raises SchemaMismatch for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return clock.to_text(value)
    text = str(value)
    try:
        if form is not None:
            return clock.to_text(times.read(value, form))
        if (epoch := _EPOCH.fullmatch(text)) is not None:
            unit = "epoch" if len(epoch[1]) < 12 else "epoch_ms" if len(epoch[1]) < 15 else "epoch_us"
            return clock.to_text(times.read(int(text) if epoch[2] is None else Decimal(text), unit))
        if (told := _JSON_DATE.fullmatch(text)) is not None:
            return clock.to_text(times.read(told[1], "epoch_ms"))
        return clock.to_text(clock.parse(text))
    except (ConfigError, ValueError, OverflowError, OSError, TypeError) as error:
        raise SchemaMismatch(
            f"the cursor field holds a {type(value).__name__} that is no time", hint="Check `cursor` in the source's file"
        ) from error


@dataclass(frozen=True, slots=True)
class Position:
    """A record's cursor, or why its field holds none that can be read."""

    cursor: str | None
    mistake: str = ""

    def moment(self) -> datetime | None:
        """The cursor as a time."""
        return clock.parse(self.cursor) if self.cursor else None


def position_of(value: Any, field: str, form: str | None = None) -> Position:
    """The cursor at a record's `field`; a value that is no time (`0000-00-00`) costs that record and not the stream.

    `form` is the format of its times, where they are not recognised.
    """
    try:
        return Position(cursor_text(value, form))
    except SchemaMismatch:
        return Position(None, f"{field} is no time")


def numbered(value: Any, field: str) -> Position:
    """The cursor at a `field` of whole numbers that grow, as a text that sorts as they do."""
    if value is None or value == "":
        return Position(None)
    text = str(value)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        return Position(None, f"{field} is no whole number from 0 on")
    return Position(text.partition(".")[0].zfill(_WIDTH))


def number_of(cursor: str) -> int:
    """The number of a cursor that `numbered` has made. Raises ConfigError for what somebody else has left there."""
    if not cursor.isascii() or not cursor.isdigit():
        raise ConfigError("the saved cursor is no number", hint="Reset the cursor of the stream")
    return int(cursor)


def make_record(stream: Stream, record: Any, *, cursor: str | None, op: Op = "upsert", mistake: str = "") -> Record:
    """The record as it goes to Bronze; one that has a `mistake`, no key, or a value that no JSON holds goes as a malformed record."""
    key = record_id(stream, record) if isinstance(record, dict) else None
    try:
        if not isinstance(record, dict):
            raise ValueError("the record is no object")
        payload = jsontext.dump(record, as_text)
    except ValueError as error:
        payload, mistake = jsontext.as_sent(record), mistake or str(error)
    if not mistake and key is None:
        mistake = f"{' or '.join(stream.key_fields)} is missing"
    if not mistake and key is not None:
        return Record(key, op, cursor, payload, fingerprint(record))
    # Under its own key where it has one: the record exists, and a full read must not take it for deleted.
    name = key or f"malformed:{hashlib.sha256(payload.encode()).hexdigest()[:16]}"
    return malformed(name, mistake, payload, cursor=cursor)


def malformed(name: str, error: str, raw: str, *, cursor: str | None, line: int | None = None) -> Record:
    """A record that cannot be read, kept with its text so that Silver quarantines it and nothing is lost."""
    payload = {"_error": error, "_line": line, "_raw": raw}
    return Record(name, "upsert", cursor, jsontext.dump(payload), MALFORMED)


def as_text(value: Any) -> str:
    """How a payload says what JSON has no notation for."""
    return value.hex() if isinstance(value, bytes) else str(value)


def flagged(value: Any) -> bool:
    """Whether a field says that its record is deleted: true, or the time of it; a source may send its `false` as a text."""
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def require_fields(stream: Stream, records: Sequence[Any], *others: str) -> None:
    """Raise SchemaMismatch if a key, a required field or one of `others` is in no record of a page: the source has lost it."""
    if not any(isinstance(record, dict) for record in records):
        return
    needed = dict.fromkeys((*stream.key_fields, *stream.required_fields, *others))
    lost = [name for name in needed if not any(has(record, name) for record in records)]
    if lost:
        raise SchemaMismatch(
            f"the source no longer sends {', '.join(lost)}",
            hint="Adapt `fields`, `required_fields` and the mapping in the source's file",
            stream=stream.name,
        )


def has(record: Any, path: str) -> bool:
    """Whether a record has a field at a dotted path, with a value or without."""
    if not isinstance(record, dict):
        return False
    if path in record:
        return True
    *parents, last = path.split(".")
    holder = lookup(record, ".".join(parents)) if parents else record
    return isinstance(holder, dict) and last in holder


class Turning:
    """Sees that a reading gets on: a source that does not heed what turns its pages would be read for ever.

    Records are told by the field that pages are turned by (`told_by`), if there is one, else by their key: a list of events may have the
    same object on many pages. Where the records are changes (`events`), the same object may change on each page: all of it counts.
    """

    def __init__(self, stream: Stream, turned_by: str, told_by: str = "", *, events: bool = False) -> None:
        self._stream, self._turned_by, self._told_by, self._events = stream, turned_by, told_by, events
        self._pages: dict[int, int] = {}
        self._tokens: set[int] = set()
        self._empty = 0
        self._number = 0

    def see(self, records: Sequence[Any], token: str | None, following: str | None) -> None:
        """One page, what asked for it, and what it says of the one after it.

        Raises SourceRejected if it has the records of an earlier page, names one that was named before, or is one empty page too many.
        """
        if following is not None and (following == token or hash(following) in self._tokens):
            raise SourceRejected(
                "the source's pages go in circles: it names a page that it has named before",
                hint="Check the paging of the source's file",
                stream=self._stream.name,
            )
        self._tokens.add(hash(following))
        self._number += 1
        self._empty = 0 if records else self._empty + 1
        # Told by their ends' keys: a record may change between two answers, and looking at all of them would cost time.
        keys = hash((len(records), *(self._key(record) for record in (*records[:1], *records[-1:]))))
        earlier = self._pages.setdefault(keys, self._number) if records else self._number
        if earlier != self._number or self._empty > _EMPTY_PAGES:
            what = f"has the records of page {earlier} again" if records else f"is the {self._empty}th empty one in a row"
            raise SourceRejected(
                f"page {self._number} {what}: the source does not heed {self._turned_by}, or has no end",
                hint="Check the paging of the source's file",
                stream=self._stream.name,
                asked=token,
            )

    def _key(self, record: Any) -> str:
        if self._events or not isinstance(record, dict):
            return repr(record)
        told = record.get(self._told_by)
        return str(told) if told is not None else record_id(self._stream, record) or repr(record)


def later(left: str | None, right: str | None) -> str | None:
    """The greater of two cursors; None is before everything."""
    return max((value for value in (left, right) if value is not None), default=None)
