"""Questions about all declarations at once: which are broken, which entities are matched, who feeds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spine.core.declarations import Place, Strict, located
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.core.texts import nearest
from spine.sources.loader import UNCALLED, module_of, stages_of
from spine.sources.spec import Source, Stream, load_source, source_names

# What is read of a stream whoever its reader is; `mapping` is the normaliser's, a sweep is extraction's.
STREAM_WORDS = frozenset({"name", "drift", "history", "key", "entity", "mapping", "deletes.mode", "deletes.max_share", "deletes.detect"})
# Folders of files are not called over the network, and have no clock of their own.
CALL_WORDS = frozenset({"auth", "rate_limit", "retry", "timeouts", "limits", "headers", "errors"})
HTTP_WORDS = frozenset({"rate_limit", "retry", "headers", "errors"})
CALLED_WORDS = frozenset({"cursor.lookback", "cursor.formerly", "timeouts", "limits"})


def entity_names() -> list[str]:
    """Names of all declared entities, sorted, without reading them."""
    return sorted(path.stem for path in settings().entities.glob("*.yaml"))


def broken_declarations() -> list[ConfigError]:
    """What is wrong with the declared entities and sources, each file's once; empty if nothing is."""
    found = []
    for name, load in [(name, load_entity) for name in entity_names()] + [(name, sound_source) for name in source_names()]:
        try:
            load(name)
        except ConfigError as error:
            found.append(error)
    return found


def sound_source(name: str) -> Source:
    """A declared source with which nothing is wrong that can be known before it is read. Raises ConfigError with file, line and field.

    An entity that is broken is no mistake of the sources that feed it.
    """
    source = load_source(name)
    found = located(settings().sources / f"{name}.yaml", mistakes_of(source))
    if found:
        raise ConfigError.of(found)
    return source


def require_valid_declarations(more: Sequence[ConfigError] = ()) -> None:
    """Raises one ConfigError that lists every mistake in every declaration, with file, line and field; `more` are told as well."""
    found = [*broken_declarations(), *more]
    if found:
        mistakes = "\n".join(line for error in found for line in lines_of(error))
        raise ConfigError(f"{len(found)} broken declaration(s):\n{mistakes}", hint="Only their own DAGs are missing; correct the files")


def lines_of(error: ConfigError) -> list[str]:
    """One line for each mistake of a declaration."""
    return [str(mistake) for mistake in error.mistakes] or [error.message]


def readable_entities() -> list[Entity]:
    """The entities whose declarations can be read."""
    found = []
    for name in entity_names():
        try:
            found.append(load_entity(name))
        except ConfigError:
            continue
    return found


def matched_entities() -> list[Entity]:
    """The readable entities that have identity rules."""
    return [entity for entity in readable_entities() if entity.matching is not None]


def united_entities() -> list[Entity]:
    """The readable entities without identity rules: their Gold is the union of their sources."""
    return [entity for entity in readable_entities() if entity.matching is None]


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


def mistakes_of(source: Source) -> list[tuple[Place, str]]:
    """What does not fit a source's reader or entities: places in its file, and why."""
    found: list[tuple[Place, str]] = []
    for number, stream in enumerate(source.streams):
        found += [(("streams", number, *place), why) for place, why in _unfit_mapping(stream)]
    try:
        reader = module_of(source)
        if source.kind == "generic":
            stages_of(source)
    except ConfigError as error:
        return [(("reader" if source.reader else "kind",), f"{error.message}. {error.hint}"), *found]
    found += [(place, f"nothing reads it: sources of kind {source.kind} have no use for it") for place in unread_places(source)]
    for number, stream in enumerate(source.streams):
        place = ("streams", number)
        if stream.deletes.detect not in ("none", *reader.DETECTS):
            known = ["none", *sorted(reader.DETECTS)]
            why = f"{stream.deletes.detect!r} is not seen by the reader of this source, which knows {', '.join(known)}"
            found.append(((*place, "deletes", "detect"), why))
        found += [((*place, *inner), why) for inner, why in reader.mistakes(stream)]
    found += getattr(reader, "source_mistakes", lambda _: ())(source)
    return found


def _unfit_mapping(stream: Stream) -> Iterator[tuple[Place, str]]:
    """What a stream's entity does not allow."""
    if stream.entity is None or stream.mapping is None:
        return
    if stream.entity not in entity_names():
        yield ("entity",), f"there is no entity {stream.entity!r}{nearest(stream.entity, entity_names())}"
        return
    try:
        entity = load_entity(stream.entity)
    except ConfigError:
        return  # told once, as a mistake of its own file
    for name in stream.mapping.fields:
        if name not in entity.fields:
            near = nearest(name, entity.fields) or f"; it has {', '.join(entity.fields)}"
            yield ("mapping", "fields", name), f"{name!r} is no field of {stream.entity!r}{near}"
    for name, field in entity.fields.items():
        if field.required and name not in stream.mapping.fields:
            yield ("mapping", "fields"), f"{name!r} is missing, which {stream.entity!r} requires: every row would go to quarantine"
    if (stream.mapping.entity_version or 0) > entity.version:
        yield ("mapping", "entity_version"), f"is newer than version {entity.version} of {stream.entity!r}"


def unread_places(source: Source) -> list[Place]:
    """What the source's file says and nothing reads. Raises ConfigError if its reader is not there."""
    files = source.kind == "files"
    useless = CALL_WORDS if files else HTTP_WORDS if source.kind in UNCALLED else frozenset[str]()
    unread: list[Place] = [(word,) for word in sorted(source.model_fields_set & useless)]
    if source.reader and files:
        unread.append(("reader",))
    read = STREAM_WORDS | module_of(source).READS | (frozenset() if files else CALLED_WORDS)
    for number, stream in enumerate(source.streams):
        unread += [("streams", number, *word.split(".")) for word in sorted(_said(stream)) if not _covered(word, read)]
    return unread


def _said(declared: Strict, place: str = "") -> Iterator[str]:
    for name in declared.model_fields_set:
        value = getattr(declared, name)
        if isinstance(value, Strict):
            yield from _said(value, f"{place}{name}.")
        elif value is not None and (name, value) != ("type", "none"):  # what a file means that says nothing
            yield f"{place}{name}"


def _covered(word: str, read: frozenset[str]) -> bool:
    return word in read or any(word.startswith(f"{known}.") for known in read)
