"""Changes that a source tells since a token which it gave, through the real steps: kept with what came before it, refused, killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from spine.core import clock
from spine.core.errors import ConfigError, DeleteSweepRefused
from spine.pipeline import extract
from spine.pipeline.work import Sync
from tests.pipeline.test_parts import PROGRAM, Shop, serving

pytestmark = pytest.mark.slow
NOTES = {
    "name": "notes", "path": "/notes", "params": {"$select": "id,text", "key": "{word}"}, "records": "value", "key": ["id"],
    "paging": {"type": "odata"}, "deletes": {"detect": "flag", "field": "@removed", "max_share": 0.5},
    "changes": {"token": '"@odata.deltaLink"'}, "later": {"path": "{changes.token}"},
}  # fmt: skip


class Log:
    """Notes, and a log of what happened to them, which forgets what is older than `known`. Pages hold two; addresses are relative."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.known = 0
        self.asked: list[dict[str, str]] = []

    def put(self, *names: str) -> None:
        self.events += [{"id": name, "text": f"{name} {len(self.events)}"} for name in names]

    def remove(self, name: str) -> None:
        self.events.append({"id": name, "@removed": {"reason": "deleted"}})

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        self.asked.append(query)
        since, skip, end = (int(query.get(name, 0)) for name in ("since", "skip", "end"))
        if "since" in query and since < self.known:
            return 410, {"error": {"code": "resyncRequired"}}
        end = end or len(self.events)
        found = list({event["id"]: event for event in self.events[since:end]}.values())
        if "since" not in query:
            found = [event for event in found if "@removed" not in event]
        more = f"/notes?skip={skip + 2}&end={end}" + (f"&since={since}" if "since" in query else "")
        link = {"@odata.nextLink": more} if skip + 2 < len(found) else {"@odata.deltaLink": f"/notes?since={end}"}
        return 200, {"value": found[skip : skip + 2], **link}


@pytest.fixture
def served() -> Iterator[tuple[Log, str]]:
    log = Log()
    with serving(lambda *asked: log.answer(*asked)) as url:  # looked up each time, since tests replace it
        yield log, url


@pytest.fixture
def shop(served: tuple[Log, str], tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    found = Shop(*served, folder, database)  # type: ignore[arg-type]
    declare(found)
    served[0].put("a", "b", "c", "d", "e")
    return found


def declare(shop: Shop, **words: Any) -> None:
    shop.declare({**NOTES, **words}, variables={"word": {"default": "x"}})


def test_a_token_is_kept_and_only_what_has_changed_is_asked_for(shop: Shop) -> None:
    log: Any = shop.vendor
    assert shop.sync("r1")["rows"] == 5
    assert [query.get("$select") for query in log.asked] == ["id,text", None, None]  # a link has all parameters itself
    kept = shop.cursor
    assert list(kept.parts) == [""]
    assert kept.parts[""].endswith("/notes?since=5")
    assert clock.parse(kept.value) <= clock.now()  # when it was taken
    log.put("b", "f", "b")
    log.remove("c")
    log.asked.clear()
    assert shop.sync("r2")["rows"] == 3
    assert log.asked[0] == {"since": "5"}
    assert shop.bronze("r2") == ["b", "f"]
    assert shop.bronze("r2", op="delete") == ["c"]
    assert shop.sync("r3")["rows"] == 0
    assert shop.cursor.parts[""].endswith("since=9")


def test_a_refused_token_leads_to_one_full_read_which_marks_what_is_gone_and_says_so(shop: Shop) -> None:
    log: Any = shop.vendor
    shop.sync("r1")
    log.remove("c")
    log.put("f")
    log.known = 6
    found = shop.sync("r2")
    assert "refused the token of its changes (410): everything is read again" in found["notes"][0]
    assert shop.bronze("r2") == ["a", "b", "d", "e", "f"]
    assert shop.bronze("r2", op="delete") == ["c"]
    assert shop.sync("r3")["rows"] == 0
    log.known, log.events = 99, [*log.events[:1], {"id": "z"}]
    with pytest.raises(DeleteSweepRefused):
        shop.sync("r4")
    assert shop.cursor.run_id == "r3", "the token stays until somebody has judged it"


def test_another_request_takes_another_token(shop: Shop) -> None:
    shop.sync("r1")
    declare(shop, params={"$select": "id"})
    assert shop.sync("r2")["rows"] == 5
    assert shop.sync("r3")["rows"] == 0
    assert shop.sync("r4", mode="full")["rows"] == 5
    assert shop.sync("r5", mode="resync")["rows"] == 5
    assert shop.sync("r6")["rows"] == 0


def test_a_cursor_of_times_that_was_kept_before_is_no_token(shop: Shop) -> None:
    at = "2026-01-01T00:00:00.000000Z"
    kept = {"value": at, "updated_at": at, "run_id": "r0", "field": "at", "parts": {"": at}}
    shop.services.variables.set(f"spine.cursor.{shop.connection}.notes", orjson.dumps(kept).decode())
    assert shop.sync("r1")["rows"] == 5


def test_no_interval_bounds_such_a_stream(shop: Shop) -> None:
    interval = {"interval_start": clock.parse("2026-01-01T00:00:00Z"), "interval_end": clock.parse("2026-02-01T00:00:00Z")}
    with pytest.raises(ConfigError, match="told by a token: no interval of time bounds them"):
        shop.sync("b1", **interval)
    shop.declare(NOTES, {**NOTES, "name": "others", "changes": None, "later": None}, variables={"word": {"default": "x"}})
    works = extract.plan(Sync("shop", "b2", [shop.tenant], **interval), shop.services)  # type: ignore[arg-type]
    assert [work.stream for work in works] == ["others"]


def test_a_link_on_another_host_is_not_followed(shop: Shop) -> None:
    shop.sync("r1")
    name = f"spine.cursor.{shop.connection}.notes"
    shop.services.variables.set(name, shop.services.variables.values[name].replace("127.0.0.1", "203.0.113.7"))  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="another host"):
        shop.sync("r2")


@pytest.mark.parametrize("refused", [False, True], ids=["told", "refused"])
def test_killed_behind_each_commit_no_change_is_lost(shop: Shop, run_program: Callable[..., Any], tmp_path: Path, refused: bool) -> None:
    log: Any = shop.vendor
    found = {}
    order = {
        "database": shop.services.database.url.render_as_string(hide_password=False), "connections": shop.connections, "source": "shop",
        "stream": "notes", "mode": "incremental",
    }  # fmt: skip

    def run(name: str, run_id: str, failpoint: str = "") -> int:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        told = {**order, "folder": str(folder), "tenant": shop.tenant, "run_id": f"{name}-{run_id}"}
        (folder / "order.json").write_bytes(orjson.dumps(told))
        environment = {**os.environ, "SPINE_LAKE": str(folder / "lake"), "SPINE_FLUSH_BYTES": "1", "SPINE_FAILPOINT": failpoint}
        done = run_program(PROGRAM, str(folder / "order.json"), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return int(done.returncode)

    for name in ("calm", "rough"):
        assert run(name, "r1") == 0
    log.put("f", "g", "h")
    log.remove("b")
    log.known = len(log.events) - 1 if refused else 0
    assert run("calm", "r2") == 0
    kills = 0
    for failpoint in ("extract.after_page_commit:1", "extract.before_cursor"):
        while run("rough", "r2", failpoint) == -9:
            kills += 1
            assert kills < 20
            if failpoint == "extract.before_cursor":
                break
    assert run("rough", "r2") == 0
    assert kills >= 3
    from deltalake import DeltaTable

    for name in ("calm", "rough"):
        table = DeltaTable(str(tmp_path / name / "lake" / "raw_shop_notes"))
        rows = table.to_pyarrow_table(columns=["record_id", "op", "payload", "run_id"])
        found[name] = sorted(tuple(row.values())[:3] for row in rows.to_pylist() if row["run_id"].endswith("r2"))
    assert found["rough"] == found["calm"]
    assert len(found["calm"]) == (8 if refused else 4)


LINES = {
    "name": "lines", "path": "/notes/{parent.id}/lines", "records": "items", "key": ["id"], "parent": {"stream": "notes", "changed": True},
}  # fmt: skip


def test_only_children_of_parents_that_the_token_tells_are_asked_for_and_a_skipped_one_again(shop: Shop) -> None:
    log: Any = shop.vendor
    answer, asked, refused = log.answer, [], set[str]()

    def told(path: str, query: dict[str, str]) -> tuple[int, Any]:
        if not path.endswith("/lines"):
            return answer(path, query)
        asked.append(path.split("/")[2])
        return (403, {}) if asked[-1] in refused else (200, {"items": [{"id": f"{asked[-1]}1"}]})

    log.answer = told
    shop.declare(NOTES, {**LINES, "errors": [{"when": {"status": 403}, "then": "skip"}]}, variables={"word": {"default": "x"}})

    def read(run: str) -> list[str]:
        asked.clear()
        shop.sync(run, "lines")
        return sorted(asked)

    assert read("r1") == ["a", "b", "c", "d", "e"]
    log.put("b", "f")
    log.remove("c")
    refused.add("f")
    assert read("r2") == ["b", "f"]
    refused.clear()
    assert read("r3") == ["b", "f"]
    assert read("r4") == []
    log.known = 99
    assert read("r5") == ["a", "b", "d", "e", "f"]
