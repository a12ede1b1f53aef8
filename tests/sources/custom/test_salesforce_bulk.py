"""Many records by a bulk job, few by pages of a query: the same records either way, whatever happens to the job."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from spine.core.errors import AuthFailed
from spine.sandbox.accounts import credentials
from spine.sandbox.bulk import BulkQueries
from spine.sandbox.server import SandboxServer
from spine.sources.custom.salesforce import Reader, bulk
from spine.sources.finding import find
from spine.sources.reading import State, Window
from spine.sources.spec import Stream, load_source

SOURCE = load_source("salesforce")
CONTACTS = SOURCE.stream("contacts")
PROJECTS = Stream.model_validate({
    "name": "projects", "object": "Project__c", "key": ["Id"], "cursor": {"field": "SystemModstamp"}, "paging": {"size": 200},
    "deletes": {"detect": "flag", "field": "IsDeleted"},
})  # fmt: skip
FULL = Window(full=True)


@pytest.fixture(scope="module")
def server():
    with SandboxServer({"default": 900}) as server:
        yield server


@pytest.fixture
def there(server):
    """How many contacts a query finds."""
    return int(server.sandbox.worlds["default"].table("salesforce", "contacts").there.sum())


@pytest.fixture(autouse=True)
def calm(server, monkeypatch):
    """Small pages, no faults, nothing counted."""
    monkeypatch.setattr(bulk, "_ROWS", 300)
    server.sandbox.faults.clear()
    server.sandbox.calls.clear()


def small(stream):
    return stream.model_copy(update={"paging": stream.paging.model_copy(update={"size": 200})})


def reading(server, salesforce_client, bulk_from, stream=CONTACTS, window=FULL):
    reader = Reader(SOURCE, salesforce_client(server), {"bulk_from": bulk_from})
    return list(reader.read(small(stream), State(), window))


def said(pages):
    return {record.record_id: (record.op, record.cursor, orjson.loads(record.payload)) for page in pages for record in page.records}


def notes(pages):
    return [note for page in pages for note in page.notes]


def asked(server, part):
    return [call for call in server.sandbox.calls if part in call.path]


KINDS = [stream for stream in SOURCE.streams if stream.name not in ("objects", "object")]


@pytest.mark.parametrize("stream", [*KINDS, PROJECTS], ids=lambda stream: stream.name)
def test_a_job_brings_what_the_query_brings(server, salesforce_client, stream, monkeypatch):
    monkeypatch.setattr("spine.sandbox.salesforce._batch_size", lambda header: 5)
    by_job, by_query = (said(reading(server, salesforce_client, limit, stream)) for limit in (1, 0))
    assert by_job == by_query
    assert by_job
    assert len(asked(server, "/results")) >= 1


def test_custom_objects_are_found_by_their_names(server, salesforce_client):
    wanted, template = {"objects": ["*__c", "*__x"]}, SOURCE.stream("object")
    reader = Reader(SOURCE, salesforce_client(server), wanted)
    there = find(SOURCE, template, reader, wanted, {}, server.sandbox.now)
    (projects,) = there.streams(template)
    assert projects.name == "object_project_c"
    assert said(list(reader.read(small(projects), State(), FULL))) == said(reading(server, salesforce_client, 0, PROJECTS))
    assert list(find(SOURCE, template, reader, {"objects": None}, {}, server.sandbox.now).entries) == []


def test_an_object_without_time_of_change_and_flag_is_read_whole(server, salesforce_client):
    users = PROJECTS.model_copy(update={"object": "User"})
    window = Window(server.sandbox.now - timedelta(days=10), server.sandbox.now)
    pages = reading(server, salesforce_client, 0, users, window)
    assert {op for op, _, _ in said(pages).values()} == {"upsert"}
    assert not asked(server, "/deleted/")
    server.sandbox.faults.add("schema_change", field="SystemModstamp")
    whole = reading(server, salesforce_client, 0, users, window)
    assert len(said(whole)) == 18 > len(said(pages))


def test_a_job_is_taken_away_at_its_end_and_the_choice_is_told(server, salesforce_client, there):
    pages = reading(server, salesforce_client, 500)
    assert notes(pages) == [f"read by a bulk job ({there} records)"]
    assert [call.method for call in asked(server, "/jobs/query")].count("DELETE") == 1
    assert len(asked(server, "/results")) == 3


def test_few_records_cost_no_call_more(server, salesforce_client):
    assert notes(reading(server, salesforce_client, 20_000)) == []
    assert len(asked(server, "/services/data")) == 5  # pages of 200


def test_a_job_reads_a_window_with_its_deletes(server, salesforce_client):
    start = server.sandbox.now + timedelta(seconds=1)
    for words in ({"changed": 250, "deleted": 7}, {"purged": 3}):
        server.sandbox.advance(source="salesforce", stream="contacts", at=(start + timedelta(minutes=5)).isoformat(), **words)
    window = Window(start, start + timedelta(hours=1))
    by_job, by_query = (reading(server, salesforce_client, limit, window=window) for limit in (100, 0))
    assert said(by_job) == said(by_query)
    assert sum(op == "delete" for op, _, _ in said(by_job).values()) == 10
    assert notes(by_job)[0].startswith("read by a bulk job (25")


def test_a_run_that_dies_behind_any_page_of_a_job_goes_on_with_it(server, salesforce_client, resume, there):
    class Anew:
        def read(self, *what):
            return Reader(SOURCE, salesforce_client(server), {"bulk_from": 500}).read(*what)

    pages = resume(Anew(), small(CONTACTS), FULL)
    assert said(pages) == said(reading(server, salesforce_client, 0))
    assert len([call for call in server.sandbox.calls if call.method == "POST" and "jobs" in call.path]) == 1
    assert sum(len(page.records) for page in pages) == there
    assert pages[0].kept


def test_a_job_that_is_gone_meanwhile_is_replaced_by_the_query(server, salesforce_client, there):
    reader = Reader(SOURCE, salesforce_client(server), {"bulk_from": 500})
    first = next(iter(reader.read(small(CONTACTS), State(), FULL)))
    job = asked(server, "/jobs/query")[0]
    assert job.method == "POST"
    vendor = Reader(SOURCE, salesforce_client(server))
    vendor.bulk.remove(orjson.loads(first.next_token)[4])
    pages = list(Reader(SOURCE, salesforce_client(server)).read(small(CONTACTS), State(None, first.next_token), FULL))
    assert len(said(pages)) == there
    assert "the bulk job is gone" in notes(pages)[0]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "job_failed", "path": "/jobs/query/"},
        {"kind": "server_error", "status": 404, "path": "/jobs/query", "count": None},
        {"kind": "server_error", "status": 400, "path": "/jobs/query", "count": None},
        {"kind": "server_error", "status": 404, "path": "/describe", "count": None},
    ],
    ids=["it fails", "there are none", "it is refused", "types are not known"],
)
def test_without_a_job_the_query_reads_all(server, salesforce_client, fault, there):
    server.sandbox.faults.add(**fault)
    pages = reading(server, salesforce_client, 500)
    assert len(said(pages)) == there
    assert any("by pages of" in note for note in notes(pages))


def test_fields_that_may_not_be_read_are_missing_in_jobs_too(server, salesforce_client, there):
    for name in ("Title", "MailingCity"):
        server.sandbox.faults.add("schema_change", field=name)
    pages = reading(server, salesforce_client, 500)
    assert {name for page in pages for name in page.unreadable} == {"Title", "MailingCity"}
    assert notes(pages) == [f"read by a bulk job ({there} records)"]
    assert not any({"Title", "MailingCity"} & set(payload) for _, _, payload in said(pages).values())


def test_a_query_that_never_comes_to_an_end_is_left_to_a_job(server, salesforce_client, there):
    server.sandbox.faults.add("query_timeout", path="/queryAll", count=None)
    pages = reading(server, salesforce_client, 20_000)
    assert notes(pages) == ["read by a bulk job (the query takes too long)"]
    assert len(said(pages)) == there


def test_a_query_that_is_too_long_for_an_address_is_left_to_a_job(server, salesforce_client, monkeypatch):
    monkeypatch.setattr("spine.sources.custom.salesforce.account._LONGEST", 100)
    assert notes(reading(server, salesforce_client, 20_000)) == ["read by a bulk job (the query is longer than an address)"]


def test_compound_fields_are_left_to_the_query(server, salesforce_client):
    with_address = CONTACTS.model_copy(update={"fields": (*CONTACTS.fields, "MailingAddress")})
    assert not Reader(SOURCE, salesforce_client(server), {"bulk_from": 1}).takes(with_address)


def test_results_without_a_line_of_names_have_those_that_were_asked_for():
    assert bulk._table(b'"1","a, ""b""\nc"\n"2",""\n', ["Id", "Name"]) == (["Id", "Name"], [["1", "2"], ['a, "b"\nc', ""]])
    assert bulk._table(b"name,ID\nx,1\n", ["Id", "Name"]) == (["name", "ID"], [["x"], ["1"]])
    assert bulk._table(b"", ["Id"]) == ([], [])


@pytest.mark.slow
def test_fifty_thousand_contacts_take_at_most_thirty_calls(salesforce_client, monkeypatch):
    monkeypatch.setattr(bulk, "_ROWS", 25_000)
    with SandboxServer({"default": 20}) as server:
        records = [{"LastName": f"n{number}"} for number in range(50_000)]
        server.sandbox.load(source="salesforce", stream="contacts", records=records, replace=True)
        for limit, most, told in ((0, 30, []), (20_000, 12, ["read by a bulk job (50,000 records)"])):
            server.sandbox.calls.clear()
            pages = list(Reader(SOURCE, salesforce_client(server), {"bulk_from": limit}).read(CONTACTS, State(), FULL))
            assert sum(len(page.records) for page in pages) == 50_000
            assert len(server.sandbox.calls) <= most
            assert notes(pages) == told


def test_each_login_of_the_file_opens_the_account(server, salesforce_client, there):
    key, known = rsa.generate_private_key(public_exponent=65537, key_size=2048), credentials("default")
    server.sandbox.tokens.keys["default"] = key.public_key()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()  # fmt: skip
    person = {"username": known.username, "user_password": known.user_password}
    ways = [({"auth": "client_credentials"}, ""), ({"auth": "username", **person}, ""), ({"auth": "jwt", **person}, pem)]
    for extra, secret in ways:
        server.sandbox.tokens.expire()
        client = salesforce_client(server, extra, secret)
        assert sum(len(page.records) for page in Reader(SOURCE, client).read(CONTACTS, State(), FULL)) == there
    server.sandbox.tokens.expire()
    with pytest.raises(AuthFailed):
        list(Reader(SOURCE, salesforce_client(server, {"auth": "username", **person, "user_password": "x"})).read(CONTACTS, State(), FULL))


assert BulkQueries.largest >= 25_000  # or the sandbox would cut what a call asks for
