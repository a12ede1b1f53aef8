"""Answers in every format, plain and compressed, read from a real server; what is torn, hostile or of another format is told as such."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import pytest

from spine.core.errors import FileRefused, SourceUnavailable
from spine.sources.decoders.xml import XmlDecoder
from tests.http.conftest import Answer
from tests.sources.rest.conftest import ids, payloads

CSV = 'id,name\n1,Ann\n2,"Bo, the second"\n3,Ça\n'.encode()
LINES = b'{"id": 1, "name": "Ann"}\n{"id": 2, "name": "Bo, the second"}\n\n{"id": 3, "name": "\xc3\x87a"}\n'
XML = "<r><c id='1'><name>Ann</name></c><c id='2'><name>Bo, the second</name></c><c id='3'><name>Ça</name></c></r>".encode()
JSON = '[{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bo, the second"}, {"id": 3, "name": "Ça"}]'.encode()
NAMES = ["Ann", "Bo, the second", "Ça"]


def zipped(*files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, body in enumerate(files):
            archive.writestr(f"../{number}", body)
    return held.getvalue()


FORMS: dict[str, Any] = {"csv": (CSV, {}), "jsonl": (LINES, {}), "json": (JSON, {}), "xml": (XML, {"records": "r.c", "key": ["@id"]})}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zipped], ids=["plain", "gzip", "zip"])
@pytest.mark.parametrize("form", FORMS)
def test_each_format(reading, form, pack):
    body, stream = FORMS[form]
    if form == "json" and pack is not bytes:
        stream = {"response": {"type": "json", "packed": True}}
    told = reading(lambda seen: Answer(body=pack(body)), {"response": form, **stream})
    pages = told.pages()
    assert ids(pages) == ["1", "2", "3"]
    assert [record["name"] for record in payloads(pages)] == NAMES
    assert form == "json" or "json" not in told.vendor.seen[0].headers["accept"].partition(",")[0].replace("x-ndjson", "")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_several_files_of_a_zip_are_read_one_after_the_other(reading, form):
    body = FORMS[form][0]
    told = reading(
        lambda seen: Answer(body=zipped(body, body.replace(b"1", b"4").replace(b"2", b"5").replace(b"3", b"6"))), {"response": form}
    )
    assert ids(told.pages()) == ["1", "2", "3", "4", "5", "6"]


def test_a_long_file_is_read_in_pieces_and_gone_on_with_behind_the_last(reading):
    body = b"id,name\n" + b"".join(b"%d,n\n" % number for number in range(1, 26))
    told = reading(lambda seen: Answer(body=body), {"response": "csv", "paging": {"size": 10}})
    calm = told.pages()
    assert [len(page.records) for page in calm] == [10, 10, 5]
    told.vendor.seen.clear()
    rough = told.killed()
    assert ([page.records for page in rough], [page.next_token for page in rough]) == (
        [page.records for page in calm], [page.next_token for page in calm],
    )  # fmt: skip


def test_a_file_that_has_changed_meanwhile_is_read_anew(reading):
    bodies = [b"id\n1\n2\n3\n", b"id\n0\n1\n2\n3\n"]
    told = reading(lambda seen: Answer(body=bodies.pop(0)), {"response": "csv", "paging": {"size": 2}})
    first = next(iter(told.reader.read(told.source.streams[0], *_begin())))
    assert ids([first]) == ["1", "2"]
    assert ids(told.pages(token=first.next_token)) == ["0", "1", "2", "3"]


def _begin():
    from spine.sources.reading import State, Window

    return State(), Window(full=True)


def test_files_may_be_pages(reading):
    def serve(seen):
        start = int(seen.query.get("locator", 0))
        body = b"id\n" + b"".join(b"%d\n" % number for number in range(start + 1, start + 6))
        return Answer(body=body, headers={"X-Locator": str(start + 5)} if start < 10 else {})

    paging = {"type": "next_token", "from_header": "X-Locator", "param": "locator", "size": 2}
    told = reading(serve, {"response": "csv", "paging": paging})
    calm = told.pages()
    assert ids(calm) == [str(number) for number in range(1, 16)]
    assert [page.records for page in told.killed()] == [page.records for page in calm]


def test_a_row_that_cannot_be_read_costs_itself(reading):
    (page,) = reading(lambda seen: Answer(body=b"id,name\n1,a\n2,b,c\n3,d\n"), {"response": "csv"}).pages()
    assert [record.record_id.partition(":")[0] for record in page.records] == ["1", "malformed", "3"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "xml"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>back soon</html>", b"\xef\xbb\xbf\n <!-- 503 --> <HTML lang=en>\nback soon"])
def test_a_page_for_people_is_a_failure_of_the_source(reading, form, page):
    """As a table it would be a header without rows, and a sweep would take everything for deleted."""
    told = reading(lambda seen: Answer(body=page, headers={"Content-Type": "text/csv"}), {"response": form})
    told.client.retry = told.client.retry.model_copy(update={"max_retries": 0})
    with pytest.raises(SourceUnavailable, match="a page for people"):
        told.pages()


@pytest.mark.parametrize("form", ["csv", "jsonl", "xml", "json"])
@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
def test_what_is_torn_is_a_failure_of_the_source(reading, form, pack):
    body, stream = FORMS[form]
    stream = stream if form != "json" else {"response": {"type": "json", "packed": True}}
    torn = pack(body * 50)
    told = reading(lambda seen: Answer(body=torn[: len(torn) // 2]), {"response": form, **stream})
    told.client.retry = told.client.retry.model_copy(update={"max_retries": 0})
    with pytest.raises(SourceUnavailable):
        told.pages()


@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
def test_a_bomb_ends_where_it_grows_too_large(reading, pack, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "file=4M small=64K ratio=20")
    told = reading(lambda seen: Answer(body=pack(b"id\n" + b"0" * 9 + b"\n" * 6_000_000)), {"response": "csv"})
    with pytest.raises(FileRefused, match=r"times its size|larger than"):
        told.pages()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>", "document type"),
        (b"<r>", "no XML"),
        (b"<a>" * 200 + b"</a>" * 200, "levels deep"),
        (b"not at all", "no XML"),
    ],
)
def test_hostile_xml_is_refused(body, why):
    with pytest.raises(ValueError, match=why):
        XmlDecoder().parsed(body)


def test_xml_becomes_objects():
    body = b"<a x='1'>t<b>1</b><b/><c><d>2</d></c><!-- no --></a>"
    assert XmlDecoder().parsed(body) == {"a": {"@x": "1", "b": ["1", None], "c": {"d": "2"}, "#text": "t"}}
