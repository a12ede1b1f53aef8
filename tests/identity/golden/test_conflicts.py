"""What evidence joins and something else keeps apart: left apart, in the matches with the reason in words, and told as a change."""

from __future__ import annotations

from typing import Any

import pytest

MARTEN = {"given_name": "Marten", "family_name": "Okonkwo", "street": "12 Elm Road", "city": "Leeds", "postcode": "LS1 4AP"}
OTHER = {"given_name": "Marten", "family_name": "Szymborska", "street": "9 Hafengasse", "city": "Bremen", "postcode": "28195"}
PHONE = "+441132000123"


def conflicts(person: Any) -> dict[frozenset[str], str]:
    """Reason by pair of short refs."""
    return {
        frozenset(match[side].split(":")[-1] for side in ("left_ref", "right_ref")): match["reason"]
        for match in person.matches if match["decision"] == "conflict"
    }  # fmt: skip


def told(outcome: Any) -> dict[str, str]:
    return {row["record_ref"].split(":")[-1]: row["reason"] for row in outcome.changes if row["kind"] == "conflict"}


@pytest.fixture
def across(resolver: Any) -> Any:
    """People of whom each source has one record at most."""
    from spine.core.entities import load_entity

    entity = load_entity("person")
    assert entity.matching is not None
    return resolver(entity.model_copy(update={"matching": entity.matching.model_copy(update={"link": "across_sources"})}))


def spread(crowd: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each of the crowd in two sources, so that there is something to learn from."""
    return [*crowd, *[{**row, "ref": f"{row['ref']}h", "source": "hubspot"} for row in crowd[:40]]]


def test_two_records_of_one_source_that_claim_the_same_third_are_all_left_apart(across, crowd):
    outcome = across.run([*spread(crowd), *[{"ref": ref, **MARTEN} for ref in ("s1", "s2")], {"ref": "h", "source": "hubspot", **MARTEN}])
    assert {frozenset({"s1"}), frozenset({"s2"}), frozenset({"h"})} <= across.clusters
    found = conflicts(across)
    assert {frozenset({"s1", "h"}), frozenset({"s2", "h"})} <= set(found)
    assert all(reason.startswith("IDENTITY_CONFLICT: fits two entities") for reason in found.values())
    assert "h" in told(outcome)


def test_the_clearly_better_claim_wins_and_the_other_is_a_conflict(across, crowd):
    full = {**MARTEN, "birth_date": "1971-03-04", "phone": PHONE, "email": "marten@okonkwo.org"}
    across.run([*spread(crowd), {"ref": "s1", **full}, {"ref": "s2", **MARTEN, "phone": PHONE}, {"ref": "h", "source": "hubspot", **full}])
    assert across.ids["s1"] == across.ids["h"] != across.ids["s2"]
    assert frozenset({"s2", "h"}) in conflicts(across)


def test_birth_dates_that_exclude_each_other_are_named(person, crowd):
    both = {**MARTEN, "phone": PHONE, "email": "marten.okonkwo@acme.org", "employer": "Acme"}
    rows = [{"ref": "a", **both, "birth_date": "1971-03-04"}, {"ref": "b", **both, "birth_date": "1999-11-28"}]
    outcome = person.run([*spread(crowd), *rows])
    assert person.ids["a"] != person.ids["b"]
    assert "exclude each other" in conflicts(person)[frozenset({"a", "b"})]
    assert set(told(outcome)) == {"a"}


def test_one_weak_bridge_does_not_hold_two_groups_together(person, crowd):
    mail = "marten@shared.org"
    outcome = person.run([
        *crowd, {"ref": "a1", **MARTEN, "phone": PHONE}, {"ref": "a2", **MARTEN, "phone": PHONE, "email": mail},
        {"ref": "b1", **OTHER, "phone": "+494212000999", "email": mail}, {"ref": "b2", **OTHER, "phone": "+494212000999"},
    ])  # fmt: skip
    assert {frozenset({"a1", "a2"}), frozenset({"b1", "b2"})} <= person.clusters
    assert "one weak bridge" in conflicts(person)[frozenset({"a2", "b1"})]
    assert len(told(outcome)) == 1


def test_a_conflict_is_told_once(person, crowd):
    both = {**MARTEN, "phone": PHONE, "email": "marten.okonkwo@acme.org", "employer": "Acme"}
    rows = [{"ref": "a", **both, "birth_date": "1971-03-04"}, {"ref": "b", **both, "birth_date": "1999-11-28"}]
    person.run([*spread(crowd), *rows])
    assert told(person.run([rows[0] | {"street": "12 Elm Rd"}])) == {}


def test_a_steward_ends_a_conflict_for_good(person, crowd):
    both = {**MARTEN, "phone": PHONE, "email": "marten.okonkwo@acme.org", "employer": "Acme"}
    person.run([*spread(crowd), {"ref": "a", **both, "birth_date": "1971-03-04"}, {"ref": "b", **both, "birth_date": "1999-11-28"}])
    person.steward("unlink", "a", "b")
    assert conflicts(person) == {}
    person.undo(person.gold["overrides"][0]["change_id"])
    assert set(conflicts(person)) == {frozenset({"a", "b"})}
    person.steward("link", "a", "b")
    assert conflicts(person) == {}
