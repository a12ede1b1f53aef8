"""What readers yield: pages of records with the token that follows and the cursor that has been reached. No I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, Protocol

import orjson

from spine.core import clock, exact_json
from spine.core.errors import ConfigError, SchemaMismatch
from spine.sources.spec import Stream

Op = Literal["upsert", "delete"]
_COMPOUND = "|"


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

    `notes` are what a person should know of the run: what was left alone or skipped.
    """

    records: Sequence[Record]
    next_token: str | None
    high_water: str | None
    notes: Sequence[str] = ()


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
    """Where reading stands: the saved cursor, and within a run that is retried the token of the next page."""

    cursor: str | None = None
    token: str | None = None
    high_water: str | None = None


class Reader(Protocol):
    """Reads one source's streams."""

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages from `state.token` on. Raises ConnectorErrors; what was yielded before stays valid."""
        ...


@lru_cache(maxsize=4096)
def _fingerprint(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def fingerprint(record: dict[str, Any]) -> str:
    """A short hash of the record's field names, one level into objects, whatever their order."""
    names: list[str] = []
    for key, value in record.items():
        if isinstance(value, dict):
            names.extend(f"{key}.{inner}" for inner in value)
        else:
            names.append(key)
    return _fingerprint(tuple(names))


def lookup(record: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, None where it ends early; a field whose own name has the dots comes first."""
    value: Any = record
    if path in record:
        return record[path]
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def record_id(stream: Stream, record: dict[str, Any]) -> str | None:
    """The record's key as text, None where a part is missing; compound keys are joined by `|`."""
    values = [lookup(record, path) for path in stream.key]
    texts = [_key_text(value) for value in values]
    if not all(texts):
        return None
    return _COMPOUND.join(text.replace("\\", "\\\\").replace(_COMPOUND, "\\|") if len(texts) > 1 else text for text in texts)


def _key_text(value: Any) -> str:
    """A part of a key as text: `1001.0` is 1001, since integers with gaps among them become floats on their way; no U+0000."""
    if value is None:
        return ""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return "" if isinstance(value, float | Decimal) and math.isnan(value) else str(value).replace("\0", "")


def cursor_text(value: Any) -> str | None:
    """A time as text that sorts (ISO 8601 in UTC), also from epoch seconds or milliseconds. Raises SchemaMismatch for anything else."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return clock.to_text(value)
    text = str(value)
    try:
        if text.isdigit() and len(text) >= 10:
            return clock.to_text(datetime.fromtimestamp(int(text) / (1000 if len(text) > 11 else 1), tz=UTC))
        return clock.to_text(clock.parse(text))
    except (ConfigError, ValueError, OverflowError, OSError) as error:
        raise SchemaMismatch(
            f"the cursor field holds a {type(value).__name__} that is no time", hint="Check `cursor` in the source's file"
        ) from error


def make_record(stream: Stream, record: dict[str, Any], *, cursor: str | None, op: Op = "upsert") -> Record:
    """The record as it goes to Bronze; one without key goes as a malformed record."""
    payload = exact_json.dumps(record, _as_text)
    key = record_id(stream, record)
    if key is None:
        name = hashlib.sha256(payload.encode()).hexdigest()[:16]
        return malformed(f"malformed:{name}", f"{' or '.join(stream.key)} is missing", payload, cursor=cursor)
    return Record(key, op, cursor, payload, fingerprint(record))


def malformed(name: str, error: str, raw: str, *, cursor: str | None, line: int | None = None) -> Record:
    """A record that cannot be read, kept with its text so that Silver quarantines it and nothing is lost."""
    payload = {"_error": error, "_line": line, "_raw": raw}
    return Record(name, "upsert", cursor, orjson.dumps(payload).decode(), fingerprint(payload))


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def require_fields(stream: Stream, records: Sequence[dict[str, Any]]) -> None:
    """Raise SchemaMismatch if a key or required field is in no record of a page: the source's schema has lost it."""
    if not records:
        return
    needed = dict.fromkeys((*stream.key, *stream.required_fields))
    lost = [name for name in needed if not any(has(record, name) for record in records)]
    if lost:
        raise SchemaMismatch(
            f"the source no longer sends {', '.join(lost)}",
            hint="Adapt `fields`, `required_fields` and the mapping in the source's file",
            stream=stream.name,
        )


def has(record: dict[str, Any], path: str) -> bool:
    """Whether a record has a field at a dotted path, with a value or without."""
    if path in record:
        return True
    *parents, last = path.split(".")
    holder = lookup(record, ".".join(parents)) if parents else record
    return isinstance(holder, dict) and last in holder


def later(left: str | None, right: str | None) -> str | None:
    """The greater of two cursors; None is before everything."""
    return max((value for value in (left, right) if value is not None), default=None)
