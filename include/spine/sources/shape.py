"""Which fields a stream's records have, and what is new or gone since the reads before. No I/O.

A record's fingerprint tells its field names from others, so that names are learned once per fingerprint however many records there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from spine.sources.reading import MALFORMED, Record, field_names, fingerprint

_ENOUGH = 20  # fewer records do not tell that a field is always there, or that it is gone
_MOST = 10_000  # fingerprints of one read that are looked into


@dataclass(frozen=True)
class Shape:
    """Field names, one level into objects: those that some record had (`ever`), and those that every record had (`always`)."""

    ever: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ever)

    @classmethod
    def from_json(cls, text: str | None) -> Shape:
        """What `to_json` gave; empty of nothing, and of a text that somebody has spoilt: then it is learned anew."""
        try:
            kept = orjson.loads(text or "{}")
            return cls(frozenset(kept["ever"]), frozenset(kept["always"]))
        except (ValueError, KeyError, TypeError):
            return cls()

    def to_json(self) -> str:
        """The names, sorted, and their fingerprint."""
        mark = fingerprint(dict.fromkeys(self.ever))
        return orjson.dumps({"fingerprint": mark, "ever": sorted(self.ever), "always": sorted(self.always)}).decode()


class ShapeWatch:
    """Learns the shape of the records of one read as they pass by."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._rows = 0
        self._ever: set[str] = set()
        self._always: set[str] | None = None

    def see(self, records: Iterable[Record]) -> None:
        """Take records into account; deletes and records that could not be read say nothing of fields."""
        for record in records:
            if record.op == "delete" or record.fingerprint in ("", MALFORMED):
                continue
            self._rows += 1
            if record.fingerprint not in self._seen and len(self._seen) < _MOST:
                self._seen.add(record.fingerprint)
                names = set(field_names(orjson.loads(record.payload)))
                self._ever |= names
                self._always = names if self._always is None else self._always & names

    def against(self, known: Shape) -> tuple[Shape, str]:
        """What is known after this read, and in words what is new or gone since `known`; no words where nothing is, or was known."""
        enough = self._rows >= _ENOUGH
        gone = known.always - self._ever if enough else frozenset[str]()
        new = self._ever - known.ever if known else set[str]()
        always = known.always or (frozenset(self._always or ()) if enough else frozenset[str]())
        after = Shape(known.ever | self._ever, always if self._always is None else always & self._always)
        words = [f"{word} {', '.join(sorted(names))}" for word, names in (("new fields:", new), ("no longer sent:", gone)) if names]
        return after, "; ".join(words)
