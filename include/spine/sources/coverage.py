"""What of a stream's records its mapping reaches: fields that are empty, and fields of the source that nothing maps. No I/O.

A path that is misspelt looks like a field that is always empty, so both are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from spine.sources.reading import Record, lookup
from spine.sources.spec import Stream

CURSOR = "(cursor)"
MALFORMED = "_error"
SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Coverage:
    """What was seen in `rows` records: the share of nulls by mapped field, paths that nothing maps, and the first payloads.

    Less than `enough` records do not tell that a field is always empty.
    """

    rows: int
    nulls: dict[str, float]
    unmapped: tuple[str, ...]
    sample: tuple[str, ...]
    enough: int

    @property
    def empty(self) -> tuple[str, ...]:
        """Mapped fields that no record has."""
        return tuple(name for name, share in self.nulls.items() if share == 1.0) if self.rows >= self.enough else ()

    def warnings(self, stream: Stream) -> list[str]:
        """What is probably misspelt, in words."""
        found = []
        for name in self.empty:
            field = stream.mapped.get(name)
            paths = ", ".join(field.source) if field else stream.cursor.field if stream.cursor else ""
            found.append(f"{name.strip('()')} is empty in all of {self.rows:,} records: none has {paths}")
        return found


class Watch:
    """Looks at records as they pass by; `limit` is how many (None: all of them), `enough` how many tell that a field is always empty."""

    def __init__(self, stream: Stream, limit: int | None = None, enough: int = 1) -> None:
        self._stream, self._limit, self._enough = stream, limit, enough
        self._paths = {name: field.source for name, field in stream.mapped.items() if field.source}
        if stream.cursor is not None:
            self._paths[CURSOR] = (stream.cursor.field,)
        mapped = [*stream.key_fields, *(path for paths in self._paths.values() for path in paths)]
        self._split = stream.mapping.split if stream.mapping else None
        self._mapped = frozenset(mapped) | ({self._split} if self._split else frozenset())
        self._rows = 0
        self._filled: Counter[str] = Counter()
        self._names: dict[str, None] = {}
        self._sample: list[str] = []

    def see(self, records: Iterable[Record]) -> None:
        """Take records into account; deletes say nothing of fields."""
        if self._limit is not None and self._rows >= self._limit:
            return
        for record in records:
            if self._limit is not None and self._rows >= self._limit:
                return
            if record.op == "delete":
                continue
            document = orjson.loads(record.payload)
            if MALFORMED in document:
                continue
            self._rows += 1
            if len(self._sample) < SAMPLE_ROWS:
                self._sample.append(record.payload)
            for name, paths in self._paths.items():
                self._filled[name] += any(self._has(document, path) for path in paths)
            self._names.update(dict.fromkeys(_names(document)))

    def _has(self, document: dict[str, Any], path: str) -> bool:
        split = self._split
        # Readers of some vendors keep the fields that were asked for in an object of their own; the cursor is named without it.
        holders: Sequence[Any] = [document, document.get("properties")] if path in self._paths.get(CURSOR, ()) else [document]
        if split and path.startswith(f"{split}."):
            elements = lookup(document, split)
            holders, path = (elements if isinstance(elements, list) else []), path.removeprefix(f"{split}.")
        values = (lookup(holder, path) for holder in holders if isinstance(holder, dict))
        return any(value is not None and str(value).strip() != "" for value in values)

    def result(self) -> Coverage:
        """What was seen so far."""
        nulls = {name: round(1 - self._filled[name] / self._rows, 4) for name in self._paths} if self._rows else {}
        unmapped = tuple(name for name in self._names if not any(_covers(path, name) for path in self._mapped))
        unmapped = unmapped if self._stream.mapping else ()  # without a mapping every field has a column
        return Coverage(self._rows, nulls, unmapped, tuple(self._sample), self._enough)


def _names(document: dict[str, Any]) -> list[str]:
    """Names of a record's fields, one level into objects."""
    found: list[str] = []
    for key, value in document.items():
        found += [f"{key}.{inner}" for inner in value] if isinstance(value, dict) and value else [key]
    return found


def _covers(path: str, name: str) -> bool:
    return path == name or name.startswith(f"{path}.") or path.startswith(f"{name}.")
