"""What becomes one entity and what must not; what a change does to ids; nothing depends on the order of rows."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.core.errors import ConfigError
from spine.identity.learning.model import ENGINE

BASE = {
    "given_name": "Marten",
    "family_name": "Okonkwo",
    "birth_date": "1971-03-04",
    "street": "12 Elm Road",
    "city": "Leeds",
    "postcode": "LS1 4AP",
}


def test_ut_cds_003_same_email_scores_above_0_9(person):
    person.run([
        {"ref": "a", "given_name": "Jane", "family_name": "Doe", "email": "jane.doe@acme.com"},
        {"ref": "b", "source": "hubspot", "given_name": "J.", "family_name": "Doe-Miller", "email": "Jane.Doe@ACME.com"},
    ])  # fmt: skip
    assert person.probability("a", "b") > 0.9
    assert person.clusters == {frozenset("ab")}


def test_ut_cds_003_same_email_scores_above_0_9_without_a_name(person, crowd):
    person.run([*crowd, {"ref": "a", "email": "zed@acme.com", "family_name": "Zorn"}, {"ref": "b", "email": "zed@acme.com"}])
    assert person.probability("a", "b") > 0.9


@pytest.mark.parametrize(
    ("given_name", "family_name"),
    [
        pytest.param("Martin", "Okonkwo", id="close forename"),
        pytest.param("Marten", "Okonkvo", id="misspelt surname"),
        pytest.param("MARTÉN", "okonkwo", id="accent and case"),
        pytest.param("Okonkwo", "Marten", id="swapped fields"),
        pytest.param("Dr. Marten J.", "Okonkwo", id="title and middle initial"),
    ],
)
def test_ut_cds_004_similar_names_match_fuzzily(person, crowd, given_name, family_name):
    person.run(
        [*crowd, {"ref": "a", **BASE}, {"ref": "b", "source": "hubspot", **BASE, "given_name": given_name, "family_name": family_name}]
    )
    assert person.probability("a", "b") >= 0.85
    assert person.ids["a"] == person.ids["b"]


def test_a_similar_name_alone_is_not_enough(person, crowd):
    person.run(
        [*crowd, {"ref": "a", "given_name": "Anna", "family_name": "Brand"}, {"ref": "b", "given_name": "Anne", "family_name": "Brandt"}]
    )
    assert person.ids["a"] != person.ids["b"]


def test_records_without_mail_and_phone_match_by_name_and_birth_date(person, crowd):
    bare = {"given_name": "Marten", "family_name": "Okonkwo", "birth_date": "1971-03-04"}
    person.run([*crowd, {"ref": "a", **bare}, {"ref": "b", "source": "people_files", **bare}])
    assert person.ids["a"] == person.ids["b"]


def test_a_record_without_any_attribute_stays_alone(person, crowd):
    person.run([*crowd, {"ref": "a"}, {"ref": "b"}])
    assert frozenset("a") in person.clusters
    assert frozenset("b") in person.clusters


@pytest.mark.parametrize(
    "shared",
    [
        pytest.param({"email": "test@test.com", "phone": "0000000000", "birth_date": "1900-01-01"}, id="test data"),
        pytest.param({"given_name": "unknown", "family_name": "n/a", "city": "TBD", "street": "-", "postcode": "00000"}, id="unknown"),
        pytest.param({"email": "info@bigfirm.com", "phone": "1111111111"}, id="role mailbox and one digit"),
    ],
)
def test_placeholder_values_join_nobody(person, crowd, shared):
    rows = [
        {"ref": f"x{number}", "given_name": name, "family_name": f"{name}son", **shared}
        for number, name in enumerate(["Ulf", "Gerd", "Timo"])
    ]
    person.run([*crowd, *rows])
    assert {frozenset([row["ref"]]) for row in rows} <= person.clusters


def test_a_switchboard_does_not_join_colleagues(person, crowd):
    staff = [{**row, "ref": f"s{number}", "phone": "+49307770001", "email": None} for number, row in enumerate(crowd[:15])]
    person.run([*[row for row in crowd[20:]], *staff])
    assert all(len(cluster) == 1 for cluster in person.clusters if any(ref.startswith("s") for ref in cluster))


def test_a_household_is_not_one_person(person, crowd):
    home = {"family_name": "Okonkwo", "street": "12 Elm Road", "city": "Leeds", "postcode": "LS1 4AP", "phone": "+441132000123"}
    person.run(
        [
            *crowd,
            {"ref": "a", "given_name": "Marten", **home},
            {"ref": "b", "given_name": "Ngozi", **home},
            {"ref": "c", "given_name": "Tom", **home},
        ]
    )
    assert {frozenset("a"), frozenset("b"), frozenset("c")} <= person.clusters


def test_twins_stay_apart(person, crowd):
    twins = [{"ref": "a", **BASE, "given_name": "Paul"}, {"ref": "b", **BASE, "given_name": "Erik"}]
    person.run([*crowd, *[{**twin, "phone": "+441132000123"} for twin in twins]])
    assert person.ids["a"] != person.ids["b"]


def test_father_and_son_of_one_name_stay_apart(person, crowd):
    person.run([*crowd, {"ref": "a", **BASE}, {"ref": "b", **BASE, "birth_date": "1999-11-28"}])
    assert person.ids["a"] != person.ids["b"]


def test_an_ambiguous_record_is_a_conflict_and_stays_unlinked(person, crowd):
    """Two men of one name, address and phone with different birth dates; a record without a date fits both."""
    both = {**BASE, "phone": "+441132000123"}
    outcome = person.run([
        *crowd, {"ref": "a", **both}, {"ref": "a2", "source": "hubspot", **both},
        {"ref": "b", **both, "birth_date": "1999-11-28"}, {"ref": "b2", "source": "hubspot", **both, "birth_date": "1999-11-28"},
        {"ref": "x", **both, "birth_date": None},
    ])  # fmt: skip
    assert {frozenset({"a", "a2"}), frozenset({"b", "b2"}), frozenset("x")} <= person.clusters
    conflicts = {change["record_ref"]: change["reason"] for change in outcome.changes if change["kind"] == "conflict"}
    assert conflicts == {
        "salesforce:contacts:x": "IDENTITY_CONFLICT: fits two entities that exclude each other",
        "hubspot:contacts:a2": "IDENTITY_CONFLICT: known values that exclude each other",
    }
    assert {match["decision"] for match in outcome.matches if "salesforce:contacts:x" in (match["left_ref"], match["right_ref"])} == {
        "conflict"
    }


def test_organisations_match_without_their_legal_form(organization):
    rows = [
        {"ref": "a", "name": "Northwind Traders Ltd.", "city": "Leeds", "postcode": "LS1 4AP", "website": "northwind.com"},
        {"ref": "b", "name": "NORTHWIND TRADERS LIMITED", "city": "Leeds", "postcode": "LS14AP"},
        {"ref": "c", "name": "Southwind Bakery Ltd.", "city": "Leeds", "postcode": "LS1 4AP"},
    ]
    filler = [
        {"ref": f"f{n}", "name": f"{w} Supplies Ltd", "city": "York", "postcode": f"YO{n} 1AA"}
        for n, w in enumerate(["Arbor", "Beck", "Crane", "Dune", "Elk", "Fox", "Gale", "Holm"])
    ]
    organization.run([*rows, *filler])
    assert organization.ids["a"] == organization.ids["b"] != organization.ids["c"]


def _exact_threshold(person: Any, crowd: list[dict[str, Any]], offset: float) -> bool:
    rows = [*crowd, {"ref": "a", **BASE, "phone": "+441132000123"}, {"ref": "b", "source": "hubspot", **BASE, "family_name": "Okonkvo"}]
    person.run(rows)
    probability = person.probability("a", "b")
    matching = person.entity.matching.model_copy(update={"threshold": min(1.0, probability + offset)})
    other = type(person)(person.entity.model_copy(update={"matching": matching}))
    other.run(rows)
    return bool(other.ids["a"] == other.ids["b"])


def test_a_pair_of_exactly_the_threshold_is_accepted(person, crowd):
    assert _exact_threshold(person, crowd, 0.0)
    assert not _exact_threshold(person, crowd, 1e-7)


def test_the_default_threshold_is_0_85():
    assert load_entity("person").matching.threshold == 0.85


def test_a_run_without_change_writes_nothing(person, crowd):
    person.run(crowd)
    outcome = person.run([])
    assert not any([outcome.links, outcome.matches, outcome.golden, outcome.changes, outcome.redirects, outcome.models])


def test_a_rerun_over_everything_moves_nothing(person, crowd):
    person.run([*crowd, {"ref": "a", **BASE}, {"ref": "b", **BASE}])
    ids = person.ids
    outcome = person.run(list(person.rows.values()))
    assert person.ids == ids
    assert not any([outcome.links, outcome.golden, outcome.changes, outcome.redirects])


def test_a_merge_leaves_a_redirect_and_ids_never_come_again(person, crowd):
    person.run([*crowd, {"ref": "a", **BASE}, {"ref": "b", **BASE, "birth_date": "1999-11-28"}])
    former = person.ids
    outcome = person.run([{"ref": "b", **BASE}])
    survivor = person.ids["a"]
    assert person.ids["b"] == survivor
    gone = ({former["a"], former["b"]} - {survivor}).pop()
    assert [(row["from_id"], row["to_id"]) for row in outcome.redirects] == [(gone, survivor)]
    assert "merged" in {change["kind"] for change in outcome.changes}
    outcome = person.run([{"ref": "b", **BASE, "birth_date": "1999-11-28"}])
    assert sorted(change["kind"] for change in outcome.changes) == ["conflict", "created", "split"]
    assert len({person.ids["a"], person.ids["b"], *former.values()}) == len(set(former.values())) + 1
    assert survivor in (person.ids["a"], person.ids["b"])
    assert gone not in person.ids.values()


def test_a_deleted_record_leaves_and_an_empty_entity_retires(person, crowd):
    person.run([*crowd, {"ref": "a", **BASE}, {"ref": "b", "source": "hubspot", **BASE}])
    entity_id = person.ids["a"]
    outcome = person.run([], gone=["a"])
    assert [(change["kind"], change["entity_id"]) for change in outcome.changes] == [("left", entity_id)]
    assert person.ids["b"] == entity_id
    outcome = person.run([], gone=["c00"])
    assert {change["kind"] for change in outcome.changes} == {"left", "retired"}


def test_a_rejected_pair_is_never_joined_again(person, crowd):
    person.run([*crowd, {"ref": "a", **BASE}, {"ref": "b", **BASE}])
    pair = next(match for match in person.matches if match["left_ref"].endswith(":a"))
    pair["decision"] = "rejected"
    person.run([{"ref": "a", **BASE, "phone": "+441132000123"}])
    assert person.ids["a"] != person.ids["b"]


def test_an_entity_without_matching_rules_is_refused(resolver):
    with pytest.raises(ConfigError, match="no matching rules"):
        resolver(load_entity("opportunity")).run([{"ref": "a"}])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), batches=st.integers(1, 5))
@pytest.mark.slow
def test_batches_in_any_order_equal_one_full_run_with_the_same_weights(resolver, seed, batches):
    rows = _people(seed)
    entity = load_entity("person")
    full = resolver(entity)
    full.run(rows)
    order = rows.copy()
    random.Random(seed).shuffle(order)
    parts = resolver(entity)
    parts.model = full.model
    for number in range(batches):
        parts.run(order[number::batches])
    assert parts.clusters == full.clusters
    assert {(m["left_ref"], m["right_ref"], m["weight"], m["decision"]) for m in parts.matches} == {
        (m["left_ref"], m["right_ref"], m["weight"], m["decision"]) for m in full.matches
    }


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
@pytest.mark.slow
def test_clusters_and_ids_do_not_depend_on_the_order_of_rows(resolver, seed):
    rows = _people(seed)
    entity = load_entity("person")
    one, other = resolver(entity), resolver(entity)
    one.run(rows)
    shuffled = rows.copy()
    random.Random(seed + 1).shuffle(shuffled)
    other.run(shuffled)
    assert one.ids == other.ids


def _people(seed: int) -> list[dict[str, Any]]:
    """Thirty people of few names with two or three records each, slips and shared homes included."""
    dice = random.Random(seed)
    rows = []
    for number in range(30):
        first, last = dice.choice(["John", "Mary", "Ann", "Peter", "William"]), dice.choice(["Smith", "Jones", "Okoro", "Weiss"])
        born = f"19{dice.randint(40, 99)}-0{dice.randint(1, 9)}-{dice.randint(10, 28)}"
        home = {
            "street": f"{dice.randint(1, 9)} High Street",
            "city": dice.choice(["Leeds", "York"]),
            "postcode": dice.choice(["LS1 4AP", "YO1 7HH"]),
        }
        mail = f"{first}.{last}{number}@mail{number % 3}.com".lower()
        for copy in range(dice.randint(1, 3)):
            rows.append({
                "ref": f"{number}-{copy}", "given_name": dice.choice([first, first[0], first]), "family_name": last,
                "email": mail if dice.random() < 0.5 else None, "birth_date": born if dice.random() < 0.6 else None,
                "phone": f"+44113{dice.randint(2000000, 2000020)}" if dice.random() < 0.4 else None,
                **(home if dice.random() < 0.7 else {}),
            })  # fmt: skip
    return rows


@pytest.mark.parametrize("former", [{"engine": 2}, {"m": {}}], ids=["an earlier version", "other rules"])
def test_weights_of_an_earlier_version_or_of_other_rules_are_learned_anew_and_ids_live_on(person, crowd, former):
    twin = {**crowd[0], "ref": "twin", "source": "hubspot"}
    person.run([*crowd, twin])
    before = dict(person.ids)
    person.model = dataclasses.replace(person.model, **former)
    person.run([{**crowd[1], "city": "Turin"}])
    assert person.model.engine == ENGINE
    assert person.model.m
    assert person.ids == before
