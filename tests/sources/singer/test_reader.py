"""What a tap writes becomes pages; however it ends, what came before is kept, and no secret of it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from spine.core.errors import ConfigError, SchemaMismatch, SourceUnavailable, SpineError
from spine.sources import singer
from spine.sources.access import Access, Times
from spine.sources.check import mistakes_of
from spine.sources.reading import Page, State, Window
from spine.sources.singer import environments
from spine.sources.spec import Source

TAP = Path(__file__).with_name("tap.py")
FULL = Window(full=True)
SECRET = "sesame-of-the-tap"  # pragma: allowlist secret


def source_with(tap: dict[str, Any] | None = None, **stream: Any) -> Source:
    said = {"executable": str(TAP), "config": {"token": "{password}", "mode": "{mode}", "count": "{count}"}, **(tap or {})}
    declared = {"name": "people", "key": ["id"], "cursor": {"field": "at"}, **stream}
    return Source(source="taps", label="Taps", domain="revops", kind="singer", tap=said, streams=[declared])


def read(
    mode: str = "plain", state: State | None = None, window: Window = FULL, count: int = 60, total: float = 60, **stream: Any
) -> list[Page]:
    """The pages, and the error behind them if there is one, as the last thing."""
    source = source_with(stream.pop("tap", None), **stream)
    access = Access(password=SECRET, extra={"mode": mode, "count": count}, times=Times(total=total))
    found: list[Any] = []
    try:
        for page in singer.Reader(source, access).read(source.streams[0], state or State(), window):
            found.append(page)
    except SpineError as error:
        found.append(error)
    return found


def ids(pages: list[Any]) -> list[str]:
    return [record.record_id for page in pages if isinstance(page, Page) for record in page.records]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_BATCH_SIZE", "10")


def test_a_stream_is_read_with_the_state_behind_its_records(small):
    pages = read()
    assert ids(pages) == [str(number) for number in range(60)]
    assert [orjson.loads(page.next_token)["state"] for page in pages[:3]] == [
        {"bookmarks": {"people": 6}}, {"bookmarks": {"people": 13}}, {"bookmarks": {"people": 27}}
    ]  # fmt: skip
    assert pages[-1].next_token is None
    assert orjson.loads(pages[-1].high_water) == {"bookmarks": {"people": 59}}
    assert pages[0].records[0].cursor == "2026-01-01T00:00:00.000000Z"


def test_reading_goes_on_from_any_page_and_loses_nothing(small):
    whole, found = set(ids(read())), []
    state = State()
    while True:
        page = read(state=state)[0]
        found += ids([page])
        if page.next_token is None:
            break
        assert state.token != page.next_token
        state = State(None, page.next_token, page.high_water)
        if len(found) > 500:
            pytest.fail("the reading does not get on")
    assert set(found) == whole


def test_the_next_run_begins_where_the_last_one_ended():
    state = State(cursor=read()[-1].high_water)
    assert ids(read(state=state, window=Window(), count=63)) == ["59", "60", "61", "62"]
    assert len(ids(read(state=state, window=FULL, count=63))) == 63


def test_fields_are_selected_and_shaped():
    (page,) = read(fields=["name"], personal={"name": "mask"}, cursor=None)
    assert set(orjson.loads(page.records[0].payload)) == {"id", "name"}
    assert orjson.loads(page.records[0].payload)["name"] == "***"


def test_what_the_tap_calls_deleted_is_a_delete():
    (page,) = read("deletes", count=20)
    assert [record.record_id for record in page.records if record.op == "delete"] == ["0", "10"]


def test_a_table_is_whole_only_when_the_tap_says_so():
    assert read("versions")[-1].skipped == ""
    assert "version 7" in read("unactivated")[-1].skipped


def test_a_new_version_of_the_whole_table_is_told_in_an_incremental_run_and_the_same_one_is_not():
    state = State(cursor=read("versions")[-1].high_water)
    (same,) = read("versions", state, Window(), count=63)
    assert (ids([same]), same.anew) == (["59", "60", "61", "62"], False)
    (new,) = read("replaced", State(cursor=same.high_water), Window(), count=20)
    assert (len(new.records), new.anew) == (20, True)
    (again,) = read("replaced", State(cursor=new.high_water), Window(), count=20)
    assert not again.anew
    plain = State(cursor=orjson.dumps({"bookmarks": {"people": 5}}).decode())  # of before versions were kept
    assert not read("replaced", plain, Window(), count=20)[-1].anew


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("crash", SourceUnavailable, "ended with code 3; it said: CRITICAL refused"),
        ("hang", SourceUnavailable, "wrote nothing for 2 s"),
        ("nonsense", SchemaMismatch, "no Singer message"),
        ("long", SchemaMismatch, "a line of more than"),
    ],
)
def test_a_tap_that_fails_leaves_what_came_before(mode, kind, words):
    *pages, error = read(mode, total=2 if mode == "hang" else 60)
    assert isinstance(error, kind)
    assert words in str(error)
    assert SECRET not in str(error)
    assert "ann@example" not in str(error)
    assert ids(pages) == [str(number) for number in range(31)]
    assert orjson.loads(pages[-1].next_token)["state"] == {"bookmarks": {"people": 27}}


def test_a_flood_of_words_about_itself_stops_nothing():
    assert len(ids(read("flood"))) == 60


def test_nothing_is_left_of_a_tap_that_nobody_reads_to_its_end(small):
    before = set(Path(tempfile.gettempdir()).glob("spine-tap-*"))
    source = source_with()
    access = Access(password=SECRET, extra={"mode": "hang", "count": 60})
    pages = singer.Reader(source, access).read(source.streams[0], State(), FULL)
    assert next(pages).records
    assert set(Path(tempfile.gettempdir()).glob("spine-tap-*")) > before
    pages.close()
    assert set(Path(tempfile.gettempdir()).glob("spine-tap-*")) == before
    assert SECRET not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout


def test_what_a_killed_worker_has_left_is_removed():
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    ).stdout.strip()
    left = Path(tempfile.mkdtemp(prefix=f"spine-tap-{dead}-"))
    (left / "config.json").write_text(SECRET)
    read(count=1)
    assert not left.exists()


def test_what_is_wrong_is_told_before_anything_runs():
    (error,) = read(object="nobody")
    assert isinstance(error, SchemaMismatch)
    assert "people, others" in str(error)
    (error,) = read(key=["number"])
    assert "the tap has no number" in str(error)
    (error,) = read(tap={"executable": "no-such-tap"})
    assert isinstance(error, ConfigError)
    (error,) = read(tap={"config": {"token": "{password}", "site": "{site}"}})
    assert "has no site" in str(error)
    broken = source_with().model_copy(update={"tap": None})
    assert [place for place, _ in mistakes_of(broken)] == [("tap",)]
    with pytest.raises(ValueError, match="name==version"):
        source_with({"requirements": ["tap-acme>=1"]})


@pytest.fixture
def package(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """A package with a tap, installed from a folder: no registry is asked."""
    import zipfile

    name = tmp_path / "wheels" / "tap_small-1.0.0-py3-none-any.whl"
    name.parent.mkdir()
    with zipfile.ZipFile(name, "w") as wheel:
        wheel.writestr("tap_small.py", TAP.read_text())
        about = "tap_small-1.0.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tap-small\nVersion: 1.0.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/entry_points.txt", "[console_scripts]\ntap-small = tap_small:main\n")
        wheel.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(name.parent))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return lambda: str(name)


def test_a_tap_is_installed_once_whoever_asks_first(package, monkeypatch):
    made: list[Any] = []
    install = environments._install
    monkeypatch.setattr(environments, "_install", lambda *said: (made.append(said), install(*said), time.sleep(0.2)))
    tap = {"executable": "tap-small", "requirements": ["tap-small==1.0.0"]}
    found: list[Any] = []
    workers = [
        threading.Thread(target=lambda: found.append(environments.program_of(tap["executable"], tap["requirements"]))) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(found)) == 1
    assert len(made) == 1
    os.unlink(package())
    assert len(ids(read(tap=tap))) == 60, "it needs no registry any more"
    (error,) = read(tap={"executable": "tap-small", "requirements": ["tap-small==2.0.0"]})
    assert "could not be installed" in str(error)
