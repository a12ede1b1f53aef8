"""Files that grow when they are read: each ends at its bound, memory stays flat, and what is sound of the drop is read."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core import jsontext
from spine.core.bounds import Bounds
from spine.core.errors import ConfigError, FileRefused
from spine.sources.drops import Folder
from spine.sources.files import Reader
from spine.sources.formats import rows_of
from spine.sources.reading import State, Window
from spine.sources.rows import BadRow
from spine.sources.spec import load_source

SOURCE = load_source("people_files")
PEOPLE = SOURCE.stream("people")
HEADER = b"employee_id,first_name\n"
MEGABYTE = 1 << 20


@pytest.fixture
def drop(tmp_path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "good.csv").write_bytes(HEADER + b"E1,Ann\n")
    return folder


def read(folder: Path) -> tuple[list[str], dict[str, str], list[str]]:
    """Names that were read, reasons of bad rows by the record's id, and the notes of the run."""
    names: list[str] = []
    bad: dict[str, str] = {}
    notes: list[str] = []
    for page in Reader(SOURCE, Folder(str(folder), {})).read(PEOPLE, State(), Window()):
        notes += page.notes
        for record in page.records:
            row = orjson.loads(record.payload)
            if "_error" in row:
                bad[record.record_id] = row["_error"]
            else:
                names.append(row["first_name"])
    return names, bad, notes


def written(path: Path, piece: bytes, times: int, *, head: bytes = b"", tail: bytes = b"") -> None:
    """A gzip of a repeated piece, made without holding what it unpacks to."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(head)
        for _ in range(times):
            file.write(piece)
        file.write(tail)


def peak_of(folder: Path) -> tuple[int, tuple[list[str], dict[str, str], list[str]]]:
    tracemalloc.start()
    try:
        found = read(folder)
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["bomb.csv.gz", "bomb.jsonl.gz"])
def test_a_line_without_end_is_one_bad_row_and_the_rows_behind_it_are_read(drop, name):
    """611 kB that grew to 1.9 GiB of memory: one line of 600 MB."""
    head, tail = (HEADER, b"\nE2,Bob\n") if "csv" in name else (b"", b'\n{"employee_id":"E2","first_name":"Bob"}\n')
    written(drop / name, b"a" * MEGABYTE, 60, head=head, tail=tail)
    assert (drop / name).stat().st_size < 100_000
    peak, (names, bad, _) = peak_of(drop)
    assert names == ["Ann", "Bob"]
    assert [reason[:34] for reason in bad.values()] == ["a row longer than its bound (`row`"]
    assert peak < 40 * MEGABYTE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["long.csv", "long.jsonl"])
def test_a_long_line_costs_itself_alone_in_every_encoding(drop, name, encoding, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "row=10K")
    text = "employee_id,first_name\n" if "csv" in name else ""
    sound = "E{0},N{0}\n" if "csv" in name else '{{"employee_id":"E{0}","first_name":"N{0}"}}\n'
    text += sound.format(2) + "x" * 300_000 + "\n" + sound.format(3) + "y" * 10_241 + "\n" + sound.format(4)
    (drop / name).write_bytes(text.encode(encoding))
    names, bad, _ = read(drop)
    assert names == ["Ann", "N2", "N3", "N4"]
    assert len(bad) == 2


def test_a_gzip_that_grows_without_end_is_refused_and_what_is_before_stays(drop, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "small=1M")
    sound = b"".join(b"E%d,%d\n" % (number, number * 7919 % 1_000_003) for number in range(2, 3000))
    written(drop / "bomb.csv.gz", (b"," * 999_999 + b"\n"), 300, head=HEADER + sound)
    peak, (names, bad, notes) = peak_of(drop)
    assert len(names) == 2999
    assert notes == [
        "bomb.csv.gz: [FILE_REFUSED] grows to more than 250 times its size when decoded. Write it anew, or raise SPINE_BOUNDS."
    ]
    assert list(bad) == ["bomb.csv.gz:rest"]
    assert peak < 30 * MEGABYTE


def test_members_of_a_gzip_count_together(drop, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "file=300K")
    member = gzip.compress(b"E2,Bob\n" * 1000)
    (drop / "bomb.csv.gz").write_bytes(gzip.compress(HEADER) + member * 200)
    names, _, notes = read(drop)
    assert 30_000 < len(names) < 50_000
    assert "larger than 307,200 bytes when decoded" in notes[0]


def test_a_file_beyond_the_bound_is_not_read_at_all(drop, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "file=100")
    (drop / "large.csv").write_bytes(HEADER + b"E2,Bob\n" * 1000)
    names, bad, notes = read(drop)
    assert names == ["Ann"]
    assert list(bad) == ["large.csv:rest"]
    assert notes[0].startswith("large.csv: [FILE_REFUSED] is larger than 100 bytes")


def test_a_refused_file_is_not_read_again_until_it_changes(drop, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "columns=3")
    (drop / "wide.csv").write_bytes(b"employee_id,a,b,c\nE2,,,\n")
    pages = list(Reader(SOURCE, Folder(str(drop), {})).read(PEOPLE, State(), Window()))
    cursor = pages[-1].high_water
    assert "wide.csv" in str(cursor)
    again = list(Reader(SOURCE, Folder(str(drop), {})).read(PEOPLE, State(cursor), Window()))
    assert [record for page in again for record in page.records] == []


@pytest.mark.parametrize(
    "header", [b"," * 200_000, b"a," * 100_000, b"a" * 300_000, b'"' + b"\n" * 200_000], ids=["empty", "same", "long", "open"]
)
def test_a_header_of_countless_columns_is_refused_at_once(drop, header):
    (drop / "wide.csv").write_bytes(header + b"\nE2,Bob\n" + b"x" * 100_000)
    begun = time.process_time()
    names, _, notes = read(drop)
    assert names == ["Ann"]
    assert time.process_time() - begun < 10
    assert header.startswith(b'"') or any("wide.csv: [FILE_REFUSED]" in note for note in notes)


def test_a_json_row_of_countless_fields_or_levels_is_a_bad_row(drop):
    wide = b"{" + b",".join(b'"f%d":1' % number for number in range(5000)) + b"}"
    deep = [b'{"employee_id":"E%d","first_name":%s}' % (depth, b"[" * depth + b"]" * depth) for depth in (300, 900, 5000, 200_000)]
    (drop / "odd.jsonl").write_bytes(b"\n".join([wide, *deep, b'{"employee_id":"E2","first_name":"Bob"}']))
    names, bad, _ = read(drop)
    assert names == ["Ann", "Bob"]
    assert list(bad.values()) == ["5,000 fields, more than 4,096", *["not JSON: nested more than 100 levels deep"] * 4]


def test_a_stray_quote_in_every_row_costs_linear_time(drop):
    """A quote that is never closed is looked for in the rows behind it, once for each row."""
    for name, line in {"a": b'E2,"\n', "b": b'E2,"",""""x\n', "c": b'"x"y,""\n', "d": b'E2,"a\n"b\n'}.items():
        (drop / f"{name}.csv").write_bytes(HEADER + line * 10_000)
    begun = time.process_time()
    read(drop)
    assert time.process_time() - begun < 15


class TestParquet:
    """A small Parquet may hold what no memory does."""

    @staticmethod
    def write(path: Path, table: pa.Table, **options) -> None:
        pq.write_table(table, path, **options)

    def test_a_text_that_many_rows_share_is_read_in_parts_that_fit(self, drop):
        text = "x" * (3 * MEGABYTE)
        table = pa.table({"employee_id": [f"E{number}" for number in range(60)], "first_name": [text] * 60})
        self.write(drop / "shared.parquet", table, compression="zstd")
        assert (drop / "shared.parquet").stat().st_size < 50_000
        highest = 0
        reader = Reader(SOURCE, Folder(str(drop), {}))
        tracemalloc.start()
        count = sum(len(page.records) for page in reader.read(PEOPLE, State(), Window()))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 61
        assert highest < 100 * MEGABYTE

    def test_a_row_that_is_too_long_is_a_bad_row(self, drop):
        table = pa.table({"employee_id": ["E2", "E3"], "first_name": ["x" * (9 * MEGABYTE), "Bob"]})
        self.write(drop / "long.parquet", table)
        names, bad, _ = read(drop)
        assert names == ["Ann", "Bob"]
        assert "more than 8,388,608" in bad["long.parquet:1"]

    @pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
    def test_every_encoding_of_texts_is_read(self, drop, encoding):
        table = pa.table({"employee_id": [f"E{number}" for number in range(2500)], "first_name": ["Bob", None, "Cy", ""] * 625})
        self.write(drop / "texts.parquet", table, use_dictionary=False, column_encoding=encoding)
        names, bad, notes = read(drop)
        assert (len(names), bad, notes) == (2501, {}, [])

    def test_nested_values_are_as_they_are(self, drop):
        rows = [{"employee_id": f"E{n}", "first_name": [{"a": ["x", None, str(n)], "m": {"k": n}}]} for n in range(2000)]
        self.write(drop / "nested.parquet", pa.Table.from_pylist(rows))
        names, _, _ = read(drop)
        assert names[1:] == [row["first_name"] for row in rows]

    def test_one_that_grows_is_refused(self, drop, monkeypatch):
        monkeypatch.setenv("SPINE_BOUNDS", "small=1M")
        table = pa.table({"employee_id": ["E2"] * 100, "first_name": ["x" * 100_000 + str(number) for number in range(100)]})
        self.write(drop / "bomb.parquet", table, use_dictionary=False, compression="zstd")
        names, _, notes = read(drop)
        assert names == ["Ann"]
        assert "grows to more than 250 times" in notes[0]

    def test_one_of_countless_columns_is_refused(self, drop):
        self.write(drop / "wide.parquet", pa.table({f"c{number}": [1] for number in range(4097)}))
        names, _, notes = read(drop)
        assert names == ["Ann"]
        assert "has 4,097 columns" in notes[0]

    def test_one_that_is_broken_costs_itself_alone(self, drop):
        self.write(drop / "z.parquet", pa.table({"employee_id": [f"E{number}" for number in range(5000)]}))
        content = bytearray((drop / "z.parquet").read_bytes())
        content[1000:4000] = b"\xff" * 3000
        (drop / "z.parquet").write_bytes(content)
        names, bad, notes = read(drop)
        assert names == ["Ann"]
        assert list(bad) == ["z.parquet:rest"]
        assert "no whole Parquet" in notes[0]


@pytest.mark.parametrize(
    "text", [b"[" * 10**6, b"[" * 500 + b"1" + b"]" * 500, b'{"a":' * 1000 + b"1" + b"}" * 1000, b"[" + b"[]," * 10**7 + b"1]"]
)
def test_an_answer_that_is_nested_or_divided_without_end_is_no_json(text):
    with pytest.raises(ValueError, match=r"levels deep|values|JSON"):
        jsontext.parse(text)


@given(st.integers(0, 98))
def test_what_is_nested_within_the_bound_is_read_and_written(depth):
    text = b'{"a":[' * (depth // 2) + b"1" + b"]}" * (depth // 2)
    assert jsontext.dump(jsontext.parse(text)).encode() == text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet='",;\n\r\x00 aé\ufeff', max_size=40), max_size=30), st.sampled_from(["utf-8", "utf-16"]), st.integers(20, 60)
)
def test_bounds_change_no_row_that_is_within_them(lines, encoding, most):
    """With a bound as without one: the same good rows, but for those that are longer."""
    import io

    content = ("a,b\n" + "\n".join(lines)).encode(encoding)

    def good(row: int) -> list[object]:
        found = rows_of(io.BytesIO(content), "x.csv", lambda text: None, Bounds(row=row))  # type: ignore[arg-type]
        return [(item.line, item.values) for item in found if not isinstance(item, BadRow)]

    try:
        wide, narrow = good(1 << 20), good(most)
    except FileRefused:
        return
    if len(content) < most:
        assert narrow == wide


@pytest.mark.parametrize("text", ["row", "row=", "row=0", "row=-1", "row=1X", "rows=1", "row=1.5"])
def test_a_bound_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="SPINE_BOUNDS"):
        Bounds.parse(text)


def test_bounds_have_units():
    assert Bounds.parse("row=16M, file=2g ratio=100") == Bounds(row=16 << 20, file=2 << 30, ratio=100)
