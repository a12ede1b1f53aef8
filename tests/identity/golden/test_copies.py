"""Records with the same values in a lake: whatever comes, changes and goes, Gold ends where resolving everything at once would end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FULL = ("given_name", "family_name", "birth_date", "email", "street", "city", "postcode")
_change = st.tuples(
    st.sampled_from(["come", "alter", "go"]), st.integers(0, 40), st.integers(0, 3), st.sampled_from(["full", "slip", "bare"])
)


def _someone(crowd: list[dict[str, Any]], place: int, number: int, how: str) -> dict[str, Any]:
    """A record of one of the crowd: a copy, one with another telephone and a slip in the name, or one of which only the name is known."""
    person = {name: crowd[number][name] for name in FULL}
    if how == "slip":
        person |= {"given_name": person["given_name"][:-1], "phone": "+4930555123"}
    if how == "bare":
        person = {name: person[name] for name in ("given_name", "family_name")}
    return {"ref": f"k{place:02}", **person}


def _told(resolver: Any) -> Any:
    pairs = {(row["left_ref"], row["right_ref"]): (row["decision"], round(row["weight"], 6)) for row in resolver.matches}
    links = {row["record_id"]: (round(row["confidence"], 6), row["method"]) for row in resolver.gold["links"]}
    return resolver.clusters, pairs, links


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(_change, min_size=1, max_size=8), min_size=1, max_size=3))
@pytest.mark.slow
def test_copies_that_come_change_and_go_are_those_of_a_full_run(
    resolver: Callable[..., Any], person: Any, crowd: list[dict[str, Any]], batches: list[list[tuple[str, int, int, str]]]
) -> None:
    kept = resolver(person.entity)
    kept.run([*crowd, *(_someone(crowd, place, place % 4, ("full", "slip", "bare")[place // 4 % 3]) for place in range(10, 34))])
    for batch in batches:
        there = {ref.rsplit(":", 1)[1] for ref in kept.rows}
        news, gone = {}, set()
        for kind, place, number, how in batch:
            ref = f"k{place:02}"
            if kind == "go" and ref in there:
                gone.add(ref)
                news.pop(ref, None)
            elif kind == "come" or (kind == "alter" and ref in there):
                news[ref] = _someone(crowd, place, number, how)
                gone.discard(ref)
        kept.run(list(news.values()), gone=sorted(gone))
        whole = resolver(person.entity)
        whole.model = kept.model
        whole.run(list(kept.rows.values()))
        assert _told(kept) == _told(whole)


def test_copies_are_linked_to_their_first_and_not_to_one_another(person: Any, crowd: list[dict[str, Any]]) -> None:
    person.run([*crowd, *(_someone(crowd, place, 0, "full") | {"phone": crowd[0]["phone"]} for place in range(30))])
    copies = [row for row in person.matches if row["blocking_rule"] == "all values alike"]
    assert {row["left_ref"] for row in copies} == {"salesforce:contacts:c00"}
    assert len(copies) == 30
    assert all(row["waterfall"] and row["decision"] == "accepted" for row in copies)
    assert len({person.ids[f"k{place:02}"] for place in range(30)} | {person.ids["c00"]}) == 1


def test_a_full_record_may_come_more_often_than_an_entity_may_have_records(person: Any, crowd: list[dict[str, Any]]) -> None:
    """The limit of records is there for chains of strangers; a record that is delivered again and again is none."""
    person.run([*crowd, *(crowd[0] | {"ref": f"again{number:04}"} for number in range(300))])
    assert sum(entity == person.ids["c00"] for entity in person.ids.values()) == 301


def test_a_steward_parts_copies_and_ties_them_again(person: Any, crowd: list[dict[str, Any]]) -> None:
    person.run([*crowd, *(crowd[0] | {"ref": f"k{number}"} for number in range(4))])
    person.steward("unlink", "k1", "k2")
    assert person.ids["k1"] != person.ids["k2"]
    person.run([crowd[0] | {"ref": "k5"}])
    assert person.ids["k1"] != person.ids["k2"]
    person.steward("link", "k1", "c07")
    assert person.ids["k1"] == person.ids["c07"]
