"""Extraction: plan what to read, and read each stream into Bronze exactly once. `closing` ends the run.

Order within a stream: pages are committed with their resume token, then the cursor Variable moves, then the run log says so.
Whatever dies in between is done again by the same call: what is committed is found in the table's log and not read twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from spine.control import connections, events, ledger, locks, runs
from spine.control.airflow_state import ConnectionInfo
from spine.control.cursors import Cursor as SavedCursor
from spine.control.cursors import Cursors
from spine.control.database import TenantDatabase
from spine.core import clock
from spine.core.errors import AuthFailed, DeleteSweepRefused, LakeError, SpineError, SyncInProgress
from spine.core.events import DriftDetected, SyncStarted
from spine.core.failpoints import failpoint
from spine.core.names import bronze_table, connection_id, schema_variable
from spine.core.screen import logger
from spine.core.settings import settings
from spine.lake.bronze import BronzeWriter, Envelope, Progress, living_unseen, newest_since, rows_of_run
from spine.lake.delta_sql import table_at
from spine.lake.paths import table_uri
from spine.pipeline.services import Services, fingerprint, open_reader, resume_if_changed
from spine.pipeline.work import StreamRead, StreamWork, Sync
from spine.sources.coverage import Watch
from spine.sources.reading import MALFORMED, Page, Record, State, Window
from spine.sources.shape import Shape, ShapeWatch
from spine.sources.spec import Cursor, Source, Stream, load_source

_log = logger(__name__)
_QUEUE = 3600.0  # seconds for which a planned run keeps its connection while its streams wait for a slot
_LEASE = 900.0
_RENEW = 30.0
_WATCHED, _ENOUGH = 5000, 50  # records of an ordinary run that are looked at for fields that are always empty, and how few tell nothing


def plan(sync: Sync, services: Services, *, whole: bool = False) -> list[StreamWork]:
    """What to read: one work per tenant and stream. Takes the connections' locks and opens the run rows.

    A `whole` plan leaves no tenant out because its connection is busy: then it gives back what it has taken and raises SyncInProgress, so
    that it may be tried again later.

    A tenant whose connection is paused or busy is left out if others remain; otherwise its error (AuthFailed, SyncInProgress, …) is
    raised. Raises ConfigError for unknown names.
    """
    spec = load_source(sync.source)
    sync.require_sound()
    wanted = [spec.stream(name) for name in sync.streams] if sync.streams else list(spec.streams)
    if sync.mode == "renormalize":
        return []
    planning = _Planning(sync, spec, clock.now(), services)
    works: list[StreamWork] = []
    refusal: SpineError | None = None
    for tenant in sync.tenants or services.tenants(sync.source):
        try:
            works += planning.works(tenant, wanted)
        except SpineError as error:
            if whole and isinstance(error, SyncInProgress):
                planning.give_back(works)
                raise
            refusal = refusal or error
            _log.warning("%s: tenant %s is left out: %s", sync.source, tenant, error)
    if refusal is not None and not works:
        raise refusal
    return works


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
            works = [self._work(database, run, stream) for stream in streams]
            runs.start(database, run)
            events.record(database, SyncStarted(run.connection_id, run.run_id, run.mode))
            for stream in streams:
                runs.start_stream(database, run, stream.name)
        except SpineError:
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
        )

    def _window_start(self, cursors: Cursors, stream: Stream) -> tuple[datetime | None, bool]:
        """Where a stream's window begins, and whether everything is to be read."""
        if self.sync.backfill:
            return self.sync.interval_start, False
        if self.sync.mode == "full" or stream.cursor is None:
            return None, True
        if self.source.kind == "files":
            return None, False
        saved = cursors.show(stream.name)
        if saved is None or _of_another_field(saved, stream.cursor):
            return None, True
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


def extract(work: StreamWork, services: Services) -> StreamRead:
    """Read one stream into Bronze and move its cursor; call it again with the same work after any failure.

    Raises the SpineError that stopped it; the pages before it stay committed.
    """
    return _Extraction(work, services).run()


class _Extraction:
    """One stream of one connection in one run."""

    def __init__(self, work: StreamWork, services: Services) -> None:
        self.work, self.services = work, services
        self.source = load_source(work.source)
        self.stream = self.source.stream(work.stream)
        self.database = services.database.of(work.tenant)
        self.row = runs.SyncRun(work.source, work.run_id, work.connection_id, work.mode)
        self.cursors = Cursors(services.variables, self.database, work.connection_id)
        self.progress = Progress(window_end=work.window_end)
        self.watch = Watch(self.stream) if work.dry_run else Watch(self.stream, _WATCHED, _ENOUGH)
        self.shape = ShapeWatch()
        self.cursor_from: str | None = None
        self.notes: tuple[str, ...] = ()
        self.cursor_field: str | None = None
        self._read_rows = 0  # records that came from the source, by this attempt and those before it
        self._newest: dict[str, tuple[str, str, str]] | None = None
        self.info: ConnectionInfo | None = None
        self._renewed = 0.0

    def run(self) -> StreamRead:
        try:
            self._renew(take=True)
            runs.start_stream(self.database, self.row, self.stream.name)
            saved = self.cursors.show(self.stream.name)
            self.cursor_from = saved.value if saved else None
            self.cursor_field = saved.field if saved else None
            cursor_to = self._dry_run() if self.work.dry_run else self._read()
        except SpineError as error:
            self._locate(error)
            if isinstance(error, AuthFailed) and self.info is not None:
                connections.refused(self.database, self.work.connection_id, fingerprint(self.database, self.info))
            runs.finish_stream(self.database, self.row, self.stream.name, "failed", self._counts(None), error=error)
            raise
        counts = self._counts(cursor_to)
        runs.finish_stream(self.database, self.row, self.stream.name, "success", counts)
        coverage = self.watch.result()
        for warning in coverage.warnings(self.stream):
            _log.warning("%s: %s; check the path in the source's file", self.stream.name, warning)
        return StreamRead(self.work, counts, self.progress.deletes, self.progress.version, self.notes, coverage)

    def _read(self) -> str | None:
        uri = table_uri(bronze_table(self.source.source, self.stream.name))
        envelope = Envelope(self.work.tenant, self.source.source, self.stream.name, self.work.connection_id, self.work.run_id)
        writer = BronzeWriter(uri, envelope, window_end=self.work.window_end)
        done = writer.committed
        self.progress = done or self.progress
        self._read_rows = self.progress.rows + self.progress.unchanged
        window = self._window(self.progress.window_end)
        if done is None or done.token is not None:
            self._read_pages(writer, window)
        if window.full and self._sweeps():
            self._sweep(writer, uri, envelope)
        if done is None or done.token is not None or writer.committed != done:
            self._balance(writer, uri)
        failpoint("extract.before_cursor")
        moved = self._move_cursor(writer.pending.high_water)
        self._tell_drift()
        return moved

    def _read_pages(self, writer: BronzeWriter, window: Window) -> None:
        done = writer.committed
        try:
            for page in self._pages(window, done):
                self.watch.see(page.records)
                self.shape.see(page.records)
                self._read_rows += len(page.records)
                news = self._news(page.records, writer)
                if writer.add(news, page.next_token, page.high_water, unchanged=len(page.records) - len(news)):
                    self.progress = writer.committed or self.progress
                self._renew()
        except SpineError:
            writer.flush()  # whole pages with their token: the retry need not ask for them again
            self.progress = writer.committed or self.progress
            raise
        writer.flush()
        self.progress = writer.committed or self.progress

    def _pages(self, window: Window, done: Progress | None) -> Iterator[Page]:
        self.info = self.services.connections(self.work.connection_id)
        reader = open_reader(
            self.source, self.work.tenant, self.info, self.work.run_id, self.services, self._sleep,
            pages=done.pages if done else 0, size=done.bytes if done else 0,
        )  # fmt: skip
        state = State(self.cursor_from, done.token if done else None, done.high_water if done else None)
        for page in reader.read(self.stream, state, window):
            self.notes += tuple(page.notes)
            yield page

    def _window(self, window_end: str | None) -> Window:
        """The window of this run's first attempt, also if a later plan had another end."""
        start = self.work.window_start
        return Window(
            start=clock.parse(start) if start else None,
            end=clock.parse(window_end) if window_end else None,
            full=self.work.full,
            backfill=self.work.backfill,
        )

    def _dry_run(self) -> str | None:
        """Read and count, commit nothing."""
        for page in self._pages(self._window(self.work.window_end), None):
            self.watch.see(page.records)
            self.progress = replace(
                self.progress,
                rows=self.progress.rows + len(page.records),
                deletes=self.progress.deletes + sum(record.op == "delete" for record in page.records),
                pages=self.progress.pages + 1,
                bytes=self.progress.bytes + sum(len(record.payload) for record in page.records),
            )
            self._renew()
        return self.cursor_from

    def _sweeps(self) -> bool:
        """Whether a full read of this run marks what it has not seen.

        Sources that tell of deletes forget those of long ago, so that somebody's full read sweeps them too; a read that is full only
        because its cursor was of no use does not, since nobody would be there to judge a refusal.
        """
        deletes = self.stream.deletes
        if deletes.mode == "ignore" or deletes.detect == "none":
            return False
        return deletes.detect == "sweep" or self.work.mode == "full" or self.stream.cursor is None

    def _news(self, records: Sequence[Record], writer: BronzeWriter) -> Sequence[Record]:
        """The records without those versions of the look-back that are the newest of their key in Bronze already."""
        if self.cursor_from is None or self.work.full or self.work.backfill or self.source.kind == "files":
            return records
        again = {number for number, record in enumerate(records) if record.cursor is not None and record.cursor <= self.cursor_from}
        if not again:
            return records
        if self._newest is None:
            uri = table_uri(bronze_table(self.source.source, self.stream.name))
            self._newest = newest_since(uri, writer.envelope, self.work.window_start or "")
        return [record for number, record in enumerate(records) if number not in again or self._is_new(record)]

    def _is_new(self, record: Record) -> bool:
        digest = hashlib.md5(record.payload.encode(), usedforsecurity=False).hexdigest()
        assert self._newest is not None
        return self._newest.get(record.record_id) != (record.op, record.cursor, digest)

    def _sweep(self, writer: BronzeWriter, uri: str, envelope: Envelope) -> None:
        """Mark as deleted what a full read did not see. Raises DeleteSweepRefused if that is too much to be believed.

        A delete has the cursor of the version that it ends: it is later only because it is emitted later, and so is the record that comes
        back as it was.
        """
        unseen = living_unseen(uri, envelope, malformed=MALFORMED)
        missing, alive = unseen.missing, unseen.alive
        if missing and unseen.nameless:
            _log.warning(
                "%s: %s records have no key that can be read; the %s that were not seen are not taken for deleted",
                self.stream.name, unseen.nameless, len(missing),
            )  # fmt: skip
            return
        share = self.stream.deletes.max_share
        if alive and len(missing) / alive > share:
            raise DeleteSweepRefused(
                f"{len(missing)} of {alive} records were not seen, more than {share:.0%}",
                hint="Check the source; raise `deletes.max_share` in its file if they are really gone",
            )
        self._read_rows += len(missing)
        deletes = [Record(name, "delete", cursor, "{}", "") for name, cursor in missing.items()]
        size = settings().batch_size
        for start in range(0, len(deletes), size):
            writer.add(deletes[start : start + size], None, writer.pending.high_water)
        writer.flush()
        self.progress = writer.committed or self.progress

    def _balance(self, writer: BronzeWriter, uri: str) -> None:
        """Hold that each record that was read is in Bronze, or is the newest version there already. Raises ConservationFailed."""
        published = rows_of_run(uri, writer.envelope) + writer.pending.unchanged
        line = ledger.Line("bronze", bronze_table(self.source.source, self.stream.name), self._read_rows, published)
        line.require_balance(self.work.run_id)
        ledger.record(self.database, self.work.run_id, line)

    def _move_cursor(self, high_water: str | None) -> str | None:
        """The cursor after this run; it never passes the window's end, since what changed later may not have been read."""
        if self.work.backfill or high_water is None or self.stream.cursor is None:
            return self.cursor_from
        value = high_water
        if self.source.kind != "files":
            value = min(value, self.progress.window_end or value)
            if self.cursor_from and not self.work.full:
                value = max(value, self.cursor_from)
        if (value, self.stream.cursor.field) != (self.cursor_from, self.cursor_field):
            self.cursors.move(self.stream.name, value, self.work.run_id, self.stream.cursor.field)
        return value

    def _tell_drift(self) -> None:
        """Record which fields are new or gone since the reads before, and keep what is known now."""
        name = schema_variable(self.work.connection_id, self.stream.name)
        known = Shape.from_json(self.services.variables.get(name))
        now, words = self.shape.against(known)
        if words:
            _log.warning("%s: %s", self.stream.name, words)
            events.record(self.database, DriftDetected(self.work.connection_id, self.stream.name, words))
        if now != known:
            self.services.variables.set(name, now.to_json())

    def _sleep(self, seconds: float) -> None:
        """Sleep, and keep the lock meanwhile."""
        while seconds > 0:
            step = min(seconds, _RENEW)
            self.services.sleep(step)
            seconds -= step
            self._renew()

    def _renew(self, *, take: bool = False) -> None:
        """Keep the connection's lock; from time to time is enough. Raises SyncInProgress if another run has it."""
        now = time.monotonic()
        if take:
            locks.acquire(self.database, self.work.connection_id, self.work.run_id, ttl=_LEASE)
        elif now - self._renewed >= _RENEW:
            locks.renew(self.database, self.work.connection_id, self.work.run_id, ttl=_LEASE)
        else:
            return
        self._renewed = now

    def _counts(self, cursor_to: str | None) -> runs.StreamResult:
        done = self.progress
        return runs.StreamResult(done.rows, done.bytes, done.pages, self.cursor_from, cursor_to)

    def _locate(self, error: SpineError) -> None:
        facts = {"connection": self.work.connection_id, "stream": self.stream.name, "page": self.progress.pages + 1}
        error.where = {**facts, **error.where}
        error.args = (error.describe(),)
