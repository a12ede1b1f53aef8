"""Files: every row once, bad rows kept with their reason, changed files read again, unfinished ones left alone."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    assert list(dict.fromkeys(record.cursor for record in records)) == ["z.csv", "a.jsonl", "b.parquet", "c.csv.gz", "d.ndjson.gz"]
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
    assert {record.cursor for record in records} == {"ok.csv"}
    assert "notes.txt" in caplog.text
    young = drop(tmp_path, "young.csv", HEADER + "E9,Eve,x\n")
    os.utime(young)
    assert "young.csv" not in {record.cursor for record in read(tmp_path, settle=60)[0]}


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
