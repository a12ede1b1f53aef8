"""Bronze gets every record of a run exactly once, whatever dies in between and whoever writes beside it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.errors import LakeError, SyncInProgress
from spine.lake import bronze
from spine.lake.bronze import BronzeWriter, Envelope, Unseen, living_unseen, newest_in


@dataclass(frozen=True)
class Item:
    """A record as readers yield it."""

    record_id: str
    op: str = "upsert"
    cursor: str | None = "2026-01-01T00:00:00.000000Z"
    payload: str = '{"a":1}'
    fingerprint: str = "f"


def envelope(run_id: str = "r1", tenant: str = "default", connection: str = "c1", stream: str = "contacts") -> Envelope:
    return Envelope(tenant, "salesforce", stream, connection, run_id)


def writer(uri, run_id="r1", **options) -> BronzeWriter:
    options.setdefault("flush_bytes", 1)
    return BronzeWriter(str(uri), options.pop("envelope", envelope(run_id)), flush_seconds=options.pop("flush_seconds", 3600), **options)


def ids(uri, run_id: str | None = None) -> list[str]:
    table = DeltaTable(str(uri)).to_pyarrow_table(columns=["record_id", "run_id"]).to_pylist()
    return sorted(row["record_id"] for row in table if run_id in (None, row["run_id"]))


def test_a_commit_holds_rows_token_and_cursor(tmp_path):
    first = writer(tmp_path / "t", window_end="2026-02-01")
    assert first.committed is None
    assert first.add([Item("1"), Item("2", op="delete")], "page 2", "high")
    again = writer(tmp_path / "t")
    assert again.committed == first.committed
    assert (again.committed.token, again.committed.high_water, again.committed.rows, again.committed.deletes) == ("page 2", "high", 2, 1)
    assert again.committed.window_end == "2026-02-01"
    row = DeltaTable(str(tmp_path / "t")).to_pyarrow_table().to_pylist()[0]
    assert row["emitted_at"].tzinfo is not None
    assert row["emitted_date"] == row["emitted_at"].date()
    assert {key: row[key] for key in ("tenant_id", "source", "stream", "connection_id", "run_id", "schema_fingerprint", "payload")} == {
        "tenant_id": "default", "source": "salesforce", "stream": "contacts", "connection_id": "c1", "run_id": "r1",
        "schema_fingerprint": "f", "payload": '{"a":1}',
    }  # fmt: skip


def test_pages_are_buffered_until_bytes_or_seconds_are_reached(tmp_path):
    now = [0.0]
    lazy = writer(tmp_path / "t", flush_bytes=10_000, flush_seconds=30, monotonic=lambda: now[0])
    assert [lazy.add([Item(str(number))], f"{number}", None) for number in range(5)] == [False] * 5
    now[0] = 31.0
    assert lazy.add([Item("5")], "5", None)
    assert not lazy.add([Item("6")], "6", None)
    assert lazy.add([Item("7", payload="x" * 20_000)], "7", None)
    assert not DeltaTable.is_deltatable(str(tmp_path / "other"))
    assert DeltaTable(str(tmp_path / "t")).version() == 2  # made, and two commits of 6 and 2 rows
    assert lazy.committed.pages == 8


def test_nothing_is_written_for_nothing(tmp_path):
    empty = writer(tmp_path / "t")
    assert not empty.add([], None, None)
    assert not empty.flush()
    assert not DeltaTable.is_deltatable(str(tmp_path / "t"))


def test_runs_and_streams_do_not_see_each_others_progress(tmp_path):
    writer(tmp_path / "t").add([Item("1")], "a", None)
    assert writer(tmp_path / "t", "r2").committed is None
    assert writer(tmp_path / "t", envelope=envelope(connection="c2")).committed is None
    assert writer(tmp_path / "t", envelope=envelope(stream="accounts")).committed is None


def test_progress_is_found_under_many_later_commits_and_a_checkpoint(tmp_path):
    writer(tmp_path / "t").add([Item("1")], "mine", None)
    other = writer(tmp_path / "t", "r2")
    for number in range(120):
        other.add([Item(f"o{number}")], str(number), None)
    assert (tmp_path / "t" / "_delta_log" / "_last_checkpoint").exists()
    assert writer(tmp_path / "t").committed.token == "mine"


def test_a_lost_log_is_an_error_and_not_a_new_beginning(tmp_path, monkeypatch):
    writer(tmp_path / "t").add([Item("1")], "mine", None)
    monkeypatch.setattr(bronze, "NOTE", "elsewhere")
    with pytest.raises(LakeError, match="no longer in the table's log"):
        writer(tmp_path / "t")


def test_two_processes_of_one_run_cannot_write_the_same_page(tmp_path):
    writer(tmp_path / "t").add([Item("1")], "2", None)
    zombie, retry = writer(tmp_path / "t"), writer(tmp_path / "t")
    retry.add([Item("2")], "3", None)
    with pytest.raises(SyncInProgress):
        zombie.add([Item("2")], "3", None)
    assert ids(tmp_path / "t") == ["1", "2"]
    assert writer(tmp_path / "t").committed.token == "3"


def test_the_first_page_cannot_be_written_twice_either(tmp_path):
    zombie, retry = writer(tmp_path / "t"), writer(tmp_path / "t")
    retry.add([Item("1")], "2", None)
    with pytest.raises(SyncInProgress):
        zombie.add([Item("1")], "2", None)
    assert ids(tmp_path / "t") == ["1"]


def test_an_unreachable_lake_is_a_lake_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LakeError):
        writer(tmp_path / "file" / "t").add([Item("1")], None, None)


def append(uri: str, name: str, pages: int) -> None:
    own = BronzeWriter(uri, envelope(f"run-{name}", tenant=f"t{name}", connection=f"c{name}"), flush_bytes=1, flush_seconds=3600)
    for number in range(pages):
        own.add([Item(f"{name}-{number}")], str(number), None)


_PROGRAM = """
import sys
from types import SimpleNamespace
from spine.lake.bronze import BronzeWriter, Envelope
uri, name = sys.argv[1:]
own = BronzeWriter(uri, Envelope("t" + name, "s", "contacts", "c" + name, "r"), flush_bytes=1, flush_seconds=3600)
for number in range(10):
    record = SimpleNamespace(record_id=f"{name}-{number}", op="upsert", cursor=None, payload="{}", fingerprint="")
    own.add([record], str(number), None)
"""


def test_many_processes_make_and_fill_one_table_at_once(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", _PROGRAM, str(tmp_path / "t"), str(number)]) for number in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    assert ids(tmp_path / "t") == sorted(f"{name}-{number}" for name in range(3) for number in range(10))


def test_many_threads_make_and_fill_one_table_at_once(tmp_path):
    workers = [threading.Thread(target=append, args=(str(tmp_path / "t"), str(number), 8)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert ids(tmp_path / "t") == sorted(f"{name}-{number}" for name in range(6) for number in range(8))


@settings(max_examples=25, deadline=None)
@given(
    pages=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    deaths=st.lists(st.integers(0, 8), max_size=4),
    flush_bytes=st.sampled_from([1, 400, 1_000_000]),
)
def test_any_sequence_of_deaths_and_retries_gives_every_record_once(pages, deaths, flush_bytes):
    contents = [[Item(f"{page}-{number}") for number in range(size)] for page, size in enumerate(pages)]
    with TemporaryDirectory() as folder:
        uri = Path(folder) / "t"
        for death in [*deaths, None]:
            run = writer(uri, flush_bytes=flush_bytes)
            if run.committed is not None and run.committed.token is None:
                continue
            start = int(run.committed.token) if run.committed else 0
            for page in range(start, len(pages)):
                if death is not None and page - start >= death:
                    break  # it dies here; what it had buffered is gone
                run.add(contents[page], str(page + 1) if page + 1 < len(pages) else None, None)
            else:
                run.flush()
        expected = Counter(item.record_id for page in contents for item in page)
        if expected:
            assert Counter(ids(uri)) == expected
            assert run.pending.rows == sum(pages)
        else:
            assert not DeltaTable.is_deltatable(str(uri))


def test_what_a_full_read_did_not_see(tmp_path):
    uri = tmp_path / "t"
    writer(uri, "r1").add([Item("1"), Item("2"), Item("3"), Item("4")], None, None)
    writer(uri, "r2").add([Item("4", op="delete"), Item("5")], None, None)
    writer(uri, envelope=envelope("r1", tenant="acme", connection="c2")).add([Item("9")], None, None)
    third = writer(uri, "r3")
    third.add([Item("1"), Item("5")], None, None)
    assert living_unseen(str(uri), envelope("r3")) == Unseen({"2": Item.cursor, "3": Item.cursor}, 4)
    third.add([Item("2", op="delete")], None, None)  # half of the sweep, then it is called again
    assert living_unseen(str(uri), envelope("r3")) == Unseen({"3": Item.cursor}, 4)
    assert living_unseen(str(tmp_path / "none"), envelope("r3")) == Unseen({}, 0)


def test_records_that_cannot_be_read_are_seen_but_make_nothing_live(tmp_path):
    uri = tmp_path / "t"
    writer(uri, "r1").add([Item("1"), Item("2"), Item("malformed:x", fingerprint="bad")], None, None)
    writer(uri, "r2").add([Item("1", fingerprint="bad"), Item("malformed:y", fingerprint="bad")], None, None)
    assert living_unseen(str(uri), envelope("r2"), malformed="bad") == Unseen({"2": Item.cursor}, 2, nameless=1)


def test_the_newest_versions_know_deletes_of_any_time(tmp_path):
    uri = tmp_path / "t"
    assert newest_in(str(uri), envelope("r1"), [("b", None)]) == {}
    writer(uri, "r1").add([Item("1", cursor="a"), Item("2", cursor="b"), Item("3", cursor="c")], None, None)
    writer(uri, "r2").add([Item("3", op="delete", cursor=None)], None, None)
    writer(uri, envelope=envelope("r1", connection="c2")).add([Item("2", op="delete", cursor="d")], None, None)
    found = newest_in(str(uri), envelope("r9"), [("b", None)])
    assert {name: (op, cursor) for name, (op, cursor, _) in found.items()} == {"2": ("upsert", "b"), "3": ("delete", "")}


def test_the_custom_metadata_is_json_that_other_readers_can_read(tmp_path):
    writer(tmp_path / "t").add([Item("1")], "two", "high")
    commit = DeltaTable(str(tmp_path / "t")).history(1)[0]
    assert orjson.loads(commit["spine.bronze"])["token"] == "two"
    assert datetime.fromtimestamp(commit["timestamp"] / 1000, tz=UTC).year >= 2026
