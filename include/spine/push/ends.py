"""The two ends of a way back: which object of which system each is, and how that is written to. Needs no lake and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spine.control.pushes import Which
from spine.core.errors import ConfigError
from spine.push.spec import Push
from spine.sources.spec import Source, Stream, load_source, source_names

_WITHOUT_FILE = frozenset({"postgresql"})
_NAMED = frozenset({"salesforce", "hubspot", "google_sheets"})


@dataclass(frozen=True)
class End:
    """One side of a way back. `names` are its fields by the destination's names of them, `keys` those of its key."""

    connector: str
    kind: str
    thing: str
    names: Mapping[str, str]
    keys: tuple[str, ...]
    source: Source | None
    stream: Stream | None

    def own(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Fields of the destination's names by this side's."""
        return {self.names[name]: value for name, value in fields.items() if name in self.names}

    def common(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Fields of this side's names by the destination's."""
        return {name: fields[own] for name, own in self.names.items() if own in fields}


def end_of(push: Push, side: Which) -> End:
    """The destination of a way back, or the system that its rows come from. Raises ConfigError if it cannot be written to."""
    if side == "source":
        assert push.source.connector is not None
        source = load_source(push.source.connector)
        names = {field.to: own for own, field in push.destination.mapping.items()}
        keys, name, stream = push.destination.match_key, push.source.object, _stream(source, None, push.source.object)
        return End(source.source, kind_of(source), name, names, keys, source, stream)
    there = push.destination
    known = load_source(there.connector) if there.connector in source_names() else None
    if known is None and there.kind not in _WITHOUT_FILE:
        raise ConfigError(f"there is no source {there.connector!r}", hint="Name one of include/sources, or say `kind: postgresql`")
    kind = there.kind or kind_of(known)  # type: ignore[arg-type]
    names = {field.to: field.to for field in there.mapping.values()}
    names |= {push.deletes.field: push.deletes.field} if push.deletes.field else {}
    stream = _stream(known, there.stream, there.object) if known is not None else None
    return End(there.connector, kind, there.object, names, there.keys, known, stream)


def kind_of(source: Source) -> str:
    """How a system is written to. Raises ConfigError if nobody knows."""
    if source.source in _NAMED:
        return source.source
    if source.kind == "database" and source.reader == "postgresql":
        return "postgresql"
    if source.write and source.kind == "generic":
        return "rest"
    raise ConfigError(
        f"source {source.source!r} cannot be written to", hint="Add a `write:` block to its file, or choose another destination"
    )


def _stream(source: Source, name: str | None, thing: str) -> Stream | None:
    """The stream that reads an object: of that name, or of that object of the vendor's."""
    if name is not None:
        return source.stream(name)
    return next((one for one in source.streams if thing in (one.name, one.object)), None)
