"""Spreadsheets, texts of fixed width, documents and archives give the rows that people see in them; bombs and torn files do no harm."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spine.core.bounds import Bounds
from spine.core.errors import FileRefused
from spine.sources.drops import Folder
from spine.sources.files import Reader
from spine.sources.formats import rows_of
from spine.sources.forms import Form
from spine.sources.reading import State, Window
from spine.sources.rows import BadRow, EmptyRow, Row
from spine.sources.spec import Source


def found(name: str, content: bytes, bounds: Bounds | None = None, **form: Any) -> tuple[list[Row], list[str]]:
    """Rows and remarks of a file."""
    remarks: list[str] = []
    rows = list(rows_of(io.BytesIO(content), name, remarks.append, bounds or Bounds(), Form(**form)))
    return rows, remarks


def values(name: str, content: bytes, **form: Any) -> list[dict[str, Any]]:
    return [row.values for row in found(name, content, **form)[0] if type(row) is Row]


def saved(book: Any) -> bytes:
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


@pytest.fixture
def book() -> Any:
    made = openpyxl.Workbook()
    made.active.title = "People"
    return made


def test_a_sheet_gives_values_as_people_see_them(book: Any) -> None:
    sheet = book.active
    sheet.append(["Id", "Name ", "Born", "Seen", "At", "Rate", "Active", None])
    sheet.append([1001.0, "Zoë", date(1980, 2, 29), datetime(2026, 1, 31, 8, 15), time(8, 30), 0.25, True])
    sheet.append([None] * 7)
    sheet.append(["E2", None, None, None, None, None, False])
    rows, _ = found("people.XLSX", saved(book))
    assert [type(row) for row in rows] == [Row, EmptyRow, Row]
    assert rows[0].values == {
        "Id": 1001, "Name": "Zoë", "Born": "1980-02-29", "Seen": "2026-01-31T08:15:00", "At": "08:30:00", "Rate": 0.25, "Active": True,
    } | ({"column_8": None} if "column_8" in rows[0].values else {})  # fmt: skip
    assert (rows[2].values["Id"], rows[2].values["Active"]) == ("E2", False)


def test_a_formula_gives_the_value_that_was_saved_with_it(book: Any) -> None:
    book.active.append(["id", "sum"])
    book.active.append(["E1", "=1+1"])
    content = saved(book)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    place = "xl/worksheets/sheet1.xml"
    assert b"<v />" in parts[place] or b"<v/>" in parts[place] or b"<v></v>" in parts[place]
    for bare in (b"<v />", b"<v/>", b"<v></v>"):
        parts[place] = parts[place].replace(bare, b"<v>2</v>")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    assert values("a.xlsx", out.getvalue()) == [{"id": "E1", "sum": 2}]


def test_titles_above_and_merged_headers(book: Any) -> None:
    sheet = book.active
    sheet.append(["Report of January"])
    sheet.append([])
    sheet.append(["id", "address", None, "phone"])
    sheet.append([None, "street", "city", None])
    sheet.append(["E1", "1 High St", "Leeds", "123"])
    sheet.merge_cells("B3:C3")
    assert values("a.xlsx", saved(book), skip=2, header=2) == [
        {"id": "E1", "address street": "1 High St", "address city": "Leeds", "phone": "123"}
    ]


def test_several_sheets_say_which_a_row_is_of_and_hidden_ones_are_left(book: Any) -> None:
    for title, state in (("People", "visible"), ("Old", "visible"), ("Lists", "hidden")):
        sheet = book.active if title == "People" else book.create_sheet(title)
        sheet.sheet_state = state
        sheet.append(["id"])
        sheet.append([title])
    content = saved(book)
    assert values("a.xlsx", content) == [{"id": "People", "_sheet": "People"}, {"id": "Old", "_sheet": "Old"}]
    assert values("a.xlsx", content, sheets=["Lists"]) == [{"id": "Lists"}]
    with pytest.raises(FileRefused, match="no sheet 'Nobody'"):
        values("a.xlsx", content, sheets=["Nobody"])


def test_a_row_that_is_wider_than_the_header_is_bad_and_the_next_one_is_read(book: Any) -> None:
    for line in (["id"], ["E1", "too much"], ["E2"]):
        book.active.append(line)
    rows, _ = found("a.xlsx", saved(book))
    assert [type(row) for row in rows] == [BadRow, Row]
    assert rows[0].error == "2 values for 1 columns"  # type: ignore[attr-defined]


def repacked(content: bytes, **parts: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, next((part for end, part in parts.items() if name.endswith(f"{end}.xml")), old.read(name)))
    return out.getvalue()


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'


FAR = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="99999999999999"><c><v>1</v></c></row>'


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        pytest.param(b'<row r="1"><c r="XFD1"><v>1</v></c></row>', "16,384 columns", id="last-column"),
        pytest.param(FAR, "more than 1,048,576 rows", id="last-row"),
        pytest.param(b"<row>" + b" " * (80 << 20) + b"</row>", "grows to more than 250 times", id="spaces"),
        pytest.param(b'<row r="1"><c r="A1"><v>1</v>', "no sound spreadsheet", id="torn"),
    ],
)
def test_a_spreadsheet_that_is_a_bomb_is_refused(book: Any, inside: bytes, why: str) -> None:
    book.active.append(["id"])
    with pytest.raises(FileRefused, match=why):
        found("a.xlsx", repacked(saved(book), sheet1=SHEET % inside))


def test_entities_that_grow_are_refused(book: Any) -> None:
    book.active.append(["id"])
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"ha" * 10) for n in range(9))
    bomb = b"<!DOCTYPE worksheet [" + laughs + b"]>" + SHEET % b'<row r="1"><c r="A1" t="str"><v>&l8;</v></c></row>'
    with pytest.raises(FileRefused):
        found("a.xlsx", repacked(saved(book), sheet1=bomb))


@pytest.mark.parametrize("name", ["xl/words.xml", "xl/worksheets/words.xml"])
def test_texts_that_do_not_fit_into_memory_are_refused_whatever_the_book_calls_them(book: Any, name: str) -> None:
    book.active.append(["id"])
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    old, new = zipfile.ZipFile(io.BytesIO(saved(book))), io.BytesIO()
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in old.namelist():
            told = f'<Override PartName="/{name}" ContentType="{kind}"/></Types>'.encode()
            archive.writestr(part, old.read(part).replace(b"</Types>", told))
        archive.writestr(name, b"<sst>" + b"<si><t>words</t></si>" * 5000 + b"</sst>")
    with pytest.raises(FileRefused, match="bytes of text"):
        found("a.xlsx", new.getvalue(), Bounds(small=50_000, ratio=10_000))


def test_a_sheet_may_be_larger_than_what_is_held_in_memory(book: Any) -> None:
    for line in range(3000):
        book.active.append([f"c{line}" if line else "id"])
    assert len(found("a.xlsx", saved(book), Bounds(small=90_000))[0]) == 2999


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04torn"])
def test_what_is_no_spreadsheet_is_refused(content: bytes) -> None:
    with pytest.raises(FileRefused, match="no sound spreadsheet"):
        found("a.xlsx", content)


LAYOUT = {"id": 4, "name": 8, "born": 8}


def test_columns_of_fixed_width_are_cut_by_letters() -> None:
    text = "HEADER\nE1  Zoë Ångs19800229\r\nE2  Jim\n\nE3  too long a line for it\n\x1a"
    rows, _ = found("p.txt", text.encode(), layout=LAYOUT, skip=1)
    assert [row.values for row in rows if type(row) is Row] == [
        {"id": "E1", "name": "Zoë Ångs", "born": "19800229"}, {"id": "E2", "name": "Jim", "born": None},
    ]  # fmt: skip
    (bad,) = [row for row in rows if isinstance(row, BadRow)]
    assert (bad.line, bad.error, bad.raw) == (5, "26 letters for 20", "E3  too long a line for it")
    assert values("p.dat.gz", gzip.compress(b"E1  Ann"), layout=LAYOUT) == [{"id": "E1", "name": "Ann", "born": None}]


XML = b"""<?xml version="1.0" encoding="ISO-8859-1"?><export at="x"><people><person id="E1"><name>Zo\xeb</name></person>
<person id="E2"><name>Jim</name></person></people></export>"""


def test_records_of_xml() -> None:
    assert values("p.xml", XML) == [{"@id": "E1", "name": "Zoë"}, {"@id": "E2", "name": "Jim"}]
    one = b"<people><person><id>E1</id></person></people>"
    assert values("p.xml", one, records="people.person") == [{"id": "E1"}]
    with pytest.raises(FileRefused, match="document type"):
        values("p.xml", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>')
    with pytest.raises(FileRefused, match="no XML"):
        values("p.xml", b"<a><b></a>")


def test_records_of_documents_of_json() -> None:
    people = [{"id": "E1"}, {"id": "E2"}]
    for document in (people, {"data": people, "count": 2}, {"a": {"b": people}}):
        assert values("p.json", orjson.dumps(document)) == people
    assert values("p.json", b'\xef\xbb\xbf{"id": "E1"}') == [{"id": "E1"}], "a document that has no list is a record"
    assert values("p.json", orjson.dumps({"a": people, "b": people}), records="b[1:]") == [{"id": "E2"}]
    assert values("p.json", b'{"id": "E1"}\n{"id": "E2"}\n') == people, "as many programs name files of JSON Lines"
    assert values("p.json.gz", gzip.compress('[{"id": "ë"}]'.encode("utf-16"))) == [{"id": "ë"}]
    rows, _ = found("p.json", b'[{"id": "E1"}, 7]')
    assert [type(row) for row in rows] == [Row, BadRow]
    with pytest.raises(FileRefused, match="document of more than"):
        found("p.json", b"[" + b" " * 5000 + b"]", Bounds(small=4096))


@pytest.mark.parametrize(("name", "content"), [("a.json", b'{"people": []}'), ("a.json", b"{}"), ("a.xml", b"<people/>")])
def test_an_export_without_rows_has_none_and_stops_nobody(tmp_path: Path, name: str, content: bytes) -> None:
    source = Source(source="drop", label="D", domain="hr", kind="files", streams=[{"name": "people", "path": "*", "key": ["id"]}])
    (tmp_path / name).write_bytes(content)
    (tmp_path / "b.csv").write_bytes(b"id\nE1\n")
    pages = list(Reader(source, Folder(str(tmp_path), {})).read(source.streams[0], State(), Window()))
    assert [record.record_id for page in pages for record in page.records] == ["E1"]


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def test_members_of_a_zip_are_read_as_what_they_are(book: Any) -> None:
    for line in (["id"], ["E3"]):
        book.active.append(line)
    parquet = io.BytesIO()
    pq.write_table(pa.table({"id": ["E4"]}), parquet)
    content = zipped(
        a__csv=b"id;name\nE1;Ann\n", b__jsonl=b'{"id": "E2"}\n', c__xlsx=saved(book), d__parquet=parquet.getvalue(), e__docx=b"x",
        f__zip=zipped(g__csv=b"id\nE9\n"),
    )  # fmt: skip
    rows, remarks = found("all.zip", content)
    assert [row.values["id"] for row in rows] == ["E1", "E2", "E3", "E4"]
    assert [row.line for row in rows] == [1, 2, 3, 4]
    assert remarks == [f"{name} in it is of no known kind and is left alone" for name in ("e.docx", "f.zip")]


def test_a_zip_that_grows_too_large_is_refused() -> None:
    with pytest.raises(FileRefused, match="grows to more than"):
        found("a.zip", zipped(a__csv=b"id\n" + b"0" * (70 << 20)))


def test_files_of_each_kind_go_through_the_reader_each_once_and_changed_ones_again(tmp_path: Path, book: Any) -> None:
    stream = {"name": "people", "path": "*", "key": ["id"], "form": {"layout": {"id": 3}}}
    source = Source(source="drop", label="Drop", domain="hr", kind="files", streams=[stream])
    for line in (["id"], ["E1"]):
        book.active.append(line)
    (tmp_path / "a.xlsx").write_bytes(saved(book))
    (tmp_path / "b.txt").write_bytes(b"E2\n")
    (tmp_path / "c.zip").write_bytes(zipped(c__json=b'[{"id": "E3"}]'))
    (tmp_path / "d.xlsx").write_bytes(b"no spreadsheet")

    def read(cursor: str | None) -> tuple[list[str], str | None]:
        pages = list(Reader(source, Folder(str(tmp_path), {}), 2).read(source.streams[0], State(cursor), Window()))
        return [record.record_id for page in pages for record in page.records], pages[-1].high_water

    ids, cursor = read(None)
    assert sorted(ids) == ["E1", "E2", "E3", "d.xlsx:rest"], "what is no spreadsheet is in quarantine, and the others are read"
    assert read(cursor)[0] == []
    book.active.append(["E5"])
    (tmp_path / "a.xlsx").write_bytes(saved(book))
    assert read(cursor)[0] == ["E1", "E5"]
