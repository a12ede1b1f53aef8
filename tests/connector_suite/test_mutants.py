"""Each handling that the suite holds of readers is taken away once, and the suite must see it.

A check that no mutant fails would hold nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from spine.core.errors import SourceRejected, SourceUnavailable
from spine.http import client, transport
from spine.http.auth.api_key import Keys
from spine.http.auth.tokens import Renewing
from spine.http.client import Client
from spine.http.line import Line
from spine.http.paging.pages import Paging
from spine.http.transport import Response
from spine.sources.reading import Turning
from spine.sources.rest import answers, reader
from spine.sources.rest.jobs import Jobs
from spine.sources.rest.place import Place
from spine.sources.rest.reader import Reader
from spine.sources.rest.recording import Recording
from spine.sources.rest.stages import Stages
from tests.connector_suite.checks import CHECKS, Case
from tests.connector_suite.test_sources import SPECS

pytestmark = pytest.mark.slow
Patch = tuple[Any, str, Any]


def _changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Patch:
    """Records as they are selected, each changed."""
    select = Stages.select
    return (Stages, "select", lambda self, body: [change(record) for record in select(self, body)])


def _place(**words: Any) -> Patch:
    """Tokens that lose a part of what they say."""
    parse = Place.parse.__func__  # type: ignore[attr-defined]
    return (Place, "parse", classmethod(lambda cls, token: dataclasses.replace(parse(cls, token), **words)))


def _whole(self: Reader, *args: Any) -> Any:
    yield from list(_READ(self, *args))


def _ended_well(self: Jobs, told: Any) -> str:
    state = _STATE(self, told)
    return self._job.done[0].lower() if state in self._job.failed else state


def _refusing(self: Stages, body: Any) -> list[Any]:
    found = _SELECT(self, body)
    if not found:
        raise SourceRejected("no records")
    return found


_READ, _STATE, _SELECT, _JUDGED = Reader.read, Jobs._state, Stages.select, Client._judge_status
NEW = "an incremental read asks for what is new, a late record included"
SINCE = "since a token what has changed is told, and what is gone"
REFUSED = "a token that is refused is no end: everything is read, once, and a new one kept"
NEVER = (Client, "_again", lambda self, request, error: False)
# The check that must fail, the stream on which it is tried, and what is taken away.
MUTANTS: list[tuple[str, str, Patch]] = [
    ("pages to the end", "paging.by_token", (Paging, "following", lambda self, page: None)),
    ("pages to the end", "cursors.halves", (reader._Reading, "_too_many", lambda self, fetched, seen: False)),
    ("keys present and unique", "paging.counted", _changed(lambda record: {**record, "id": str(record["id"])[:3]})),
    ("cursor forward", "cursors.since", (reader, "later", lambda before, now: None)),
    ("resume behind each page", "paging.by_token", _place(page=None)),
    ("resume behind each page", "cursors.steps", _place(span=None)),
    ("no secret in tokens, cursors and records", "auths.key_param", (Client, "unsigned", lambda self, link: link)),
    ("each job ordered once", "jobs.located", _place(job=None)),
    ("a job that fails is no empty result", "jobs.located", (Jobs, "_state", _ended_well)),
    (NEW, "cursors.everything", (Recording, "_holds", lambda self, cursor: True)),
    (NEW, "cursors.both", (reader, "bounds", lambda *args: {})),
    (SINCE, "changes.synced", (Recording, "changed", lambda self, items, removed: self.all(items))),
    (SINCE, "changes.delta", (reader, "token_in", lambda *args: None)),
    (REFUSED, "changes.events", (reader, "expired_rules", lambda stream: ())),
    (REFUSED, "changes.files", (reader, "first_token", lambda *args: None)),
    ("an empty result is no mistake", "paging.by_token", (Stages, "select", _refusing)),
    ("a token that ends is renewed", "auths.refreshed", (Renewing, "renew", lambda self, request, response: False)),
    ("calls are signed", "auths.bearer", (Keys, "sign", lambda self, request: request)),
    ("401: refused credentials end it", "paging.by_token", (client, "AuthFailed", SourceUnavailable)),
    ("403: missing rights end it", "paging.by_token", (client, "AuthFailed", SourceUnavailable)),
    ("404: what is not there ends it", "paging.by_token", (client, "SourceRejected", SourceUnavailable)),
    ("429 with Retry-After is waited for", "paging.by_token", (client, "wait_of", lambda headers: None)),
    ("429 without Retry-After passes", "paging.by_token", NEVER),
    ("429 for long ends the task until then", "paging.by_token", (Client, "_again", lambda self, request, error: True)),
    ("5xx passes", "paging.by_token", NEVER),
    ("a body that is cut off passes", "paging.by_token", NEVER),
    ("a time-out passes", "paging.by_token", (Line, "patience", lambda self, step=None: 30.0)),
    ("HTML with 200 is no page", "places.table", (Response, "for_people", False)),
    ("HTML with 200 is no page", "paging.by_token", (Response, "json", lambda self: {"items": []})),
    ("an error in a 200 is no empty page", "paging.by_token", (answers, "refuse_error", lambda *args: None)),
    ("a source that turns no page is left", "paging.totalled", (Turning, "see", lambda *args: None)),
    ("a page of 10 MB", "paging.by_token", (transport, "MAX_BODY", 2**20)),
    ("what the source lost is told", "paging.by_token", (reader, "require_fields", lambda *args: None)),
    (
        "nulls and fields that nobody declared are kept", "paging.by_token",
        _changed(lambda record: {name: value for name, value in record.items() if value is not None}),
    ),
    ("flat memory", "paging.numbered", (Reader, "read", _whole)),
]  # fmt: skip


@pytest.mark.parametrize(("check", "where", "patch"), MUTANTS, ids=[f"{number}-{check}" for number, (check, _, _) in enumerate(MUTANTS)])
def test_a_reader_without_a_handling_fails_its_check(monkeypatch, check, where, patch):
    source, _, stream = where.partition(".")
    case = Case(SPECS[source], SPECS[source].stream(stream))
    assert not CHECKS[check].left(case)
    monkeypatch.setattr(*patch)
    with pytest.raises(Exception) as failure:  # noqa: PT011  # by whatever a check sees it
        CHECKS[check].run(case)
    assert not isinstance(failure.value, AttributeError | NameError | TypeError), failure.value


def test_each_check_has_a_mutant():
    assert {check for check, _, _ in MUTANTS} == set(CHECKS)
