"""Why two records are one or not, and how an entity came together, told from a real lake."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from spine.core.errors import ConfigError
from spine.gold.evidence import OVERRIDES, how, why
from spine.lake import gold
from spine.lake.paths import table_uri

JANE, TWIN, OTHER = "salesforce:contacts:c000", "hubspot:contacts:h000", "salesforce:contacts:c001"


@pytest.fixture
def world(gold_world: Any) -> Any:
    """Sixty people in one system, twenty of them in a second one without phone and street."""
    people = gold_world.crowd()
    gold_world.put("salesforce", people)
    gold_world.put("hubspot", [{**row, "id": f"h{row['id'][1:]}", "street": None, "phone": None} for row in people[::3]])
    return gold_world


def override(kind: str, left: str, right: str) -> None:
    """A steward's word in the lake."""
    when = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    row = {"tenant_id": "default", "entity": "person", "override_id": "o1", "kind": kind, "left_ref": min(left, right),
           "right_ref": max(left, right), "actor": "mia", "reason": "asked both", "active": True, "made_at": when}  # fmt: skip
    schema = gold.SCHEMAS[OVERRIDES]
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema)
    write_deltalake(table_uri(OVERRIDES), table, mode="append")


def test_a_joined_pair_says_what_decided_and_agrees_with_gold(world: Any) -> None:
    ids = world.resolve()
    found = why(JANE, TWIN)
    assert (found["left_ref"], found["right_ref"]) == (TWIN, JANE)
    assert (found["outcome"], found["decided_by"], found["entities"]) == ("one entity", "threshold", [ids["c000"]] * 2)
    assert found["weight"] == pytest.approx(found["stored"]["weight"])
    assert sum(step["weight"] + step["tf_adjustment"] for step in found["steps"]) == pytest.approx(found["weight"], abs=0.02)
    assert "same email" in found["blocking_rules"]
    assert why(TWIN, JANE) == found


def test_a_pair_that_was_never_compared_is_scored_now(world: Any) -> None:
    world.resolve()
    found = why(JANE, OTHER)
    assert (found["outcome"], found["stored"], found["decided_by"]) == ("two entities", None, "threshold")
    assert found["probability"] < 0.01
    assert "below the threshold of 85 %" in found["because"]


def test_values_that_exclude_each_other_are_named(world: Any) -> None:
    people = world.crowd()
    world.put("people_files", [{**people[0], "id": "x", "birth_date": people[5]["birth_date"]}])
    world.resolve()
    found = why(JANE, "people_files:contacts:x")
    assert found["outcome"] == "two entities"
    assert found["excluded_by"] in (["birth_date"], [])
    if found["excluded_by"]:
        assert "birth_date exclude each other" in found["because"]


def test_a_record_that_was_not_resolved_yet_is_compared_all_the_same(world: Any) -> None:
    world.resolve()
    world.put("people_files", [{**world.crowd()[0], "id": "new"}])
    found = why(JANE, "people_files:contacts:new")
    assert (found["outcome"], found["decided_by"]) == ("not resolved yet", "nothing yet")


def test_a_stewards_word_decides(world: Any) -> None:
    world.resolve()
    override("never_link", JANE, TWIN)
    found = why(JANE, TWIN)
    assert (found["decided_by"], found["because"]) == ("steward", "mia said that they are not one: asked both")


def test_unknown_records_and_entities_say_what_to_do(world: Any) -> None:
    with pytest.raises(ConfigError, match="spine resolve person"):
        why(JANE, TWIN)
    world.resolve()
    with pytest.raises(ConfigError, match="no live person record salesforce:contacts:nobody"):
        why(JANE, "salesforce:contacts:nobody")
    with pytest.raises(ConfigError, match="one record, not two"):
        why(JANE, JANE)
    with pytest.raises(ConfigError, match="has no person per_nobody"):
        how("per_nobody")
    with pytest.raises(ConfigError, match="no entity 'shoe'"):
        how("per_nobody", entity="shoe")
    with pytest.raises(ConfigError, match="of tenant acme was resolved"):
        how("per_nobody", tenant="acme")


def test_an_entity_tells_its_records_joins_and_past(world: Any) -> None:
    ids = world.resolve()
    world.put("people_files", [{**world.crowd()[0], "id": "x", "given_name": "Ana"}])
    assert world.resolve()["x"] == ids["c000"]
    found = how(ids["c000"])
    assert [row["record_ref"] for row in found["records"]] == [TWIN, "people_files:contacts:x", JANE]
    assert [len(join["left"]) for join in found["joins"]] == [1, 2]
    assert found["joins"][0]["weight"] >= found["joins"][1]["weight"]
    assert found["weakest"]["weight"] == found["joins"][1]["weight"]
    golden = next(row for row in gold.read_rows(gold.golden_table(world.entity), []) if row["entity_id"] == ids["c000"])
    assert found["weakest"]["probability"] == pytest.approx(golden["confidence"])
    assert {"created", "joined"} <= {change["kind"] for change in found["changes"]}
    assert "Anna" in found["records"][0]["summary"]


def test_a_former_id_leads_to_the_one_that_stands_now(world: Any) -> None:
    ids = world.resolve()
    world.put("salesforce", [{**world.crowd()[0], "id": "c001"}])
    after = world.resolve()
    assert after["c001"] == after["c000"]
    gone = ids["c001"] if after["c001"] == ids["c000"] else ids["c000"]
    found = how(gone)
    assert (found["asked"], found["entity_id"], found["redirects"]) == (gone, after["c000"], [after["c000"]])
    assert "merged" in {change["kind"] for change in found["changes"]}


def test_an_entity_that_came_to_its_end_still_tells_its_past(world: Any) -> None:
    ids = world.resolve()
    world.put("salesforce", [{**world.crowd()[1], "is_deleted": True}])
    world.resolve()
    found = how(ids["c001"])
    assert (found["alive"], found["records"], found["joins"], found["weakest"]) == (False, [], [], None)
    assert found["changes"][-1]["kind"] in ("left", "retired")


def test_records_outside_that_are_alike_are_named(world: Any) -> None:
    people = world.crowd()
    world.put("people_files", [{**people[0], "id": "x", "birth_date": people[5]["birth_date"]}])
    ids = world.resolve()
    outside = {row["other_ref"] for row in how(ids["c000"])["rivals"]}
    assert outside <= {"people_files:contacts:x"}
    override("must_link", JANE, TWIN)
    found = how(ids["c000"])
    assert [row["actor"] for row in found["overrides"]] == ["mia"]
    assert found["joins"][0]["by"] == "steward"
