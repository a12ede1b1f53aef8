"""Questions about declared ways back that can be answered without a network: which are broken, and why."""

from __future__ import annotations

from collections.abc import Iterator

from spine.core.declarations import Place, located
from spine.core.entities import load_entity
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.core.texts import nearest
from spine.push.ends import end_of
from spine.push.spec import IDS, Push, load_push, push_names
from spine.sources.check import entity_names
from spine.sources.spec import load_source, source_names

_SHOW_ALL = ("postgresql", "google_sheets")
_ADDED = frozenset({*IDS, "record_count", "source_count", "confidence", "provenance", "created_at", "updated_at", "source", "stream",
                    "connection_id", "custom_fields", "links", "is_deleted", "source_cursor", "emitted_at", "tenant_id"})  # fmt: skip


def broken_pushes() -> list[ConfigError]:
    """What is wrong with the declared ways back, each file's once; empty if nothing is.

    A source's file that cannot be read is no mistake of the ways back that go by it.
    """
    found = []
    for name in push_names():
        try:
            sound_push(name)
        except ConfigError as error:
            if not _of_a_source(name):
                found.append(error)
    return found


def _of_a_source(name: str) -> bool:
    """Whether a way back lacks nothing but a source's file that can be read."""
    try:
        push = load_push(name)
    except ConfigError:
        return False
    return any(_unreadable(source) for source in (push.destination.connector, push.source.connector) if source in source_names())


def _unreadable(source: str) -> bool:
    try:
        load_source(source)
    except ConfigError:
        return True
    return False


def sound_push(name: str) -> Push:
    """A declared way back with which nothing is wrong that can be known before it runs. Raises ConfigError with file, line and field."""
    push = load_push(name)
    found = located(settings().syncs / f"{name}.yaml", _mistakes(push))
    if found:
        raise ConfigError.of(found)
    return push


def _mistakes(push: Push) -> Iterator[tuple[Place, str]]:
    there, known = push.destination, source_names()
    if there.connector not in known and there.kind != "postgresql":
        yield ("destination", "connector"), f"there is no source {there.connector!r}{nearest(there.connector, known)}"
        return
    if push.source.connector is not None:
        if push.source.connector not in known:
            yield ("source", "connector"), f"there is no source {push.source.connector!r}{nearest(push.source.connector, known)}"
            return
        streams = [stream.name for stream in load_source(push.source.connector).streams]
        if push.source.object not in streams:
            yield (
                ("source", "object"),
                f"{push.source.connector!r} has no stream {push.source.object!r}{nearest(push.source.object, streams)}",
            )
    try:
        if end_of(push, "destination").kind not in _SHOW_ALL and there.operation == "overwrite":
            yield ("destination", "operation"), f"`overwrite` needs a system that shows all that it holds: {' or '.join(_SHOW_ALL)}"
    except ConfigError as error:
        yield ("destination",), f"{error.message}. {error.hint}"
    try:
        if push.two_way:
            end_of(push, "source")
    except ConfigError as error:
        yield ("source",), f"{error.message}. {error.hint}"
    yield from _unknown_fields(push)


def _unknown_fields(push: Push) -> Iterator[tuple[Place, str]]:
    """Fields that a golden record does not have."""
    for name in entity_names():
        try:
            entity = load_entity(name)
        except ConfigError:
            continue  # told once, as a mistake of its own file
        if push.source.object != entity.gold_table:
            continue
        fields = {*entity.fields, *_ADDED}
        named: list[tuple[Place, str]] = [(("destination", "mapping", field), field) for field in push.destination.mapping]
        named += [(("source", "filters", number, "field"), rule.field) for number, rule in enumerate(push.source.filters)]
        for place, field in named:
            if field.split(".")[0] not in fields:
                yield place, f"{field!r} is no field of a golden {entity.entity}{nearest(field, fields)}"
