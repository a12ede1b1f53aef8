"""Tickets, owners, custom objects and associations; merged records; and servers that have less than HubSpot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from spine.core.errors import AuthFailed, SchemaMismatch, SourceRejected
from spine.core.tokens import MemoryTokens
from spine.http.auth import Account, Credentials
from spine.http.client import Client
from spine.http.transport import Transport
from spine.sandbox.accounts import credentials
from spine.sandbox.hubspot import HubSpot
from spine.sandbox.server import SandboxServer
from spine.sources.custom.hubspot import Reader, associations, mistakes, reader
from spine.sources.finding import find
from spine.sources.reading import State, Window
from spine.sources.spec import Stream, load_source

SOURCE = load_source("hubspot")
CONTACTS, OWNERS, LINKS = (SOURCE.stream(name) for name in ("contacts", "owners", "contact_companies"))
CARS = Stream.model_validate({
    "name": "cars", "path": "/crm/v3/objects/2-3465404", "key": ["id"], "cursor": {"field": "hs_lastmodifieddate"},
    "paging": {"size": 100}, "deletes": {"detect": "archived"},
})  # fmt: skip
FULL, WANTED = Window(full=True), {"objects": ["*"]}


@pytest.fixture(scope="module")
def server():
    with SandboxServer({"default": 600}) as server:
        yield server


@pytest.fixture
def reading(server, hubspot_client):
    """Reads a stream; `calls` are those that it made."""
    server.sandbox.calls.clear()

    def read(stream, window=FULL):
        return list(Reader(SOURCE, hubspot_client(server)).read(stream, State(), window))

    return read


def said(pages):
    return {record.record_id: (record.op, orjson.loads(record.payload)) for page in pages for record in page.records}


def paths(server):
    return [call.path for call in server.sandbox.calls]


KINDS = [stream for stream in SOURCE.streams if stream.name not in ("schemas", "object")]


@pytest.mark.parametrize("stream", [*KINDS, CARS], ids=lambda stream: stream.name)
def test_lists_and_searches_bring_each_object_once(server, reading, stream):
    kind = "contacts" if stream.name == "contact_companies" else stream.name
    table = server.sandbox.worlds["default"].table("hubspot", kind)
    everything = reading(stream)
    assert sum(len(page.records) for page in everything) == len(said(everything)) == len(table)
    middle = server.sandbox.now - timedelta(days=15)
    later = reading(stream, Window(middle, server.sandbox.now))
    assert len(said(later)) == sum(int(at) > middle.timestamp() * 1000 for at in table.modified)
    assert sum(op == "delete" for op, _ in said(everything).values()) == int(table.deleted.sum())


def test_a_custom_object_has_all_its_properties(server, reading):
    _, first = next(iter(said(reading(CARS)).values()))
    assert {"model", "year", "color", "date_received", "notes", "hs_lastmodifieddate"} <= set(first["properties"])
    assert paths(server).count("/crm/v3/properties/2-3465404") == 1
    assert list(mistakes(CARS)) == []


def test_custom_objects_are_found_by_their_schemas(server, hubspot_client):
    there = find(SOURCE, SOURCE.stream("object"), Reader(SOURCE, hubspot_client(server), WANTED), WANTED, {}, server.sandbox.now)
    (cars,) = there.streams(SOURCE.stream("object"))
    assert cars.name == "object_cars"
    assert said(list(Reader(SOURCE, hubspot_client(server)).read(cars, State(), FULL))) == said(
        list(Reader(SOURCE, hubspot_client(server)).read(CARS, State(), FULL))
    )


def test_a_token_without_a_scope_is_no_refused_token(make_client):
    scopes = (403, {"status": "error", "message": "This app hasn't been granted all required scopes", "category": "MISSING_SCOPES"})
    refused = Reader(SOURCE, make_client(lambda path, query: scopes), WANTED)
    with pytest.raises(SourceRejected, match="lacks a scope"):
        list(refused.read(OWNERS, State(), FULL))
    (only,) = refused.read(SOURCE.stream("schemas"), State(), FULL)
    assert (len(only.records), only.skipped[:14]) == (0, "custom objects")


def test_owners_are_listed_whole_and_only_those_that_changed_are_kept(server, reading):
    pages = reading(OWNERS, Window(server.sandbox.now - timedelta(days=15), server.sandbox.now))
    assert 0 < len(said(pages)) < len(server.sandbox.worlds["default"].table("hubspot", "owners"))
    assert set(paths(server)) == {"/crm/v3/owners"}


def test_names_of_properties_that_are_too_long_for_an_address_go_into_bodies(server, reading):
    many = CONTACTS.model_copy(update={"fields": (*CONTACTS.fields, *(f"a_rather_long_name_{number:04}" for number in range(400)))})

    def filled(stream):
        whole = said(reading(stream)).items()
        return {name: {key: value for key, value in told["properties"].items() if value} for name, (op, told) in whole if op == "upsert"}

    assert list(filled(many).items()) == list(filled(CONTACTS).items())
    assert any(path.endswith("/batch/read") for path in paths(server))


def test_companies_of_contacts_come_with_more_pages_of_each(server, reading, monkeypatch):
    whole = said(reading(LINKS))
    batches = len([path for path in paths(server) if "associations" in path])
    assert batches == -(-sum(op == "upsert" for op, _ in whole.values()) // 100)
    monkeypatch.setattr(HubSpot, "most_associated", 1)
    assert said(reading(LINKS)) == whole
    several = [payload for op, payload in whole.values() if op == "upsert" and len(payload["to_ids"]) > 1]
    assert several
    assert all(payload["primary_id"] == payload["to_ids"][0] for payload in several)


def test_a_company_that_was_taken_away_is_gone_from_its_contact(server, reading):
    name, payload = next((name, payload) for name, (op, payload) in said(reading(LINKS)).items() if op == "upsert" and payload["to_ids"])
    server.sandbox.links["default", name] = []
    try:
        op, after = said(reading(LINKS))[name]
        assert (op, after["to_ids"], after["primary_id"]) == ("upsert", [], None)
        assert payload["to_ids"]
    finally:
        server.sandbox.links.clear()


def test_a_record_that_was_merged_into_another_is_deleted(server, reading):
    table = server.sandbox.worlds["default"].table("hubspot", "companies")
    companies = SOURCE.stream("companies")
    keep, gone = [name for name, (op, _) in said(reading(companies)).items() if op == "upsert"][:2]
    at = server.sandbox.now + timedelta(minutes=5)
    server.sandbox.merge(source="hubspot", stream="companies", keep=keep, gone=gone, at=at.isoformat())
    found = said(reading(companies, Window(server.sandbox.now + timedelta(minutes=1), at + timedelta(hours=1))))
    assert found[keep][0] == "upsert"
    assert found[gone] == ("delete", {"id": gone, "mergedInto": keep})
    assert len(table) == len(server.sandbox.worlds["default"].table("hubspot", "companies"))


def test_that_a_search_has_a_ceiling_is_told(server, reading, monkeypatch):
    monkeypatch.setattr(reader, "_CEILING", 50)
    pages = reading(CONTACTS, Window(server.sandbox.now - timedelta(days=15), server.sandbox.now))
    (note,) = [note for page in pages for note in page.notes]
    assert "changes are searched by their time" in note


def test_an_app_refreshes_its_token(server):
    known = credentials("default")

    def client(secret):
        extra = {"auth": "oauth", "refresh_token": known.refresh_token}
        account = Account(Credentials(server.url, known.client_id, secret, extra), MemoryTokens(), Transport().send)
        return Client(server.url, Transport(), SOURCE.auth_of(None, extra).signer(account), sleep=lambda seconds: None)

    signed = client(known.client_secret)
    assert said(list(Reader(SOURCE, signed).read(OWNERS, State(), FULL)))
    server.sandbox.tokens.expire()
    assert said(list(Reader(SOURCE, signed).read(OWNERS, State(), FULL)))
    with pytest.raises(AuthFailed):
        list(Reader(SOURCE, client("x")).read(OWNERS, State(), FULL))


def contact(number, **more):
    at = f"2026-01-0{number}T00:00:00.000Z"
    return {"id": str(number), "properties": {"email": f"{number}@x.example"}, "createdAt": at, "updatedAt": at, "archived": False, **more}


class Small:
    """A server with a list alone, which heeds none of its parameters; it reads any text as true, so nobody may say `archived=false`."""

    def __init__(self, make_client, *rows):
        self.rows, self.asked = list(rows), []
        self.client = make_client(self.serve)

    def serve(self, path, query):
        self.asked.append((path, query))
        if path == "/crm/v3/objects/contacts":
            assert query.get("archived") != "false"
            return {"results": self.rows}
        if path.startswith("/crm/v4/objects/contacts/"):
            return {"results": [{"toObjectId": 7, "associationTypes": []}] if path.endswith("/1/associations/companies") else []}
        return 404, {"message": "no such path"}

    def read(self, stream, window=FULL):
        return list(Reader(SOURCE, self.client).read(stream, State(), window))


def test_a_server_without_a_search_is_listed_and_its_living_records_stay(make_client):
    vendor = Small(make_client, contact(1), contact(2), contact(3))
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    pages = vendor.read(CONTACTS, window)
    assert {name: op for name, (op, _) in said(pages).items()} == {"2": "upsert"}
    assert any("no search" in note for page in pages for note in page.notes)
    assert {op for op, _ in said(vendor.read(CONTACTS)).values()} == {"upsert"}


def test_a_server_without_batches_is_asked_for_the_companies_of_each_contact(make_client):
    vendor = Small(make_client, contact(1), contact(2))
    assert {name: payload["to_ids"] for name, (_, payload) in said(vendor.read(LINKS)).items()} == {"1": ["7"], "2": []}


def test_an_answer_without_associations_is_no_empty_list(make_client):
    client = make_client(lambda path, query: {"message": "wrong"})
    with pytest.raises(SchemaMismatch, match="no associations"):
        associations.Associations(client, "contacts", "companies").of([{"id": "1"}])
