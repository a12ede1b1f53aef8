"""Which streams an account has that its source's file cannot list: asked when a run is planned, kept in a Variable.

The Variable `spine.found.<connection>.<stream>` has all that were ever found, by the key of what tells them, so that names stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import orjson

from spine.control import events
from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import Variables
from spine.core import clock
from spine.core.errors import ConfigError, SpineError
from spine.core.events import DriftDetected
from spine.core.names import found_variable
from spine.core.screen import logger
from spine.pipeline.services import Services, open_reader
from spine.sources.finding import Entry, Finding, find
from spine.sources.spec import Source, Stream
from spine.sources.variables import values_of

_log = logger(__name__)


def discover(source: Source, template: Stream, tenant: str, info: ConnectionInfo, run_id: str, services: Services) -> Finding:
    """Ask what a template stands for, keep it, and tell what has gone. Raises ConnectorErrors."""
    known = known_of(services.variables, info.conn_id, template.name)
    reader = open_reader(source, tenant, info, run_id, services, services.sleep)
    found = find(source, template, reader, values_of(source, info.extra), known, clock.now())
    if found.entries != known:
        content = orjson.dumps({key: asdict(entry) for key, entry in found.entries.items()}).decode()
        services.variables.set(found_variable(info.conn_id, template.name), content)
    if found.new:
        _log.info("%s: found %s", template.name, ", ".join(found.new))
    if words := found.words():
        _log.warning("%s: %s", template.name, words)
        events.record(services.database.of(tenant), DriftDetected(info.conn_id, template.name, words))
    return found


def known_of(variables: Variables, connection: str, template: str) -> dict[str, Entry]:
    """What was found before, by the key of the record that told it. Raises ConfigError if somebody left unreadable text there."""
    name = found_variable(connection, template)
    try:
        said = orjson.loads(variables.get(name) or "{}")
        return {key: Entry(**entry) for key, entry in said.items()}
    except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"Variable {name} does not hold what was found", hint="Delete it: the next run asks again, and names may change"
        ) from error


def expanded(
    source: Source, streams: Sequence[Stream], tenant: str, connection: str, run_id: str, services: Services
) -> list[Stream]:  # fmt: skip
    """The streams with those that were found in place of each template; one that is named alone stays alone.

    Where the source cannot be asked, those of the last time are taken, and the template as well: its extraction asks again, and tells why
    that fails. Raises ConfigError for the name of a stream that is not there.
    """
    found: list[Stream] = []
    asked: dict[str, list[Stream]] = {}
    for stream in streams:
        if stream.found is None:
            found.append(stream)
            continue
        template = source.stream(stream.declared)
        if template.name not in asked:
            asked[template.name] = _asked(source, template, tenant, connection, run_id, services)
        named = [one for one in asked[template.name] if stream.template is None or one.name == stream.name]
        if not named and stream.template is not None:
            raise ConfigError(
                f"source {source.source!r} has no stream {stream.name!r} at present", hint=f"`{template.name}` means all of them"
            )
        found += [one for one in named if one.name not in {other.name for other in found}]
    return found


def _asked(source: Source, template: Stream, tenant: str, connection: str, run_id: str, services: Services) -> list[Stream]:
    try:
        return discover(source, template, tenant, services.connections(connection), run_id, services).streams(template)
    except SpineError as error:
        _log.warning("%s: the streams that it stands for were not found: %s", template.name, error)
        known = Finding(known_of(services.variables, connection, template.name))
        return [*known.streams(template), template]


def stream_of(source: Source, name: str, variables: Variables, connection: str) -> Stream:
    """A stream of an account by its name, one that was found with what placeholders name. Raises ConfigError."""
    stream = source.stream(name)
    if stream.template is None:
        return stream
    entries = known_of(variables, connection, stream.template).values()
    values: Mapping[str, object] = next((entry.values for entry in entries if entry.name == name), {})
    return source.stream(stream.template).found_as(name, values)
