"""Tables of Silver and Gold as a source: changes by the change feed, the tenant's own rows only, filters and deletes as declared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import polars as pl
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.errors import ConfigError, SchemaMismatch
from spine.core.names import connection_id
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.unite import unite
from spine.pipeline.work import Sync
from spine.sources import lake as reader
from spine.sources.access import Access
from spine.sources.check import mistakes_of
from spine.sources.places import Place
from spine.sources.reading import State, Window
from spine.sources.spec import Source
from tests.conftest import GoldWorld

pytestmark = pytest.mark.postgres
PROVES = "the lake itself"
DEAL = {"name": "Ten lamps", "stage": "Prospecting", "value": Decimal("10.50"), "updated_at": None}
Run = Callable[..., None]


@pytest.fixture
def world(lake: str) -> GoldWorld:
    """An empty lake of opportunities."""
    return GoldWorld("opportunity")


@pytest.fixture
def sync(database: Database, home: Any) -> Run:
    """Reads streams of a source for tenants whose Connections say nothing."""
    variables = MemoryVariables()
    services = Services(database, variables, lambda name: ConnectionInfo(name, "generic"), lambda _: None)

    def run(source: str, run_id: str, streams: list[str], tenants: list[str], **options: Any) -> None:
        works = extract.plan(Sync(source, run_id, tenants, streams, **options), services)
        try:
            for work in works:
                extract.extract(work, services)
        finally:
            closing.finish(source, run_id, tenants, services)

    return run


def bronze(tenant: str) -> list[tuple[str, str, str, Any]]:
    """Run, operation, id and payload of each row of a tenant."""
    rows = pl.read_delta(table_uri("raw_lake_open_opportunities")).filter(pl.col("tenant_id") == tenant).sort("run_id", "record_id")
    return [(row["run_id"], row["op"], row["record_id"], orjson.loads(row["payload"])) for row in rows.to_dicts()]


def short(rows: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str]]:
    return [(run, op, name.rpartition(":")[2]) for run, op, name, _ in rows]


def test_a_table_is_read_once_and_then_its_changes_each_tenants_own(world: GoldWorld, sync: Run, tenant: str) -> None:
    north, south = tenants = [tenant, f"{tenant}s"]
    for one in tenants:
        world.put("salesforce", [{"id": "1", **DEAL}, {"id": "2", **DEAL}], one)
    unite("opportunity", "g1")
    sync("lake", "r1", ["open_opportunities"], tenants)
    assert short(bronze(north)) == [("r1", "upsert", "1"), ("r1", "upsert", "2")]
    payload = bronze(north)[0][3]
    assert (payload["name"], payload["value"], payload["source"]) == ("Ten lamps", 10.5, "salesforce")
    assert "tenant_id" not in payload

    sync("lake", "r2", ["open_opportunities"], tenants)
    assert len(bronze(north)) == 2, "nothing is new"

    world.put("salesforce", [{"id": "1", **DEAL, "stage": "Negotiation"}], north)
    unite("opportunity", "g2")
    world.put("salesforce", [{"id": "1", **DEAL, "stage": "Proposal"}, {"id": "2", **DEAL, "is_deleted": True}], north)
    unite("opportunity", "g3")
    sync("lake", "r3", ["open_opportunities"], tenants)
    found = bronze(north)[2:]
    assert short(found) == [("r3", "upsert", "1"), ("r3", "delete", "2")], "each changed record once, as it is now"
    assert found[0][3]["stage"] == "Proposal"
    assert short(bronze(south)) == [("r1", "upsert", "1"), ("r1", "upsert", "2")]


def test_a_row_that_a_filter_keeps_no_more_is_gone(world: GoldWorld, sync: Run, tenant: str) -> None:
    north = tenant
    world.put("salesforce", [{"id": "1", **DEAL}], north)
    unite("opportunity", "g1")
    sync("lake", "r1", ["open_opportunities"], [north])
    world.put("salesforce", [{"id": "1", **DEAL, "stage": "Closed Won"}], north)
    unite("opportunity", "g2")
    sync("lake", "r2", ["open_opportunities"], [north])
    assert short(bronze(north)) == [("r1", "upsert", "1"), ("r2", "delete", "1")]


def test_without_a_change_feed_all_is_read_anew_and_what_is_gone_is_swept(world: GoldWorld, sync: Run, tenant: str) -> None:
    north = tenant
    world.put("salesforce", [{"id": str(number), **DEAL} for number in range(8)], north)
    unite("opportunity", "g1")
    sync("lake", "r1", ["open_opportunities"], [north])
    world.put("salesforce", [{"id": "7", **DEAL, "is_deleted": True}], north)
    unite("opportunity", "g2")
    shutil.rmtree(f"{table_uri('gold_revenue_opportunities')}/_change_data")
    sync("lake", "r2", ["open_opportunities"], [north])
    found = [row for row in short(bronze(north)) if row[0] == "r2"]
    assert found == [("r2", "upsert", str(number)) for number in range(7)] + [("r2", "delete", "7")]


def source_with(**stream: Any) -> Source:
    declared = {"name": "deals", "object": "salesforce_opportunity", "key": ["record_ref"], "cursor": {"field": "updated_at"}, **stream}
    return Source(source="lake", label="Lake", domain="revops", kind="lake", streams=[declared])


def read(source: Source, state: State | None = None, tenant: str = "north", *, full: bool = False) -> list[Any]:
    access = Access(place=Place(tenant, frozenset({"north", "south"})))
    return list(reader.Reader(source, access).read(source.streams[0], state or State(), Window(full=full)))


@pytest.mark.parametrize("changes", [False, True])
def test_a_reading_goes_on_from_any_page(world: GoldWorld, changes: bool) -> None:
    world.put("salesforce", [{"id": f"{number:02d}", **DEAL} for number in range(12)], "north")
    source, saved = source_with(paging={"size": 5}), None
    if changes:
        saved = read(source)[-1].high_water
        world.put("salesforce", [{"id": f"{number:02d}", **DEAL, "stage": "x"} for number in range(12)], "north")
    pages = read(source, State(saved))
    world.put("salesforce", [{"id": "99", **DEAL}], "north")  # a newer version does not come between
    whole = [record for page in pages for record in page.records]
    assert len({record.record_id for record in whole}) == len(whole) == 12
    for page in pages[:-1]:
        rest = [record for other in read(source, State(saved, page.next_token)) for record in other.records]
        assert rest == whole[len(whole) - len(rest) :]
    (news,) = [page.records for page in read(source, State(pages[-1].high_water)) if page.records]
    assert [record.record_id for record in news] == ["salesforce:contacts:99"]


def test_silver_is_a_source_too_and_its_deleted_rows_are_deletes(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL, "is_deleted": True}, {"id": "2", **DEAL}], "north")
    world.put("salesforce", [{"id": "3", **DEAL}], "south")
    found = [(record.record_id[-1], record.op) for page in read(source_with()) for record in page.records]
    assert sorted(found) == [("1", "delete"), ("2", "upsert")]


def test_a_table_that_was_made_anew_is_read_anew(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}], "north")
    cursor = read(source_with())[-1].high_water
    shutil.rmtree(table_uri("salesforce_opportunity"))
    world.put("salesforce", [{"id": "2", **DEAL}], "north")
    assert [record.record_id[-1] for page in read(source_with(), State(cursor)) for record in page.records] == ["2"]


def test_what_is_wrong_is_told(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}], "north")
    with pytest.raises(SchemaMismatch, match="no table 'salesforce_oportunity', did you mean 'salesforce_opportunity'"):
        read(source_with(object="salesforce_oportunity"))
    with pytest.raises(ConfigError, match="no version of a table"):
        read(source_with(), State("2026-01-01T00:00:00Z"))
    with pytest.raises(ConfigError, match="read for a tenant"):
        read(source_with(), tenant="")
    assert [why for _, why in mistakes_of(source_with(object="raw_salesforce_contacts"))] == ["is no table of Silver or Gold"]
    loop = source_with(object="gold_revenue_opportunities", entity="opportunity", mapping={"fields": {"name": "name"}})
    assert "come back run by run" in mistakes_of(loop)[0][1]
    assert connection_id("lake", "north") == "ipai_connector_lake__north"
