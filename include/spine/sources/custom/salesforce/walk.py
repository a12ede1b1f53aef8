"""One stream from a place on to its end: pages of a query or results of a job, then the window's deleted records.

The first page of a query says how many records there are (`totalSize`). From `bulk_from` on a job is ordered in its place, which a note of
the page says; where the account has no such jobs, or refuses this one, the query goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spine.core.errors import SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.screen import logger
from spine.sources.columns import Records, latest_of
from spine.sources.custom.salesforce.account import Account
from spine.sources.custom.salesforce.bulk import JobGone
from spine.sources.custom.salesforce.deleted import deleted_in
from spine.sources.custom.salesforce.faults import ABSENT, EXPIRED, reason_of
from spine.sources.custom.salesforce.soql import END, Place, object_of, time_literal
from spine.sources.reading import Page, Record, State, Turning, Window, later, lookup, make_record, position_of, require_fields
from spine.sources.recording import Recorder
from spine.sources.rest import records_of, said_empty
from spine.sources.spec import Stream

_log = logger(__name__)


@dataclass(frozen=True)
class Step:
    """Some rows, and the place that follows them, None at the end of the query. `safe` is where another process goes on in its stead."""

    rows: Sequence[Any]
    following: Place | None
    safe: Place | None = None
    kept: bool = False
    notes: tuple[str, ...] = ()


class Walk:
    """One stream of one reading."""

    def __init__(self, account: Account, stream: Stream, window: Window, state: State) -> None:
        self._account, self._stream, self._window = account, stream, window
        self._place, self._high_water = Place.load(state.token), state.high_water
        self._flag = (stream.deletes.field or "IsDeleted") if stream.deletes.detect == "flag" else ""
        self._cursor = stream.cursor.field if stream.cursor else ""
        self._then_deleted = bool(self._flag and self._cursor) and window.start is not None
        self._recorder = Recorder(stream, window)
        self._known: set[str] = set()  # deletes that the query has told already
        self._told: set[str] = set()  # lost fields that a page has told
        self._no_jobs = False

    def pages(self) -> Iterator[Page]:
        """All pages."""
        turning, place = Turning(self._stream, "the query locator"), self._place
        while not place.deleted:
            step = self._results(place) if place.job else self._query(place)
            following = step.following or (Place(deleted=True) if self._then_deleted else None)
            turning.see(step.rows, place.dump(), following.dump() if following else None)
            records = self._records(step.rows)
            self._known |= {record.record_id for record in records if record.op == "delete"} if records.deletes else set()
            yield self._page(records, (step.safe or following).dump() if following else None, step)
            if following is None:
                return
            place = following
        yield self._page(Records.of(self._deleted()), None, Step([], None))

    def _page(self, records: Records, token: str | None, step: Step) -> Page:
        self._high_water = later(self._high_water, latest_of(records))
        lost = sorted(self._account.lost(self._stream) - self._told)
        self._told |= set(lost)
        for note in step.notes:
            _log.info("%s: %s", self._stream.name, note)
        return Page(records, token, self._high_water, step.notes, step.kept, unreadable=lost)

    def _deleted(self) -> list[Record]:
        self._account.respect_share()
        gone = deleted_in(self._account.service, self._stream, self._window)
        return [record for record in gone if record.record_id not in self._known]

    # By a query

    def _query(self, place: Place) -> Step:
        """The rows at a place and what follows them. A locator that has expired is replaced by a query from the last record on."""
        begins = place == Place() and not self._no_jobs
        if begins and self._account.long(self._stream, self._window) and (step := self._job("the query is longer than an address")):
            return step
        try:
            answer = self._account.ask(self._stream, self._window, place)
        except SourceUnavailable as error:
            if begins and isinstance(error.__cause__, SourceRejected) and (step := self._job("the query takes too long")):
                return step
            raise
        except SourceRejected as error:
            if reason_of(error) not in (EXPIRED, ABSENT) or place.locator is None:
                raise
            return self._query(self._after(place.after))
        found = records_of(self._stream, lookup(answer, "records"), empty=said_empty(answer, "records"))
        rows = _without_attributes(found)
        require_fields(self._stream, rows, *([self._flag] if self._flag else []))
        following = self._following(place, rows, answer)
        total = lookup(answer, "totalSize")
        if begins and following and isinstance(total, int) and total >= self._account.bulk_from > 0:
            if step := self._job(f"{total:,} records"):
                return step
            return Step(rows, following, notes=(f"{total:,} records are read by pages of the query: the account takes no bulk job",))
        # A locator that stays the same is a place of the server's own, which another process does not find again.
        stays = following is not None and following.locator is not None and following.locator == place.locator
        return Step(rows, following, self._after(following.after) if stays and following else None)

    def _following(self, place: Place, rows: Sequence[Any], answer: Any) -> Place | None:
        locator, done = lookup(answer, "nextRecordsUrl") or None, lookup(answer, "done")
        if locator is not None and not isinstance(locator, str):
            raise SchemaMismatch("`nextRecordsUrl` of the answer is no address", stream=self._stream.name)
        after = self._last(rows) or place.after
        if done is True or str(done).lower() == "true":
            locator = None
        elif locator is None and done is not None and after != place.after:
            return self._after(after)  # there is more, and nothing says where
        if locator is not None:
            return Place(locator, after, place.ties)
        return Place(None, after) if place.ties else None

    def _after(self, after: tuple[str, str] | None) -> Place:
        """Behind the last record: first the others of its time."""
        return Place(None, after, ties=after is not None and bool(self._cursor))

    def _last(self, rows: Sequence[Any]) -> tuple[str, str] | None:
        """Time and Id of the last row that says where it stands."""
        for row in reversed(rows):
            moment = position_of(lookup(row, self._cursor), self._cursor).moment() if self._cursor else None
            if lookup(row, "Id") and (moment or not self._cursor):
                return time_literal(moment) if moment else "", str(row["Id"])
        return None

    # By a job

    def _job(self, why: str) -> Step | None:
        """An order of a job, which is kept at once; None where the account takes none."""
        if not self._account.takes(self._stream):
            return None
        try:
            job = self._account.order(self._stream, self._window)
        except SourceRejected as error:
            self._no_jobs = True
            _log.info("%s: no bulk job: %s", self._stream.name, error.message)
            return None
        return Step([], Place(job=job), kept=True, notes=(f"read by a bulk job ({why})",))

    def _results(self, place: Place) -> Step:
        """The next results of a job; when there are none, the job is taken away. One that is gone is replaced by the query."""
        job, bulk = str(place.job), self._account.bulk
        if place.locator == END:
            bulk.remove(job)
            return Step([], None)
        self._account.respect_share()
        try:
            if place.locator is None:
                bulk.wait(job)
            rows, locator = bulk.results(job, object_of(self._stream), place.locator, self._account.asked(self._stream))
        except (JobGone, SourceRejected) as gone:
            self._no_jobs = True
            return Step([], Place(), notes=(f"the bulk job is gone, so that the records are read by pages of a query: {gone}",))
        if rows:
            require_fields(self._stream, rows, *([self._flag] if self._flag else []))
        return Step(rows, Place(locator, job=job), kept=locator == END)

    # Records

    def _records(self, rows: Sequence[Any]) -> Records:
        """The records of rows. Without its flag a deleted record would look like one that came back."""
        bare = [row for row in rows if isinstance(row, dict) and lookup(row, self._flag) is None] if self._flag else []
        if not bare or self._account.service.word == "query":
            return self._recorder.records(rows)
        odd = set(map(id, bare))
        whole = [row for row in rows if id(row) not in odd]
        return Records.joined(self._recorder.records(whole), Records.of([self._flagless(row) for row in bare]))

    def _flagless(self, row: Any) -> Record:
        position = position_of(lookup(row, self._cursor), self._cursor)
        return make_record(self._stream, row, cursor=position.cursor, mistake=position.mistake or f"{self._flag} is missing")


def _without_attributes(rows: Sequence[Any]) -> Sequence[Any]:
    """The rows without the API's own `attributes` (type and versioned URL), in their parents too: they are no data of the record."""
    for row in rows:
        if isinstance(row, dict):
            row.pop("attributes", None)
            _without_attributes([value for value in row.values() if isinstance(value, dict)])
    return rows
