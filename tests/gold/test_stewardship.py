"""Stewards' orders on a real lake: at once in Gold, with actor and reason; reversible; kept by later runs; tenants apart; no Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core.errors import ConfigError, IdentityConflict, LakeError, QualityFailed
from spine.core.settings import PROJECT
from spine.gold import stewardship as overrides
from spine.identity.golden import limits
from spine.lake import gold
from spine.lake.paths import table_uri
from spine.pipeline.resolve import resolve

pytestmark = pytest.mark.slow  # each test resolves a lake several times

WHO: dict[str, Any] = {"tenant": "default", "actor": "anna", "reason": "I asked them"}


@pytest.fixture
def ids(people: Any) -> dict[str, str]:
    """Jane with three records of two sources, Jim with one; the entity id of each record."""
    jane, jim = people.JANE, people.JIM
    people.put("salesforce", [{"id": "1", **jane}, {"id": "2", **jim}, {"id": "3", **jane, "phone": "+441132000123"}])
    people.put("hubspot", [{"id": "9", **jane, "given_name": "J."}])
    resolve(None, "person", "r1")
    found: dict[str, str] = people.links()
    assert found["1"] == found["9"] == found["3"] != found["2"]
    return found


def first_seen() -> dict[str, Any]:
    table = DeltaTable(table_uri("gold_party_person")).to_pyarrow_table()
    return dict(zip(table["entity_id"].to_pylist(), table["first_seen_at"].to_pylist(), strict=True))


def sf(number: str) -> str:
    return f"salesforce:contacts:{number}"


def test_a_link_is_in_gold_at_once_with_actor_reason_and_redirect(people, ids):
    result = overrides.order("link", records=[sf("1"), sf("2")], run_id="s1", **WHO)
    assert len(set(people.links().values())) == 1
    mine = {row["change_id"] for row in result["changes"]}
    assert {(row["kind"], row["actor"]) for row in people.rows(gold.CHANGES) if row["change_id"] in mine} == {
        ("linked", "anna"), ("merged", "anna"),
    }  # fmt: skip
    (golden,) = people.rows("gold_party_person")
    assert golden["record_count"] == 4
    assert overrides.current_id("person", "default", ids["2"]) == people.links()["1"]
    (listed,) = overrides.list_overrides("default", "person")
    assert (listed["kind"], listed["left_ref"], listed["right_ref"], listed["reason"]) == ("must_link", sf("1"), sf("2"), "I asked them")


def test_merge_and_undo_leave_gold_as_it_was(people, ids):
    before = {name: people.rows(name) for name in (gold.LINKS, gold.MATCHES, gold.REDIRECTS, "gold_party_person")}
    seen = first_seen()
    result = overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s1", **WHO)
    assert len(people.rows("gold_party_person")) == 1
    undone = overrides.undo(result["change_id"][:10], run_id="s2", **WHO)
    assert {name: people.rows(name) for name in before} == before
    assert {
        row["entity_id"]: row["first_seen_at"] for row in DeltaTable(table_uri("gold_party_person")).to_pyarrow_table().to_pylist()
    } == seen
    assert {row["kind"] for row in undone["changes"]} == {"undone", "restored", "split"}
    assert overrides.list_overrides("default") == []
    assert [row["active"] for row in overrides.list_overrides("default", every=True)] == [False, False, False]


def test_any_change_of_an_order_stands_for_the_order(people, ids):
    result = overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s1", **WHO)
    (merged,) = [row for row in result["changes"] if row["kind"] == "merged"]
    overrides.undo(merged["change_id"], run_id="s2", **WHO)
    assert people.links() == ids


def test_a_former_id_can_be_named(people, ids):
    overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s1", **WHO)
    gone = ({ids["1"], ids["2"]} - set(people.links().values())).pop()
    with pytest.raises(ConfigError, match="one entity already"):
        overrides.order("merge", entities=[ids["1"], gone], run_id="s3", **WHO)


def test_a_split_is_kept_by_later_runs_and_a_relearn(people, ids):
    overrides.order("split", entities=[ids["1"]], records=["hubspot:contacts:9"], run_id="s1", **WHO)
    apart = people.links()
    assert apart["9"] not in (apart["1"], apart["2"])
    people.put("hubspot", [{"id": "9", **people.JANE}])
    resolve(None, "person", "r2")
    assert people.links() == apart
    resolve(None, "person", "r3", relearn="always")
    assert people.links() == apart
    assert resolve(None, "person", "r4")["no_op"]


def test_an_order_changes_nothing_else_even_where_silver_has_moved_on(people, ids):
    people.put("salesforce", [{"id": "5", **people.JIM, "phone": "+441132000777"}])
    overrides.order("unlink", records=[sf("1"), sf("3")], run_id="s1", **WHO)
    assert "5" not in people.links()
    assert resolve(None, "person", "r2")["changed_records"] == 1
    assert people.links()["5"] == ids["2"]
    assert people.links()["1"] != people.links()["3"]


def test_tenants_do_not_see_each_others_orders(people, ids):
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}], "acme")
    resolve(None, "person", "r2")
    overrides.order("link", records=[sf("1"), sf("2")], run_id="s1", **{**WHO, "tenant": "acme"})
    assert people.links() == ids
    assert len(set(people.links("acme").values())) == 1
    assert overrides.list_overrides("default") == []
    (change,) = [row["change_id"] for row in people.rows(gold.CHANGES) if row["kind"] == "linked"]
    with pytest.raises(ConfigError, match="No change of tenant default"):
        overrides.undo(change, run_id="s2", **WHO)


def test_a_contradiction_is_refused_and_nothing_is_written(people, ids):
    overrides.order("unlink", records=[sf("1"), sf("2")], run_id="s1", **WHO)
    before = people.versions()
    with pytest.raises(IdentityConflict, match="never-link keeps apart") as refused:
        overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s2", **WHO)
    assert refused.value.code == "IDENTITY_CONFLICT"
    assert people.versions() == before


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"verb": "link", "records": ["nobody:x:1", "nobody:x:2"]}, "No golden record of tenant default"),
        ({"verb": "merge", "entities": ["xyz_1", "xyz_2"]}, "Cannot tell what"),
        ({"verb": "link", "records": [sf("1"), sf("2")], "reason": " "}, "who gives it and why"),
    ],
)
def test_orders_that_cannot_be_understood_are_refused(people, ids, what, message):
    with pytest.raises(ConfigError, match=message):
        overrides.order(run_id="s1", **{**WHO, **what})


def test_there_is_nothing_to_order_before_the_first_resolution(lake):
    with pytest.raises(ConfigError, match="No golden record"):
        overrides.order("link", records=[sf("1"), sf("2")], run_id="s1", **WHO)


def test_the_gate_stands_in_the_way_of_orders_too(people, ids, monkeypatch):
    monkeypatch.setattr(limits, "LARGEST_ENTITY", 3)
    monkeypatch.setattr(limits, "SIZE_JUMP", 1.0)
    before = people.versions()
    with pytest.raises(QualityFailed, match="cluster_size_jump"):
        overrides.order("merge", entities=[ids["1"], ids["2"]], run_id="s1", **WHO)
    assert people.versions() == before


def test_a_run_that_got_in_between_wins(people, ids, monkeypatch):
    def meanwhile(*arguments: Any) -> Any:
        people.put("salesforce", [{"id": "7", **people.JIM, "email": "other@x.org", "family_name": "Berg"}])
        resolve(None, "person", "r2")
        return known(*arguments)

    known = overrides.overrides_of
    monkeypatch.setattr(overrides, "overrides_of", meanwhile)
    with pytest.raises(LakeError, match="quicker"):
        overrides.order("link", records=[sf("1"), sf("2")], run_id="s1", **WHO)
    assert len(set(people.links().values())) == 3


def test_what_waits_for_a_steward_comes_most_valuable_first(people, ids):
    overrides.order("unlink", records=[sf("1"), sf("3")], run_id="s1", **WHO)
    waiting = overrides.review("default", "person")
    assert all(row["left_entity"] != row["right_entity"] and row["reason"] for row in waiting)
    assert [row["value"] for row in waiting] == sorted((row["value"] for row in waiting), reverse=True)
    assert not any({row["left_ref"], row["right_ref"]} == {sf("1"), sf("3")} for row in waiting)
    assert overrides.review("acme", "person") == []


@pytest.mark.slow
@pytest.mark.parametrize("place", ["resolve.staged", "resolve.after_overrides", "resolve.after_links", "resolve.before_applied"])
def test_an_order_that_is_killed_is_carried_out_by_the_next_run(people, ids, place):
    program = (
        "from spine.gold.stewardship import order\n"
        f"order('link', records=['{sf('1')}', '{sf('2')}'], tenant='default', actor='anna', reason='why', run_id='s1')\n"
    )
    environment = {**os.environ, "SPINE_FAILPOINT": place, "PYTHONPATH": str(PROJECT / "include")}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -9, killed.stderr[-2000:]
    resolve(None, "person", "r2")
    assert len(set(people.links().values())) == 1
    assert len(overrides.list_overrides("default")) == 1
    assert sorted(row["kind"] for row in people.rows(gold.CHANGES) if row["actor"] == "anna") == ["linked", "merged"]
