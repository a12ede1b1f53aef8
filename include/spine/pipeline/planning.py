"""What a run of a source reads: one work per tenant and stream, with its window, under the lock of the tenant's connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from spine.control import connections, events, ledger, locks, runs
from spine.control.cursors import Cursor as SavedCursor
from spine.control.cursors import Cursors
from spine.control.database import TenantDatabase
from spine.core import clock
from spine.core.errors import ConfigError, LakeError, SpineError, SyncInProgress, as_ours
from spine.core.events import SyncStarted
from spine.core.names import bronze_table, connection_id
from spine.core.screen import logger
from spine.core.settings import settings
from spine.lake.delta_sql import table_at
from spine.lake.paths import table_uri
from spine.pipeline.finding import expanded
from spine.pipeline.services import Services, resume_if_changed
from spine.pipeline.work import StreamWork, Sync
from spine.sources.spec import Cursor, Source, Stream, load_source

_log = logger(__name__)
_QUEUE = 3600.0  # seconds for which a planned run keeps its connection while its streams wait for a slot


def plan(sync: Sync, services: Services, *, whole: bool = False) -> list[StreamWork]:
    """What to read: one work per tenant and stream. Takes the connections' locks and opens the run rows.

    A `whole` plan leaves no tenant out because its connection is busy: then it gives back what it has taken and raises SyncInProgress, so
    that it may be tried again later.

    A tenant whose connection is paused or busy is left out if others remain; otherwise its error (AuthFailed, SyncInProgress, …) is
    raised. Raises ConfigError for unknown names.
    """
    spec = load_source(sync.source)
    sync.require_sound()
    if sync.mode == "resync" and sync.backfill:
        raise ConfigError("a re-sync reads everything: an interval has no meaning for it", hint="Run it without one", source=sync.source)
    wanted = [spec.stream(name) for name in sync.streams] if sync.streams else list(spec.streams)
    if sync.backfill and not sync.streams:
        wanted = _bounded(wanted) or wanted
    if sync.mode == "renormalize":
        return []
    planning = _Planning(sync, spec, clock.now(), services)
    works: list[StreamWork] = []
    refusal: SpineError | None = None
    for tenant in sync.tenants or services.tenants(sync.source):
        try:
            works += planning.works(tenant, wanted)
        except Exception as error:  # whatever one tenant has in its Variables and Connection
            if whole and isinstance(error, SyncInProgress):
                planning.give_back(works)
                raise
            told = as_ours(error, tenant=tenant)
            refusal = refusal or told
            _log.warning("%s: tenant %s is left out: %s", sync.source, tenant, told, exc_info=not isinstance(error, SpineError))
    if refusal is not None and not works:
        raise refusal
    return in_turn(works)


def _bounded(streams: Sequence[Stream]) -> list[Stream]:
    """The streams that an interval of time can bound, where nobody has named any."""
    left = [stream.name for stream in streams if stream.changes is not None]
    if left:
        _log.warning("%s: left out, since their changes are told by a token and no interval bounds them", ", ".join(left))
    return [stream for stream in streams if stream.changes is None]


def in_turn(works: Sequence[StreamWork]) -> list[StreamWork]:
    """The works so that each tenant's first comes before anybody's second: slots are given in this order."""
    place: Counter[str] = Counter()
    turns = []
    for work in works:
        turns.append(place[work.tenant])
        place[work.tenant] += 1
    return [work for _, work in sorted(zip(turns, works, strict=True), key=lambda pair: pair[0])]


@dataclass(frozen=True)
class _Planning:
    """What all works of one plan share; windows without an interval of their own end `now`."""

    sync: Sync
    source: Source
    now: datetime
    services: Services

    def works(self, tenant: str, streams: Sequence[Stream]) -> list[StreamWork]:
        """The works of a tenant, whose connection is locked and whose run is open after that."""
        run, database = self._run(tenant), self.services.database.of(tenant)
        resume_if_changed(database, run.connection_id, self.services)
        connections.require_active(database, run.connection_id)
        locks.acquire(database, run.connection_id, run.run_id, ttl=_QUEUE)
        try:
            streams = expanded(self.source, streams, tenant, run.connection_id, run.run_id, self.services)
            works = [self._work(database, run, stream) for stream in streams]
            runs.start(database, run)
            events.record(database, SyncStarted(run.connection_id, run.run_id, run.mode))
            for stream in streams:
                runs.start_stream(database, run, stream.name)
        except Exception:
            locks.release(database, run.connection_id, run.run_id)
            raise
        return works

    def give_back(self, works: Sequence[StreamWork]) -> None:
        """Release the connections of works that are not done now."""
        for tenant in {work.tenant for work in works}:
            run, database = self._run(tenant), self.services.database.of(tenant)
            locks.release(database, run.connection_id, run.run_id)

    def _run(self, tenant: str) -> runs.SyncRun:
        sync = self.sync
        connection = connection_id(sync.source, tenant)
        mode = "dry_run" if sync.dry_run else sync.mode
        return runs.SyncRun(sync.source, sync.run_id, connection, mode, sync.triggered_by, sync.interval_start, sync.interval_end)

    def _work(self, database: TenantDatabase, run: runs.SyncRun, stream: Stream) -> StreamWork:
        cursors = Cursors(self.services.variables, database, run.connection_id)
        start, full = self._window_start(cursors, stream)
        if not full and self._forgotten(database, stream):
            start, full = None, True
        if not full:
            _require_bronze(database, run.source, stream.name)
        return StreamWork(
            source=run.source,
            stream=stream.name,
            tenant=database.tenant,
            connection_id=run.connection_id,
            mode=run.mode,
            run_id=run.run_id,
            window_start=clock.to_text(start) if start else None,
            window_end=clock.to_text(self.sync.interval_end or self.now),
            full=full,
            backfill=self.sync.backfill,
            dry_run=self.sync.dry_run,
            triggered_by=run.triggered_by,
            continues=self._continues(database, run, cursors, stream),
        )

    def _continues(self, database: TenantDatabase, run: runs.SyncRun, cursors: Cursors, stream: Stream) -> str:
        """The run whose pages this one goes on from; empty if it begins anew."""
        if self.sync.backfill or self.sync.dry_run:
            return ""
        saved = cursors.show(stream.name)
        return runs.stopped(database, run, stream.name, saved.value if saved else None) or ""

    def _forgotten(self, database: TenantDatabase, stream: Stream) -> bool:
        """Whether the source no longer tells all that has changed since the last read: then everything is read again."""
        within = stream.later.within if stream.later else None
        if within is None or self.sync.backfill:
            return False
        last = runs.last_read(database, self.source.source, stream.name)
        return last is None or self.now - last > within

    def _window_start(self, cursors: Cursors, stream: Stream) -> tuple[datetime | None, bool]:
        """Where a stream's window begins, and whether everything is to be read."""
        if self.sync.backfill and stream.changes is not None:
            raise ConfigError(
                f"the changes of {stream.name} are told by a token: no interval of time bounds them",
                hint="Name the other streams, or read everything by a run of mode full",
                stream=stream.name,
            )
        if self.sync.backfill and stream.cursor is not None and stream.cursor.type == "number":
            raise ConfigError(
                f"the cursor of {stream.name} is a number: no interval of time bounds it",
                hint="Run without an interval",
                stream=stream.name,
            )
        if self.sync.backfill:
            return self.sync.interval_start, False
        if self.sync.mode in ("full", "resync"):
            return None, True
        if stream.changes is not None:
            saved = cursors.show(stream.name)
            return None, saved is None or saved.field != stream.told_by
        if stream.cursor is None:  # of one whose parents have changed
            saved = cursors.show(stream.name) if stream.parent and stream.parent.changed else None
            return None, saved is None or saved.parents is None
        if self.source.keeps_state:
            return None, False
        saved = cursors.show(stream.name)
        if saved is None or _of_another_field(saved, stream.cursor):
            return None, True
        if stream.cursor.type == "number":
            return None, False
        return clock.parse(saved.value) - stream.cursor.lookback, False


def _require_bronze(database: TenantDatabase, source: str, stream: str) -> None:
    """Raise LakeError if the table is gone to which rows were written: going on from the cursor would make a table without them."""
    table = bronze_table(source, stream)
    if table_at(table_uri(table)) is None and ledger.published(database, "bronze", table):
        raise LakeError(
            f"there is no {table}, though earlier runs wrote rows to it",
            hint="Look whether the lake's storage is mounted. If it was emptied on purpose, run once with mode full",
            lake=settings().lake,
            stream=stream,
        )


def _of_another_field(saved: SavedCursor, cursor: Cursor) -> bool:
    """True if a saved cursor was moved by another field than the stream's cursor has now: then it says nothing of what to read."""
    field = cursor.formerly or cursor.field if saved.field is None else saved.field
    return field not in ("", cursor.field)
