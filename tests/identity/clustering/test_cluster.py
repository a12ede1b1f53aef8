"""Components are divided where the evidence of all pairs speaks against one entity; exclusions always hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage

from spine.identity.clustering import cluster as module
from spine.identity.clustering.cluster import AMBIGUOUS_MARGIN, CLIP, NEVER, cluster, components

THRESHOLD = 2.5
_PAIRS = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1])


def _evidence(
    weights: dict[tuple[int, int], float], excluded: set[tuple[int, int]] = frozenset()
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    def evidence(left, right):
        pairs = [(min(a, b), max(a, b)) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
        return np.asarray([weights.get(pair, -8.0) for pair in pairs]), np.asarray([pair in excluded for pair in pairs], dtype=bool)

    return evidence


def _labels(rows, weights, excluded=frozenset()):
    strong = {pair: weight for pair, weight in weights.items() if weight >= THRESHOLD}
    left, right = (np.asarray([pair[side] for pair in strong], dtype=np.int64) for side in (0, 1))
    return cluster(rows, left, right, np.asarray(list(strong.values())), _evidence(weights, excluded), THRESHOLD)


def test_two_groups_that_one_weak_bridge_holds_together_are_divided():
    groups = {(0, 1): 9.0, (0, 2): 9.0, (1, 2): 9.0, (3, 4): 9.0, (3, 5): 9.0, (4, 5): 9.0}
    found = _labels(6, groups | {(2, 3): 3.0})
    assert found.label.tolist() == [0, 0, 0, 3, 3, 3]
    assert found.weakest[0] == pytest.approx(1 / (1 + 2**-9))


def test_a_record_that_most_others_support_stays():
    assert _labels(3, {(0, 1): 9.0, (1, 2): 9.0, (0, 2): 1.0}).label.tolist() == [0, 0, 0]


def test_exclusive_records_are_apart_and_the_one_between_them_stays_alone():
    found = _labels(3, {(0, 1): 5.0, (1, 2): 5.0, (0, 2): 4.0}, {(0, 2)})
    assert found.label.tolist() == [0, 1, 2]
    assert found.ambiguous == {1}


def test_the_clearly_better_candidate_wins():
    found = _labels(3, {(0, 1): 20.0, (1, 2): 5.0}, {(0, 2)})
    assert found.label.tolist() == [0, 0, 2]
    assert not found.ambiguous


def test_a_component_that_is_too_large_falls_apart_at_a_higher_threshold(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 3)
    weights = {(0, 1): 9.0, (1, 2): 3.0, (2, 3): 9.0}
    assert _labels(4, weights).label.tolist() == [0, 0, 2, 2]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_PAIRS, st.floats(-10, 20), max_size=30), st.sets(_PAIRS, max_size=6))
def test_excluded_records_are_never_together_and_labels_are_first_members(weights, excluded):
    found = _labels(10, weights, excluded)
    assert all(found.label[one] != found.label[other] for one, other in excluded)
    for row, label in enumerate(found.label.tolist()):
        assert label <= row
        assert found.label[label] == label


def test_components_carry_their_first_row():
    assert components(5, np.array([1, 3]), np.array([3, 4])).tolist() == [0, 1, 2, 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_PAIRS, st.floats(-10, 20), max_size=30), st.sets(_PAIRS, max_size=6), st.sets(_PAIRS, max_size=4))
def test_what_must_be_together_is_and_what_must_not_be_is_apart(weights, excluded, must):
    pairs = np.asarray(sorted(must), dtype=np.int64).reshape(-1, 2)
    strong = {pair: weight for pair, weight in weights.items() if weight >= THRESHOLD}
    left, right = (np.asarray([pair[side] for pair in strong], dtype=np.int64) for side in (0, 1))
    ties = (pairs[:, 0], pairs[:, 1])
    never = {pair: -np.inf for pair in excluded}  # a steward's word
    found = cluster(10, left, right, np.asarray(list(strong.values())), _evidence(weights | never, excluded), THRESHOLD, ties)
    assert all(found.label[one] == found.label[other] for one, other in must)
    bound = components(10, *ties)
    assert all(found.label[one] != found.label[other] for one, other in excluded if bound[one] != bound[other])


def _tied(weights, excluded=frozenset()):
    ties = (np.array([1]), np.array([2]))
    return cluster(4, np.array([0, 2]), np.array([1, 3]), np.array([9.0, 9.0]), _evidence(weights, excluded), THRESHOLD, ties)


def test_two_records_that_a_steward_joins_bring_their_entities():
    assert _tied({(0, 1): 9.0, (2, 3): 9.0}).label.tolist() == [0, 0, 0, 0]


def test_a_joined_pair_leaves_behind_who_excludes_the_other_side():
    assert _tied({(0, 1): 9.0, (2, 3): 6.0, (1, 3): 8.0}, {(0, 3)}).label.tolist() in ([0, 0, 0, 3], [0, 1, 1, 1])


_WEIGHTS = st.sampled_from([-12.0, -5.5, -1.0, 0.0, 0.1, 3.0, 7.0, 12.0, NEVER]) | st.floats(-CLIP, CLIP)  # many are equally near


@st.composite
def _groups(draw):
    """Some groups of one size: the weights of their pairs, a row per group."""
    size, count = draw(st.integers(3, 9)), draw(st.integers(1, 4))
    pairs = size * (size - 1) // 2
    return size, np.asarray(draw(st.lists(st.lists(_WEIGHTS, min_size=pairs, max_size=pairs), min_size=count, max_size=count)))


def _partition(numbers):
    return [numbers.index(number) for number in numbers]


def _cut(tree, size):
    groups, first = [{row} for row in range(size)], list(range(size))
    for one, other, distance, _ in tree.tolist():
        groups.append(groups[int(one)] | groups[int(other)])
        if distance <= CLIP:
            first = [min(groups[-1]) if row in groups[-1] else number for row, number in enumerate(first)]
    return first


@settings(max_examples=200, deadline=None)
@given(_groups())
def test_groups_linked_at_once_are_those_of_a_linkage_of_each(groups):
    size, weights = groups
    together = module._linked(CLIP - module._square(weights, size)).tolist()
    assert together == [_cut(linkage(CLIP - condensed, "average"), size) for condensed in weights]


def _simply_set_apart(part, square):
    """Record by record as the rule says it: torn between its own and another part, which hold records that exclude each other."""
    places = range(len(part))
    for row in places:
        own = [place for place in places if part[place] == part[row] and place != row]
        for rival in sorted(set(part) - {part[row]}):
            theirs = [place for place in places if part[place] == rival]
            likes = own and max(square[row, theirs]) >= THRESHOLD and min(square[row, theirs]) > NEVER / 2
            if (
                likes
                and max(square[row, own]) - max(square[row, theirs]) < AMBIGUOUS_MARGIN
                and square[np.ix_(own, theirs)].min() <= NEVER / 2
            ):
                part = [*part[:row], max(part) + 1, *part[row + 1 :]]
                break
    return part


@settings(max_examples=200, deadline=None)
@given(_groups(), st.lists(st.integers(0, 2), min_size=9, max_size=9))
def test_who_is_set_apart_is_who_fits_two_parts_that_exclude_each_other(groups, part):
    size, weights = groups
    square, result = module._square(weights, size)[0], module.Clusters(np.arange(size), np.ones(size))
    found = module._set_ambiguous_apart(list(range(size)), part[:size], square.tolist(), THRESHOLD, result)
    assert _partition(found) == _partition(_simply_set_apart(part[:size], square))
    assert result.ambiguous == {row for row in range(size) if found[row] not in part}


@settings(max_examples=100, deadline=None)
@given(_groups())
def test_a_group_is_divided_the_same_alone_as_with_others(groups):
    size, weights = groups

    def divided(some):
        rows = size * len(some)
        matrix, near = module._square(some, size), np.arange(rows - 1)
        near = near[(near + 1) % size != 0]

        def evidence(left, right):
            weight = matrix[left // size, left % size, right % size]
            return weight, weight <= NEVER

        found = cluster(rows, near, near + 1, np.full(len(near), THRESHOLD), evidence, THRESHOLD)
        return found.label.tolist(), found.ambiguous

    alone = [divided(some[None]) for some in weights]
    assert divided(weights) == (
        [number * size + row for number, (label, _) in enumerate(alone) for row in label],
        {number * size + row for number, (_, rows) in enumerate(alone) for row in rows},
    )
