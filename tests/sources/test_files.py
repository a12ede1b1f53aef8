"""Files: every row once, bad rows kept with their reason, changed files read again, unfinished ones left alone."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spine.core.errors import ConfigError, SchemaMismatch, SourceUnavailable
from spine.sources.files import Folder, Reader
from spine.sources.reading import State, Window
from spine.sources.spec import load_source

SOURCE = load_source("people_files")
PEOPLE = SOURCE.stream("people")
HEADER = "employee_id,first_name,updated_at\n"
DAY = datetime(2026, 1, 10, tzinfo=UTC)


def drop(folder: Path, name: str, content: bytes | str, day: int = 0) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    when = (DAY + timedelta(days=day)).timestamp()
    os.utime(path, (when, when))
    return path


def reader(folder, page_rows=1000, **options) -> Reader:
    return Reader(SOURCE, Folder(str(folder), {}, **options), page_rows)


def read(folder, cursor=None, window=None, **options):
    pages = list(reader(folder, **options).read(PEOPLE, State(cursor), window or Window()))
    return [record for page in pages for record in page.records], pages[-1].high_water


def notes(folder, **options) -> list[str]:
    return [note for page in reader(folder, **options).read(PEOPLE, State(), Window()) for note in page.notes]


def file_of(record) -> str:
    return record.cursor.split(" ")[-1]


def payloads(records):
    return [orjson.loads(record.payload) for record in records]


def test_all_formats_give_the_same_rows_and_files_come_oldest_first(tmp_path):
    people = [
        {"employee_id": "E1", "first_name": "Zoë", "updated_at": "2026-01-01T00:00:00Z"},
        {"employee_id": "E2", "first_name": None, "updated_at": None},
    ]
    csv = HEADER + "E1,Zoë,2026-01-01T00:00:00Z\nE2,,\n"
    lines = b"".join(orjson.dumps(person) + b"\n" for person in people)
    drop(tmp_path, "z.csv", "\ufeff" + csv, day=0)
    drop(tmp_path, "a.jsonl", lines, day=1)
    pq.write_table(pa.Table.from_pylist(people), tmp_path / "b.parquet")
    os.utime(tmp_path / "b.parquet", ((DAY + timedelta(days=2)).timestamp(),) * 2)
    drop(tmp_path, "c.csv.gz", gzip.compress(csv.encode()), day=3)
    drop(tmp_path, "d.ndjson.gz", gzip.compress(lines), day=3)
    records, _ = read(tmp_path)
    assert list(dict.fromkeys(map(file_of, records))) == ["z.csv", "a.jsonl", "b.parquet", "c.csv.gz", "d.ndjson.gz"]
    assert payloads(records) == people * 5
    assert {record.op for record in records} == {"upsert"}


def test_bad_rows_are_kept_with_reason_line_and_text(tmp_path):
    drop(
        tmp_path,
        "a.csv",
        HEADER.encode()
        + b'E1,Ann,x\n,Nobody,x\nE3,too,many,values\nE4\n"E5,quote" broken,x\nE6,caf\xe9,x\nE7,"two\nlines",x\n\nE8,Last,x\n',
    )
    records, _ = read(tmp_path)
    good = [item for item in payloads(records) if "_error" not in item]
    bad = {record.record_id: item for record, item in zip(records, payloads(records), strict=True) if "_error" in item}
    assert [item["employee_id"] for item in good] == ["E1", "E7", "E8"]
    assert good[1]["first_name"] == "two\nlines"
    assert {name: item["_error"].partition(":")[0] for name, item in bad.items()} == {
        "a.csv:3": "employee_id is missing", "a.csv:4": "4 values for 3 columns", "a.csv:5": "1 values for 3 columns",
        "a.csv:6": "not CSV", "a.csv:7": "not UTF-8",
    }  # fmt: skip
    assert bad["a.csv:4"] == {"_error": "4 values for 3 columns", "_line": 4, "_raw": "E3,too,many,values"}
    assert bad["a.csv:7"]["_raw"] == "E6,café,x"


class TestCsvAsPeopleExportIt:
    """Whatever a spreadsheet or an export makes of a CSV, its rows are read, or kept with a reason."""

    PERSON: ClassVar = {"employee_id": "E1", "first_name": "Zoë", "updated_at": "2026-01-01"}

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param("\ufeffemployee_id;first_name;updated_at\r\nE1;Zoë;2026-01-01\r\n", id="semicolons"),
            pytest.param("employee_id\tfirst_name\tupdated_at\nE1\tZoë\t2026-01-01", id="tabs"),
            pytest.param("employee_id|first_name|updated_at\nE1|Zoë|2026-01-01", id="bars"),
            pytest.param("sep=,\nemployee_id,first_name,updated_at\nE1,Zoë,2026-01-01", id="a line that states the comma"),
            pytest.param("\ufeffSEP=;\r\nemployee_id;first_name;updated_at\r\nE1;Zoë;2026-01-01", id="a line that states the semicolon"),
            pytest.param("sep=^\nemployee_id^first_name^updated_at\nE1^Zoë^2026-01-01", id="a line that states another delimiter"),
            pytest.param("\n\r\nemployee_id,first_name,updated_at\nE1,Zoë,2026-01-01", id="empty lines before the header"),
            pytest.param(
                "employee_id\u00a0,\u200bfirst_name,\ufeff updated_at\u2060\nE1,Zoë,2026-01-01", id="what nobody sees around names"
            ),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
    def test_one_row_is_the_same_however_it_is_written(self, tmp_path, content, encoding):
        drop(tmp_path, "a.csv", content.encode(encoding))
        records, _ = read(tmp_path)
        assert payloads(records) == [self.PERSON]

    def test_json_lines_may_be_utf_16(self, tmp_path):
        drop(tmp_path, "a.jsonl", '{"employee_id":"E1","first_name":"Zoë"}\r\n{"employee_id":"E2"}'.encode("utf-16"))
        assert payloads(read(tmp_path)[0]) == [{"employee_id": "E1", "first_name": "Zoë"}, {"employee_id": "E2"}]

    def test_names_of_files_may_be_in_capitals(self, tmp_path):
        drop(tmp_path, "PEOPLE.CSV", HEADER + "E1,Ann,x\n")
        drop(tmp_path, "People.Csv.GZ", gzip.compress((HEADER + "E2,Ann,x\n").encode()))
        drop(tmp_path, "people.TSV", HEADER.replace(",", "\t") + "E3\tAnn\tx\n")
        drop(tmp_path, "people.JSONL", '{"employee_id":"E4"}')
        stream = PEOPLE.model_copy(update={"path": "people*"})
        pages = reader(tmp_path).read(stream, State(), Window())
        assert sorted(record.record_id for page in pages for record in page.records) == ["E1", "E2", "E3", "E4"]

    def test_rows_of_delimiters_alone_are_skipped_and_counted(self, tmp_path):
        drop(tmp_path, "a.csv", HEADER + "E1,Ann,x\n" + ",,\n" * 39 + " ,\u00a0,\n" + "E2,Bob,x\n")
        assert [record.record_id for record in read(tmp_path, page_rows=7)[0]] == ["E1", "E2"]
        assert notes(tmp_path, page_rows=7) == ["a.csv: 40 empty rows are skipped"]

    def test_a_stray_quote_takes_its_own_line_only(self, tmp_path):
        rows = [f"E{number},Ann{number},x\n" for number in range(1, 13)]
        rows[4], rows[9] = 'E5,"Ann5,x\n', 'E10,"Ann10,x\n'
        drop(tmp_path, "a.csv", HEADER + "".join(rows))
        records, _ = read(tmp_path)
        good = [item["employee_id"] for item in payloads(records) if "_error" not in item]
        assert good == [f"E{number}" for number in range(1, 13) if number not in (5, 10)]
        bad = [(record.record_id, item["_raw"]) for record, item in zip(records, payloads(records), strict=True) if "_error" in item]
        assert bad == [("a.csv:6", 'E5,"Ann5,x'), ("a.csv:11", 'E10,"Ann10,x')]

    def test_columns_of_one_name_are_kept_under_different_names(self, tmp_path):
        drop(tmp_path, "a.csv", "employee_id,email, EMAIL,email,\nE1,ann@x.org,,private@y.org,\n")
        assert payloads(read(tmp_path)[0]) == [{"employee_id": "E1", "email": "ann@x.org", "EMAIL": None, "email_2": "private@y.org"}]
        assert notes(tmp_path) == ["a.csv: columns 2 and 4 are all named email; the later ones got a number"]

    def test_decimal_commas_become_points_in_columns_of_such_numbers(self, tmp_path):
        drop(tmp_path, "a.csv", "employee_id;rate;note;zip\nE1;1.234,50;1,5;01067\nE2;-7;from 1,5;1,5\nE3;1.000;x;\n")
        found = [(item["rate"], item["note"], item["zip"]) for item in payloads(read(tmp_path)[0])]
        assert found == [("1234.50", "1,5", "01067"), ("-7", "from 1,5", "1,5"), ("1000", "x", None)]

    def test_a_column_whose_name_has_a_dot_comes_before_a_path(self, tmp_path):
        stream = PEOPLE.model_copy(update={"key": ("Account.Id",), "required_fields": ("Account.Id",)})
        drop(tmp_path, "a.csv", "Account.Id,Account.Name\nA1,Acme\n")
        drop(tmp_path, "b.jsonl", '{"Account":{"Id":"A2"}}')
        pages = reader(tmp_path).read(stream, State(), Window())
        assert [record.record_id for page in pages for record in page.records] == ["A1", "A2"]


class TestVersions:
    """What tells which row of one key is newer: its cursor, then its file's time, then its file's name."""

    def newest(self, folder) -> str:
        records, _ = read(folder)
        return payloads([max(records, key=lambda record: record.cursor)])[0]["first_name"]

    def test_the_cursor_decides_before_all(self, tmp_path):
        drop(tmp_path, "people_10.csv", HEADER + "E1,new,2026-01-10T00:00:00Z\n", day=0)
        drop(tmp_path, "people_9.csv", HEADER + "E1,old,2026-01-09T00:00:00Z\n", day=5)  # an old file that was dropped again
        assert self.newest(tmp_path) == "new"

    @pytest.mark.parametrize(
        ("older", "newer"), [("9", "10"), ("31.12.2025", "1.1.2026"), ("2026-01-09 23:00", "20260110"), ("1767916800", "1767916801")]
    )
    def test_cursors_may_be_numbers_and_days_of_several_kinds(self, tmp_path, older, newer):
        drop(tmp_path, "a.csv", HEADER + f"E1,new,{newer}\n", day=0)
        drop(tmp_path, "b.csv", HEADER + f"E1,old,{older}\n", day=1)
        assert self.newest(tmp_path) == "new"

    @pytest.mark.parametrize("cursor", ["", "soon", "0000-00-00 00:00:00"])
    def test_without_a_cursor_the_file_s_time_decides(self, tmp_path, cursor):
        drop(tmp_path, "28022026.csv", HEADER + f"E1,old,{cursor}\n", day=0)
        drop(tmp_path, "01032026.csv", HEADER + f"E1,new,{cursor}\n", day=1)
        assert self.newest(tmp_path) == "new"

    def test_of_files_of_one_time_the_name_decides_in_natural_order(self, tmp_path):
        drop(tmp_path, "people_9.csv", HEADER + "E1,old,\n")
        drop(tmp_path, "people_10.csv", HEADER + "E1,new,\n")
        assert self.newest(tmp_path) == "new"
        assert list(dict.fromkeys(payload["first_name"] for payload in payloads(read(tmp_path)[0]))) == ["old", "new"]


class TestNumbers:
    """Ids and sums keep their digits."""

    def test_long_numbers_of_json_are_kept_as_sent(self, tmp_path):
        first, second = "340282366920938463463374607431768211001", "340282366920938463463374607431768211002"
        sums = ["12345678901234567.891", "0.30000000000000004", "98765432109876543210", "1.5", "1e300"]
        lines = [f'{{"employee_id": {first}}}', f'{{"employee_id": {second}}}', *(f'{{"employee_id": 1, "sum": {one}}}' for one in sums)]
        drop(tmp_path, "a.jsonl", "\n".join(lines))
        records, _ = read(tmp_path)
        assert [record.record_id for record in records[:2]] == [first, second]
        assert [record.payload.partition('"sum":')[2].strip("}") for record in records[2:]] == [*sums[:4], "1e+300"]
        assert first in records[0].payload

    def test_keys_that_became_floats_are_the_integers_that_they_were(self, tmp_path):
        pq.write_table(pa.table({"employee_id": [1001.0, None, 2.5]}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"employee_id": [1001]}), tmp_path / "b.parquet")
        pq.write_table(pa.table({"employee_id": pa.array([Decimal("1001.00")])}), tmp_path / "c.parquet")
        assert [record.record_id for record in read(tmp_path)[0]] == ["1001", "a.parquet:2", "2.5", "1001", "1001"]


class TestParquetThatPythonCannotHold:
    """A value that cannot be read takes its row only."""

    def test_far_days_and_strings_of_another_encoding(self, tmp_path):
        days = pa.array([20000, 2932897, 20001], pa.int32()).cast(pa.date32())
        pq.write_table(pa.table({"employee_id": ["E1", "E2", "E3"], "day": days}), tmp_path / "a.parquet")
        names = pa.Array.from_buffers(pa.string(), 3, pa.array([b"Ann", "Jürgen".encode("latin-1"), b"Bob"]).buffers())
        pq.write_table(pa.table({"employee_id": ["E4", "E5", "E6"], "first_name": names}), tmp_path / "b.parquet")
        drop(tmp_path, "c.csv", HEADER + "E7,Ann,x\n")
        records, _ = read(tmp_path)
        assert [record.record_id for record in records] == ["E7", "E1", "a.parquet:2", "E3", "E4", "b.parquet:2", "E6"]
        errors = [item["_error"].partition(":")[0] for item in payloads(records) if "_error" in item]
        assert [item["_raw"] for item in payloads(records) if "_error" in item] == ['{"employee_id":"E2"}', '{"employee_id":"E5"}']
        assert errors == ["day cannot be read as date32[day]", "first_name cannot be read as string"]

    def test_far_times_of_the_old_kind(self, tmp_path):
        moments = pa.array([datetime(9999, 12, 31), datetime(1, 1, 1)], pa.timestamp("us"))
        table = pa.table({"employee_id": ["E1", "E2"], "updated_at": moments})
        pq.write_table(table, tmp_path / "a.parquet")
        assert [item["updated_at"] for item in payloads(read(tmp_path)[0])] == ["9999-12-31T00:00:00", "0001-01-01T00:00:00"]
        assert [record.cursor[:10] for record in read(tmp_path)[0]] == ["9999-12-31", "0001-01-01"]


def test_bad_lines_of_json_and_files_that_are_no_parquet(tmp_path):
    drop(tmp_path, "a.jsonl", b'{"employee_id":"E1"}\n{"employee_id":\n[1]\n\xff\n\n{"first_name":"x"}\n{"employee_id":"E2"}')
    drop(tmp_path, "b.parquet", b"PAR1 not really", day=1)
    records, _ = read(tmp_path)
    errors = {record.record_id: item.get("_error", "").partition(":")[0] for record, item in zip(records, payloads(records), strict=True)}
    assert errors == {
        "E1": "", "a.jsonl:2": "not JSON", "a.jsonl:3": "not a JSON object", "a.jsonl:4": "not UTF-8",
        "a.jsonl:6": "employee_id is missing", "E2": "", "b.parquet:1": "not Parquet",
    }  # fmt: skip


def test_a_file_is_read_once_and_again_when_it_is_replaced(tmp_path):
    drop(tmp_path, "a.csv", HEADER + "E1,Ann,x\n")
    records, cursor = read(tmp_path)
    assert len(records) == 1
    assert read(tmp_path, cursor) == ([], cursor)
    drop(tmp_path, "b.csv", HEADER + "E2,Bob,x\n", day=-5)  # late, with an old time
    records, cursor = read(tmp_path, cursor)
    assert [record.record_id for record in records] == ["E2"]
    drop(tmp_path, "a.csv", HEADER + "E1,Anna,x\n", day=1)
    records, cursor = read(tmp_path, cursor)
    assert payloads(records)[0]["first_name"] == "Anna"
    (tmp_path / "b.csv").unlink()
    records, cursor = read(tmp_path, cursor)
    assert list(orjson.loads(cursor)["files"]) == ["a.csv"]
    assert len(read(tmp_path, cursor, Window(full=True))[0]) == 1


def test_only_complete_files_of_known_kind_up_to_the_bound_are_read(tmp_path, caplog):
    for name in (".hidden.csv", "_x.csv", "a.csv.part", "b.csv.tmp", "notes.txt", "ok.csv"):
        drop(tmp_path, name, HEADER + "E1,Ann,x\n")
    (tmp_path / "folder.csv").mkdir()
    drop(tmp_path, "later.csv", HEADER + "E2,Bob,x\n", day=5)
    records, _ = read(tmp_path, window=Window(end=DAY + timedelta(days=1)))
    assert {file_of(record) for record in records} == {"ok.csv"}
    assert "notes.txt" in caplog.text
    assert notes(tmp_path) == ["notes.txt is of no known kind and is left alone"]
    young = drop(tmp_path, "young.csv", HEADER + "E9,Eve,x\n")
    os.utime(young)
    assert "young.csv" not in {file_of(record) for record in read(tmp_path, settle=60)[0]}


def test_columns_may_change_but_not_the_key(tmp_path):
    drop(tmp_path, "a.csv", HEADER + "E1,Ann,x\n")
    drop(tmp_path, "b.csv", "employee_id,first_name,email_address,extra\nE2,Bob,b@example.com,1\n", day=1)
    drop(tmp_path, "c.csv", "id,first_name\nE3,Cy\n", day=2)
    pages = reader(tmp_path).read(PEOPLE, State(), Window())
    first, second = next(pages), next(pages)
    assert first.records[0].fingerprint != second.records[0].fingerprint
    assert payloads(second.records)[0]["email_address"] == "b@example.com"
    with pytest.raises(SchemaMismatch, match=r"c\.csv has no employee_id"):
        next(pages)


def test_reading_goes_on_from_every_page_even_when_files_come_and_go(tmp_path, resume):
    for number in range(3):
        rows = "".join(f"E{number}{row},x,2026-01-01\n" for row in range(5))
        drop(tmp_path, f"f{number}.csv", HEADER + rows, day=number)
    pages = resume(reader(tmp_path, page_rows=2), PEOPLE, Window())
    assert [record.record_id for page in pages for record in page.records] == [f"E{number}{row}" for number in range(3) for row in range(5)]
    middle = pages[3]
    drop(tmp_path, "early.csv", HEADER + "E99,x,x\n", day=-1)
    rest = list(reader(tmp_path, page_rows=2).read(PEOPLE, State(None, middle.next_token, middle.high_water), Window()))
    names = [record.record_id for page in (*pages[:4], *rest) for record in page.records]
    assert sorted(names) == sorted([f"E{number}{row}" for number in range(3) for row in range(5)] + ["E99"])


def test_a_backfill_reads_the_rows_of_its_interval_from_all_files(tmp_path):
    drop(tmp_path, "a.csv", HEADER + "E1,Ann,2026-01-05T00:00:00Z\nE2,Bob,2026-01-06T00:00:00Z\nE3,Cy,soon\nbad\n", day=0)
    _, cursor = read(tmp_path)
    interval = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC), backfill=True)
    assert [record.record_id for record in read(tmp_path, cursor, interval)[0]] == ["E1"]
    of_file = Window(DAY, DAY + timedelta(days=1), backfill=True)
    assert [record.record_id for record in read(tmp_path, cursor, of_file)[0]] == ["E3", "a.csv:5"]


def test_folders_that_cannot_be_read_are_said(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        read(tmp_path / "missing")
    with pytest.raises(ConfigError, match="cannot be opened"):
        list(Reader(SOURCE, Folder("nonsense://x", {})).read(PEOPLE, State(), Window()))
    drop(tmp_path, "a.csv", HEADER)
    with pytest.raises(ConfigError, match="no list of files"):
        read(tmp_path, "2026-01-01T00:00:00Z")


def test_a_file_that_breaks_off_while_it_is_read_is_tried_again(tmp_path):
    drop(tmp_path, "a.csv.gz", gzip.compress((HEADER + "".join(f"E{number},Ann,x\n" for number in range(5000))).encode())[:-200])
    with pytest.raises(SourceUnavailable, match=r"a\.csv\.gz"):
        read(tmp_path)


def test_files_have_uris_too(tmp_path):
    drop(tmp_path, "a.csv", HEADER + "E1,Ann,x\n")
    pages = list(Reader(SOURCE, Folder(f"file://{tmp_path}", {})).read(PEOPLE, State(), Window()))
    assert len(pages[0].records) == 1


@pytest.mark.slow
def test_memory_stays_flat_however_long_a_file_is(tmp_path):
    def peak(rows: int) -> int:
        folder = tmp_path / str(rows)
        folder.mkdir()
        with (folder / "a.csv").open("w") as file:
            file.write(HEADER)
            file.writelines(f"E{number},Ann,2026-01-01\n" for number in range(rows))
        tracemalloc.start()
        for _ in reader(folder).read(PEOPLE, State(), Window()):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    small = peak(5_000)
    assert peak(60_000) < 1.2 * small
