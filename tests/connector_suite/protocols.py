"""What the suite holds of readers that speak something else than HTTP, on servers of their protocol (`stands.py`).

The same list as `checks.py` has, as far as it applies: what is said of answers of HTTP does not.
"""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from spine.core import clock
from spine.core.errors import AuthFailed, ConnectorError
from spine.sources.reading import Page, State, Window
from spine.sources.spec import Source, Stream
from tests.connector_suite.bench import ids, malformed, said
from tests.connector_suite.stands import SECRET, STANDS, START, Stand

COUNT = 45
LONG = 10_000_000
LONG_ROW = 120_000  # of a file: a field of CSV has a bound of its own, and what is beyond goes to quarantine with the reason


@dataclass(frozen=True)
class Protocol:
    """One stream of one source, and the servers that are here."""

    source: Source
    stream: Stream
    where: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def stand(self, count: int = COUNT, **more: Any) -> Iterator[Stand]:
        """A server of its own with so many records."""
        with tempfile.TemporaryDirectory() as folder:
            made = STANDS[self.source.kind](self.source, self.stream, self.where, Path(folder))
            with made.open() as stand:
                stand.fill(count, **more)
                yield stand

    def read(self, stand: Stand, state: State | None = None, window: Window | None = None, password: str = SECRET) -> list[Page]:
        return list(stand.reader(password).read(self.stream, state or State(), window or stand.full()))

    def again(self, stand: Stand, before: list[Page]) -> list[Page]:
        """What the next run reads."""
        saved, cursor = before[-1].high_water, self.stream.cursor
        start = None
        if cursor is not None and cursor.type == "time" and not self.source.keeps_state and saved:
            start = clock.parse(saved) - cursor.lookback
        return self.read(stand, State(saved), Window(start=start, end=stand.now()))


Checking = Callable[[Protocol], None]
PROTOCOL_CHECKS: dict[str, tuple[Checking, Callable[[Protocol], str]]] = {}


def check(name: str, only: Callable[[Protocol], str] = lambda one: "") -> Callable[[Checking], Checking]:
    """Registers a check; `only` says why it does not apply."""

    def register(run: Checking) -> Checking:
        PROTOCOL_CHECKS[name] = (run, only)
        return run

    return register


def _has_cursor(one: Protocol) -> str:
    return "" if one.stream.cursor else "it has no cursor"


def _has_order(one: Protocol) -> str:
    return "what is kept has no order" if one.source.keeps_state else _has_cursor(one)


def _asks(one: Protocol) -> str:
    return "" if STANDS[one.source.kind].refuses else "its server lets everybody in"  # type: ignore[attr-defined]


@check("pages to the end")
def _pages(one: Protocol) -> None:
    with one.stand() as stand:
        pages = one.read(stand)
        assert malformed(pages) == []
        assert sorted(ids(pages)) == sorted(map(stand.name, stand.rows))
        assert len([page for page in pages if len(page.records)]) > 1, "it was one page"


@check("keys present and unique")
def _keys(one: Protocol) -> None:
    with one.stand() as stand:
        found = ids(one.read(stand))
        assert all(found)
        assert len(set(found)) == len(found) == COUNT


@check("cursor forward", _has_order)
def _cursor(one: Protocol) -> None:
    with one.stand() as stand:
        pages = one.read(stand)
        reached = [page.high_water for page in pages if page.high_water is not None]
        assert reached == sorted(reached), "the cursor goes back"
        assert reached[-1] == max(record.cursor for page in pages for record in page.records if record.cursor)


@check("resume behind each page")
def _resume(one: Protocol) -> None:
    with one.stand() as stand:
        calm, rough, state = one.read(stand), list[Page](), State()
        while not rough or rough[-1].next_token is not None:
            rough.append(next(iter(stand.reader().read(one.stream, state, stand.full()))))
            assert len(rough) < 40, "a reading that begins anew has no end"
            state = State(None, rough[-1].next_token, rough[-1].high_water)
        found = said(rough)
        if one.source.kind == "singer":  # a tap may repeat what came behind its last STATE, and extraction leaves that out
            found = list({name: (name, op, payload) for name, op, payload in found}.values())
        assert found == said(calm)


@check("wrong credentials end it", _asks)
def _refused(one: Protocol) -> None:
    with one.stand() as stand:
        try:
            one.read(stand, password="another-secret")  # pragma: allowlist secret
        except AuthFailed as error:
            told = f"{error} {error.describe()} {error.where}"
        else:
            raise AssertionError("it was let in")
        assert "another-secret" not in told


@check("an empty result is no mistake")
def _empty(one: Protocol) -> None:
    with one.stand(0) as stand:
        pages = one.read(stand)
        assert ids(pages) == []
        assert pages[-1].next_token is None


@check("an incremental read asks for what is new, a late record included", _has_cursor)
def _late(one: Protocol) -> None:
    cursor = one.stream.cursor
    assert cursor is not None
    with one.stand() as stand:
        before = one.read(stand)
        at = START + timedelta(minutes=COUNT) - (timedelta() if one.source.keeps_state else cursor.lookback / 2)
        stand.add(COUNT + 1, at)
        found = ids(one.again(stand, before))
        assert stand.name(COUNT + 1) in found, "the late record is lost"
        assert stand.name(1) not in found, "records of before the cursor came again"


@check("a delete is seen", lambda one: "" if one.stream.deletes.detect in ("sweep", "flag") else "its file sees no deletes")
def _deletes(one: Protocol) -> None:
    with one.stand() as stand:
        before = one.read(stand)
        gone = stand.name(7)
        if one.stream.deletes.detect == "flag":
            stand.add(7, stand.now() - timedelta(days=1), **{one.stream.deletes.field or "": clock.to_text(START)})
            deleted = [record.record_id for page in one.again(stand, before) for record in page.records if record.op == "delete"]
            assert deleted == [gone]
            return
        del stand.rows[7]
        stand.write()
        if one.source.kind == "imap":
            deleted = [record.record_id for page in one.again(stand, before) for record in page.records if record.op == "delete"]
            assert deleted == [gone]
        if one.source.kind != "files":
            assert gone not in ids(one.read(stand))


@check(
    "nulls and fields that nobody declared are kept", lambda one: "a letter has no fields of its own" if one.source.kind == "imap" else ""
)
def _drift(one: Protocol) -> None:
    with one.stand(undeclared="new") as stand:
        told = said(one.read(stand))
        if one.stream.table is not None and one.stream.table.columns:
            return
        assert all(payload["undeclared"] == "new" for _, _, payload in told)
        stand.fill(COUNT, undeclared=None)
        if one.source.kind != "files":
            assert all("undeclared" in payload and payload["undeclared"] is None for _, _, payload in said(one.read(stand)))


@check("what the source lost is told", lambda one: "a letter always has its UID" if one.source.kind in ("imap", "mongodb") else "")
def _lost(one: Protocol) -> None:
    with one.stand() as stand:
        rows = stand.rows
        key, other = stand.former(one.stream.key_fields[0]), "another_name"
        changed = one.stream.model_copy(update={"key": (*one.stream.key_fields, other)}) if one.source.kind == "database" else one.stream
        if one.source.kind != "database":
            stand.rows = {
                number: {name: value for name, value in row.items() if name != key.partition(".")[0]} for number, row in rows.items()
            }
            stand.write()
        try:
            pages = list(stand.reader().read(changed, State(), stand.full()))
        except ConnectorError:
            return
        assert len(malformed(pages)) >= COUNT, "records came without their key"


@check("no secret in tokens, cursors and records")
def _secrets(one: Protocol) -> None:
    with one.stand() as stand:
        pages = one.read(stand)
        text = repr([(page.next_token, page.high_water, page.notes, [record.payload for record in page.records]) for page in pages])
        assert SECRET not in text


@check("a record of 10 MB")
def _large(one: Protocol) -> None:
    with one.stand(3) as stand:
        size = LONG_ROW if one.source.kind == "files" else LONG
        columns = one.stream.table.columns if one.stream.table else ()  # of a table that is read in part, one of those parts is long
        taken = {*map(stand.former, one.stream.key_fields), stand.former(one.stream.cursor.field if one.stream.cursor else "")}
        where = next((name for name in columns if name not in taken), "note")
        stand.add(4, START + timedelta(minutes=4), **{where: "x" * size})
        pages = one.read(stand)
        assert malformed(pages) == []
        assert stand.name(4) in ids(pages)
        longest = max(len(record.payload) for page in pages for record in page.records)
        assert longest > (100_000 if one.source.kind == "imap" else size)  # of a letter so much of its text is kept


@check("flat memory", lambda one: "its rows are in this process" if one.source.kind in ("files",) else "")
def _memory(one: Protocol) -> None:
    with one.stand(400, note="x" * 20_000) as stand:
        one.read(stand, window=Window(start=stand.now(), end=stand.now(), backfill=True))  # what is imported for the first time counts not
        pages = stand.reader().read(one.stream, State(), stand.full())
        before, arrow = pa.total_allocated_bytes(), 0
        tracemalloc.start()
        try:
            for page in pages:
                del page
                arrow = max(arrow, pa.total_allocated_bytes() - before)
            most = tracemalloc.get_traced_memory()[1] + arrow
        finally:
            tracemalloc.stop()
        assert most < 4_000_000, f"{most:,} bytes at once, of 8,000,000 that came"


def judged_protocol(source: Source, where: Mapping[str, Any], held: list[str], failed: list[str], left: list[str]) -> Exception | None:
    """Tries all checks on each stream; the first error, if a check did not hold."""
    from spine.sandbox.vendor import NotCovered

    first: Exception | None = None
    for stream in source.streams:
        one = Protocol(source, stream, where)
        for name, (run, only) in PROTOCOL_CHECKS.items():
            if why := only(one):
                left.append(f"{stream.name}: {name}: {why}")
                continue
            try:
                run(one)
                held.append(f"{stream.name}: {name}")
            except NotCovered as lacking:
                left.append(f"{stream.name}: {name}: {lacking}")
            except Exception as error:  # whatever it is, the check did not hold
                first = first or error
                failed.append(f"{stream.name}: {name}: {type(error).__name__}: {str(error)[:300]}")
    return first
