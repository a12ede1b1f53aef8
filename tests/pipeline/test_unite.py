"""Gold of an entity without identity is exactly its living records of Silver, with the golden records that they mean; only differences are
written, tenants stand apart, and a killed run leaves nothing half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from spine.control import ledger
from spine.control.bootstrap import bootstrap, ensure_analyst
from spine.control.database import Database
from spine.core.errors import ConfigError, LakeError, QualityFailed
from spine.gold.publish import publish
from spine.lake import care, merging
from spine.lake.gold import LINKS, SCHEMAS
from spine.lake.paths import table_uri
from spine.pipeline import unite as module
from spine.pipeline.unite import unite, unite_each
from tests.conftest import WHEN, GoldWorld

TABLE = "gold_revenue_opportunities"
DEAL = {"name": "Ten lamps", "account_ref": "a1", "stage": "open", "value": Decimal("10.50")}


@pytest.fixture
def world(lake: str) -> GoldWorld:
    """An empty lake of opportunities."""
    return GoldWorld("opportunity")


def link(golden: dict[str, str], tenant: str = "default", source: str = "salesforce") -> None:
    """Identity says which golden organization each record id belongs to."""
    common = {"tenant_id": tenant, "entity": "organization", "source": source, "stream": "accounts"}
    rows = [
        {**common, "entity_id": entity_id, "record_ref": f"{source}:accounts:{key}", "record_id": key} for key, entity_id in golden.items()
    ]
    write_deltalake(
        table_uri(LINKS), pa.Table.from_pylist(rows, SCHEMAS[LINKS]), mode="overwrite", partition_by=["tenant_id", "entity"],
        predicate=f"tenant_id = '{tenant}'" if DeltaTable.is_deltatable(table_uri(LINKS)) else None,
    )  # fmt: skip


def rows(tenant: str = "default") -> dict[str, dict[str, Any]]:
    """Gold's rows of a tenant by record reference."""
    return {row["record_ref"]: row for row in pl.read_delta(table_uri(TABLE)).to_dicts() if row["tenant_id"] == tenant}


def version() -> int:
    return DeltaTable(table_uri(TABLE)).version()


def test_records_of_all_sources_reach_gold_with_where_they_came_from_and_whom_they_mean(world: GoldWorld) -> None:
    link({"a1": "org_1"})
    world.put("salesforce", [{"id": "1", **DEAL, "run_id": "s1", "mapping_version": 3}, {"id": "2", **DEAL, "account_ref": "a9"}])
    world.put("hubspot", [{"id": "7", **DEAL}])
    result = unite("opportunity", "r1")
    assert (result["new"], result["no_op"]) == (3, False)
    found = rows()
    assert set(found) == {"salesforce:contacts:1", "salesforce:contacts:2", "hubspot:contacts:7"}
    one = found["salesforce:contacts:1"]
    assert (one["name"], one["value"], one["bronze_table"], one["seen_at"]) == (
        "Ten lamps",
        Decimal("10.50"),
        "raw_salesforce_contacts",
        WHEN,
    )
    assert (one["silver_run_id"], one["mapping_version"], one["connection_id"], one["run_id"]) == ("s1", 3, "c_salesforce", "r1")
    assert one["account_organization_id"] == "org_1"
    assert found["salesforce:contacts:2"]["account_organization_id"] is None, "nobody knows that account"
    assert found["hubspot:contacts:7"]["account_organization_id"] is None, "an id of another system means nothing"


def test_only_what_changed_is_written_and_no_change_writes_nothing(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}, {"id": "2", **DEAL}])
    unite("opportunity", "r1")
    before = version()
    assert unite("opportunity", "r2")["no_op"]
    world.put("salesforce", [{"id": "1", **DEAL}])  # a new version of Silver, but the same row
    assert unite("opportunity", "r3")["no_op"]
    assert version() == before
    world.put("salesforce", [{"id": "1", **DEAL, "stage": "won"}])
    result = unite("opportunity", "r4")
    assert (result["records"], result["changed"], result["new"], result["removed"]) == (1, 1, 0, 0)
    assert {ref: (row["stage"], row["run_id"]) for ref, row in rows().items()} == {
        "salesforce:contacts:1": ("won", "r4"), "salesforce:contacts:2": ("open", "r1"),
    }  # fmt: skip


def test_a_deleted_record_leaves_and_comes_back(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}, {"id": "2", **DEAL}])
    unite("opportunity", "r1")
    world.put("salesforce", [{"id": "1", **DEAL, "is_deleted": True}])
    assert unite("opportunity", "r2")["removed"] == 1
    assert set(rows()) == {"salesforce:contacts:2"}
    world.put("salesforce", [{"id": "1", **DEAL}])
    assert unite("opportunity", "r3")["new"] == 1
    assert len(rows()) == 2


def test_a_source_that_is_new_brings_its_records(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}])
    unite("opportunity", "r1")
    world.put("hubspot", [{"id": "7", **DEAL}])
    result = unite("opportunity", "r2")
    assert (result["new"], result["changed"], result["unchanged"]) == (1, 0, 1)


def test_golden_ids_follow_identity(world: GoldWorld) -> None:
    link({"a1": "org_1", "a2": "org_2"})
    world.put("salesforce", [{"id": "1", **DEAL}, {"id": "2", **DEAL, "account_ref": "a2"}])
    unite("opportunity", "r1")
    link({"a1": "org_1", "a2": "org_1"})  # merged
    result = unite("opportunity", "r2")
    assert (result["records"], result["changed"]) == (1, 1)
    assert {row["account_organization_id"] for row in rows().values()} == {"org_1"}
    assert {ref: row["run_id"] for ref, row in rows().items()} == {"salesforce:contacts:1": "r1", "salesforce:contacts:2": "r2"}
    link({"a2": "org_1"})  # the account is gone
    unite("opportunity", "r3")
    assert rows()["salesforce:contacts:1"]["account_organization_id"] is None


def test_an_id_that_could_mean_two_golden_records_means_none(world: GoldWorld) -> None:
    link({"a1": "org_1"})
    twin = pa.Table.from_pylist(
        [{"tenant_id": "default", "entity": "organization", "entity_id": "org_2", "record_ref": "salesforce:partners:a1",
          "source": "salesforce", "stream": "partners", "record_id": "a1"}], SCHEMAS[LINKS],
    )  # fmt: skip
    write_deltalake(table_uri(LINKS), twin, mode="append")
    world.put("salesforce", [{"id": "1", **DEAL}])
    unite("opportunity", "r1")
    assert rows()["salesforce:contacts:1"]["account_organization_id"] is None


def test_tenants_stand_apart_and_one_that_the_gate_refuses_holds_up_nobody(world: GoldWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    link({"a1": "org_a"}, "acme")
    link({"a1": "org_n"}, "north")
    for tenant in ("acme", "north"):
        world.put("salesforce", [{"id": "1", **DEAL}], tenant)
    with monkeypatch.context() as strict:
        judged = module.gate.judge

        def judge(entity: Any, profiles: Any, now: Any) -> Any:
            from dataclasses import replace

            return judged(
                entity, [replace(one, distinct_keys=0 if one.tenant_id == "acme" else one.distinct_keys) for one in profiles], now
            )

        strict.setattr(module.gate, "judge", judge)
        for run in ("r1", "r2"):  # and nothing new does not make it good
            with pytest.raises(QualityFailed, match="keys_are_unique") as caught:
                unite("opportunity", run)
            assert caught.value.where["tenant"] == "acme"
    assert (len(rows("acme")), len(rows("north"))) == (0, 1)
    unite("opportunity", "r3")
    assert rows("acme")["salesforce:contacts:1"]["account_organization_id"] == "org_a"
    assert rows("north")["salesforce:contacts:1"]["account_organization_id"] == "org_n"


def test_an_expired_change_feed_means_that_all_is_compared(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}, {"id": "2", **DEAL}])
    unite("opportunity", "r1")
    world.put("salesforce", [{"id": "2", **DEAL, "stage": "won"}])
    shutil.rmtree(f"{table_uri('salesforce_opportunity')}/_change_data")
    result = unite("opportunity", "r2")
    assert (result["records"], result["changed"], rows()["salesforce:contacts:2"]["stage"]) == (2, 1, "won")


def test_gold_that_lost_a_row_is_made_whole_by_the_next_change(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}, {"id": "2", **DEAL}])
    unite("opportunity", "r1")
    DeltaTable(table_uri(TABLE)).delete("record_ref = 'salesforce:contacts:1'")
    world.put("salesforce", [{"id": "2", **DEAL, "stage": "won"}])
    unite("opportunity", "r2")
    assert set(rows()) == {"salesforce:contacts:1", "salesforce:contacts:2"}


def test_maintenance_leaves_rows_and_position(world: GoldWorld) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}])
    unite("opportunity", "r1")
    world.put("salesforce", [{"id": "2", **DEAL}])
    unite("opportunity", "r2")
    care.compact(TABLE)
    care.vacuum(TABLE, 168)
    assert unite("opportunity", "r3")["no_op"]
    assert len(rows()) == 2


def test_two_runs_beside_each_other_never_double_a_row(world: GoldWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("salesforce", [{"id": "1", **DEAL}])
    unite("opportunity", "r1")
    world.put("salesforce", [{"id": str(number), **DEAL} for number in range(2, 9)])
    opened = merging.table_at

    def late(uri: str) -> DeltaTable | None:
        table = opened(uri)
        monkeypatch.setattr(merging, "table_at", opened)
        unite("opportunity", "rival")
        return table

    monkeypatch.setattr(merging, "table_at", late)
    with pytest.raises(LakeError, match="another writer") as caught:
        unite("opportunity", "r2")
    assert caught.value.retryable
    assert len(pl.read_delta(table_uri(TABLE))) == 8
    assert unite("opportunity", "r3")["no_op"]


_RUN = "import sys; from spine.pipeline.unite import unite; unite('opportunity', sys.argv[1])"


@pytest.mark.parametrize("place", ["unite.before_merge", "unite.merged"])
def test_a_killed_run_is_finished_by_the_next(world: GoldWorld, place: str) -> None:
    world.put("salesforce", [{"id": str(number), **DEAL} for number in range(5)])
    killed = subprocess.run([sys.executable, "-c", _RUN, "r1"], env={**os.environ, "SPINE_FAILPOINT": place}, check=False)
    assert killed.returncode == -signal.SIGKILL
    unite("opportunity", "r2")
    assert len(rows()) == len(pl.read_delta(table_uri(TABLE))) == 5
    assert unite("opportunity", "r3")["no_op"]


def test_an_entity_with_identity_is_refused(world: GoldWorld) -> None:
    with pytest.raises(ConfigError, match="has identity rules"):
        unite("person", "r1")


VALUES = st.fixed_dictionaries(
    {"account_ref": st.sampled_from([None, "a1", "a2"]), "stage": st.sampled_from(["open", "won"]), "is_deleted": st.booleans()}
)
RECORDS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)
KNOWN = st.dictionaries(st.sampled_from(["a1", "a2"]), st.sampled_from(["o1", "o2"]), min_size=1)


@hypothesis_settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(RECORDS, KNOWN), min_size=1, max_size=4))
def test_gold_is_the_living_rows_of_silver_whatever_happened_before(tmp_path_factory: Any, steps: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINE_LAKE", str(tmp_path_factory.mktemp("lake")))
        world, silver, known = GoldWorld("opportunity"), {}, {}
        for number, (records, known) in enumerate(steps):
            link(known)
            if records:
                world.put("salesforce", [{"id": key, "name": "x", **values} for key, values in records.items()])
                silver |= records
            unite_each("opportunity", f"r{number}")
        living = {f"salesforce:contacts:{key}": row for key, row in silver.items() if not row["is_deleted"]}
        found = rows() if DeltaTable.is_deltatable(table_uri(TABLE)) else {}
        assert {ref: (row["stage"], row["account_organization_id"]) for ref, row in found.items()} == {
            ref: (row["stage"], known.get(row["account_ref"])) for ref, row in living.items()
        }


@pytest.fixture
def analyst(admin_url: str) -> Callable[[str, str], list[tuple[Any, ...]]]:
    """Rows of a query by an analyst of a tenant."""

    def ask(tenant: str, query: str) -> list[tuple[Any, ...]]:
        role = ensure_analyst(admin_url, tenant)
        with psycopg.connect(admin_url.replace("postgres@", f"{role}@")) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    return ask


@pytest.mark.postgres
def test_analysts_read_their_tenants_rows_and_no_others(world: GoldWorld, admin_url: str, analyst: Any) -> None:
    url = bootstrap(admin_url)
    for tenant in ("acme", "north"):
        link({"a1": f"org_{tenant}"}, tenant)
        world.put("salesforce", [{"id": tenant, **DEAL}], tenant)
    database = Database(url)
    try:
        unite("opportunity", "r1", database=database)
        (line,) = ledger.check(database.of("acme"), "r1")
    finally:
        database.close()
    assert (line.layer, line.table_name, line.rows_in, line.published, line.filtered) == ("gold", TABLE, 1, 1, 0)
    assert publish("opportunity", "r1", url=url)["inserted"] == 2
    assert analyst("acme", "SELECT record_id, value::text, account_organization_id FROM gold.opportunity") == [("acme", "10.5", "org_acme")]
    assert analyst("north", "SELECT record_id FROM gold.opportunity") == [("north",)]
    assert analyst("north", "SELECT entity, rows ->> 'revenue_opportunities' FROM gold.publications") == [("opportunity", "1")]
    assert publish("opportunity", "r2", url=url)["published"] is False
    world.put("salesforce", [{"id": "acme", **DEAL, "is_deleted": True}], "acme")
    unite("opportunity", "r3")
    result = publish("opportunity", "r3", url=url)
    assert (result["deleted"], result["inserted"], result["updated"]) == (1, 0, 0)
    assert analyst("acme", "SELECT * FROM gold.opportunity") == []


@pytest.mark.postgres
def test_every_entity_without_identity_can_be_published(lake: str, admin_url: str) -> None:
    from spine.sources.check import united_entities

    url = bootstrap(admin_url)
    for entity in united_entities():
        needed: dict[str, Any] = {name: "x" for name, field in entity.fields.items() if field.type == "string"}
        GoldWorld(entity.entity).put("stripe", [{"id": "1", **needed}])
        unite(entity.entity, "r1")
        assert publish(entity.entity, "r1", url=url)["inserted"] == 1
    with psycopg.connect(admin_url) as connection:
        found = connection.execute("SELECT count(*) FROM gold.order").fetchone()
    assert found == (1,), "a name that SQL reserves is one behind the schema's"
