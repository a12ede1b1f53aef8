"""Which fields a stream's records have, of which types, and what is new or gone since the reads before. No I/O.

A record's fingerprint tells its field names from others, so that names are learned once per fingerprint however many records there are;
types are looked at once per outline, or in the first records of a read that has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from spine.core.drifts import Drift
from spine.core.errors import SchemaMismatch
from spine.sources.columns import Outline, Records
from spine.sources.reading import MALFORMED, Record, lookup, malformed

Policy = Literal["evolve", "freeze", "discard_row", "discard_value"]
UNREADABLE = "may not be read"  # what became of a field that the source's file asks for, by its rights or since it is gone
DISCARDED = "_discarded"  # where values that a policy takes out of a record are kept
_ENOUGH = 20  # fewer records do not tell that a field is always there, or that it is gone
_MOST = 10_000  # fingerprints of one read that are looked into
_TYPED = 20_000  # records of one read whose types are looked at


@dataclass(frozen=True)
class Shape:
    """Field names, one level into objects: those that some record had (`ever`), that every record had (`always`), and their `types`.

    `unreadable` are those that the source's file asks for and the source does not show.
    """

    ever: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()
    types: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.ever)

    @property
    def fingerprint(self) -> str:
        """What tells this shape from another one: names and types."""
        said = [f"{name}:{','.join(sorted(self.types.get(name, ())))}" for name in sorted(self.ever)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, text: str | None) -> Shape:
        """What `to_json` gave, also before it had types; empty of nothing, and of a text that is spoilt: then it is learned anew."""
        try:
            kept = orjson.loads(text or "{}")
            types = {name: frozenset(kinds) for name, kinds in kept.get("types", {}).items()}
            return cls(frozenset(kept["ever"]), frozenset(kept["always"]), types, frozenset(kept.get("unreadable", ())))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def to_json(self) -> str:
        """The names and types, sorted, and their fingerprint."""
        types = {name: sorted(kinds) for name, kinds in sorted(self.types.items())}
        said = {"fingerprint": self.fingerprint, "ever": sorted(self.ever), "always": sorted(self.always), "types": types}
        said |= {"unreadable": sorted(self.unreadable)} if self.unreadable else {}
        return orjson.dumps(said).decode()

    def odd(self, record: dict[str, Any]) -> Iterator[str]:
        """The fields of a record that this shape does not have, or not of that type."""
        return self.odd_in(Outline.of(record))

    def odd_in(self, outline: Outline) -> Iterator[str]:
        """The same of all records of an outline."""
        for name, kind in outline.kinds.items():
            known = self.types.get(name)
            if name not in self.ever or (kind and known and kind not in known):
                yield name


class ShapeWatch:
    """Learns the shape of the records of one read as they pass by."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._rows = 0
        self._ever: set[str] = set()
        self._always: set[str] | None = None
        self._types: dict[str, set[str]] = {}
        self.unreadable: set[str] = set()

    def see(self, records: Sequence[Record]) -> None:
        """Take records into account; deletes and records that could not be read say nothing of fields."""
        if isinstance(records, Records) and records.outlines is not None:
            for outline, count in records.outlines.items():
                self._rows += count
                self._look(outline)
            return
        for record in records:
            if record.op == "delete" or record.fingerprint in ("", MALFORMED):
                continue
            self._rows += 1
            if self._rows <= _TYPED or self._is_new(record.fingerprint):
                self._look(Outline.of(orjson.loads(record.payload)), record.fingerprint)

    def _is_new(self, fingerprint: str) -> bool:
        return fingerprint not in self._seen and len(self._seen) < _MOST

    def _look(self, outline: Outline, fingerprint: str | None = None) -> None:
        for name, kind in outline.kinds.items():
            if kind:
                self._types.setdefault(name, set()).add(kind)
        fingerprint = fingerprint or outline.fingerprint
        if self._is_new(fingerprint):
            names = set(outline.kinds)
            self._seen.add(fingerprint)
            self._ever |= names
            self._always = names if self._always is None else self._always & names

    def against(self, known: Shape) -> tuple[Shape, list[Drift]]:
        """What is known after this read, and what is new, gone or of another type since `known`; nothing where nothing was known."""
        enough = self._rows >= _ENOUGH
        gone = known.always - self._ever if enough else frozenset[str]()
        new = self._ever - known.ever if known else set[str]()
        changed = {name for name, kinds in self._types.items() if name in known.types and kinds - known.types[name]}
        always = known.always or (frozenset(self._always or ()) if enough else frozenset[str]())
        types = {name: known.types.get(name, frozenset()) | self._types.get(name, set()) for name in {*known.types, *self._types}}
        after = Shape(known.ever | self._ever, always if self._always is None else always & self._always, types, frozenset(self.unreadable))
        found = [Drift("added", name, "", _said(self._types.get(name, ()))) for name in sorted(new)]
        hidden = self.unreadable - known.unreadable
        found += [Drift("removed", name, _said(known.types.get(name, ()))) for name in sorted(gone - self.unreadable)]
        found += [Drift("removed", name, _said(known.types.get(name, ())), UNREADABLE) for name in sorted(hidden)]
        found += [Drift("retyped", name, _said(known.types[name]), _said(types[name])) for name in sorted(changed)]
        return after, found


def words_of(changes: Sequence[Drift]) -> str:
    """Changes in one line; no words where there are none."""
    said = {"added": "new fields:", "removed": "no longer sent:", "retyped": "of another type:"}
    parts = []
    for kind, word in said.items():
        of_kind = [one for one in changes if one.kind == kind and one.after != UNREADABLE]
        names = [f"{one.field} ({one.before} → {one.after})" if kind == "retyped" else one.field for one in of_kind]
        parts += [f"{word} {', '.join(names)}"] if names else []
    hidden = [one.field for one in changes if one.after == UNREADABLE]
    parts += [f"not there or not to be read: {', '.join(hidden)}"] if hidden else []
    return "; ".join(parts)


def held_to(known: Shape, policy: Policy, records: Sequence[Record]) -> Sequence[Record]:
    """The records as a policy lets them pass, once a shape is known. Nothing is lost: a row goes to quarantine, a value to `_discarded`.

    Raises SchemaMismatch of `freeze`, before anything of the page is kept.
    """
    if policy == "evolve" or not known:
        return records
    if (
        isinstance(records, Records)
        and records.outlines is not None
        and not any(any(known.odd_in(outline)) for outline in records.outlines)
    ):
        return records
    return [_held(known, policy, record) for record in records]


def _held(known: Shape, policy: Policy, record: Record) -> Record:
    if record.op == "delete" or record.fingerprint in ("", MALFORMED):
        return record
    content = orjson.loads(record.payload)
    odd = [name for name in known.odd(content) if not name.startswith(DISCARDED)]
    if not odd:
        return record
    what = f"fields that the stream does not have so far, or not of that type: {', '.join(odd[:10])}"
    if policy == "freeze":
        raise SchemaMismatch(f"the source sends {what}", hint="If that is right, sync once with `drift: evolve`, which learns them")
    if policy == "discard_row":
        return malformed(record.record_id, what, record.payload, cursor=record.cursor)
    taken: dict[str, Any] = {}
    for name in odd:
        taken[name] = lookup(content, name)
        _take(content, name)
    content[DISCARDED] = taken
    return Record(record.record_id, record.op, record.cursor, orjson.dumps(content).decode(), record.fingerprint)


def _take(content: dict[str, Any], name: str) -> None:
    if name in content:
        del content[name]
        return
    head, _, rest = name.partition(".")
    if isinstance(content.get(head), dict):
        content[head].pop(rest, None)


def _said(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(kinds))
