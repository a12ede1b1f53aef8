"""A source of YAML alone: selectors, paging, bounds, flags."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from spine.core.errors import SchemaMismatch, SourceRejected
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.spec import Source

ROWS = [{"id": number, "at": f"2026-01-{number:02d}T00:00:00Z", "gone": number % 5 == 0} for number in range(1, 26)]


def source(**stream) -> Source:
    things = {
        "name": "things", "path": "/things", "records": "data.items", "key": ["id"], "entity": "person",
        "cursor": {"field": "at", "since": "since", "until": "until"}, "deletes": {"detect": "flag", "field": "gone"},
        "paging": {"type": "cursor", "next": "data.next", "param": "at", "size": 10, "size_param": "limit"},
        "mapping": {"fields": {"email": "email"}}, **stream,
    }  # fmt: skip
    return Source.model_validate({"source": "toys", "label": "Toys", "domain": "revops", "streams": [things]})


def serve(path, query):
    rows = [row for row in ROWS if query.get("since", "") < row["at"].replace("Z", ".000000Z") <= query.get("until", "9")]
    start, size = int(query.get("at", 0)), int(query.get("limit", 10))
    more = start + size < len(rows)
    return {"data": {"items": rows[start : start + size], "next": str(start + size) if more else None}}


def read(make_client, spec, window, serve=serve):
    reader = reader_for(spec, client=make_client(serve))
    return list(reader.read(spec.streams[0], State(), window))


def test_a_full_read_takes_everything_and_knows_the_newest(make_client):
    pages = read(make_client, source(), Window(full=True))
    records = [record for page in pages for record in page.records]
    assert [record.record_id for record in records] == [str(row["id"]) for row in ROWS]
    assert [orjson.loads(record.payload) for record in records] == ROWS
    assert {record.record_id for record in records if record.op == "delete"} == {"5", "10", "15", "20", "25"}
    assert (pages[-1].next_token, pages[-1].high_water) == (None, "2026-01-25T00:00:00.000000Z")


def test_reading_goes_on_from_any_token(make_client, resume):
    spec = source()
    pages = resume(reader_for(spec, client=make_client(serve)), spec.streams[0], Window(full=True))
    assert [record.record_id for page in pages for record in page.records] == [str(row["id"]) for row in ROWS]


@pytest.mark.parametrize("cursor", [{"field": "at", "since": "since", "until": "until"}, {"field": "at"}], ids=["asked", "left out"])
def test_a_window_is_asked_for_or_kept_by_leaving_out(make_client, cursor):
    window = Window(datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC))
    pages = read(make_client, source(cursor=cursor), window)
    assert [record.record_id for page in pages for record in page.records] == ["4", "5", "6", "7"]


def test_a_stream_without_cursor_has_none(make_client):
    pages = read(make_client, source(cursor=None), Window(full=True))
    assert pages[-1].high_water is None
    assert {record.cursor for page in pages for record in page.records} == {None}


def test_pages_that_go_in_circles_stop(make_client):
    ring = {None: "a", "a": "b", "b": "a"}
    with pytest.raises(SourceRejected, match="circles"):
        read(make_client, source(), Window(full=True), lambda path, query: {"data": {"items": ROWS[:1], "next": ring[query.get("at")]}})


@pytest.mark.parametrize("body", [{"data": {}}, {"data": {"items": "x"}}, {"data": {"items": [1]}}, []])
def test_an_answer_of_another_shape_is_a_schema_mismatch(make_client, body):
    with pytest.raises(SchemaMismatch, match="no records"):
        read(make_client, source(), Window(full=True), lambda path, query: body)


def test_a_single_object_is_one_record(make_client):
    pages = read(make_client, source(records="@", paging={"type": "none"}), Window(full=True), lambda path, query: ROWS[0])
    assert [record.record_id for record in pages[0].records] == ["1"]
