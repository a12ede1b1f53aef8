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
    numbers = iter(range(25))

    def serve(path, query):
        number = next(numbers)
        return {"data": {"items": ROWS[number : number + 1], "next": ring[query.get("at")]}}

    with pytest.raises(SourceRejected, match="circles"):
        read(make_client, source(), Window(full=True), serve)


@pytest.mark.parametrize("kind", ["page", "offset"])
@pytest.mark.parametrize("last", [1, 3], ids=["ignores it", "repeats the last page"])
def test_a_source_that_turns_no_page_is_refused_with_page_and_parameter(make_client, kind, last):
    """Records may differ from answer to answer: a time of reading, or a change meanwhile."""
    counter = iter(range(1000))

    def serve(path, query):
        number = min(int(query["skip"]) if kind == "page" else int(query["skip"]) // 5 + 1, last)
        return {"data": {"items": [{**row, "read": next(counter)} for row in ROWS[number * 5 - 5 : number * 5]]}}

    spec = source(paging={"type": kind, "param": "skip"})
    with pytest.raises(SourceRejected, match=rf"page {last + 1} has the records of page {last} again.* parameter 'skip'"):
        read(make_client, spec, Window(full=True), serve)


def test_a_source_of_ever_new_tokens_is_refused_too(make_client):
    counter = iter(range(1000))
    with pytest.raises(SourceRejected, match="page 2 has the records of page 1 again"):
        read(make_client, source(), Window(full=True), lambda path, query: {"data": {"items": ROWS[:5], "next": f"t{next(counter)}"}})


def test_pages_that_are_turned_by_a_field_may_have_the_same_record_again(make_client):
    """As a list of events has: one thing that changed often."""

    def serve(path, query):
        after = int(query.get("after", 0))
        return {"data": {"items": [{**ROWS[0], "event": number} for number in range(after + 1, min(after + 3, 8))]}}

    pages = read(make_client, source(paging={"type": "keyset", "field": "event", "param": "after"}), Window(full=True), serve)
    assert sum(len(page.records) for page in pages) == 7


@pytest.mark.parametrize(
    ("records", "body"),
    [
        ("data", {"data": None}),
        ("data.items", {"data": None}),
        ("data[].item", {"data": None}),
        ('"my-data".items', {"my-data": None}),
        ("@", None),
    ],
    ids=["null", "null on the way", "an expression", "a quoted name", "null alone"],
)
def test_null_in_place_of_the_list_is_no_records(make_client, records, body):
    (only,) = read(make_client, source(records=records, paging={"type": "none"}), Window(full=True), lambda path, query: body)
    assert (only.records, only.next_token) == ([], None)


def test_no_content_is_no_records(make_client):
    (only,) = read(make_client, source(), Window(full=True), lambda path, query: (204, b""))
    assert only.records == []


GOOD = b'{"id": 1, "at": "2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("bad", "name", "why"),
    [
        (b'{"id": 2, "at": "2026-01-02T00:00:00Z", "name": "cut \\ud83d"}', "2", "surrogate"),
        (b'{"id": 2, "at": "2026-01-02T00:00:00Z", "score": NaN}', "2", "NaN"),
        (b'{"id": "cut \\ud83d", "at": "2026-01-02T00:00:00Z"}', "malformed:", "surrogate"),
        (b'{"id": 2, "at": "0000-00-00 00:00:00"}', "2", "at is no time"),
        (b'{"id": 2, "at": {"value": 1}}', "2", "at is no time"),
        (b'{"id": 2, "at": "soon"}', "2", "at is no time"),
        (b"null", "malformed:", "no object"),
        (b"7", "malformed:", "no object"),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_a_record_that_cannot_be_read_costs_itself_and_nothing_else(make_client, bad, name, why, mark):
    window = Window(datetime(2025, 12, 31, tzinfo=UTC))
    body = mark + b'{"data": {"items": [' + GOOD + b"," + bad + b"," + GOOD.replace(b"1", b"3", 1) + b"]}}"
    (page,) = read(make_client, source(), window, lambda path, query: (200, body))
    first, second, third = page.records
    assert [orjson.loads(record.payload)["id"] for record in (first, third)] == [1, 3]
    assert second.record_id.startswith(name)
    told = orjson.loads(second.payload)
    assert why in told["_error"]
    assert told["_raw"]
    assert page.high_water is not None
    assert page.high_water <= "2026-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("value", "op"),
    [("false", "upsert"), ("0", "upsert"), ("", "upsert"), (0, "upsert"), ("true", "delete"), (1, "delete"), ("2026-01-01", "delete")],
)
def test_a_flag_may_be_a_text(make_client, value, op):
    (page,) = read(make_client, source(), Window(full=True), lambda path, query: {"data": {"items": [{**ROWS[0], "gone": value}]}})
    assert [record.op for record in page.records] == [op]


@pytest.mark.parametrize("body", [{"data": {}}, {"data": {"items": "x"}}, {"data": {"items": [1]}}, []])
def test_an_answer_of_another_shape_is_a_schema_mismatch(make_client, body):
    with pytest.raises(SchemaMismatch, match="no records"):
        read(make_client, source(), Window(full=True), lambda path, query: body)


def test_a_single_object_is_one_record(make_client):
    pages = read(make_client, source(records="@", paging={"type": "none"}), Window(full=True), lambda path, query: ROWS[0])
    assert [record.record_id for record in pages[0].records] == ["1"]
