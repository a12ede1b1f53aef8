"""Ids stay with the majority, merges redirect, splits are recorded, nothing is used twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spine.identity.golden.ids import Change, assign, follow, make_id


def _run(number, clusters, before=None, born=None):
    return assign("default", "person", number, clusters, before or {}, born or {})


def test_new_clusters_get_new_ids():
    found = _run(1, [["a", "b"], ["c"]])
    assert found.ids["a"] == found.ids["b"] != found.ids["c"]
    assert found.ids["a"].startswith("per_")
    assert len(found.ids["a"]) == 30
    assert [change.kind for change in found.changes] == ["created", "created"]


def test_a_merge_keeps_the_id_of_the_majority_then_of_the_oldest():
    found = _run(2, [["a", "b", "c"]], {"a": "x", "b": "y", "c": "y"})
    assert set(found.ids.values()) == {"y"}
    assert found.redirects == {"x": "y"}
    found = _run(2, [["a", "b"]], {"a": "x", "b": "y"}, {"x": "2026", "y": "2025"})
    assert found.redirects == {"x": "y"}


def test_a_split_keeps_the_id_with_the_majority_and_is_recorded():
    found = _run(2, [["a", "b"], ["c"]], {"a": "x", "b": "x", "c": "x"})
    assert found.ids["a"] == "x" != found.ids["c"]
    assert [(change.kind, change.entity_id, change.other_entity_id) for change in found.changes if change.kind == "split"] == [
        ("split", "x", found.ids["c"])
    ]


def test_records_join_and_leave():
    found = _run(3, [["a", "b"]], {"a": "x", "gone": "x", "alone": "z"})
    assert {(change.kind, change.record_ref) for change in found.changes} == {
        ("joined", "b"),
        ("left", "gone"),
        ("left", "alone"),
        ("retired", None),
    }


def test_change_ids_are_the_same_on_a_retry():
    one, other = _run(1, [["a"]]).changes[0], _run(1, [["a"]]).changes[0]
    assert one.change_id("default", "person", 1) == other.change_id("default", "person", 1) != other.change_id("acme", "person", 1)


@given(st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=2, max_size=6))
def test_no_id_ever_comes_again_after_it_was_gone(runs):
    before: dict[str, str] = {}
    seen: set[str] = set()
    gone: set[str] = set()
    for number, labels in enumerate(runs, 1):
        groups: dict[int, list[str]] = {}
        for record, label in enumerate(labels):
            groups.setdefault(label, []).append(f"r{record}")
        found = _run(number, list(groups.values()), before)
        assert not gone & set(found.ids.values())
        assert set(found.redirects) <= set(before.values())
        gone |= (seen | set(before.values())) - set(found.ids.values())
        seen |= set(found.ids.values())
        before = found.ids


def test_ids_come_back_for_the_records_that_had_them():
    found = assign("default", "person", 3, [["a", "b"], ["c"]], dict.fromkeys("abc", "x"), {}, {"a": "x", "b": "x", "c": "y"})
    assert found.ids == {"a": "x", "b": "x", "c": "y"}
    assert found.restored == {"y"}
    assert sorted(change.kind for change in found.changes) == ["restored", "split"]


def test_the_id_of_a_living_entity_stays_where_its_former_records_are():
    found = assign("default", "person", 3, [["a"], ["b", "c", "d"]], dict.fromkeys("abcd", "x"), {}, {"a": "x", "b": "y", "c": "y"})
    assert found.ids == {"a": "x", "b": "y", "c": "y", "d": "y"}


def test_an_id_that_comes_back_from_several_entities_names_the_first_of_them():
    former = {"a1": "x", "a2": "x", "a3": "x", "b1": "w", "b2": "w", "b3": "w"}
    found = assign("default", "person", 3, [["a1", "a2"], ["b1", "b2"], ["a3", "b3"]], former, {}, {"a3": "y", "b3": "y"})
    assert Change("restored", "y", "w", "a3", "2 records") in found.changes


def test_no_id_comes_back_while_its_records_stay_together():
    found = assign("default", "person", 3, [["a", "b"]], dict.fromkeys("ab", "x"), {}, {"a": "x", "b": "y"})
    assert (found.ids, found.changes, found.restored) == ({"a": "x", "b": "x"}, [], set())


@given(st.lists(st.integers(0, 3), min_size=8, max_size=8), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_whatever_happens_between_undoing_it_restores_every_id(labels, others):
    refs = [f"r{number}" for number in range(8)]

    def groups(found):
        return [[ref for ref, label in zip(refs, found, strict=True) if label == wanted] for wanted in sorted(set(found))]

    first = _run(1, groups(labels))
    second = _run(2, groups(others), first.ids)
    back = assign("default", "person", 3, groups(labels), second.ids, {}, first.ids)
    assert back.ids == first.ids
    assert back.restored == set(first.ids.values()) - set(second.ids.values())


def test_ids_differ_between_tenants_and_runs():
    assert len({make_id(tenant, "person", "a", run) for tenant in ("default", "acme") for run in (1, 2)}) == 4


def test_ids_and_change_ids_are_those_that_lakes_hold():
    """A retry of a run, or the same run by a later release, has to come to the same ids."""
    assert make_id("default", "person", "salesforce:contacts:003000001", 1) == "per_dvs9ar5fmx7v1bvasmahkaw00f"
    assert make_id("acme", "organization", "hubspot:companies:7", 12) == "org_tskrj8kfberzap89673fh8qx3j"
    merged = Change("merged", "per_a", "per_b", reason="3 records came from it")
    assert merged.change_id("default", "person", 3) == "56cad06cf76702404e01a8f9021b3ed0"
    assert Change("joined", "per_a", record_ref="s:c:1").change_id("acme", "person", 3) == "8c30950ac4ce88ca1f61b892139d583f"


def test_redirects_are_followed_to_their_end_and_never_round_and_round():
    assert follow({"a": "b", "b": "c"}, "a") == "c"
    assert follow({"a": "b"}, "z") == "z"
    assert follow({"a": "b", "b": "a"}, "a") == "b"


def test_changes_say_how_many_records_moved_and_where_an_entity_came_from():
    assert _run(2, [["a", "b", "c"]], {"a": "x", "b": "y", "c": "y"}).changes == [
        Change("merged", "y", "x", reason="1 record came from it")
    ]
    former = dict.fromkeys(("a", "b", "c", "d", "e"), "x")
    found = _run(2, [["a", "b", "c"], ["e", "d"]], former)
    new = found.ids["d"]
    assert found.changes == [
        Change("created", new, record_ref="d", reason="2 records"), Change("split", "x", new, reason="2 records left it"),
    ]  # fmt: skip
    back = assign("default", "person", 3, [["a", "b"], ["c"]], dict.fromkeys("abc", "x"), {}, {"a": "x", "b": "x", "c": "y"})
    assert back.changes == [Change("restored", "y", "x", "c", "1 record"), Change("split", "x", "y", reason="1 record left it")]
