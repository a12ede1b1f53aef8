"""Records of a map, rows without names, and fields that a source is asked for by name, in chunks."""

from __future__ import annotations

import pytest

from spine.core.errors import SchemaMismatch, SourceUnavailable
from tests.sources.rest.conftest import ids, payloads

NAMES = [f"f{number}" for number in range(1, 8)]


def test_records_of_a_map_keep_their_names(reading):
    told = reading(lambda seen: {"users": {"u1": {"email": "a"}, "u2": {"email": "b"}, "u3": 7}}, {"records": "users", "map_key": "id"})
    assert payloads(told.pages()) == [{"id": "u1", "email": "a"}, {"id": "u2", "email": "b"}, {"id": "u3", "value": 7}]


def test_rows_without_names_get_them(reading):
    body = {"head": [{"name": "id"}, {"name": "email"}], "rows": [["1", "a"], ["2"], ["3", "c", "too much"]]}
    (page,) = reading(lambda seen: body, {"records": "rows", "columns": "head[].name"}).pages()
    assert [record.record_id.partition(":")[0] for record in page.records] == ["1", "2", "malformed"]
    with pytest.raises(SchemaMismatch, match="names of columns"):
        reading(lambda seen: {"rows": [["1"]]}, {"records": "rows", "columns": "head"}).pages()
    (none,) = reading(lambda seen: {"rows": []}, {"records": "rows", "columns": "head"}).pages()
    assert none.records == []


def test_declared_fields_are_asked_for(reading):
    told = reading(lambda seen: [{"id": 1}], {"fields": ["id", "email"], "params": {"fields": "{fields}"}, "lists": "comma"})
    told.pages()
    assert told.vendor.seen[0].query == {"fields": "id,email"}


def vendor(seen):
    if seen.path == "/schema":
        return {"results": [{"name": name} for name in NAMES]}
    start = int(seen.query.get("page", 1)) * 2 - 2
    wanted = seen.query["fields"].split(",")
    return [{"id": number, "values": {name: f"{name}{number}" for name in wanted}} for number in range(1, 6)][start : start + 2]


CHUNKED = {
    "params": {"fields": "{fields}"}, "lists": "comma", "paging": {"type": "page"},
    "field_list": {"path": "/schema", "names": "results[].name", "always": ["id"], "chunk": 4},
}  # fmt: skip


def test_fields_that_the_source_lists_are_asked_for_in_chunks_and_put_together(reading):
    told = reading(vendor, CHUNKED)
    calm = told.pages()
    assert ids(calm) == ["1", "2", "3", "4", "5"]
    assert all(record["values"] == {name: f"{name}{record['id']}" for name in ("id", *NAMES)} for record in payloads(calm))
    assert {seen.query["fields"] for seen in told.vendor.seen if seen.path != "/schema"} == {"id,f1,f2,f3", "id,f4,f5,f6", "id,f7"}
    assert sum(seen.path == "/schema" for seen in told.vendor.seen) == 1
    assert [page.records for page in told.killed()] == [page.records for page in calm]


def test_without_a_chunk_all_fields_are_asked_for_at_once(reading):
    words = {name: value for name, value in CHUNKED["field_list"].items() if name != "chunk"}
    told = reading(vendor, {**CHUNKED, "field_list": words})
    assert ids(told.pages()) == ["1", "2", "3", "4", "5"]
    assert {seen.query["fields"] for seen in told.vendor.seen if seen.path != "/schema"} == {",".join(("id", *NAMES))}


def test_records_that_change_between_chunks_are_no_half_records(reading):
    def shifting(seen):
        found = vendor(seen)
        return found[1:] if seen.query.get("fields", "").startswith("id,f4") else found

    told = reading(shifting, CHUNKED)
    with pytest.raises(SourceUnavailable, match="between two requests"):
        told.pages()
