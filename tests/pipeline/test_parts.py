"""Parents and partitions through the real steps: real HTTP, control plane and lake. Cursors by part, skips, sweeps, kills."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import orjson
import pytest
from deltalake import DeltaTable
from sqlalchemy import text

from spine.control import drift, stream_states
from spine.control.airflow_state import ConnectionInfo
from spine.control.cursors import LONGEST, Cursors
from spine.control.variables import MemoryVariables
from spine.core.errors import ConfigError, SchemaMismatch, SourceRejected
from spine.core.names import connection_id
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("extract_process.py")
ACCOUNTS = {
    "name": "accounts", "path": "/accounts", "cursor": {"field": "at", "since": "since"}, "deletes": {"detect": "flag", "field": "gone"},
    "paging": {"type": "offset", "param": "skip", "size": 2, "size_param": "top"}, "records": "items", "key": ["id"],
}  # fmt: skip
NOTES = {
    **ACCOUNTS, "name": "notes", "path": "/accounts/{parent.id}/notes", "parent": {"stream": "accounts"},
    "compute": {"account": "{parent.id}"}, "key": ["account", "id"],
}  # fmt: skip


class Vendor:
    """Accounts with notes, each with the day of its change; `refused` maps paths to a status."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"/accounts": []}
        self.refused: dict[str, int] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def account(self, number: int, day: int, notes: int) -> None:
        self.rows["/accounts"].append({"id": number, "at": f"2026-01-{day:02d}T00:00:00Z"})
        self.rows[f"/accounts/{number}/notes"] = [{"id": note, "at": f"2026-01-{note + 1:02d}T00:00:00Z"} for note in range(notes)]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        self.asked.append((path, query))
        if path in self.refused:
            return self.refused[path], {}
        since = query.get("since", "").replace(".000000Z", "Z")
        rows = [row for row in self.rows.get(path, []) if row["at"] >= since]
        skip = int(query.get("skip", 0))
        return 200, {"items": rows[skip : skip + int(query.get("top", 100))]}

    def paths(self) -> list[str]:
        found = sorted({path for path, _ in self.asked if path.endswith("notes")})
        self.asked.clear()
        return found


@contextmanager
def serving(answer: Callable[[str, dict[str, str]], tuple[int, Any]]) -> Iterator[str]:
    """The address of a server that gives `answer` to each GET: of path and query, status and JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, content = answer(parts.path, dict(parse_qsl(parts.query)))
            body = orjson.dumps(content)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def vendor() -> Iterator[tuple[Vendor, str]]:
    found = Vendor()
    with serving(lambda *asked: found.answer(*asked)) as url:  # looked up each time, since tests replace it
        yield found, url


class Shop:
    """A source of these streams at the vendor, of one tenant."""

    def __init__(self, vendor: Vendor, url: str, folder: Path, database: Any) -> None:
        self.vendor, self.folder, self.tenant = vendor, folder, f"t{uuid4().hex[:10]}"
        self.connection = connection_id("shop", self.tenant)
        info = ConnectionInfo(self.connection, "http", url)
        self.services = Services(database, MemoryVariables(), {self.connection: info}.__getitem__, lambda seconds: None)
        self.connections = {self.connection: asdict(info)}
        self.database = database.of(self.tenant)

    def declare(self, *streams: dict[str, Any], **words: Any) -> None:
        content = {"source": "shop", "label": "Shop", "domain": "finops", "streams": streams or [ACCOUNTS, NOTES], **words}
        (self.folder / "shop.yaml").write_text(json.dumps(content))

    def sync(self, run: str, stream: str = "notes", **options: Any) -> dict[str, Any]:
        (work,) = extract.plan(Sync("shop", run, [self.tenant], [stream], **options), self.services)
        try:
            return extract.extract(work, self.services).to_json()
        finally:
            closing.finish("shop", run, [self.tenant], self.services)

    def bronze(self, run: str | None = None, stream: str = "notes", op: str = "upsert") -> list[str]:
        rows = DeltaTable(table_uri(f"raw_shop_{stream}")).to_pyarrow_table(columns=["record_id", "op", "run_id"]).to_pylist()
        return sorted(row["record_id"] for row in rows if row["op"] == op and run in (None, row["run_id"]))

    @property
    def cursor(self) -> Any:
        return Cursors(self.services.variables, self.database, self.connection).show("notes")


@pytest.fixture
def shop(vendor: tuple[Vendor, str], tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    found = Shop(*vendor, folder, database)
    found.declare()
    for number in (1, 2, 3):
        found.vendor.account(number, number, number)
    return found


ALL = ["1|0", "2|0", "2|1", "3|0", "3|1", "3|2"]


def test_each_parent_has_its_own_cursor_and_a_new_one_is_read_from_its_beginning(shop: Shop) -> None:
    assert shop.sync("r1")["rows"] == 6
    assert shop.cursor.parts == {number: f"2026-01-0{number}T00:00:00.000000Z" for number in "123"}
    shop.vendor.account(4, 1, 2)  # older than all that was read
    shop.vendor.rows["/accounts/1/notes"].append({"id": 9, "at": "2026-01-01T12:00:00Z"})  # and so is this
    found = shop.sync("r2")
    assert (found["rows"], found["skips"]) == (3, 0)
    assert shop.bronze("r2") == ["1|9", "4|0", "4|1"]
    assert shop.cursor.parts["1"] == "2026-01-01T12:00:00.000000Z"


def test_cursors_of_parents_that_are_gone_go_too(shop: Shop) -> None:
    shop.sync("r1")
    shop.vendor.rows["/accounts"][2]["gone"] = True
    shop.vendor.paths()
    shop.sync("r2")
    assert shop.vendor.paths() == ["/accounts/1/notes", "/accounts/2/notes"]
    assert sorted(shop.cursor.parts) == ["1", "2"]
    del shop.vendor.rows["/accounts"][2]["gone"]
    shop.sync("r3")
    assert sorted(shop.cursor.parts) == ["1", "2", "3"]


def test_only_changed_parents_are_asked_for(shop: Shop) -> None:
    shop.declare(ACCOUNTS, {**NOTES, "parent": {"stream": "accounts", "changed": True}, "cursor": None})
    assert shop.sync("r1")["rows"] == 6
    assert (shop.cursor.parents, shop.vendor.paths()[0]) == ("2026-01-03T00:00:00.000000Z", "/accounts/1/notes")
    shop.vendor.rows["/accounts"][0]["at"] = "2026-01-09T00:00:00Z"
    shop.vendor.rows["/accounts/1/notes"].append({"id": 7, "at": "2026-01-01T00:00:00Z"})
    shop.sync("r2")
    assert shop.vendor.paths() == ["/accounts/1/notes", "/accounts/3/notes"]  # the third is in the look-back
    assert "1|7" in shop.bronze("r2")
    shop.sync("r3", mode="full")
    assert len(shop.vendor.paths()) == 3


def test_after_a_pause_that_is_too_long_for_the_later_request_everything_is_read_again(shop: Shop) -> None:
    def asked(within: str) -> list[str]:
        later = {"path": "/changes", "within": within}
        shop.declare({**ACCOUNTS, "later": later}, {**NOTES, "later": {**later, "path": "/accounts/{parent.id}/changes"}})
        shop.vendor.asked.clear()
        for stream in ("accounts", "notes"):
            shop.sync(uuid4().hex, stream)
        return sorted({path for path, _ in shop.vendor.asked if path not in ("/accounts/2/notes", "/accounts/3/notes")})

    assert asked("30d") == ["/accounts", "/accounts/1/notes"]  # the first read
    assert asked("30d") == ["/accounts", "/accounts/1/notes", "/changes"]  # a part whose changes are older than that, but not the whole
    with shop.database.begin() as connection:
        connection.execute(text("UPDATE spine.stream_runs SET started_at = started_at - interval '31 days'"))
    assert asked("30d") == ["/accounts", "/accounts/1/notes"]
    assert "/changes" in asked("36500d")
    assert "/accounts/1/changes" in asked("36501d")


def test_a_skip_is_named_counted_and_keeps_the_sweep_from_deleting(shop: Shop) -> None:
    rule = [{"when": {"status": 403}, "then": "skip"}]
    notes = {**NOTES, "deletes": {"detect": "sweep", "max_share": 1.0}, "errors": rule}
    shop.declare(ACCOUNTS, notes)
    shop.sync("r1")
    shop.vendor.rows["/accounts/2/notes"].pop()
    shop.vendor.refused["/accounts/3/notes"] = 403
    found = shop.sync("r2", mode="full")
    assert (found["skips"], shop.bronze(op="delete")) == (1, [])
    assert found["skipped"] == ["3: GET 127.0.0.1/accounts/3/notes answered 403"]
    assert shop.cursor.parts["3"] == "2026-01-03T00:00:00.000000Z"  # as it was
    shop.vendor.refused.clear()
    shop.sync("r3", mode="full")
    assert shop.bronze(op="delete") == ["2|1"]


def test_a_stream_of_which_everything_is_refused_is_not_green(shop: Shop) -> None:
    shop.declare(ACCOUNTS, {**NOTES, "errors": [{"when": {"status": 403}, "then": "skip"}]})
    shop.vendor.refused = {f"/accounts/{number}/notes": 403 for number in (1, 2, 3)}
    with pytest.raises(SourceRejected, match="every request was refused"):
        shop.sync("r1")
    assert shop.cursor is None


def test_a_skip_of_a_stream_without_parts_leaves_its_cursor(shop: Shop) -> None:
    shop.declare({**ACCOUNTS, "name": "notes", "errors": [{"when": {"status": 410}, "then": "skip"}]})
    shop.sync("r1")
    before = shop.cursor
    shop.vendor.account(9, 20, 0)
    answer = shop.vendor.answer
    shop.vendor.answer = lambda path, query: answer(path, query) if query["skip"] == "0" else (410, {})  # type: ignore[method-assign]
    assert shop.sync("r2")["skips"] == 1
    assert shop.cursor == before


def test_a_thousand_parents_fit_in_a_variable_and_more_go_to_the_control_plane(shop: Shop) -> None:
    cursors = Cursors(shop.services.variables, shop.database, shop.connection)
    at, name = "2026-01-03T00:00:00.000000Z", f"spine.cursor.{shop.connection}.notes"
    few = {f"account-{number:08}": at for number in range(1000)}
    cursors.move("notes", at, "r1", "at", few)
    assert cursors.show("notes").parts == few
    assert "account-00000999" in shop.services.variables.values[name]
    many = {f"account-{number:08}": at for number in range(20_000)}
    for run in ("r2", "r3"):
        cursors.move("notes", at, run, "at", many)
    assert len(shop.services.variables.values[name]) < 300 < LONGEST
    assert cursors.show("notes").parts == many
    stream_states.forget(shop.database, shop.connection, "notes")
    with pytest.raises(ConfigError, match="are gone from"):
        cursors.show("notes")
    cursors.move("notes", at, "r4", "at", few)
    assert cursors.show("notes").parts == few


def test_a_cursor_of_the_former_form_is_read_and_every_parent_from_its_beginning(shop: Shop) -> None:
    shop.services.variables.set(
        f"spine.cursor.{shop.connection}.notes",
        '{"value": "2026-01-02T00:00:00.000000Z", "updated_at": "2026-01-02T00:00:00.000000Z", "run_id": "r0", "field": "at"}',
    )
    assert shop.sync("r1")["rows"] == 6
    assert sorted(shop.cursor.parts) == ["1", "2", "3"]


def test_killed_between_any_two_pages_of_any_parent_bronze_is_as_undisturbed(
    shop: Shop, run_program: Callable[..., Any], tmp_path: Path
) -> None:
    order = {
        "database": shop.services.database.url.render_as_string(hide_password=False), "connections": shop.connections,
        "source": "shop", "stream": "notes", "tenant": shop.tenant, "run_id": "r1", "mode": "full",
    }  # fmt: skip

    def run(folder: Path, failpoint: str = "") -> int:
        import os

        folder.mkdir(exist_ok=True)
        (folder / "order.json").write_bytes(orjson.dumps({**order, "folder": str(folder)}))
        environment = {**os.environ, "SPINE_LAKE": str(folder / "lake"), "SPINE_FLUSH_BYTES": "1", "SPINE_FAILPOINT": failpoint}
        done = run_program(PROGRAM, str(folder / "order.json"), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    def rows(folder: Path) -> Counter[tuple[str, ...]]:
        found = DeltaTable(str(folder / "lake" / "raw_shop_notes")).to_pyarrow_table(columns=["record_id", "op", "payload"]).to_pylist()
        return Counter(tuple(row.values()) for row in found)

    def cursor(folder: Path) -> dict[str, Any]:
        kept = orjson.loads((folder / "variables.json").read_bytes())
        return orjson.loads(kept[f"spine.cursor.{shop.connection}.notes"])["parts"]

    calm, rough = tmp_path / "calm", tmp_path / "rough"
    assert run(calm) == 0
    kills = 0
    while run(rough, "extract.after_page_commit:1") == -9:  # dies after each commit: every page with records has one
        kills += 1
    assert kills == 4
    assert sorted(name for name, *_ in rows(calm)) == ALL
    assert (rows(rough), cursor(rough)) == (rows(calm), cursor(calm))


def test_people_set_and_rewind_all_parts_or_one(shop: Shop) -> None:
    shop.sync("r1")
    cursors = Cursors(shop.services.variables, shop.database, shop.connection)
    cursors.rewind("notes", "2026-01-02T00:00:00Z", by="ada")
    assert [at[:10] for at in shop.cursor.parts.values()] == ["2026-01-01", "2026-01-02", "2026-01-02"]
    cursors.set("notes", "2026-01-03T00:00:00Z", by="ada", part="3")
    cursors.rewind("notes", "2026-01-01T00:00:00Z", by="ada", part="2")
    assert [at[:10] for at in shop.cursor.parts.values()] == ["2026-01-01", "2026-01-01", "2026-01-03"]
    with pytest.raises(ConfigError, match="no part '9'"):
        cursors.set("notes", "2026-01-03T00:00:00Z", by="ada", part="9")
    with pytest.raises(ConfigError, match="is not before"):
        cursors.rewind("notes", "2026-01-05T00:00:00Z", by="ada", part="2")
    shop.vendor.asked.clear()
    shop.sync("r2")
    since = {path: query["since"][:10] for path, query in shop.vendor.asked if path.endswith("notes")}
    assert since == {"/accounts/1/notes": "2025-12-31", "/accounts/2/notes": "2025-12-31", "/accounts/3/notes": "2026-01-02"}
    assert shop.bronze("r2") == ["2|1"]  # what was read again beyond the look-back, of which Silver keeps one


class TestDrift:
    """Changes of shape, by policy, before Silver sees anything."""

    @staticmethod
    def changed(shop: Shop, policy: str) -> None:
        shop.declare({**ACCOUNTS, "name": "notes", "drift": policy})
        shop.vendor.rows["/accounts"] = [{"id": n, "at": "2026-01-01T00:00:00Z", "size": 1, "old": "x"} for n in range(30)]
        shop.sync("r1")
        shop.vendor.rows["/accounts"] = [{"id": n, "at": "2026-01-02T00:00:00Z", "size": "big", "new": 1} for n in range(30)]

    def kinds(self, shop: Shop) -> list[tuple[str, str, str, str, bool]]:
        found = [(seen.run_id, seen.drift) for seen in drift.recent(shop.database)]
        return sorted((run, one.kind, one.field, f"{one.before}>{one.after}", one.destructive) for run, one in found)

    def test_changes_are_recorded_for_stream_and_run(self, shop: Shop) -> None:
        self.changed(shop, "evolve")
        shop.sync("r2")
        wanted = [
            ("r2", "added", "new", ">number", False), ("r2", "removed", "old", "text>", True),
            ("r2", "retyped", "size", "number>number or text", True),
        ]  # fmt: skip
        assert self.kinds(shop) == wanted
        shop.vendor.rows["/accounts"].append({"id": 99, "at": "2026-01-03T00:00:00Z", "size": 3, "new": 2})
        shop.sync("r3")
        assert self.kinds(shop) == wanted

    def test_a_frozen_stream_fails_and_keeps_what_it_had(self, shop: Shop) -> None:
        self.changed(shop, "freeze")
        with pytest.raises(SchemaMismatch, match="size, new"):
            shop.sync("r2")
        assert shop.bronze("r2") == []
        assert shop.cursor.value.startswith("2026-01-01")

    @pytest.mark.parametrize(("policy", "mark"), [("discard_row", "_error"), ("discard_value", "_discarded")])
    def test_rows_or_values_are_put_aside_and_not_lost(self, shop: Shop, policy: str, mark: str) -> None:
        self.changed(shop, policy)
        shop.sync("r2")
        rows = DeltaTable(table_uri("raw_shop_notes")).to_pyarrow_table(columns=["payload", "run_id"]).to_pylist()
        second = [row["payload"] for row in rows if row["run_id"] == "r2"]
        assert (len(second), all(mark in payload and "big" in payload for payload in second)) == (30, True)
