"""What the suite holds of every connector. A check fails by an AssertionError, or by an error that it did not ask for.

`@check("…")` registers one. It is given a Case, a stream of a source; `only` says for which streams it is meant: the reason why one is
left out, or nothing. Checks of answers are tried on one stream for each way of asking, all others on each.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import orjson
import pyarrow as pa

from spine.core import clock, times
from spine.core.errors import AuthFailed, RateLimited, SchemaMismatch, SourceRejected, SourceUnavailable, SpineError
from spine.core.masking import forms
from spine.core.placeholders import names_in
from spine.http.rules import rule_for
from spine.http.transport import Response
from spine.sandbox.vendor import Answer, Call, NotCovered
from spine.sandbox.vendor.encoding import document
from spine.sandbox.vendor.writing import names_at
from spine.sources.reading import Page, State, Window
from spine.sources.rest.requester import request_of
from spine.sources.rest.stages import Stages
from spine.sources.spec import Source, Stream
from tests.connector_suite.bench import Bench, bench_of, ids, malformed, said
from tests.connector_suite.relay import KNOWN, Relay

Trouble = Callable[[Call, int], Answer | None]
PATIENCE = 0.3  # seconds for which an answer may be silent where one is; it is so for thrice that
LONG = 100_000  # letters of a field in a large page
_RECORDS = 20_000


@dataclass(frozen=True)
class Readings:
    """One stream read in one go and from behind each of its pages, and what its vendor says of that."""

    calm: list[Page]
    rough: list[Page]
    rows: int
    jobs: int
    secrets: list[str]
    fault: str


@dataclass(frozen=True)
class Case:
    """One stream of one source."""

    source: Source
    stream: Stream

    @cached_property
    def readings(self) -> Readings:
        """Two readings that nothing disturbs, which several checks look at."""
        with self.bench() as bench:
            calm, rough = bench.pages(self.name), bench.killed(self.name)
            vendor = bench.vendor
            if isinstance(vendor, Relay):
                KNOWN[self.source.source, self.name] = len(set(ids(calm)))
            return Readings(
                calm, rough, bench.rows(self.name), len(vendor.jobs.jobs) if self.stream.job else 0, vendor.secrets, vendor.fault()
            )

    @contextmanager
    def bench(self, **vendor: Any) -> Iterator[Bench]:
        """A vendor of its own."""
        with bench_of(self.source, **vendor) as bench:
            bench.vendor.expect(self.name)
            yield bench

    @property
    def name(self) -> str:
        return self.stream.name

    @cached_property
    def uncovered(self) -> str:
        """What of the stream the vendor made from its file does not understand; empty if it understands all of it."""
        if self.source.kind != "generic":
            return ""
        try:
            with self.bench() as bench:
                try:
                    pages = bench.pages(self.name)
                    if self.source.reader is not None:
                        complete(self, bench, pages)
                except (SpineError, AssertionError) as error:
                    if self.source.reader is not None:
                        return f"it has steps of its own, which a server of the file's words does not meet: {error}"
                return "; ".join(dict.fromkeys(bench.vendor.lacks))
        except NotCovered as lacking:
            return str(lacking)


@dataclass(frozen=True)
class Check:
    """One thing that holds; `each` stream, or one for each way of asking."""

    name: str
    run: Callable[[Case], None]
    only: Callable[[Case], str]
    each: bool
    made: bool

    def left(self, case: Case) -> str:
        """Why it is not tried on a stream; empty if it is."""
        if self.made and case.source.kind != "generic":
            return "its server is not made from the file"
        return self.only(case)


CHECKS: dict[str, Check] = {}


def check(
    name: str, only: Callable[[Case], str] = lambda case: "", *, each: bool = False, made: bool = False
) -> Callable[[Callable[[Case], None]], Any]:
    """Registers a check."""

    def register(run: Callable[[Case], None]) -> Callable[[Case], None]:
        CHECKS[name] = Check(name, run, only, each, made)
        return run

    return register


def way(stream: Stream) -> Any:
    """What tells one way of asking from another: streams that differ in nothing of it meet the same handling."""
    paging = stream.paging
    return (
        paging.type, getattr(paging, "into", ""), stream.response.type, stream.job is not None, bool(stream.body),
        stream.field_list is not None, stream.auth.type if stream.auth else "", stream.method, bool(stream.parent), repr(stream.errors),
    )  # fmt: skip


# What an answer may be like that is none


def once(answer: Answer, at: int = 1, times: int = 1) -> Trouble:
    """The same answer in place of some of those for records, from the one with this number on."""
    return lambda call, number: answer if at <= number < at + times else None


def always(answer: Answer) -> Trouble:
    return lambda call, number: answer


def refused(status: int, **headers: str) -> Answer:
    return Answer.of({"message": "no"}, status, **{name.replace("_", "-"): value for name, value in headers.items()})


PAGE = Answer(200, b"<!doctype html><html><title>We are back soon</title></html>", {"Content-Type": "text/html"})


def ruled(case: Case, answer: Answer) -> str:
    """Why the usual does not hold of an answer: the file has a rule for it."""
    rules = [*case.stream.errors, *case.source.errors]
    found = rule_for(rules, Response(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body, "a call"))
    return f"a rule of the file says {found.then} of {answer.status}" if found else ""


def usual(*answers: Answer) -> Callable[[Case], str]:
    return lambda case: next((why for answer in answers if (why := ruled(case, answer))), "")


def repeatable(case: Case) -> bool:
    """Whether the stream's request may be sent twice."""
    asked = [case.stream, *([case.stream.job.create] if case.stream.job else [])]
    return all(request_of(one.model_copy(update={"path": "", "host": None}), {}).repeatable for one in asked)


def complete(case: Case, bench: Bench, pages: list[Page]) -> None:
    """All records of the vendor are there, each once, none spoilt."""
    found = ids(pages)
    assert bench.vendor.fault() == ""
    assert malformed(pages) == []
    assert len(set(found)) == bench.rows(case.name)
    assert len(found) == len(set(found)) or case.stream.cursor is not None  # spans share their boundary


def through(case: Case, trouble: Trouble, patience: float = 20) -> Bench:
    """A reading with a trouble that passes; where a request may not be sent twice, the next attempt goes on from what was committed."""
    with case.bench(patience=patience) as bench:
        bench.vendor.trouble = trouble
        pages: list[Page] = []
        for attempt in range(3):
            state = State(None, pages[-1].next_token, pages[-1].high_water, answered=True, within=pages[-1].parents) if pages else State()
            try:
                for page in bench.reader().read(bench.source.stream(case.name), state, bench.full()):
                    pages.append(page)
                break
            except (SourceUnavailable, RateLimited):
                if repeatable(case) or attempt == 2:
                    raise
        complete(case, bench, pages)
        assert bench.vendor.asked >= 2, "nothing was asked again"
        return bench


def fails(case: Case, trouble: Trouble, error: type[SpineError], most: int | None = None) -> SpineError:
    """A reading that ends with this error, after so many questions at most; none of the account's secrets is in what it says."""
    with case.bench() as bench:
        bench.vendor.trouble = trouble
        found: list[Page] = []
        try:
            for page in bench.reader().read(bench.source.stream(case.name), State(), bench.full()):
                found.append(page)
                assert len(found) < _RECORDS, "the reading has no end"
        except error as failure:
            told = failure
        else:
            raise AssertionError(f"it ended well, with {sum(len(page.records) for page in found)} records")
        assert most is None or bench.vendor.asked <= most, f"asked {bench.vendor.asked} times"
        hidden(bench, f"{told} {told.describe()} {told.where}")
        return told


def hidden(bench: Bench, text: str) -> None:
    """No form of a secret is in a text."""
    assert [secret for secret in bench.vendor.secrets if any(form in text for form in forms(secret))] == []


# Reading


@check("pages to the end", each=True)
def _pages(case: Case) -> None:
    read = case.readings
    assert read.fault == ""
    assert malformed(read.calm) == []
    assert 0 < read.rows == len(set(ids(read.calm)))
    assert len(ids(read.calm)) == read.rows or case.stream.cursor is not None  # spans share their boundary


@check("keys present and unique", each=True)
def _keys(case: Case) -> None:
    told: dict[str, str] = {}
    for record in (record for page in case.readings.calm for record in page.records):
        assert record.record_id
        assert "malformed" not in record.record_id
        assert told.setdefault(record.record_id, record.payload) == record.payload, "one key, two records"
    assert len(told) == case.readings.rows


def _cursor_only(case: Case) -> str:
    return "" if case.stream.cursor else "it has no cursor"


@check("cursor forward", _cursor_only, each=True)
def _cursor(case: Case) -> None:
    pages = case.readings.calm
    assert all(record.cursor is not None for page in pages for record in page.records)
    reached = [page.high_water for page in pages if page.high_water is not None]
    assert reached == sorted(reached), "the cursor goes back"
    assert reached[-1] == max(record.cursor for page in pages for record in page.records if record.cursor)


@check("resume behind each page", each=True)
def _resume(case: Case) -> None:
    assert said(case.readings.rough) == said(case.readings.calm)


@check("no secret in tokens, cursors and records", each=True)
def _secrets(case: Case) -> None:
    read = case.readings
    told = [(page.next_token, page.high_water, page.notes, page.skipped, page.parts) for page in (*read.calm, *read.rough)]
    text = repr([told, [record.payload for page in read.calm for record in page.records]])
    assert [secret for secret in read.secrets if any(form in text for form in forms(secret))] == []


@check("each job ordered once", lambda case: "" if case.stream.job else "it has no job", each=True)
def _jobs(case: Case) -> None:
    assert 0 < case.readings.jobs <= 2 * max(1, len({tuple(page.parts) for page in case.readings.calm}))


@check("a job that fails is no empty result", lambda case: "" if case.stream.job else "it has no job", each=True)
def _failed_job(case: Case) -> None:
    job = case.stream.job
    assert job is not None
    with case.bench() as bench:
        bench.vendor.jobs.ending = job.failed[0]
        with suppress(SourceUnavailable):
            pages = bench.pages(case.name)
            raise AssertionError(f"the job failed, and {len(pages)} pages came")


@check("an incremental read asks for what is new, a late record included", _cursor_only, each=True, made=True)
def _incremental(case: Case) -> None:
    cursor = case.stream.cursor
    assert cursor is not None
    with case.bench() as bench:
        calm = bench.pages(case.name)
        saved = calm[-1].high_water
        if saved is None:
            raise AssertionError("nothing to go on from")
        table = bench.vendor.tables[case.name]
        number = cursor.type == "number"
        fine = not number and cursor.lookback / 2 >= max(times.grain(cursor.format), times.grain(cursor.reads or "iso_seconds"))
        late = int(saved) + 1 if number else clock.parse(saved) - (cursor.lookback / 2 if fine else timedelta())
        row = table.add(late)
        parts = {name: saved for page in calm for name in page.parts}
        window = Window(None if number else clock.parse(saved) - cursor.lookback, bench.vendor.now)
        asked, bounded = len(bench.vendor.calls), len(bench.vendor.starts)
        found = bench.pages(case.name, State(saved, None, None, parts, answered=True), window)
        assert bench.vendor.fault() == ""
        old = [
            record.cursor for page in found for record in page.records if record.cursor and _before(record.cursor, window, saved, number)
        ]
        assert old == [], "records of before the cursor came again"
        told = [payload for _, _, payload in said(found)]
        assert any(row.name in orjson.dumps(payload).decode() for payload in told), "the late record is lost"
        assert len(bench.vendor.calls) > asked
        if cursor.since or "start" in names_in(_asked_texts(case.stream)):
            assert len(bench.vendor.starts) > bounded, "everything was asked for"


def _token_only(case: Case) -> str:
    return "" if case.stream.changes else "its changes are not told by a token"


def tokens(pages: list[Page]) -> dict[str, str]:
    """The tokens of changes that a reading has left, by part."""
    return {"|".join(page.parts): page.change_token for page in pages if page.change_token is not None}


def asked_since(case: Case, bench: Bench, known: dict[str, str]) -> list[Page]:
    """What is told since these tokens, in one go, which is the same from behind each page."""
    state, window = State(None, None, None, known), Window(end=bench.vendor.now)
    calm = bench.pages(case.name, state, window)
    assert said(bench.killed(case.name, state, window)) == said(calm)
    assert bench.vendor.fault() == ""
    return calm


@check("since a token what has changed is told, and what is gone", _token_only, each=True, made=True)
def _changes(case: Case) -> None:
    with case.bench() as bench:
        known = tokens(bench.pages(case.name))
        table = bench.vendor.tables[case.name]
        assert len(known) == len(table.rows)
        assert ids(asked_since(case, bench, known)) == []
        scope, rows = next(iter(table.rows.items()))
        gone, new = rows[1], [table.add(bench.vendor.now, scope) for _ in range(3)]
        if case.stream.changes and case.stream.changes.removed:
            table.drop(gone)
        else:
            table.flag(gone, bench.vendor.now)
        found = asked_since(case, bench, known)
        told = {(record.op, name) for page in found for record in page.records for name in [record.record_id.rpartition("|")[2]]}
        assert told == {("delete", gone.name), *(("upsert", row.name) for row in new)}
        assert len(ids(found)) == 4, "something else came"
        assert ids(asked_since(case, bench, {**known, **tokens(found)})) == [], "the token did not move"


@check("a token that is refused is no end: everything is read, once, and a new one kept", _token_only, each=True, made=True)
def _refused_token(case: Case) -> None:
    with case.bench() as bench:
        known = tokens(bench.pages(case.name))
        bench.vendor.log.forget(case.name)
        found = asked_since(case, bench, known)
        complete(case, bench, found)
        assert all(page.anew for page in found)
        assert sum(bool(page.notes) for page in found) == len(known), "nobody is told"
        assert ids(asked_since(case, bench, tokens(found))) == []


def _asked_texts(stream: Stream) -> Any:
    words = {"path", "params", "headers", "body", "job"}
    return [one.model_dump(include=words, exclude_none=True) for one in (stream, stream.later) if one is not None]


def _before(cursor: str, window: Window, saved: str, number: bool) -> bool:
    return cursor <= saved if number else window.start is not None and clock.parse(cursor) <= window.start


@check("an empty result is no mistake", lambda case: "it always has one record" if case.stream.key == "singleton" else "", made=True)
def _empty(case: Case) -> None:
    with case.bench(count=0, few=0) as bench:
        pages = bench.pages(case.name)
        assert ids(pages) == []
        assert bench.vendor.fault() == ""


# Credentials


def _ends(case: Case) -> str:
    auth = case.source.auth_of(case.stream, {})
    return "" if auth.type in ("oauth2", "session", "jwt_bearer", "saml_bearer", "digest") else f"auth {auth.type!r} has nothing that ends"


def _signs(case: Case) -> str:
    return "it signs nothing" if case.source.auth_of(case.stream, {}).type == "none" else ""


@check("a token that ends is renewed", _ends, made=True)
def _expiry(case: Case) -> None:
    with case.bench() as bench:
        ends = iter((1, 2))
        due = [next(ends)]

        def trouble(call: Call, number: int) -> Answer | None:
            if due and number >= due[0]:
                bench.vendor.guard(bench.source.stream(case.name)).expire()
                due[:] = [number + 2] if next(ends, None) else []
            return None

        bench.vendor.trouble = trouble
        complete(case, bench, bench.pages(case.name))
        bench.vendor.guard(bench.source.stream(case.name)).expire()
        complete(case, bench, bench.pages(case.name))  # by the rotated grant, which another process has kept


@check("calls are signed", _signs, made=True)
def _signed(case: Case) -> None:
    with case.bench() as bench:
        bench.pages(case.name)
        assert bench.vendor.calls
        assert bench.vendor.fault() == ""


@check("401: refused credentials end it", usual(refused(401)))
def _unauthorized(case: Case) -> None:
    fails(case, always(refused(401)), AuthFailed, most=3)


@check("403: missing rights end it", usual(refused(403)))
def _forbidden(case: Case) -> None:
    fails(case, always(refused(403)), AuthFailed, most=3)


@check("404: what is not there ends it", usual(refused(404)))
def _not_found(case: Case) -> None:
    # A reader of its own may look whether another version of the API is there.
    fails(case, always(refused(404)), SourceRejected, most=1 if case.source.kind == "generic" else 25)


# Limits and failures that pass


@check("429 with Retry-After is waited for", usual(refused(429)))
def _limited(case: Case) -> None:
    bench = through(case, once(refused(429, Retry_After="7"), at=0))
    assert sum(bench.slept) >= 7 or not repeatable(case), f"waited {sum(bench.slept):.1f} s in place of 7"


@check("429 without Retry-After passes", usual(refused(429)))
def _limited_without(case: Case) -> None:
    bench = through(case, once(refused(429), at=0))
    assert bench.slept or not repeatable(case), "did not wait"


@check("429 for long ends the task until then", usual(refused(429)))
def _limited_long(case: Case) -> None:
    wait = case.source.retry.cap + 500
    failure = fails(case, always(refused(429, Retry_After=f"{wait:.0f}")), RateLimited, most=1)
    assert isinstance(failure, RateLimited)
    assert (failure.retry_after or 0) >= case.source.retry.cap


@check("5xx passes", usual(refused(500), refused(503)))
def _unavailable(case: Case) -> None:
    through(case, once(refused(503), at=0))
    most = 1 + case.source.retry.max_retries if repeatable(case) else 1
    fails(case, always(refused(500)), SourceUnavailable, most=most)


@check("a body that is cut off passes")
def _cut(case: Case) -> None:
    through(case, once(Answer(200, b'{"items": [{"id": 1}, ' * 50, {"Content-Type": "application/json"}, cut=True), at=0))


@check("a time-out passes")
def _hangs(case: Case) -> None:
    through(case, once(Answer(200, b"[]", hang=3 * PATIENCE), at=0), PATIENCE)


@check("HTML with 200 is no page", usual(PAGE))
def _html(case: Case) -> None:
    through(case, once(PAGE, at=0))
    fails(case, always(PAGE), SourceUnavailable)


def _telling(case: Case) -> str:
    if case.stream.response.type != "json":
        return "its format has no place for an error"
    return usual(Answer.of({"error": "no"}), Answer.of({"ok": False}))(case)


@check("an error in a 200 is no empty page", _telling, made=True)
def _error_body(case: Case) -> None:
    try:
        nothing = document(case.stream, [], {})
    except NotCovered:
        nothing = {}
    around = nothing if isinstance(nothing, dict) else {}
    fails(case, always(Answer.of({**around, "error": {"code": 17, "message": "wrong"}})), SpineError)
    fails(case, always(Answer.of({**around, "ok": False, "error": "wrong"})), SpineError)


def _says_nothing(stream: Stream, answer: Answer) -> bool:
    """Whether an answer of JSON has no record."""
    with suppress(SpineError, ValueError):
        return stream.response.type == "json" and Stages(stream).select(orjson.loads(answer.body)) == []
    return False


@check(
    "a source that turns no page is left",
    lambda case: "it has one page" if case.stream.paging.type == "none" or case.stream.job else "",
    made=True,
)
def _circles(case: Case) -> None:
    with case.bench(count=7, few=7) as bench:
        first: list[Answer] = []
        vendor = bench.vendor
        tell = vendor._told

        def told(found: Any, call: Call) -> Answer:
            if found.what != "read" or found.stream.name != case.name:
                return tell(found, call)
            if first:
                return first[0]
            answer = tell(found, call)
            if not _says_nothing(case.stream, answer):  # as the first of several spans may
                first.append(answer)
            return answer

        vendor._told = told  # type: ignore[method-assign]
        pages = []
        with suppress(SourceRejected):
            for page in bench.reader().read(bench.source.stream(case.name), State(), bench.full()):
                pages.append(page)
                assert len(pages) < 60, "the reading has no end"
            raise AssertionError("a source that answers the same for ever was read to an end")


# What comes


def _alone(case: Case) -> str:
    stream = case.stream
    if stream.parent or stream.partitions:
        return "each of its parts is a small one"
    return "it has one record" if stream.key == "singleton" else ""


@check("a page of 10 MB", _alone, made=True)
def _large(case: Case) -> None:
    with case.bench(count=105, few=105, size=110) as bench:
        bench.vendor.change = lambda stream, record: {**record, "long": "x" * LONG}
        complete(case, bench, bench.pages(case.name))


def _loses(case: Case) -> str:
    stream = case.stream
    if not stream.key_fields or stream.map_key:
        return "its key is no field of what is sent"
    if stream.response.type == "xml" or stream.compute or stream.field_list or stream.paging.type == "keyset":
        return "what reads the key first says so in other words"
    return ""


@check("what the source lost is told", _loses, made=True)
def _lost(case: Case) -> None:
    key = case.stream.key_fields[0]
    with case.bench() as bench:
        bench.vendor.change = lambda stream, record: _without(record, key) if stream.name == case.name else record
        try:
            pages = bench.pages(case.name)
        except SchemaMismatch:
            return
        raise AssertionError(f"{len(ids(pages))} records came without their key")


def _without(record: Any, path: str) -> Any:
    """The record without the field at a path, wherever it is."""
    name = path.rpartition(".")[2]
    if isinstance(record, dict):
        return {key: _without(value, path) for key, value in record.items() if key != name}
    return record


def _whole(case: Case) -> str:
    stream = case.stream
    if stream.response.type != "json":
        return "its format has no nulls"
    return "it asks for fields by name" if stream.field_list or stream.map_key or stream.columns or names_at(stream.records) else ""


@check("nulls and fields that nobody declared are kept", _whole, made=True)
def _kept(case: Case) -> None:
    with case.bench() as bench:
        bench.vendor.change = lambda stream, record: (
            {**record, "undeclared": {"a": [1]}, "nothing": None} if stream.name == case.name else record
        )
        for _, _, payload in said(bench.pages(case.name)):
            text = orjson.dumps(payload)
            assert b'"undeclared":{"a":[1]}' in text, "a field is lost"
            assert b'"nothing":null' in text, "a null is lost"


def _long(case: Case) -> str:
    """Whether it is the stream of its source on which memory is looked at: tracing is slow."""
    fit = [
        stream for stream in case.source.streams
        if stream.paging.type != "none" and not stream.job and not stream.parent and not stream.partitions and stream.key != "singleton"
        and not (stream.cursor and stream.cursor.windows)
    ]  # fmt: skip
    return "" if fit and fit[0].name == case.name else "another stream of its source is looked at, or none has many pages"


@check("flat memory", _long, made=True)
def _flat(case: Case) -> None:
    assert case.readings.calm  # what is imported with a first reading is no memory of this one
    note = "x" * 50_000
    with case.bench(count=180, few=180) as bench:
        bench.vendor.change = lambda stream, record: {**record, "note": note}
        tracemalloc.start()
        try:
            before, peak = pa.total_allocated_bytes(), 0
            for _ in bench.reader().read(bench.source.stream(case.name), State(), bench.full()):
                held = pa.total_allocated_bytes() - before
                peak = max(peak, tracemalloc.get_traced_memory()[1] + held)
        finally:
            tracemalloc.stop()
        assert peak < 180 * len(note) / 2, f"{peak:,} bytes for {180 * len(note):,} of records"


def streams_for(found: Check, source: Source) -> Iterator[Stream]:
    """The streams of a source on which a check is tried."""
    seen = set()
    for stream in source.streams:
        told = way(stream)
        if found.each or told not in seen:
            seen.add(told)
            yield stream


__all__ = ["CHECKS", "Case", "Check", "streams_for", "timedelta"]
