"""Ids of clusters on arrays: the same decisions as the rules for Gold's ids, and no id twice."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.golden import ids
from spine.matching.ids import first_ids, new_ids, next_ids

NAMES = st.sampled_from([f"r{number:02d}" for number in range(14)])
FORMER = st.dictionaries(NAMES, st.sampled_from(["c0", "c1", "c2", "c3"]), max_size=12)
PARTS = st.dictionaries(NAMES, st.integers(0, 4), max_size=12)


def arrays(parts: dict[str, int]) -> tuple[pa.Array, np.ndarray]:
    """Sorted records, and per record the first row of its part."""
    names = sorted(parts)
    codes = [parts[name] for name in names]
    return pa.array(names, pa.string()), np.asarray([codes.index(code) for code in codes], dtype=np.int64)


def former(before: dict[str, str]) -> pa.Table:
    return pa.table({"record_id": pa.array(list(before), pa.string()), "cluster_id": pa.array(list(before.values()), pa.string())})


@given(FORMER, PARTS)
def test_ids_and_changes_are_those_of_the_rules_for_gold(before: dict[str, str], parts: dict[str, int]) -> None:
    names, label = arrays(parts)
    got = next_ids("person", 3, names, label, former(before))
    groups: dict[int, list[str]] = {}
    for name in names.to_pylist():
        groups.setdefault(parts[name], []).append(name)
    wanted = ids.assign("t", "person", 3, list(groups.values()), before, {})
    renamed = {wanted.ids[name]: own for name, own in zip(names.to_pylist(), got.ids.to_pylist(), strict=True)}
    assert all(old == new or old.startswith("per_") for old, new in renamed.items())
    assert len(set(renamed.values())) == len(renamed)
    told = {(row["kind"], row["cluster_id"], row["other_cluster_id"], row["record_id"]) for row in got.changes.to_pylist()}
    meant = {
        (change.kind, renamed.get(change.entity_id, change.entity_id), renamed.get(change.other_entity_id or "", change.other_entity_id),
         change.record_ref) for change in wanted.changes
    }  # fmt: skip
    assert told == meant
    assert got.changes.num_rows == len(wanted.changes)


@given(PARTS)
def test_the_same_clusters_keep_every_id(parts: dict[str, int]) -> None:
    names, label = arrays(parts)
    first = first_ids("person", 1, names, label)
    table = pa.table({"record_id": names, "cluster_id": first.ids})
    again = next_ids("person", 2, names, label, table.take(pa.array(np.arange(len(names))[::-1])))
    assert again.ids.to_pylist() == first.ids.to_pylist()
    assert again.changes.num_rows == 0


@given(st.lists(PARTS, min_size=2, max_size=6))
def test_an_id_that_was_given_up_never_comes_back(history: list[dict[str, int]]) -> None:
    """Each run goes on from the one before; an id that is not in use after a run is in no later one."""
    seen: list[set[str]] = []
    table = former({})
    for run, parts in enumerate(history, 1):
        names, label = arrays(parts)
        table = pa.table({"record_id": names, "cluster_id": next_ids("person", run, names, label, table).ids})
        seen.append(set(table.column("cluster_id").to_pylist()))
    gone: set[str] = set()
    for one, other in pairwise(seen):
        gone |= one - other
        assert not gone & other


def test_what_a_new_id_is_made_of() -> None:
    made = new_ids("person", ["a", "b"], 1).to_pylist()
    assert all(re.fullmatch("per_[0-9a-z]{20}", one) for one in made)
    assert made == new_ids("person", ["a", "b"], 1).to_pylist()
    others = [*new_ids("person", ["a", "b"], 2).to_pylist(), *new_ids("organization", ["a", "b"], 1).to_pylist()]
    assert len({*made, *others}) == 6
    assert new_ids("person", [], 1).to_pylist() == []


def test_changes_say_why() -> None:
    names, label = arrays({"a": 0, "b": 0, "c": 0, "d": 1, "n": 0, "o": 2})
    named = next_ids("person", 2, names, label, former({"a": "x", "b": "x", "c": "y", "d": "x", "e": "x", "z": "w"}))
    own = dict(zip(names.to_pylist(), named.ids.to_pylist(), strict=True))
    told = {(row["kind"], row["cluster_id"], row["other_cluster_id"], row["record_id"], row["reason"]) for row in named.changes.to_pylist()}
    assert told == {
        ("merged", "x", "y", None, "1 record came from it"), ("split", "x", own["d"], None, "1 record left it"),
        ("created", own["d"], None, "d", "1 record in it"), ("created", own["o"], None, "o", "1 record in it"),
        ("joined", "x", None, "n", "a new record"), ("left", "x", None, "e", "the record is gone"),
        ("left", "w", None, "z", "the record is gone"), ("retired", "w", None, None, "its last record is gone"),
    }  # fmt: skip
    assert {kind: named.count(kind) for kind in ("created", "merged", "left")} == {"created": 2, "merged": 1, "left": 2}
