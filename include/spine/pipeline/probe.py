"""Tests a connection as it is: which streams of the source answer, and with which fields. Reads a page of each and keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from spine.control import connections
from spine.control.airflow_state import ConnectionInfo
from spine.core import clock
from spine.core.errors import AuthFailed, RateLimited, SpineError
from spine.core.names import connection_id
from spine.pipeline.services import Services, ignored, open_reader
from spine.sources.finding import stood_for
from spine.sources.reading import Reader, State, Window
from spine.sources.spec import Source, Stream, load_source
from spine.sources.variables import values_of

_PATIENCE = 10.0  # seconds that a limit may make us wait: a person looks on


@dataclass(frozen=True)
class StreamProbe:
    """What one stream answered: the records of its first page and their fields, or the error."""

    stream: str
    records: int = 0
    fields: tuple[str, ...] = ()
    seconds: float = 0.0
    error: SpineError | None = None


@dataclass(frozen=True)
class Probe:
    """What a connection answered. `resumed`: it was paused for refused credentials, and these were taken.

    `remarks` are what it says that does nothing.
    """

    connection_id: str
    streams: tuple[StreamProbe, ...]
    resumed: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def error(self) -> SpineError | None:
        """The failure that matters most: refused credentials before anything else, None if every stream answered."""
        errors = [probe.error for probe in self.streams if probe.error is not None]
        return next((error for error in errors if isinstance(error, AuthFailed)), errors[0] if errors else None)


def probe(source: str, tenant: str, services: Services, run_id: str, streams: Sequence[str] | None = None) -> Probe:
    """Ask every stream, or the named ones, for a first page; resumes a connection whose refused credentials are taken now.

    One failing stream does not stop the others. Raises ConfigError for an unknown source, stream or Connection, and AuthFailed where
    the Connection lacks what it needs.
    """
    spec = _quick(load_source(source))
    wanted = [spec.stream(name) for name in streams] if streams else list(spec.streams)
    connection = connection_id(source, tenant)
    database = services.database.of(tenant)
    brief = replace(services, sleep=_impatient(services))
    info = services.connections(connection)
    reader = open_reader(spec, tenant, info, run_id, brief, brief.sleep)
    found = Probe(connection, tuple(_ask(spec, reader, stream, info) for stream in wanted), remarks=ignored(info))
    if isinstance(found.error, AuthFailed) or all(one.error is not None for one in found.streams):
        return found
    refused = connections.state(database, connection).refused
    connections.succeeded(database, connection)
    return replace(found, resumed=refused)


def _quick(source: Source) -> Source:
    """The source with one retry, so that a failing one is said to fail while a person looks on."""
    retry = source.retry.model_copy(update={"max_retries": min(1, source.retry.max_retries)})
    return source.model_copy(update={"retry": retry})


def _impatient(services: Services) -> Callable[[float], None]:
    """Sleeps for seconds as the services do, and raises RateLimited where a person would wait too long."""

    def sleep(seconds: float) -> None:
        if seconds > _PATIENCE:
            raise RateLimited(f"the source or our own limit asks for {seconds:.0f} s of silence", hint="Test it again after that")
        services.sleep(seconds)

    return sleep


def _ask(source: Source, reader: Reader, stream: Stream, info: ConnectionInfo) -> StreamProbe:
    began = time.monotonic()
    window = Window(end=clock.now(), full=True)
    try:
        there = stood_for(source, stream, reader, values_of(source, info.extra), clock.now()) if stream.found else [stream]
        # An account without custom objects is well: there is nothing to read.
        page = next(reader.read(there[0], State(), window), None) if there else None
    except SpineError as error:
        error.where = {"source": source.source, "stream": stream.name, **error.where}
        return StreamProbe(stream.name, seconds=time.monotonic() - began, error=error)
    records = page.records if page else ()
    fields = sorted({name for record in records if record.op == "upsert" for name in orjson.loads(record.payload)})
    return StreamProbe(stream.name, len(records), tuple(fields), time.monotonic() - began)
