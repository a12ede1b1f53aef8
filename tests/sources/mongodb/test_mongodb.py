"""Collections are read in the order of their ids from any document on; every type becomes plain JSON."""

from __future__ import annotations

import os
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex
from pymongo import MongoClient

from spine.core.errors import ConfigError, SchemaMismatch, SourceUnavailable
from spine.sources import mongodb
from spine.sources.access import Access, Times
from spine.sources.check import mistakes_of
from spine.sources.reading import Page, State, Window
from spine.sources.spec import Source

FULL = Window(full=True)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server():
    """A server that speaks MongoDB's protocol, with a database to fill, and the account that reads it."""
    folder = os.environ.get("SPINE_SERVERS")
    if not folder:
        pytest.skip("SPINE_SERVERS is not set")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = subprocess.run([Path(folder) / "start_mongo.sh", str(port)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"the server did not start: {done.stderr[-200:]}")
    words = done.stdout.split()
    with MongoClient("127.0.0.1", port) as client:
        yield client["shop"], Access("127.0.0.1", port, "shop", times=Times(10, 60, 60))
    subprocess.run([Path(folder) / "stop.sh", words[words.index("pid") + 1]], check=False, capture_output=True)


def source_with(**stream: Any) -> Source:
    declared = {"name": "people", "key": ["_id"], **stream}
    return Source(source="docs", label="Docs", domain="revops", kind="mongodb", auth={"type": "database"}, streams=[declared])


def read(access: Access, window: Window = FULL, state: State | None = None, **stream: Any) -> list[Page]:
    source = source_with(**stream)
    return list(mongodb.Reader(source, access).read(source.streams[0], state or State(), window))


def records(pages: list[Page]) -> list[Any]:
    return [record for page in pages for record in page.records]


@pytest.fixture
def people(server):
    """Documents with ids of several types; every tenth has no time."""
    database, access = server
    database.drop_collection("people")
    rows: list[dict[str, Any]] = []
    for number in range(250):
        name = number if number < 100 else f"n{number:03d}" if number < 200 else ObjectId(f"{number:024x}")
        at = {} if number % 10 == 0 else {"at": START.replace(day=1 + number // 10)}
        rows.append({"_id": name, "number": number, **at})
    database["people"].insert_many(rows)
    return access


def test_a_collection_is_read_from_any_document_on_whatever_its_ids_are(people):
    pages = read(people, paging={"size": 40}, cursor={"field": "at"})
    straight = records(pages)
    assert [orjson.loads(record.payload)["number"] for record in straight] == list(range(250))
    for page in pages[:-1]:
        rest = read(people, state=State(None, page.next_token), paging={"size": 40}, cursor={"field": "at"})
        assert records(rest) == straight[len(straight) - len(records(rest)) :]
    assert len(records(read(people, state=State(None, pages[0].next_token)))) == 210
    assert pages[-1].next_token is None
    assert pages[-1].high_water == "2026-01-25T00:00:00.000000Z"


def test_changes_are_those_of_the_window_and_documents_without_a_time(people):
    window = Window(start=START.replace(day=3), end=START.replace(day=5))
    found = [record.cursor for record in records(read(people, window, cursor={"field": "at"}))]
    assert {cursor for cursor in found if cursor} == {"2026-01-04T00:00:00.000000Z", "2026-01-05T00:00:00.000000Z"}
    assert found.count(None) == 25
    backfill = records(read(people, Window(start=START.replace(day=3), end=START.replace(day=5), backfill=True), cursor={"field": "at"}))
    assert {record.cursor for record in backfill} == {"2026-01-03T00:00:00.000000Z", "2026-01-04T00:00:00.000000Z"}
    above = records(read(people, Window(end=START), State(cursor="240".zfill(20)), cursor={"field": "number", "type": "number"}))
    assert len(above) == 9


def test_every_type_becomes_plain_json(server):
    database, access = server
    database.drop_collection("types")
    database["types"].insert_one({
        "_id": ObjectId("0123456789abcdef01234567"), "big": Int64(2**60), "f": 0.1, "nan": float("nan"), "yes": True, "none": None,
        "at": START, "money": Decimal128("12345678901234567890.10"), "raw": b"\x00\xff",
        "ref": Binary(UUID(int=7).bytes, 4), "list": [1, {"deep": ObjectId("0" * 24)}], "like": Regex("^a", "i"), "t": 'é"\\',
    })  # fmt: skip
    (record,) = records(read(access, object="types"))
    found = orjson.loads(record.payload)
    assert record.record_id == found["_id"] == "0123456789abcdef01234567"
    assert '"money":12345678901234567890.10' in record.payload
    assert (found["big"], found["f"], found["nan"], found["yes"], found["none"]) == (2**60, 0.1, "nan", True, None)
    assert (found["at"], found["raw"], found["ref"]) == ("2026-01-01T00:00:00.000000Z", "00ff", str(UUID(int=7)))
    assert (found["list"], found["t"]) == ([1, {"deep": "0" * 24}], 'é"\\')
    assert found["like"] == {"$regularExpression": {"pattern": "^a", "options": "i"}}


def test_fields_are_chosen_and_shaped(people):
    found = records(read(people, fields=["number"], personal={"number": "mask"}))
    assert orjson.loads(found[0].payload) == {"_id": 0, "number": "***"}


def test_what_is_wrong_is_told(server, monkeypatch):
    _, access = server
    with pytest.raises(SchemaMismatch, match="no collection 'nobody'"):
        read(access, object="nobody")
    with pytest.raises(ConfigError, match="names no database"):
        read(Access("127.0.0.1", access.port))
    assert "which is the cursor" in mistakes_of(source_with(fields=["name"], cursor={"field": "at"}))[0][1]
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "10.0.0.0/8")
    with pytest.raises(ConfigError, match="no address that may be called"):
        read(access)


def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceUnavailable):
        read(Access("127.0.0.1", port, "shop", times=Times(1, 1, 1)))
