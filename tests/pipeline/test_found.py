"""Streams that are found when a run is planned, through the real steps: each its own table, cursor and name, which stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from spine.control.cursors import Cursors
from spine.core.errors import ConfigError, SpineError
from spine.lake.reading import table_names
from spine.pipeline import closing, extract
from spine.pipeline.due import rows_due
from spine.pipeline.found import with_found
from spine.pipeline.probe import probe
from spine.pipeline.status import status
from spine.pipeline.work import Sync
from tests.pipeline.test_parts import Shop, vendor

__all__ = ["vendor"]
pytestmark = pytest.mark.slow
TABLES = {"name": "tables", "path": "/tables", "records": "items", "key": ["id"]}
ROWS = {
    "name": "table", "path": "/tables/{found.id}/rows", "records": "items", "key": ["id"], "cursor": {"field": "at", "since": "since"},
    "compute": {"base": "{found.base}"}, "found": {"stream": "tables", "name": "title"},
}  # fmt: skip
AT = "2026-01-0{}T00:00:00Z"


@pytest.fixture
def shop(vendor: Any, tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    found = Shop(*vendor, folder, database)
    found.declare(TABLES, ROWS)
    found.vendor.rows = {"/tables": []}
    for number, title in enumerate(("Open deals", "Übersicht", "open-deals"), 1):
        table(found, number, title)
    return found


def table(shop: Shop, number: int, title: str) -> None:
    shop.vendor.rows["/tables"].append({"id": f"t{number}", "title": title, "base": "b", "at": AT.format(1)})
    shop.vendor.rows[f"/tables/t{number}/rows"] = [{"id": row, "at": AT.format(row + 1)} for row in range(number)]


def sync(shop: Shop, run: str, *streams: str, **options: Any) -> dict[str, Any]:
    """Rows by stream, of one that failed its error."""
    works = extract.plan(Sync("shop", run, [shop.tenant], list(streams) or None, **options), shop.services)
    found: dict[str, Any] = {}
    for work in works:
        try:
            found[work.stream] = extract.extract(work, shop.services).counts.rows
        except SpineError as error:
            found[work.stream] = error.message
    closing.finish("shop", run, [shop.tenant], shop.services)
    return found


FIRST = {"tables": 3, "table_open_deals": 1, "table_ubersicht": 2}


def test_each_has_a_table_and_a_cursor_of_its_own_and_a_name_that_no_other_has(shop: Shop) -> None:
    found = sync(shop, "r1")
    (other,) = set(found) - set(FIRST)
    assert other.startswith("table_open_deals_")
    assert found == {**FIRST, other: 3}
    assert [name for name in table_names() if name.startswith("raw_")] == sorted(f"raw_shop_{name}" for name in found)
    cursors = Cursors(shop.services.variables, shop.database, shop.connection)
    assert cursors.show("table_ubersicht").value.startswith("2026-01-02")
    shop.vendor.rows["/tables/t2/rows"].append({"id": 9, "at": AT.format(9)})
    assert sync(shop, "r2", "table_ubersicht") == {"table_ubersicht": 1}
    assert sync(shop, "r3", "table")[other] == 0


def test_whoever_reads_tables_knows_them(shop: Shop) -> None:
    assert rows_due("shop") == 0
    found = sync(shop, "r1")
    assert set(with_found("shop").silvers) == set(found)
    assert rows_due("shop") == 9
    assert {one["stream"]: one["rows"] for one in status(shop.services, shop.tenant, "shop")["sources"][0]["streams"]} == found


def test_a_renamed_one_keeps_its_name_and_one_that_is_gone_is_told_and_stays(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    sync(shop, "r1")
    tables = shop.vendor.rows["/tables"]
    tables[1]["title"] = "Overview"
    gone = tables.pop(0)
    table(shop, 4, "New")
    found = sync(shop, "r2")
    assert found["table_ubersicht"] == 0
    assert found["table_new"] == 4
    assert "table_open_deals" not in found
    assert "table_open_deals: no longer at the source" in caplog.text
    assert "raw_shop_table_open_deals" in table_names()
    caplog.clear()
    sync(shop, "r3")
    assert "no longer" not in caplog.text
    tables.append(gone)
    assert sync(shop, "r4")["table_open_deals"] == 0


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({"include": ["Open*"]}, ["table_open_deals"]), ({"exclude": ["?pen*"]}, ["table_ubersicht"]),
        ({"variable": "chosen"}, []), ({"filters": [{"field": "id", "one_of": ["t3"]}]}, ["table_open_deals"]),
    ],
    ids=["include", "exclude", "variable", "filters"],
)  # fmt: skip
def test_only_those_that_are_meant_are_read(shop: Shop, words: dict[str, Any], wanted: list[str]) -> None:
    shop.declare(TABLES, {**ROWS, "found": {**ROWS["found"], **words}}, variables={"chosen": {"type": "list", "optional": True}})  # type: ignore[dict-item]
    assert sorted(set(sync(shop, "r1")) - {"tables"}) == wanted


def test_more_than_there_may_be_are_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.declare(TABLES, {**ROWS, "found": {**ROWS["found"], "most": 2}})  # type: ignore[dict-item]
    assert sync(shop, "r1") == FIRST
    assert "1 more were found than `most` allows, and are not read: open-deals" in caplog.text
    shop.vendor.rows["/tables"].reverse()
    assert set(sync(shop, "r2")) == set(FIRST), "those that are read already stay"


def test_a_source_that_cannot_be_asked_fails_where_people_look_and_loses_nothing(shop: Shop) -> None:
    shop.vendor.refused["/tables"] = 404
    assert "answered 404" in sync(shop, "r1")["table"]
    shop.vendor.refused.clear()
    sync(shop, "r2")
    shop.vendor.refused["/tables"] = 404
    found = sync(shop, "r3", "table")
    assert "answered 404" in found.pop("table")
    assert (len(found), set(found.values())) == (3, {0})


def test_a_name_that_is_not_there_is_refused_with_those_that_are(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="has no stream 'table_nothing' at present"):
        sync(shop, "r1", "table_nothing")


def test_what_was_found_for_one_tenant_is_nobody_elses(shop: Shop) -> None:
    sync(shop, "r1")
    kept = [name for name in shop.services.variables.keys("spine.found.")]
    assert kept == [f"spine.found.{shop.connection}.table"]
    entries = orjson.loads(shop.services.variables.get(kept[0]))
    assert entries["t1"] == {"name": "table_open_deals", "title": "Open deals", "values": {"id": "t1", "base": "b"}, "gone": None}


def test_a_test_of_the_connection_reads_the_first_that_is_found_and_finds_it_well_that_there_is_none(shop: Shop) -> None:
    def tested() -> dict[str, int]:
        told = probe("shop", shop.tenant, shop.services, "test")
        assert told.error is None
        return {one.stream: one.records for one in told.streams}

    assert tested() == {"tables": 3, "table": 1}
    shop.vendor.rows["/tables"].clear()
    assert tested() == {"tables": 0, "table": 0}
