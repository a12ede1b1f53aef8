"""The search endpoint is read around its ceiling of 10,000 results, whatever shares a timestamp."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spine.core.errors import RateLimited, SchemaMismatch
from spine.http.transport import Response
from spine.sandbox import hubspot as vendor
from spine.sandbox.server import SandboxServer
from spine.sandbox.tables import from_millis, record_id, stream_of
from spine.sources.custom.hubspot import Place, Reader
from spine.sources.reading import State, Window
from spine.sources.spec import load_source

SOURCE = load_source("hubspot")
CONTACTS = SOURCE.stream("contacts")
TABLE = stream_of("hubspot", "contacts")


def sized(size: int):
    return CONTACTS.model_copy(update={"paging": CONTACTS.paging.model_copy(update={"size": size})})


@pytest.fixture
def server():
    with SandboxServer({"default": 900}) as server:
        yield server


def changed_in(server, start, end=None) -> list[str]:
    table = server.sandbox.world("default").tables[TABLE]
    times = [from_millis(value) for value in table.modified.tolist()]
    return sorted(record_id(TABLE, slot) for slot, at in enumerate(times) if at > start and (end is None or at <= end))


def ids_of(pages) -> list[str]:
    return sorted(record.record_id for page in pages for record in page.records)


@pytest.mark.parametrize("size", [2, 7, 100])
@pytest.mark.parametrize("bulk", [0, 60], ids=["spread", "many at one moment"])
def test_a_low_ceiling_loses_and_doubles_nothing(server, hubspot_client, resume, monkeypatch, size, bulk):
    monkeypatch.setattr(vendor, "CEILING", 20)
    monkeypatch.setattr(vendor, "_SEARCH_MAX", 100)
    if size == 100:
        monkeypatch.setattr(vendor, "CEILING", 100)
    world = server.sandbox
    start = world.now + timedelta(seconds=1)
    at = (start + timedelta(minutes=30)).isoformat()
    world.advance(source="hubspot", stream="contacts", changed=140, at=at, spread=1200)
    if bulk:
        world.advance(source="hubspot", stream="contacts", changed=bulk, created=5, at=at)
    world.advance(source="hubspot", stream="contacts", deleted=3, at=at)
    window = Window(start, start + timedelta(hours=1))
    pages = resume(Reader(SOURCE, hubspot_client(server)), sized(size), window)
    assert ids_of(pages) == changed_in(server, start)
    assert sum(record.op == "delete" for page in pages for record in page.records) == 3


@pytest.mark.slow
def test_eleven_thousand_records_of_one_moment_and_two_thousand_around(hubspot_client):
    with SandboxServer({"default": 20_000}) as server:
        start = server.sandbox.now + timedelta(seconds=1)
        for count, minute, spread in ((11_000, 30, 0), (1_000, 20, 600), (1_000, 50, 600)):
            at = (start + timedelta(minutes=minute)).isoformat()
            server.sandbox.advance(source="hubspot", stream="contacts", changed=count, at=at, spread=spread)
        expected = changed_in(server, start)
        assert len(expected) > vendor.CEILING
        pages = Reader(SOURCE, hubspot_client(server)).read(sized(200), State(), Window(start, start + timedelta(hours=1)))
        assert ids_of(pages) == expected


def test_a_change_while_reading_shifts_no_page(server, hubspot_client):
    start = server.sandbox.now + timedelta(seconds=1)
    end = start + timedelta(hours=1)
    server.sandbox.advance(source="hubspot", stream="contacts", changed=150, at=(start + timedelta(minutes=30)).isoformat(), spread=1200)
    before = set(changed_in(server, start))
    seen = []
    for number, page in enumerate(Reader(SOURCE, hubspot_client(server)).read(sized(20), State(), Window(start, end))):
        seen += [record.record_id for record in page.records]
        if number < 3:
            server.sandbox.advance(source="hubspot", stream="contacts", changed=10, at=(end + timedelta(minutes=5)).isoformat())
    moved = before - set(changed_in(server, start, end))
    assert set(seen) | moved >= before  # what moved out of the window comes with the next run
    assert len(seen) == len(set(seen))


def test_an_empty_window_ends_at_once(server, hubspot_client):
    start = server.sandbox.now + timedelta(days=1)
    pages = list(Reader(SOURCE, hubspot_client(server)).read(CONTACTS, State(), Window(start, start + timedelta(hours=1))))
    assert ids_of(pages) == []
    assert pages[-1].high_water is None


def test_a_stream_without_archived_records_asks_for_none(server, hubspot_client):
    plain = CONTACTS.model_copy(update={"deletes": CONTACTS.deletes.model_copy(update={"detect": "none"})})
    list(Reader(SOURCE, hubspot_client(server)).read(plain, State(), Window(full=True)))
    assert not [call for call in server.sandbox.calls if call.query.get("archived") == "true"]


def test_a_stream_must_name_its_cursor(server, hubspot_client):
    still = CONTACTS.model_copy(update={"cursor": None})
    with pytest.raises(SchemaMismatch, match="no cursor"):
        list(Reader(SOURCE, hubspot_client(server)).read(still, State(), Window()))


@pytest.mark.parametrize(("policy", "least"), [("DAILY", 3600), ("TEN_SECONDLY_ROLLING", 10), ("SECONDLY", 1)])
def test_a_limit_without_retry_after_waits_as_long_as_its_kind_needs(hubspot_client, server, policy, least):
    client = hubspot_client(server)
    Reader(SOURCE, client)
    with pytest.raises(RateLimited) as caught:
        client.inspect(Response(429, {}, f'{{"policyName":"{policy}"}}'.encode(), "x"))
    assert caught.value.retry_after == least
    client.inspect(Response(429, {"retry-after": "3"}, b"", "x"))


def test_places_survive_as_tokens():
    for place in (Place("live", "12"), Place("changes", None, 5, True), Place("ties", "9", 5), Place("archived")):
        assert Place.load(place.dump()) == place


def test_searches_ask_for_as_many_as_a_page_may_have_and_lists_for_theirs(server, hubspot_client):
    start = server.sandbox.now - timedelta(days=5)
    list(Reader(SOURCE, hubspot_client(server)).read(CONTACTS, State(), Window(start)))
    list(Reader(SOURCE, hubspot_client(server)).read(CONTACTS, State(), Window(full=True)))
    assert {call.body["limit"] for call in server.sandbox.calls if call.body} == {200}
    assert {call.query["limit"] for call in server.sandbox.calls if not call.body} == {"100"}


def test_the_limit_of_searches_is_declared():
    assert (SOURCE.rate_limit.search.requests, SOURCE.rate_limit.search.per) == (5, timedelta(seconds=1))
