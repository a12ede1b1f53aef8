"""Questions about all declarations at once: which are broken, which entities are matched, who feeds them."""

from __future__ import annotations

from collections.abc import Iterator

from spine.core.declarations import Strict
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.sources.loader import module_of
from spine.sources.spec import Source, load_source, source_names

# What is read of a stream whoever its reader is; `mapping` is the normaliser's. `fields` of a folder of files tells people its columns.
STREAM_WORDS = frozenset({"name", "key", "entity", "mapping", "deletes.mode", "deletes.max_share", "fields"})
# Folders of files are not called over the network, and have no clock of their own.
CALL_WORDS = frozenset({"auth", "rate_limit", "retry", "timeouts", "headers"})
CURSOR_WORDS = frozenset({"cursor.lookback", "cursor.formerly"})


def entity_names() -> list[str]:
    """Names of all declared entities, sorted, without reading them."""
    return sorted(path.stem for path in settings().entities.glob("*.yaml"))


def broken_declarations() -> list[ConfigError]:
    """What is wrong with the declared entities and sources; empty if nothing is."""
    found = []
    for name in entity_names():
        try:
            load_entity(name)
        except ConfigError as error:
            found.append(error)
    for name in source_names():
        try:
            _check_mappings(load_source(name))
        except ConfigError as error:
            found.append(error)
    return found


def require_valid_declarations() -> None:
    """Raises one ConfigError that lists every mistake in every declaration, with file, line and field."""
    found = broken_declarations()
    if found:
        mistakes = "\n".join(error.message for error in found)
        raise ConfigError(f"{len(found)} broken declaration(s):\n{mistakes}", hint="Only their own DAGs are missing; correct the files")


def matched_entities() -> list[Entity]:
    """The readable entities that have identity rules."""
    found = []
    for name in entity_names():
        try:
            entity = load_entity(name)
        except ConfigError:
            continue
        if entity.matching is not None:
            found.append(entity)
    return found


def readable_sources() -> list[Source]:
    """The sources whose declarations can be read."""
    found = []
    for name in source_names():
        try:
            found.append(load_source(name))
        except ConfigError:
            continue
    return found


def sources_of(entity: str) -> list[str]:
    """The readable sources that feed an entity."""
    return [source.source for source in readable_sources() if entity in source.entities]


def _check_mappings(source: Source) -> None:
    """Every stream maps to fields that its entity has. Raises ConfigError."""
    path = settings().sources / f"{source.source}.yaml"
    for stream in source.streams:
        entity = load_entity(stream.entity)
        unknown = sorted(set(stream.mapping.fields) - set(entity.fields))
        if unknown:
            place = f"streams.{stream.name}.mapping.fields"
            raise ConfigError(f"{path}: {place}: {unknown} are not fields of {stream.entity!r}", hint=f"It has {sorted(entity.fields)}")


def unread_words(source: Source) -> list[str]:
    """What the source's file says and nothing reads, as `streams.contacts.object`. Raises ConfigError if its reader is not there."""
    files = source.kind == "files"
    unread = sorted(source.model_fields_set & CALL_WORDS) if files else []
    read = STREAM_WORDS | module_of(source).READS | (frozenset() if files else CURSOR_WORDS)
    for stream in source.streams:
        unread += [f"streams.{stream.name}.{word}" for word in sorted(_said(stream)) if not _covered(word, read)]
    return unread


def _said(declared: Strict, place: str = "") -> Iterator[str]:
    for name in declared.model_fields_set:
        value = getattr(declared, name)
        if isinstance(value, Strict):
            yield from _said(value, f"{place}{name}.")
        elif (name, value) != ("type", "none"):  # what a file means that says nothing
            yield f"{place}{name}"


def _covered(word: str, read: frozenset[str]) -> bool:
    return word in read or any(word.startswith(f"{known}.") for known in read)
