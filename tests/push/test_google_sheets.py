"""Rows in a sheet of Google Sheets, against a small server written from its reference: found by key, written once, never a formula."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from spine.control import locks
from spine.control.airflow_state import ConnectionInfo
from spine.core.errors import SourceUnavailable
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture
from tests.push.conftest import Way, person

HEADER = ["entity_id", "email", "orders"]


@dataclass
class Sheets:
    """One spreadsheet, `book`, with one sheet, `Our orders`, and the methods that the API has for it."""

    rows: list[list[Any]] = field(default_factory=list)
    lost: int = 0  # so many appends are done and then not answered
    writes: int = 0

    def __call__(self, seen: Seen, _: int = 0) -> Answer:
        path = unquote(seen.path)
        if seen.headers.get("authorization") != "Bearer token":
            return Answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        if seen.method == "GET" and path == "/v4/spreadsheets/book":
            return Answer(json={"sheets": [{"properties": {"sheetId": 7, "title": "Our orders"}}]})
        if seen.method == "GET" and path == "/v4/spreadsheets/book/values/'Our orders'":
            return Answer(json={"range": "x", "majorDimension": "ROWS", **({"values": self.rows} if self.rows else {})})
        if seen.method != "POST":
            return Answer(404, {"error": {"code": 404, "message": "Requested entity was not found."}})
        said = orjson.loads(seen.body)
        self.writes += 1
        if path.endswith(":append"):
            assert seen.query["valueInputOption"] == "RAW"
            self.rows += said["values"]
            self.lost -= 1
            return Answer(503, {"error": {"message": "unavailable"}}) if self.lost >= 0 else Answer(json={"updates": {}})
        if path.endswith("values:batchUpdate"):
            for one in said["data"]:
                self.put(one["range"], one["values"])
            return Answer(json={"totalUpdatedCells": 1})
        for one in said["requests"]:
            place = one["deleteDimension"]["range"]
            assert (place["sheetId"], place["dimension"]) == (7, "ROWS")
            del self.rows[place["startIndex"] : place["endIndex"]]
        return Answer(json={"replies": []})

    def put(self, place: str, values: list[list[Any]]) -> None:
        found = re.fullmatch(r"'Our orders'!([A-Z])(\d+)", place)
        assert found is not None
        column, row = ord(found[1]) - 65, int(found[2]) - 1
        self.rows += [[] for _ in range(row + 1 - len(self.rows))]
        line = self.rows[row]
        line += [""] * (column + len(values[0]) - len(line))
        line[column : column + len(values[0])] = values[0]


@pytest.fixture
def sheet(make_way: Callable[..., Way], make_vendor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    book = Sheets()
    url = make_vendor(book).url

    way = make_way(google_sheets=ConnectionInfo(
        "google_sheets", "http", url, extra={"auth": "bearer", "spreadsheets": "book"}, password="token",  # pragma: allowlist secret
    ))  # fmt: skip
    from spine.sources.spec import load_source

    text = load_source("google_sheets").model_copy(update={"auth": _bearer(), "other_auths": {"bearer": _bearer()}})
    monkeypatch.setattr("spine.push.ends.load_source", lambda name: text)
    way.declare(destination={
        "_instead": True, "connector": "google_sheets", "object": "Our orders", "match_key": ["entity_id"],
        "mapping": {"entity_id": "entity_id", "email": "email", "record_count": "orders"},
    })  # fmt: skip
    return way, book


def _bearer() -> Any:
    from spine.http.auth.bearer import BearerAuth

    return BearerAuth()


def test_an_empty_sheet_gets_a_header_and_rows_and_then_nothing(sheet) -> None:
    way, book = sheet
    way.put(person(1), person(2))
    assert way.run().status == "done"
    assert book.rows == [HEADER, ["per_0001", "p1@example.com", 1], ["per_0002", "p2@example.com", 2]]
    writes = book.writes
    assert way.run().counts["changes"] == 0
    assert book.writes == writes


def test_a_row_is_found_by_its_key_wherever_it_is_and_other_columns_stay(sheet) -> None:
    way, book = sheet
    book.rows = [["note", *HEADER], ["mine", "per_0002", "old", 2], [], ["hers", "foreign", "x", 1]]
    way.put(person(1), person(2))
    way.run()
    assert book.rows[1:] == [
        ["mine", "per_0002", "p2@example.com", 2],
        [],
        ["hers", "foreign", "x", 1],
        ["", "per_0001", "p1@example.com", 1],
    ]
    book.rows.insert(1, ["moved", "other", "y", 1])
    way.put(person(1, email="new@example.com"), person(2))
    way.run()
    assert book.rows[-1] == ["", "per_0001", "new@example.com", 1]


def test_a_value_is_no_formula(sheet) -> None:
    way, book = sheet
    way.put(person(1, email="=IMPORTDATA(1)"))
    way.run()
    assert book.rows[1][1] == "=IMPORTDATA(1)"


def test_rows_that_are_gone_are_taken_out_from_the_last_on(sheet) -> None:
    way, book = sheet
    way.declare(deletes={"mode": "hard_delete", "max_share": 1.0}, destination={
        "_instead": True, "connector": "google_sheets", "object": "Our orders", "match_key": ["entity_id"],
        "mapping": {"entity_id": "entity_id", "email": "email", "record_count": "orders"},
    })  # fmt: skip
    way.put(*(person(number) for number in range(1, 6)))
    way.run()
    way.put(person(1), person(3), person(5))
    assert way.run().counts["deletes"] == 2
    assert [row[0] for row in book.rows[1:]] == ["per_0001", "per_0003", "per_0005"]


def test_an_append_whose_answer_was_lost_adds_no_row_twice(sheet) -> None:
    way, book = sheet
    book.lost = 1
    way.put(person(1), person(2))
    with pytest.raises(SourceUnavailable):
        way.run("first")
    locks.release(way.database, f"push {way.name}", "first")
    assert way.run().status == "done"
    assert [row[0] for row in book.rows] == ["entity_id", "per_0001", "per_0002"]
