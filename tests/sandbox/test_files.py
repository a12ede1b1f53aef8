"""The HR file drop: a file a day, three formats, one with bad rows, one with a changed column."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
import requests

from spine.sandbox import files
from spine.sandbox.server import SandboxServer
from spine.sandbox.world import World

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return World("default", 7, 1500, NOW)


def rows_of(path: Path) -> list[dict]:
    if path.suffix == ".csv":
        with path.open(newline="") as text:
            return [row for row in csv.DictReader(text) if not row["employee_id"].startswith("E9000") and row["employee_id"]]
    if path.suffix == ".jsonl":
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return pq.read_table(path).to_pylist()


def test_all_days_hold_every_person_once(world: World, tmp_path: Path) -> None:
    paths = files.drop_all(world, tmp_path)
    assert len(paths) in (30, 31)
    assert {path.suffix for path in paths} == {".csv", ".jsonl", ".parquet"}
    ids = [row["employee_id"] for path in paths for row in rows_of(path)]
    assert len(ids) == len(set(ids)) == len(world.table("people_files", "people"))


def test_a_file_holds_its_own_day_and_bears_its_time(world: World, tmp_path: Path) -> None:
    for path in files.drop_all(world, tmp_path):
        day = path.stem.removeprefix("people_")
        assert {str(row["updated_at"])[:10] for row in rows_of(path)} == {day}
        assert datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat() == day


def test_parquet_is_typed(world: World, tmp_path: Path) -> None:
    path = files.drop_files(world, tmp_path, 2)
    assert path is not None
    row = next(row for row in rows_of(path) if row["date_of_birth"])
    assert isinstance(row["date_of_birth"], date)
    assert row["updated_at"].tzinfo is not None


def test_one_file_has_rows_that_cannot_be_read(world: World, tmp_path: Path) -> None:
    path = files.drop_files(world, tmp_path, files.BAD_DAY)
    assert path is not None
    lines = path.read_text().splitlines()
    width = len(files.COLUMNS)
    bad = list(csv.reader(lines))[-files.BAD_ROWS :]
    assert [len(row) for row in bad] == [width, width + 1, width, 4]
    assert bad[0][0] == ""
    assert bad[2][files.COLUMNS.index("date_of_birth")] == "1985-02-31"


def test_one_file_has_a_changed_column(world: World, tmp_path: Path) -> None:
    path = files.drop_files(world, tmp_path, files.CHANGED_DAY)
    assert path is not None
    names = path.read_text().splitlines()[0].split(",")
    assert "email_address" in names
    assert "email" not in names
    assert names[-1] == "cost_centre"


def test_a_file_never_changes_once_it_is_there(world: World, tmp_path: Path) -> None:
    path = files.drop_files(world, tmp_path, 0)
    assert path is not None
    path.write_text("kept")
    assert files.drop_files(world, tmp_path, 0) == path
    assert path.read_text() == "kept"


def test_days_can_be_held_back_and_arrive_later(tmp_path: Path) -> None:
    with SandboxServer({"default": 1500}, now=NOW, drop=tmp_path, held_back=3) as server:
        before = set((tmp_path / "default").iterdir())
        answer = requests.post(f"{server.url}/_sandbox/drop", json={"day": 29}, timeout=10).json()
        assert set((tmp_path / "default").iterdir()) - before == {Path(answer["file"])}
        assert requests.post(f"{server.url}/_sandbox/drop", json={"day": 31}, timeout=10).status_code == 400


def test_changes_arrive_in_a_file_of_their_own(server, client) -> None:
    answer = client.control("advance", {"source": "people_files", "stream": "people", "changed": 3, "created": 2})
    rows = rows_of(Path(answer["file"]))
    assert [row["employee_id"] for row in rows] == answer["changed"] + answer["created"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_given_people_replace_the_drop(server, client, suffix: str) -> None:
    people = [{"first_name": "Jean", "last_name": "Adamson", "date_of_birth": "1857-04-22", "gender": "m"}]
    body = {"source": "people_files", "stream": "people", "records": people, "replace": True, "file": f"people_x.{suffix}"}
    answer = client.control("load", body)
    folder = Path(answer["file"]).parent
    assert [path.name for path in folder.iterdir()] == [f"people_x.{suffix}"]
    row = rows_of(Path(answer["file"]))[0]
    assert (row["employee_id"], row["last_name"], str(row["date_of_birth"])) == (answer["ids"][0], "Adamson", "1857-04-22")
    assert row["gender"] == "m"
