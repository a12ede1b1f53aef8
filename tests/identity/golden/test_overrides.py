"""A steward's word holds whatever the weights say, and can be taken back: former clusters under former ids."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.core.errors import ConfigError, IdentityConflict
from spine.identity.golden import ids
from spine.identity.golden.overrides import constraints, groups

ADA = {"given_name": "Ada", "family_name": "Okonkwo", "birth_date": "1971-03-04", "city": "Leeds", "postcode": "LS1 4AP"}
BEN = {"given_name": "Ben", "family_name": "Adeyemi", "birth_date": "1985-11-28", "city": "York", "postcode": "YO1 7HH"}


@pytest.fixture
def two(person: Any, crowd: list[dict[str, Any]]) -> Any:
    """Ada with two records and Ben with two, among strangers."""
    person.run([*crowd, *[{"ref": ref, **ADA} for ref in ("a1", "a2")], *[{"ref": ref, **BEN} for ref in ("b1", "b2")]])
    assert {frozenset({"a1", "a2"}), frozenset({"b1", "b2"})} <= person.clusters
    return person


def kinds(outcome: Any) -> list[str]:
    return sorted(row["kind"] for row in outcome.changes)


def test_linked_records_are_one_entity_with_actor_reason_and_redirect(two):
    former = two.ids
    outcome = two.steward("link", "a1", "b1")
    assert frozenset({"a1", "a2", "b1", "b2"}) in two.clusters
    assert kinds(outcome) == ["linked", "merged"]
    assert {row["actor"] for row in outcome.changes} == {"anna"}
    assert all(row["reason"].startswith("I asked them") for row in outcome.changes)
    gone = ({former["a1"], former["b1"]} - {two.ids["a1"]}).pop()
    assert [(row["from_id"], row["to_id"]) for row in two.gold["redirects"]] == [(gone, two.ids["a1"])]
    tied = {link["record_id"]: (link["method"], link["confidence"]) for link in two.gold["links"]}
    assert tied["a1"] == tied["b1"] == ("steward", 1.0)


def test_an_override_keeps_what_the_engine_thought(two):
    (override,) = two.steward("link", "a1", "b1").overrides
    assert override["weight"] < 0


def test_unlinked_records_are_apart_and_the_pair_is_rejected(two):
    two.steward("unlink", "a1", "a2")
    assert two.ids["a1"] != two.ids["a2"]
    (match,) = [row for row in two.matches if {row["left_ref"], row["right_ref"]} == {"salesforce:contacts:a1", "salesforce:contacts:a2"}]
    assert (match["decision"], match["entity_id"]) == ("rejected", None)
    assert "steward" in match["reason"]


def test_overrides_survive_new_records_and_a_relearn(two):
    two.steward("link", "a1", "b1")
    two.steward("unlink", "a1", "a2")
    for options in ({}, {"relearn": "always"}):
        two.run([{"ref": "a3", "source": "hubspot", **ADA}, {"ref": "b1", **BEN, "phone": "+441132000123"}], **options)
        assert two.ids["a1"] == two.ids["b1"] != two.ids["a2"]


def test_a_merge_ties_every_record_of_both_entities(two):
    two.steward("merge", entities=[two.ids["a1"], two.ids["b1"]])
    assert frozenset({"a1", "a2", "b1", "b2"}) in two.clusters
    two.run([], gone=["a1"])
    assert frozenset({"a2", "b1", "b2"}) in two.clusters


def test_a_split_takes_records_out_together(two):
    two.steward("merge", entities=[two.ids["a1"], two.ids["b1"]])
    two.undo(two.gold["overrides"][0]["change_id"])
    two.run([{"ref": "a3", "source": "hubspot", **ADA}, {"ref": "a4", "source": "hubspot", **ADA}])
    two.steward("split", "a1", "a2", entities=[two.ids["a1"]])
    assert len({two.ids[ref] for ref in ("a1", "a2")}) == 1
    assert two.ids["a1"] not in {link["entity_id"] for link in two.gold["links"] if link["source"] == "hubspot"}


def test_merge_then_undo_restores_clusters_and_ids(two):
    former, first_seen = two.ids, {row["entity_id"]: row["first_seen_at"] for row in two.gold["golden"]}
    order = two.steward("merge", entities=[two.ids["a1"], two.ids["b1"]])
    assert len(set(two.ids.values())) == len(set(former.values())) - 1
    outcome = two.undo(order.changes[0]["change_id"])
    assert two.ids == former
    assert two.gold["redirects"] == []
    assert {row["entity_id"]: row["first_seen_at"] for row in two.gold["golden"]} == first_seen
    assert kinds(outcome) == ["restored", "split", "undone"]
    assert {row["actor"] for row in outcome.changes} == {"ben"}


def test_an_undo_can_be_undone_and_the_merge_is_back(two):
    order = two.steward("merge", entities=[two.ids["a1"], two.ids["b1"]])
    merged = two.ids
    undone = two.undo(order.changes[0]["change_id"])
    two.undo(undone.changes[0]["change_id"])
    assert two.ids == merged


def test_a_change_is_undone_once(two):
    order = two.steward("link", "a1", "b1")
    two.undo(order.changes[0]["change_id"])
    with pytest.raises(ConfigError, match="cannot be undone, or was already"):
        two.undo(order.changes[0]["change_id"])


def test_a_merge_by_the_engine_can_be_undone_for_good(two):
    two.run([{"ref": "a3", "source": "hubspot", **ADA, "given_name": "Zoe", "birth_date": "1999-01-09"}])
    former = two.ids
    assert former["a3"] != former["a1"]
    outcome = two.run([{"ref": "a3", "source": "hubspot", **ADA}])
    (merged,) = [row for row in outcome.changes if row["kind"] == "merged"]
    two.undo(merged["change_id"])
    assert two.ids == former
    two.run([{"ref": "a3", "source": "hubspot", **ADA, "phone": "+441132000123"}])
    assert two.ids == former


def test_a_joined_record_can_be_put_out_again(two):
    outcome = two.run([{"ref": "a3", "source": "hubspot", **ADA}])
    (joined,) = [row for row in outcome.changes if row["kind"] == "joined"]
    two.undo(joined["change_id"])
    assert frozenset({"a3"}) in two.clusters


def test_a_must_link_against_a_never_link_is_refused_by_name_also_through_a_chain(two):
    two.steward("unlink", "a1", "b1")
    two.steward("link", "a1", "a2")
    (apart,) = [row for row in two.gold["overrides"] if row["kind"] == "never_link"]
    with pytest.raises(IdentityConflict, match=r"never-link keeps apart .*:a1 and .*:b1") as refused:
        two.steward("link", "a2", "b1")
    assert refused.value.where["override"] == apart["override_id"]
    assert refused.value.http_status == 409
    assert apart["change_id"] in refused.value.hint
    with pytest.raises(IdentityConflict, match="must-link ties"):
        two.steward("unlink", "a2", "a1")


def test_a_contradiction_counts_even_where_the_record_between_was_deleted(two):
    two.steward("link", "a1", "b1")
    two.steward("link", "b1", "b2")
    two.run([], gone=["b1"])
    assert two.ids["a1"] == two.ids["b2"]
    with pytest.raises(IdentityConflict):
        two.steward("unlink", "a1", "b2")


def test_an_undo_that_would_contradict_a_later_order_is_refused(two):
    order = two.steward("link", "a1", "b1")
    undone = two.undo(order.changes[0]["change_id"])
    two.steward("unlink", "a1", "b1")
    with pytest.raises(IdentityConflict):
        two.undo(undone.changes[0]["change_id"])


@pytest.mark.parametrize(
    ("kind", "records", "entities", "message"),
    [
        ("link", ["a1", "nobody"], [], "No golden record holds salesforce:contacts:nobody"),
        ("link", ["a1", "a1"], [], "with itself"),
        ("merge", [], ["a1", "a1"], "is one entity already"),
        ("merge", [], ["a1", None], "There is no entity per_unknown"),
        ("split", ["b1"], ["a1"], "is not a record of"),
        ("split", ["a1", "a2"], ["a1"], "All 2 records"),
    ],
)
def test_orders_that_make_no_sense_are_refused(two, kind, records, entities, message):
    found = [two.ids[entity] if entity else "per_unknown" for entity in entities]
    with pytest.raises(ConfigError, match=message):
        two.steward(kind, *records, entities=found)


def test_an_order_that_was_given_before_has_nothing_to_do(two):
    two.steward("link", "a1", "b1")
    with pytest.raises(ConfigError, match="Nothing to link"):
        two.steward("link", "b1", "a1")


def test_a_pair_that_was_rejected_before_there_were_overrides_becomes_one(two):
    pair = next(row for row in two.matches if row["left_ref"].endswith(":a1") and row["right_ref"].endswith(":a2"))
    pair["decision"] = "rejected"
    outcome = two.run([{"ref": "a1", **ADA, "phone": "+441132000123"}])
    assert [(row["kind"], row["active"]) for row in outcome.overrides] == [("never_link", True)]
    assert two.ids["a1"] != two.ids["a2"]
    assert two.run([{"ref": "a2", **ADA, "phone": "+441132000123"}]).overrides == []


def test_a_link_joins_the_whole_entities_also_against_birth_dates_unless_a_never_link_forbids_it(two):
    two.steward("unlink", "a2", "b2")
    two.steward("link", "a1", "b1")
    assert two.ids["a1"] == two.ids["b1"]
    assert two.ids["a2"] != two.ids["b2"]
    two.undo(two.gold["overrides"][0]["change_id"])
    assert frozenset({"a1", "a2", "b1", "b2"}) in two.clusters


def test_a_must_link_wins_over_birth_dates_that_exclude_each_other(two):
    two.run([{"ref": "a9", **ADA, "birth_date": "1999-11-28"}])
    assert two.ids["a9"] != two.ids["a1"]
    two.steward("link", "a9", "a1")
    assert two.ids["a9"] == two.ids["a1"]


_REFS = [f"{name}{number}" for name in "pqr" for number in range(3)]
_STEPS = st.lists(
    st.tuples(st.sampled_from(["link", "unlink", "undo", "data", "delete", "relearn"]), st.integers(0, 99), st.integers(0, 99)), max_size=7
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
@pytest.mark.slow
def test_whatever_happens_must_links_are_kept_and_never_links_not_violated_and_ids_never_reused(resolver, steps):
    gold = resolver(load_entity("person"))
    gold.run([{"ref": ref, **_someone(ref, 0)} for ref in _REFS])
    owners: dict[str, set[str]] = {entity_id: {ref} for ref, entity_id in gold.ids.items()}
    for number, (step, one, other) in enumerate(steps, 1):
        alive = set(gold.ids.values())
        outcome = _take(gold, step, one, other, number)
        restored = {row["entity_id"] for row in outcome.changes if row["kind"] == "restored"} if outcome else set()
        fresh = set(gold.ids.values()) - alive
        assert {entity_id for entity_id in fresh if entity_id in owners} == restored
        for ref, entity_id in gold.ids.items():
            owners.setdefault(entity_id, set()).add(ref)
        for entity_id in restored:
            assert {ref for ref, found in gold.ids.items() if found == entity_id} & owners[entity_id]
        _check(gold)


def _take(gold: Any, step: str, one: int, other: int, number: int) -> Any:
    present = sorted(gold.ids)
    try:
        if step in ("link", "unlink"):
            return gold.steward(step, present[one % len(present)], present[other % len(present)])
        if step == "undo":
            changes = [row for row in gold.gold["changes"] if row["kind"] in ("linked", "unlinked", "undone", "merged", "split")]
            return gold.undo(changes[one % len(changes)]["change_id"]) if changes else None
        if step == "delete" and len(present) > 2:
            return gold.run([], gone=[present[one % len(present)]])
        if step == "relearn":
            return gold.run([], relearn="always")
        ref = _REFS[one % len(_REFS)]
        return gold.run([{"ref": ref, **_someone(ref, number)}])
    except (ConfigError, IdentityConflict):
        return None


def _check(gold: Any) -> None:
    active = [row for row in gold.former.overrides if row.active]
    row = {link["record_ref"]: number for number, link in enumerate(gold.gold["links"])}
    owner = [link["entity_id"] for link in gold.gold["links"]]
    found = constraints(active, row)
    assert all(owner[one] == owner[other] for one, other in found.must.tolist())
    assert all(owner[one] != owner[other] for one, other in found.never.tolist())
    onward = {row["from_id"]: row["to_id"] for row in gold.gold["redirects"]}
    assert not set(onward) & set(owner)
    for start in onward:
        seen = {start}
        at = start
        while at in onward:
            at = onward[at]
            assert at not in seen
            seen.add(at)
        assert ids.follow(onward, start) == at
    assert {row["entity_id"] for row in gold.gold["golden"]} == set(owner)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), batches=st.integers(1, 4))
@pytest.mark.slow
def test_batches_in_any_order_equal_one_full_run_also_with_overrides(resolver, seed, batches):
    dice = random.Random(seed)
    rows = [{"ref": ref, **_someone(ref, 0)} for ref in _REFS]
    full, parts = resolver(load_entity("person")), resolver(load_entity("person"))
    full.run(rows)
    for _ in range(4):
        with suppress(ConfigError, IdentityConflict):
            full.steward(dice.choice(["link", "unlink"]), *dice.sample(_REFS, 2))
    parts.model, parts.gold["overrides"] = full.model, full.gold["overrides"]
    dice.shuffle(rows)
    for number in range(batches):
        parts.run(rows[number::batches])
    assert parts.clusters == full.clusters
    decisions = [{(row["left_ref"], row["right_ref"], row["decision"]) for row in gold.matches} for gold in (full, parts)]
    assert decisions[0] == decisions[1]


def _someone(ref: str, number: int) -> dict[str, Any]:
    dice = random.Random(f"{ref}{number}")
    name = {"p": "Ada", "q": "Ben", "r": "Cleo"}[ref[0] if dice.random() < 0.8 else "p"]
    return {**ADA, "given_name": name, "birth_date": f"19{60 + ord(ref[0]) % 7}-01-12" if dice.random() < 0.7 else None}


def test_chains_of_redirects_lead_to_their_end():
    assert ids.follow({"a": "b", "b": "c"}, "a") == "c"
    assert ids.follow({"a": "b", "b": "c"}, "z") == "z"


def test_groups_are_named_by_their_smallest_record(two):
    two.steward("link", "b1", "a2")
    two.steward("link", "b2", "b1")
    assert set(groups(two.former.overrides).values()) == {"salesforce:contacts:a2"}
