"""Records that fit a stream: its key, its cursor, what its mapping, its filters and its children read, in the form the source sends."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import jmespath

from spine.core import times
from spine.core.entities import load_entity
from spine.core.errors import ConfigError
from spine.core.mapping import FieldMapping, RowFilter
from spine.core.placeholders import names_in
from spine.sandbox.vendor.calls import NotCovered
from spine.sandbox.vendor.writing import put, reached
from spine.sources.reading import lookup
from spine.sources.spec import Source, Stream

_BY_TRANSFORM: dict[str, Any] = {
    "phone": "+49 30 123456", "country": "Germany", "date": "1980-02-29", "told_date": "1980-02-29", "timestamp": "2026-01-31T08:15:00Z",
    "epoch_ms": 1_769_847_300_000, "boolean": True, "cents": 12_345, "url_domain": "https://www.example.com/", "digits": "12345",
}  # fmt: skip
_BY_TYPE: dict[str, Any] = {
    "integer": 12, "decimal": "1250.50", "boolean": True, "date": "1980-02-29", "timestamp": "2026-01-31T08:15:00Z",
}  # fmt: skip


def record_of(source: Source, stream: Stream, number: int, name: str, cursor: Any) -> dict[str, Any]:
    """The record of a number as the source sends it; `name` is its own, `cursor` what its cursor field holds."""
    found: dict[str, Any] = {"note": f"note of {name}"}
    for path, value in _read(source, stream, number, name).items():
        found = reached(found, path, value)
    if stream.cursor is not None:
        found = reached(found, stream.cursor.field, cursor)
    if stream.deletes.detect == "flag" and stream.deletes.field:
        found = reached(found, stream.deletes.field, None)
    for path in stream.key_fields:
        if stream.cursor is None or path != stream.cursor.field:
            found = reached(found, path, name)
    found = sent(stream, found)
    for path, value in _kept(stream.filters).items():
        found = reached(found, path, value)
    return found


def _read(source: Source, stream: Stream, number: int, own: str) -> dict[str, Any]:
    """What others read of a record: its mapping, its children, what it is asked for."""
    found: dict[str, Any] = {name: f"{name} {number}" for name in (*stream.fields, *stream.required_fields)}
    for name, mapped in stream.mapped.items():
        found |= {path: _plausible(stream, name, mapped, number) for path in mapped.source}
    if stream.mapping and stream.mapping.split:
        found = {stream.mapping.split: [{}], **{path: value for path, value in found.items() if path != stream.mapping.split}}
    for child in source.streams:
        if child.parent is not None and child.parent.stream == stream.name:
            said = [child.path, child.host, child.params, child.headers, child.body.model_dump() if child.body else None, child.compute]
            found |= {name.removeprefix("parent."): f"{name[7:]}-{own}" for name in names_in(said) if name.startswith("parent.")}
            kept = _kept(child.parent.filters)
            chosen = {rule.field for rule in child.parent.filters if rule.one_of}
            found |= {path: value for path, value in kept.items() if path in chosen or path not in found}
    for entry in (entry for other in source.streams for entry in other.partitions.values()):
        if entry.stream == stream.name and entry.field is not None:
            found[entry.field] = f"{entry.field}-{own}"
    for other in source.streams:
        if other.found is not None and other.found.stream == stream.name:
            said = [other.model_dump(include={"path", "host", "params", "headers", "body", "compute"})]
            found |= {name.removeprefix("found."): f"{name[6:]}-{own}" for name in names_in(said) if name.startswith("found.")}
            found |= {other.found.name: f"Name {own}", **_kept(other.found.filters)}
    return found


def _plausible(stream: Stream, name: str, mapped: FieldMapping, number: int) -> Any:
    if mapped.lookup:
        return next(iter(mapped.lookup))
    if mapped.transform == "email" or "mail" in name:
        return f"person{number}@example.com"
    with suppress(ConfigError, KeyError):
        typed = load_entity(stream.entity or "").fields[name].type
        return _BY_TRANSFORM.get(mapped.transform, _BY_TYPE.get(typed, f"{name} {number}"))
    return _BY_TRANSFORM.get(mapped.transform, f"{name} {number}")


def _kept(filters: Sequence[RowFilter]) -> dict[str, Any]:
    """Values with which filters keep a record."""
    return {rule.field: rule.one_of[0] if rule.one_of else "kept" for rule in filters}


def unkept(stream: Stream, record: dict[str, Any]) -> dict[str, Any]:
    """The record with a value that no filter keeps."""
    rule = stream.filters[0]
    return reached(record, rule.field, rule.none_of[0] if rule.none_of else "not one of them")


def sent(stream: Stream, record: dict[str, Any]) -> dict[str, Any]:
    """A record as it is before the stream's words shape it: the way back from `compute`, `rename` and `flatten`."""
    for name, said in reversed(stream.compute.items()):
        value = record.get(name)
        if any(names_in(said)):
            record = {key: inner for key, inner in record.items() if key != name}
        else:
            record = _uncomputed(record, name, said, f"{name} computed" if value is None else value)
    for name, to in stream.rename.items():
        if to in record:
            record = {**{key: inner for key, inner in record.items() if key != to}, name: record[to]}
    for path, prefix in reversed(stream.flatten.items()):
        key = set(stream.key_fields) if not prefix else set()
        moved = {
            name: value for name, value in record.items() if name.startswith(prefix) and name not in key and name != path.split(".")[0]
        }
        rest = {name: value for name, value in record.items() if name not in moved}
        record = reached(rest, path, {**(lookup(rest, path) or {}), **{name.removeprefix(prefix): value for name, value in moved.items()}})
    return record


def _uncomputed(record: dict[str, Any], name: str, said: str, value: Any) -> dict[str, Any]:
    """The record from which a field is computed: with that value if it can be, else with something to compute from."""
    without = {key: inner for key, inner in record.items() if key != name}
    with suppress(NotCovered):
        made: dict[str, Any] = put(said, without, value)
        return made
    for path in _fields(jmespath.compile(said).parsed):
        if lookup(without, path) is None:
            without = reached(without, path, str(value))
    return without


def _fields(node: Any) -> Iterator[str]:
    if node["type"] == "field":
        yield node["value"]
    elif node["type"] == "subexpression" and all(child["type"] == "field" for child in node["children"]):
        yield ".".join(child["value"] for child in node["children"])
    else:
        for child in node["children"]:
            yield from _fields(child)


def written_time(stream: Stream, moment: datetime) -> Any:
    """A time as the cursor field of a stream has it."""
    assert stream.cursor is not None
    return times.write(moment, stream.cursor.reads or "iso_seconds")


def name_of(scope: Mapping[str, Any], number: int) -> str:
    """A record's own name: digits, since some paths and patterns take nothing else, that no other record of the stream has."""
    digest = int(hashlib.sha256(repr(sorted(scope.items())).encode()).hexdigest()[:8], 16) if scope else 0
    return f"{digest % 900_000 + 100_000}{number:04d}"


def plain(text: str) -> str:
    """A text as a word."""
    return re.sub(r"\W+", "", text)
