"""Extraction: read each planned stream into Bronze exactly once. `planning` says what to read, `closing` ends the run.

Order within a stream: pages are committed with their resume token, then the cursor Variable moves, then the run log says so.
Whatever dies in between is done again by the same call: what is committed is found in the table's log and not read twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from spine.control import connections, drift, events, ledger, locks, runs
from spine.control.airflow_state import ConnectionInfo
from spine.control.cursors import Cursor, Cursors
from spine.core import clock
from spine.core.errors import AuthFailed, DeleteSweepRefused, SpineError, StreamStopped, as_ours
from spine.core.events import DriftDetected
from spine.core.failpoints import failpoint
from spine.core.names import bronze_table, schema_variable, silver_table
from spine.core.screen import logger
from spine.core.settings import settings
from spine.lake.bronze import BronzeWriter, Envelope, Progress, Unseen, digest_of, digests_of_run, living_unseen, newest_in, rows_of_run
from spine.lake.generations import Generation
from spine.lake.paths import table_uri
from spine.pipeline.finding import discover, stream_of
from spine.pipeline.parts import PartCursors
from spine.pipeline.planning import plan
from spine.pipeline.rereading import Reread
from spine.pipeline.services import Services, fingerprint, ignored, open_reader
from spine.pipeline.work import StreamRead, StreamWork
from spine.sources.columns import Records
from spine.sources.coverage import Watch
from spine.sources.reading import MALFORMED, Page, Parents, Record, State, Window
from spine.sources.shape import Shape, ShapeWatch, held_to, words_of
from spine.sources.spec import load_source
from spine.sources.spec.streams import TOLD

__all__ = ["extract", "plan"]
_log = logger(__name__)
_LEASE = 900.0
_RENEW = 30.0
_WATCHED, _ENOUGH = 5000, 50  # records of an ordinary run that are looked at for fields that are always empty, and how few tell nothing


def extract(work: StreamWork, services: Services, *, within: float | None = None) -> StreamRead:
    """Read one stream into Bronze and move its cursor; call it again with the same work after any failure.

    Raises the SpineError that stopped it, StreamStopped if it takes longer than `within` seconds; the pages before it stay committed.
    """
    return _Extraction(work, services, within).run()


class _Extraction:
    """One stream of one connection in one run."""

    def __init__(self, work: StreamWork, services: Services, within: float | None = None) -> None:
        self.work, self.services = work, services
        self.within, self._began = within, time.monotonic()
        self.source = load_source(work.source)
        self.stream = stream_of(self.source, work.stream, services.variables, work.connection_id)
        self.database = services.database.of(work.tenant)
        self.row = runs.SyncRun(work.source, work.run_id, work.connection_id, work.mode)
        self.cursors = Cursors(services.variables, self.database, work.connection_id)
        self.progress = Progress(window_end=work.window_end)
        self.watch = Watch(self.stream) if work.dry_run else Watch(self.stream, _WATCHED, _ENOUGH)
        self.shape = ShapeWatch()
        self.known = Shape()
        self.cursor_from: str | None = None
        self.notes: tuple[str, ...] = ()
        self.cursor_field: str | None = None
        self.saved: Cursor | None = None
        self._read_rows = 0  # records that came from the source, by this attempt and those before it
        self._newest: dict[str, tuple[str, str, str]] | None = None
        self._committed: set[str] = set()
        self._reread: Reread | None = None
        self.info: ConnectionInfo | None = None
        self._renewed = 0.0

    def run(self) -> StreamRead:
        try:
            self._renew(take=True)
            runs.start_stream(self.database, self.row, self.stream.name)
            self.saved = saved = self.cursors.show(self.stream.name)
            self.cursor_from = saved.value if saved else None
            self.cursor_field = saved.field if saved else None
            cursor_to = self._dry_run() if self.work.dry_run else self._read()
        except SpineError as error:
            self._locate(error)
            if isinstance(error, AuthFailed) and self.info is not None:
                connections.refused(self.database, self.work.connection_id, fingerprint(self.database, self.info))
            self._failed(error)
            raise
        except Exception as error:
            ours = as_ours(error)
            self._locate(ours)
            self._failed(ours)
            raise ours from error
        except BaseException:  # a time-out or an order from outside, at any line
            ours = StreamStopped("the reading of the stream was stopped")
            self._locate(ours)
            self._failed(ours)
            raise
        counts = self._counts(cursor_to)
        runs.finish_stream(self.database, self.row, self.stream.name, "success", counts)
        coverage = self.watch.result()
        for warning in coverage.warnings(self.stream):
            _log.warning("%s: %s; check the path in the source's file", self.stream.name, warning)
        skipped = tuple(self.progress.skipped)
        return StreamRead(
            self.work, counts, self.progress.deletes, self.progress.version, self.notes, coverage, self.progress.skips, skipped
        )

    def _failed(self, error: SpineError) -> None:
        runs.finish_stream(self.database, self.row, self.stream.name, "failed", self._counts(None), error=error)

    def _read(self) -> str | None:
        uri = table_uri(bronze_table(self.source.source, self.stream.name))
        envelope = Envelope(self.work.tenant, self.source.source, self.stream.name, self.work.connection_id, self.work.pages_of)
        generation = Generation(bronze_table(self.source.source, self.stream.name), envelope) if self.work.mode == "resync" else None
        end = self.work.window_end
        writer = generation.writer(end) if generation else BronzeWriter(uri, envelope, window_end=end)
        done = writer.committed
        self.progress = done or self.progress
        self._read_rows = self.progress.rows + self.progress.unchanged
        self.parts = self._part_cursors(writer.parts_so_far() if done else None)
        self.parts.parents = Parents(*done.parents) if done and done.parents else None
        window = self._window(self.progress.window_end)
        if done is None or done.token is not None:
            self._read_pages(writer, window)
        skips = writer.pending.skips
        if skips:
            _log.warning("%s: %s requests were skipped, so that nothing is taken for deleted", self.stream.name, skips)
        if generation is not None:
            self._swap(generation, writer)
        elif (window.full or (writer.pending.anew and not self.stream.in_parts)) and self._sweeps() and not skips:
            self._sweep(writer, living_unseen(uri, envelope, malformed=MALFORMED))
        elif self._reread is not None and not skips:
            self._sweep(writer, self._reread.unseen(uri, envelope))
        if done is None or generation is not None or done.token is not None or writer.committed != done:
            self._balance(writer, uri)
        failpoint("extract.before_cursor")
        self.progress = replace(self.progress, skips=skips, skipped=writer.pending.skipped)
        moved = self._move_cursor(writer.pending.high_water)
        self._tell_drift()
        return moved

    def _read_pages(self, writer: BronzeWriter, window: Window) -> None:
        done = writer.committed
        self._reread = Reread.of(self.stream, window, self.parts, first=done is None)
        if done is not None and self.source.kind == "singer":
            self._committed = digests_of_run(table_uri(bronze_table(self.source.source, self.stream.name)), writer.envelope)
        self.known = Shape.from_json(self.services.variables.get(schema_variable(self.work.connection_id, self.stream.name)))
        try:
            for sent in self._pages(window, done):
                read = Records.of(sent.records)
                records = Records.of(held_to(self.known, self.stream.drift, read))
                page = replace(sent, records=records)
                self.watch.see(records)
                self.shape.see(read)
                if self._reread is not None:
                    self._reread.see(read)
                self._read_rows += len(records)
                news = self._news(records, writer)
                reached = page.parents
                if writer.add(
                    news.batch, page.next_token, page.high_water, unchanged=len(records) - len(news), parts=self.parts.see(page),
                    parents=(reached.reached, reached.held) if reached else (), skipped=page.skipped, anew=page.anew,
                ):  # fmt: skip
                    self.progress = writer.committed or self.progress
                if page.kept:
                    writer.flush(always=True)
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
        self.notes += ignored(self.info)
        for note in self.notes:
            _log.warning("%s", note)
        if self.stream.found is not None and self.stream.template is None:  # the plan could not ask what it stands for
            found = discover(self.source, self.stream, self.work.tenant, self.info, self.work.run_id, self.services)
            self.notes += (f"{len(found.streams(self.stream))} streams were found, which the next run reads",)
            return
        reader = open_reader(
            self.source, self.work.tenant, self.info, self.work.run_id, self.services, self._sleep,
            stream=self.stream, pages=done.pages if done else 0, size=done.bytes if done else 0, ahead=not self.work.dry_run,
        )  # fmt: skip
        state = State(
            self.cursor_from, done.token if done else None, done.high_water if done else None, self.parts.old,
            self.saved.parents if self.saved else None, self.parts.parents, answered=bool(done and done.pages > done.skips),
        )  # fmt: skip
        for page in reader.read(self.stream, state, window):
            self.notes += tuple(page.notes)
            self.shape.unreadable.update(page.unreadable)
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
        self.parts = self._part_cursors(None)
        for page in self._pages(self._window(self.work.window_end), None):
            records = Records.of(page.records)
            self.watch.see(records)
            self.progress = self.progress.left_out(page.skipped) if page.skipped else self.progress
            self.progress = replace(
                self.progress,
                rows=self.progress.rows + len(records),
                deletes=self.progress.deletes + records.deletes,
                pages=self.progress.pages + 1,
                bytes=self.progress.bytes + records.letters,
            )
            self._renew()
        return self.cursor_from

    def _sweeps(self) -> bool:
        """Whether a full read of this run marks what it has not seen.

        Sources that tell of deletes forget those of long ago, so that somebody's full read sweeps them too; a read that is full only
        because its cursor was of no use does not, since nobody would be there to judge a refusal.
        """
        deletes = self.stream.deletes
        listed = self.stream.changes is not None and self.stream.changes.removed is not None
        if deletes.mode == "ignore" or (deletes.detect == "none" and not listed):
            return False
        if self.stream.cursor is not None and self.stream.cursor.bounded:
            return False  # what is older than its first moment was not looked for
        return deletes.detect == "sweep" or self.work.mode == "full" or self.stream.cursor is None

    def _news(self, records: Records, writer: BronzeWriter) -> Records:
        """The records without those versions of the look-back that are the newest of their key in Bronze already."""
        if self.source.kind == "singer":
            return self._untold(records)
        if self.cursor_from is None or self.stream.changes or self.work.full or self.work.backfill or self.source.keeps_state:
            return records
        latest = max([self.cursor_from, *self.parts.old.values()])
        again = [place for place, cursor in enumerate(records.cursors) if cursor is not None and cursor <= latest]
        if not again:
            return records
        if self._newest is None:
            uri = table_uri(bronze_table(self.source.source, self.stream.name))
            self._newest = newest_in(uri, writer.envelope, self.parts.ranges() or [(self.work.window_start or "", None)])
        known = {place for place, record in zip(again, records.taken(again), strict=True) if not self._is_new(record)}
        return records.taken([place for place in range(len(records)) if place not in known]) if known else records

    def _untold(self, records: Records) -> Records:
        """The records without those that this run has committed: a tap that goes on from a state may repeat what came behind it."""
        if not self._committed:
            return records
        return records.taken([
            place for place, one in enumerate(records) if digest_of(one.record_id, one.op, one.payload) not in self._committed
        ])  # fmt: skip

    def _is_new(self, record: Record) -> bool:
        digest = hashlib.md5(record.payload.encode(), usedforsecurity=False).hexdigest()
        assert self._newest is not None
        return self._newest.get(record.record_id) != (record.op, record.cursor, digest)

    def _sweep(self, writer: BronzeWriter, unseen: Unseen) -> None:
        """Mark as deleted what a full read, or one of the same span again, did not see.

        Raises DeleteSweepRefused if that is too much to be believed.

        A delete has the cursor of the version that it ends: it is later only because it is emitted later, and so is the record that comes
        back as it was.
        """
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
        self._mark(writer, missing)

    def _swap(self, generation: Generation, writer: BronzeWriter) -> None:
        """Let a re-sync's rows take the place of the former ones, of which those that the source does not have any more are marked.

        Raises DeleteSweepRefused if it has none at all.
        """
        if generation.done is None:
            split = self.stream.mapping is not None and self.stream.mapping.split is not None
            silver = table_uri(silver_table(self.source.source, self.stream.silver))
            missing = generation.retired(silver, split=split, malformed=MALFORMED)
            bounded = self.stream.cursor is not None and self.stream.cursor.bounded
            if missing and not writer.pending.rows:
                raise DeleteSweepRefused(
                    f"the source has no record at all, and {len(missing)} are known",
                    hint="Check the account's rights; if they are really gone, read once with mode full",
                )
            if missing and not bounded and not writer.pending.skips:
                self._mark(writer, missing)
            if writer.committed is not None:
                parts = writer.parts_so_far()
                self.progress = replace(self.progress, version=generation.swap(writer.committed, parts))
        generation.forget()

    def _mark(self, writer: BronzeWriter, missing: Mapping[str, str | None]) -> None:
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
        if self.stream.changes is not None:
            return self._move_tokens()
        if self.work.backfill or (self.progress.skips and not self.stream.in_parts):
            return self.cursor_from  # what was skipped is asked for again
        end, field = self.progress.window_end, self.stream.cursor.field if self.stream.cursor else ""
        parts, parents = self.parts.after(end), self.parts.parents_after(end)
        if self.stream.cursor is None:
            high_water = end if parents and parents.startswith(TOLD) else parents  # there is nothing else to go by
        if high_water is None or (self.stream.cursor is None and parents is None):
            return self.cursor_from
        value = high_water
        if not self.source.keeps_state:
            if self.stream.cursor is None or self.stream.cursor.type == "time":
                value = min(value, self.progress.window_end or value)
            if self.cursor_from and not self.work.full:
                value = max(value, self.cursor_from)
        before = (self.cursor_from, self.cursor_field, self.saved.parts if self.saved else None, self.saved.parents if self.saved else None)
        if (value, field, parts, parents) != before:
            self.cursors.move(self.stream.name, value, self.work.run_id, field, parts, parents)
        return value

    def _move_tokens(self) -> str | None:
        """Keep the tokens that later changes are told from; as a time the cursor says when they were taken."""
        end, tokens = self.progress.window_end or clock.to_text(clock.now()), self.parts.after(None)
        if not tokens:
            return self.cursor_from
        self.cursors.move(self.stream.name, end, self.work.run_id, self.stream.told_by, tokens, self.parts.parents_after(end))
        return end

    def _part_cursors(self, done: dict[str, str] | None) -> PartCursors:
        return PartCursors(self.stream, self.saved, done, full=self.work.full, backfill=self.work.backfill)

    def _tell_drift(self) -> None:
        """Record which fields are new or gone since the reads before, and keep what is known now."""
        name = schema_variable(self.work.connection_id, self.stream.name)
        known = Shape.from_json(self.services.variables.get(name))
        now, changes = self.shape.against(known)
        if changes:
            words = words_of(changes)
            _log.warning("%s: %s", self.stream.name, words)
            drift.record(self.database, self.work.connection_id, self.stream.name, self.work.run_id, now.fingerprint, changes)
            events.record(self.database, DriftDetected(self.work.connection_id, self.stream.name, words))
        if now != known and (self.stream.drift == "evolve" or not known):
            self.services.variables.set(name, now.to_json())

    def _sleep(self, seconds: float) -> None:
        """Sleep, and keep the lock meanwhile."""
        while seconds > 0:
            step = min(seconds, _RENEW)
            self.services.sleep(step)
            seconds -= step
            self._renew()

    def _renew(self, *, take: bool = False) -> None:
        """Keep the connection's lock; from time to time is enough.

        Raises SyncInProgress if another run has it, StreamStopped if the stream's time is over.
        """
        now = time.monotonic()
        if self.within is not None and now - self._began > self.within:
            raise StreamStopped(f"the stream was not read to its end within {self.within:g} s")
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
