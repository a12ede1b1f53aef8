"""What becomes of a record before its key and cursor are read: flattened, renamed, computed, and without what is personal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jmespath

from spine.core.errors import ConfigError
from spine.core.mapping import RowFilter
from spine.core.placeholders import Absent, fill_all, names_in, written
from spine.http.paging.pages import search
from spine.sources.reading import has, lookup
from spine.sources.rows import BadRow
from spine.sources.spec import Stream

MASK = "***"
Hasher = Callable[[str], str]


@dataclass(frozen=True)
class Out:
    """A record that the stream's filters do not keep."""

    record: Any


class Shaper:
    """The steps of one stream; `values` are those of placeholders, `hashed` makes of a personal value what stands for it."""

    def __init__(self, stream: Stream, values: Mapping[str, Any], hashed: Hasher | None) -> None:
        self._stream, self._values, self._hashed = stream, values, hashed
        self._paths = {name: jmespath.compile(said) for name, said in stream.compute.items() if not any(names_in(said))}
        self._does = bool(stream.case != "as_sent" or stream.flatten or stream.rename or stream.compute or stream.personal or stream.drop)
        self._filters = [found for rule in stream.filters if (found := rule.of(values)) is not None]
        if "hash" in stream.personal.values() and hashed is None:
            raise ConfigError("there is no key by which personal fields could be hashed", hint="Open the reader with the tenant's key")

    def passes(self, record: Any) -> bool:
        """Whether the stream's filters keep a record; what is no object is kept, so that it is told."""
        if not isinstance(record, dict):
            return True
        return kept(record, self._filters)

    def all(self, records: Sequence[Any]) -> Sequence[Any]:
        """Records of an answer as they are kept; those that no filter keeps are Out."""
        if not self._does and not self._filters:
            return records
        return [self.shaped(record) if self.passes(record) else Out(self.shaped(record)) for record in records]

    def shaped(self, record: Any) -> Any:
        """The record as it is kept. What is no object stays as it is, unless something personal could be in it."""
        if isinstance(record, BadRow):
            return replace(record, raw=MASK, values={}) if self._stream.personal else record
        if not isinstance(record, dict):
            return MASK if self._stream.personal else record
        if not self._does:
            return record
        found = _cased(record, _CASES[self._stream.case]) if self._stream.case != "as_sent" else dict(record)
        for path, prefix in self._stream.flatten.items():
            found = _flattened(found, path, prefix)
        if self._stream.rename:
            found = _renamed(found, self._stream.rename)
        for name, said in self._stream.compute.items():
            found[name] = self._computed(name, said, found)
        for path, how in self._stream.personal.items():
            found = _at(found, path.split("."), self._hide if how == "hash" else _masked)
        for path in self._stream.drop:
            found = _removed(found, path.split("."))
        return found

    def _computed(self, name: str, said: str, record: dict[str, Any]) -> Any:
        if name in self._paths:
            return search(self._paths[name], record)
        try:
            return fill_all(said, self._values)
        except Absent:
            return None

    def _hide(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._hide(item) for item in value]
        assert self._hashed is not None
        return None if value is None else self._hashed(written(value))


def kept(record: Mapping[str, Any], filters: Sequence[RowFilter]) -> bool:
    """Whether a record passes filters; a field that it lacks is an empty text."""
    for rule in filters:
        value = lookup(record, rule.field)
        text = "" if value is None else written(value)
        if (rule.one_of and text not in rule.one_of) or text in rule.none_of:
            return False
    return True


def snaked(name: str) -> str:
    """`firstName`, `First-Name` and `FIRST NAME` as first_name; `customerID` as customer_id."""
    apart = _HUMP.sub("_", name)
    return re.sub(r"[^A-Za-z0-9]+", "_", apart).lower() if apart.isascii() else apart.lower()


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CASES: dict[str, Callable[[str], str]] = {"lower": str.lower, "snake": snaked}


def _cased(value: Any, case: Callable[[str], str]) -> Any:
    """A record whose names are written so; one that another field has by then keeps its own, so that nothing is lost."""
    if isinstance(value, list):
        return [_cased(item, case) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, inner in value.items():
        new = case(name)
        taken = new in found or (new != name and new in value)
        found[name if taken else new] = _cased(inner, case)
    return found


def _masked(value: Any) -> Any:
    return None if value is None else MASK


def _flattened(record: dict[str, Any], path: str, prefix: str) -> dict[str, Any]:
    """The record with the fields of the object at a path beside it; one whose name is taken stays where it is."""
    holder = lookup(record, path)
    if not isinstance(holder, dict):
        return record
    moved = {name: value for name, value in holder.items() if f"{prefix}{name}" not in record or f"{prefix}{name}" == path}
    rest = {name: value for name, value in holder.items() if name not in moved}
    without = _at(record, path.split("."), lambda _: rest) if rest else _removed(record, path.split("."))
    return {**without, **{f"{prefix}{name}": value for name, value in moved.items()}}


def _renamed(record: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The record with new names, in its order; a name that another field has already is left alone, so that nothing is lost."""
    taken = {name for name in record if name not in names}
    while stays := {name for name in record if name not in taken and names[name] in taken}:
        taken |= stays  # and so is its own name for others
    return {(name if name in taken else names[name]): value for name, value in record.items()}


def _at(record: dict[str, Any], path: list[str], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The record with the value at a path changed, in any element of a list on the way; as it is where there is none."""
    whole = ".".join(path)
    if whole in record:
        return {**record, whole: change(record[whole])}
    head, rest = path[0], path[1:]
    inner = record.get(head)
    if rest and isinstance(inner, dict):
        return {**record, head: _at(inner, rest, change)}
    if rest and isinstance(inner, list):
        return {**record, head: [_at(item, rest, change) if isinstance(item, dict) else item for item in inner]}
    return record


def _removed(record: dict[str, Any], path: list[str]) -> dict[str, Any]:
    if has(record, ".".join(path)) and (len(path) == 1 or ".".join(path) in record):
        return {name: value for name, value in record.items() if name != ".".join(path)}
    inner = record.get(path[0])
    return {**record, path[0]: _removed(inner, path[1:])} if isinstance(inner, dict) else record
