"""The suite on small sources that speak no HTTP; and each handling taken away once, which the suite must see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from spine.core.errors import SourceRejected, SourceUnavailable
from spine.sources import files, imap
from spine.sources.database import reader as database
from spine.sources.database import values
from spine.sources.imap import reader as mailbox
from spine.sources.imap import server
from spine.sources.reading import Window
from spine.sources.recording import Recorder
from spine.sources.rest.recording import Recording
from spine.sources.singer import reader as tap
from spine.sources.singer import running
from tests.connector_suite.protocol_specs import SMALL_PROTOCOLS
from tests.connector_suite.protocols import PROTOCOL_CHECKS, Protocol
from tests.connector_suite.stands import SECRET
from tests.connector_suite.verdicts import judged

WHERE = {"sqlite": True}
Patch = tuple[Any, str, Any]


@pytest.mark.slow
@pytest.mark.parametrize("source", SMALL_PROTOCOLS.values(), ids=SMALL_PROTOCOLS)
def test_a_small_source_is_read_as_it_says(source):
    verdict = judged(source, where=WHERE)
    if verdict.error is not None:
        raise AssertionError(verdict.text()) from verdict.error
    assert verdict.held


_PAGES, _TOLD, _RECORDS, _RECORD, _BOUNDS = (
    database._Reading.pages, mailbox.Known.told, Recorder.records, Recorder.record, database.bounds_of,
)  # fmt: skip


def _one_page(self: Any) -> Any:
    yield next(iter(_PAGES(self)))


def _without_field(self: Any, items: Any) -> Any:
    return _RECORDS(self, [{name: value for name, value in one.items() if name != "undeclared"} for one in items])


def _cut_keys(self: Any, items: Any) -> Any:
    return _RECORDS(self, [{**one, "id": str(one["id"])[:1]} for one in items])


def _refusing(*said: Any) -> Any:
    found = list(values.batched(*said))
    if not found:
        raise SourceRejected("no rows")
    return iter(found)


def _late(window: Window) -> Window:
    return replace(window, start=window.end)


def _named(self: Any, item: Any, op: Any = "upsert") -> Any:
    return _RECORD(self, {"id": str(item), **item}, op)


def _telling(self: Any) -> str:
    return orjson.dumps({**orjson.loads(_TOLD(self)), "password": SECRET}).decode()


def _whole(self: Any, *said: Any) -> Any:
    yield from list(_READ(self, *said))


_READ = imap.Reader.read
NEW = "an incremental read asks for what is new, a late record included"
# The check that must fail, the source on which it is tried, and what is taken away.
MUTANTS: list[tuple[str, str, Patch]] = [
    ("pages to the end", "sqlite", (database._Reading, "pages", _one_page)),
    ("keys present and unique", "sqlite", (Recorder, "records", _cut_keys)),
    ("cursor forward", "sqlite", (database, "later", lambda before, now: None)),
    ("resume behind each page", "sqlite", (database, "_place", lambda token, length: None)),
    ("resume behind each page", "tap", (tap, "_state_of", lambda state, window: None)),
    ("resume behind each page", "mail", (mailbox.Known, "parse", classmethod(lambda cls, text: cls()))),
    ("wrong credentials end it", "mail", (server, "_refused", lambda text: SourceUnavailable("not now"))),
    ("an empty result is no mistake", "sqlite", (database.sqlite, "batched", _refusing)),
    (NEW, "sqlite", (database, "bounds_of", lambda cursor, column, window, saved: _BOUNDS(cursor, column, _late(window), saved))),
    (NEW, "tap", (tap, "_state_of", lambda state, window: None)),
    (NEW, "csv", (files, "_manifest", lambda cursor: {})),
    ("a delete is seen", "mail", (mailbox._Reading, "_gone", lambda self: iter(()))),
    ("a delete is seen", "sqlite", (Recording, "_ops", lambda self, records: ["upsert"] * len(records))),
    ("nulls and fields that nobody declared are kept", "sqlite", (Recorder, "records", _without_field)),
    ("what the source lost is told", "tap", (Recorder, "record", _named)),
    ("no secret in tokens, cursors and records", "mail", (mailbox.Known, "told", _telling)),
    ("a record of 10 MB", "tap", (running, "_LONGEST", 1 << 20)),
    ("flat memory", "mail", (imap.Reader, "read", _whole)),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("check", "where", "patch"), MUTANTS, ids=[f"{number}-{one[0]}-{one[1]}" for number, one in enumerate(MUTANTS)])
def test_a_reader_without_a_handling_fails_its_check(monkeypatch, check, where, patch):
    source = SMALL_PROTOCOLS[where]
    run, only = PROTOCOL_CHECKS[check]
    one = Protocol(source, source.streams[0], WHERE)
    assert not only(one)
    monkeypatch.setattr(*patch)
    with pytest.raises(Exception) as failure:  # noqa: PT011  # by whatever a check sees it
        run(one)
    assert not isinstance(failure.value, AttributeError | NameError | TypeError), failure.value


def test_each_check_has_a_mutant():
    assert {check for check, _, _ in MUTANTS} == set(PROTOCOL_CHECKS)
