"""The next page is asked for while the one before it is worked on: never two, in order, and only where nothing is asked for in vain."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from spine.core.errors import SourceUnavailable
from spine.http.retry import Retry
from spine.sources.loader import reader_for
from spine.sources.reading import State
from spine.sources.rest.stages import Stages
from spine.sources.spec import RateLimit
from tests.http.conftest import Answer, make_vendor
from tests.sources.rest.conftest import FULL, ids, payloads, reading

__all__ = ["make_vendor", "reading"]
TOKENS = {"records": "items", "paging": {"type": "next_token", "next": "next", "param": "after"}}
PAGES = 5


def serve(seen: Any) -> Any:
    number = int(seen.query.get("after", 0))
    return {"items": [{"id": number * 2 + one} for one in range(2)], "next": str(number + 1) if number + 1 < PAGES else None}


def asked_ahead(found: Any, **words: Any) -> Any:
    found.reader = reader_for(found.source, client=found.client, ahead=True, **words)
    return found


def numbers(vendor: Any) -> list[int]:
    return [int(seen.query.get("after", 0)) for seen in vendor.seen]


def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def test_the_next_page_is_asked_for_while_this_one_is_worked_on(reading):
    found = asked_ahead(reading(serve, TOKENS))
    pages = found.reader.read(found.source.streams[0], State(), FULL)
    for number in range(PAGES):
        assert [record.record_id for record in next(pages).records] == [str(number * 2), str(number * 2 + 1)]
        due = list(range(min(number + 2, PAGES)))
        until(lambda due=due: numbers(found.vendor) == due)  # this one and the next one, and no more
    assert list(pages) == []
    assert numbers(found.vendor) == list(range(PAGES)), "each page once and in order"


def test_without_it_a_page_is_asked_for_when_it_is_wanted(reading):
    found = reading(serve, TOKENS)
    pages = found.reader.read(found.source.streams[0], State(), FULL)
    next(pages)
    assert numbers(found.vendor) == [0]
    next(pages)
    assert numbers(found.vendor) == [0, 1]


@pytest.mark.parametrize(
    "stream",
    [
        TOKENS,
        {"records": "items", "paging": {"type": "page", "param": "after", "first": 0, "pages": "pages"}},
        {"records": "items", "partitions": {"team": {"values": ["a", "b"]}}, "path": "/things/{partition.team}", **TOKENS},
    ],
    ids=["token", "number", "partitions"],
)
def test_pages_are_the_same(reading, stream):
    def told(seen: Any) -> Any:
        return {**serve(seen), "pages": PAGES}

    plain = reading(told, stream).pages()
    ahead = asked_ahead(reading(told, stream)).pages()
    assert [(list(page.records), page.next_token, page.high_water) for page in ahead] == [
        (list(page.records), page.next_token, page.high_water) for page in plain
    ]


def test_an_error_is_that_of_its_own_page(reading):
    def told(seen: Any) -> Any:
        return Answer(500) if seen.query.get("after") == "2" else serve(seen)

    found = asked_ahead(reading(told, TOKENS, client={"retry": Retry(max_retries=0)}))
    pages = found.reader.read(found.source.streams[0], State(), FULL)
    assert ids([next(pages), next(pages)]) == ["0", "1", "2", "3"]
    with pytest.raises(SourceUnavailable):
        next(pages)


def test_leaving_waits_for_nothing_and_leaves_no_thread(reading):
    def told(seen: Any) -> Any:
        return Answer(json=serve(seen), hang=60) if "after" in seen.query else serve(seen)

    found = asked_ahead(reading(told, TOKENS))
    pages = found.reader.read(found.source.streams[0], State(), FULL)
    next(pages)
    until(lambda: len(found.vendor.seen) == 2)
    begin = time.monotonic()
    pages.close()
    assert time.monotonic() - begin < 20
    found.vendor.stop.set()
    until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "spine-ahead"]


def after_one_page(found: Any) -> list[int]:
    pages = found.reader.read(found.source.streams[0], State(), FULL)
    next(pages)
    until(lambda: not threads())  # those of other tests end, and one of these pages would stay
    return numbers(found.vendor)


@pytest.mark.parametrize(
    "stream",
    [
        {**TOKENS, "cursor": {"field": "at", "since": "from", "start": "2026-01-01", "windows": {"ceiling": 1000}}},
        {**TOKENS, "method": "POST"},
    ],
    ids=["a page decides what is asked next", "asking might change something"],
)
def test_nothing_is_asked_for_that_might_not_be_wanted(reading, stream):
    assert after_one_page(asked_ahead(reading(serve, stream))) == [0]


def test_a_sources_own_steps_are_taken_one_after_the_other(reading, monkeypatch):
    class Own(Stages):
        """Might count pages."""

    found = asked_ahead(reading(serve, TOKENS))
    found.reader = type(found.reader)(found.source, found.client, {}, Own, ahead=True)
    assert after_one_page(found) == [0]


def test_no_page_of_parents_waits_beside_their_children(reading):
    """A page of parents may have thousands of them: what would be asked for ahead of it would be old when its turn comes."""

    def told(seen: Any) -> Any:
        return serve(seen) if seen.path == "/groups" else {"items": [{"id": f"{seen.path}", "group": seen.path}], "next": None}

    groups = {"name": "groups", "path": "/groups", "key": ["id"], **TOKENS}
    members = {"name": "members", "path": "/groups/{parent.id}/members", "key": ["id"], "parent": {"stream": "groups"}, **TOKENS}
    found = asked_ahead(reading(told, groups, streams=[groups, members]))
    pages = list(found.reader.read(found.source.streams[1], State(), FULL))
    assert len(payloads(pages)) == PAGES * 2
    paths = [seen.path for seen in found.vendor.seen]
    for number, path in enumerate(paths[1:], 1):
        assert path != "/groups" or paths[number - 1] != "/groups", "its parents' children come between two pages of parents"


@pytest.mark.parametrize(
    ("limit", "ours"),
    [({}, True), ({"share": 0.3}, False), ({"leave": 0.1}, False), ({"quotas": [{"requests": 9, "share": 0.5}]}, False)],
)
def test_what_is_left_to_others_is_not_used_ahead(limit, ours):
    assert RateLimit.model_validate(limit).ours is ours
