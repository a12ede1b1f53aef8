"""Finds the streams of an account that its source's file cannot list, and gives them names that stay. No I/O but the reader's."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import orjson

from spine.core.errors import ConfigError
from spine.core.placeholders import names_in, written
from spine.sources.reading import MALFORMED, Reader, State, Window, lookup
from spine.sources.rest.shaping import kept
from spine.sources.spec import Source, Stream

_LONGEST = 60  # letters of a name without the stream's own: it becomes a folder's
_SAID = ("path", "object", "host", "params", "headers", "body", "compute", "field_list", "later", "job", "changes")


@dataclass(frozen=True)
class Entry:
    """A stream that was found: its name, what it is called at the source, what placeholders name, and since when it is gone."""

    name: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    gone: str | None = None


@dataclass(frozen=True)
class Finding:
    """What was found by the key of the record that tells it: all that was ever, what is `new` or `lost` since, and what is too much."""

    entries: Mapping[str, Entry]
    new: Sequence[str] = ()
    lost: Sequence[str] = ()
    beyond: Sequence[str] = ()

    def streams(self, template: Stream) -> list[Stream]:
        """The streams that are there now."""
        return [template.found_as(entry.name, entry.values) for entry in self.entries.values() if entry.gone is None]

    def words(self) -> str:
        """What people should know of it; empty if there is nothing."""
        said = [
            f"{', '.join(self.lost)}: no longer at the source, so no longer read; the tables stay" if self.lost else "",
            f"{len(self.beyond)} more were found than `most` allows, and are not read: {', '.join(self.beyond[:5])}" if self.beyond else "",
        ]
        return "; ".join(one for one in said if one)


def find(source: Source, template: Stream, reader: Reader, values: Mapping[str, Any], known: Mapping[str, Entry], now: datetime) -> Finding:
    """What a template stands for at present; `known` was found before, `values` are those of variables. Raises ConnectorErrors."""
    assert template.found is not None
    told = dict(_told(source, template, reader, values, now))
    order = sorted(told, key=lambda key: key not in known or known[key].gone is not None)  # stable: those that are read already come first
    read, beyond = order[: template.found.most], order[template.found.most :]
    entries = {key: replace(entry, gone=entry.gone or now.isoformat()) for key, entry in known.items() if key not in read}
    taken = {*(entry.name for entry in known.values()), *source.silvers}
    new = []
    for key in read:
        title, found = told[key]
        name = known[key].name if key in known else _name_of(template, title, key, taken)
        taken.add(name)
        new += [] if key in known and known[key].gone is None else [name]
        entries[key] = Entry(name, title, found)
    lost = [entry.name for key, entry in known.items() if entry.gone is None and key not in told]
    return Finding(entries, new, lost, [told[key][0] for key in beyond])


def stood_for(source: Source, stream: Stream, reader: Reader, values: Mapping[str, Any], now: datetime) -> list[Stream]:
    """The stream itself, or of a template those that it stands for at present, of which a name may mean one. Raises ConnectorErrors."""
    if stream.found is None:
        return [stream]
    template = source.stream(stream.declared)
    there = find(source, template, reader, values, {}, now).streams(template)
    return [one for one in there if stream.template is None or one.name == stream.name]


def example_of(source: Source, stream: Stream, reader: Reader, values: Mapping[str, Any], now: datetime) -> Stream:
    """The first of what a stream stands for. Raises ConfigError if it stands for nothing, ConnectorErrors."""
    there = stood_for(source, stream, reader, values, now)
    if not there:
        raise ConfigError(f"nothing was found that {stream.name!r} stands for", hint="Look at `found` in the source's file")
    return there[0]


def _told(source: Source, template: Stream, reader: Reader, values: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, Any]]:
    """Key, title and placeholders' values of each record that is meant."""
    found = template.found
    assert found is not None
    patterns = _texts(values.get(found.variable)) if found.variable else found.include
    roots = {name.split(".")[1] for name in names_in([_plain(getattr(template, word)) for word in _SAID]) if name.startswith("found.")}
    if found.variable and not patterns:
        return
    for page in reader.read(source.stream(found.stream), State(), Window(end=now, full=True)):
        for record in page.records:
            if record.op == "delete" or record.fingerprint == MALFORMED:
                continue
            said = {**page.of, **orjson.loads(record.payload)}
            title = lookup(said, found.name)
            if title in (None, "") or not kept(said, found.filters) or not _meant(written(title), patterns, found.exclude):
                continue
            yield record.record_id, (written(title), {root: said[root] for root in sorted(roots) if said.get(root) is not None})


def _meant(title: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    wanted = not include or any(fnmatchcase(title, pattern) for pattern in include)
    return wanted and not any(fnmatchcase(title, pattern) for pattern in exclude)


def _name_of(template: Stream, title: str, key: str, taken: set[str]) -> str:
    """A name of small letters that no other stream or table has; what letters cannot tell, a digest does."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    word = "_".join(re.findall(r"[a-z0-9]+", plain))[:_LONGEST].strip("_")
    name, digest = f"{template.name}_{word}".rstrip("_"), hashlib.sha256(key.encode()).hexdigest()
    versions = template.history and word.endswith("history")  # of "sales" are in the table that "sales history" would have
    return name if word and name not in taken and not versions else f"{name}_{digest[:8]}"


def _texts(value: Any) -> Sequence[str]:
    return tuple(map(written, value)) if isinstance(value, list | tuple) else ()


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
