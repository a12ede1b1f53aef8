"""Edges -> entities: connected components, then each component is divided where the evidence of all its pairs speaks against one entity.

All pairs inside a component are scored, not only the blocked ones; average linkage over their weights joins groups while the mean evidence
is positive, so one weak bridge or one chain of neighbours cannot hold an entity together, and two records that exclude each other
(birth dates, identifiers, one source under `across_sources`, a steward's word) are never joined. A component's division depends on
nothing outside it: what did not change keeps its entities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Array: TypeAlias = Any  # numpy arrays of many element types
Evidence = Callable[[Array, Array], tuple[Array, Array]]
CLIP = 12.0
NEVER = -1e6
AMBIGUOUS_MARGIN = 6.6
LARGEST = 1_200
BATCH = 2_000_000


@dataclass
class Clusters:
    """`label` per row (the first row of its entity), `confidence` per row (its best link), the weakest link per label, ambiguous rows."""

    label: Array
    confidence: Array
    weakest: dict[int, float] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)


def components(rows: int, left: Array, right: Array) -> Array:
    """The first row of each row's connected component."""
    _, found = connected_components(coo_matrix((np.ones(len(left)), (left, right)), shape=(rows, rows)), directed=False)
    first = np.full(found.max(initial=-1) + 1, rows)
    np.minimum.at(first, found, np.arange(rows))
    return first[found]


def cluster(rows: int, left: Array, right: Array, weight: Array, evidence: Evidence, threshold: float) -> Clusters:
    """Entities of `rows` records joined by edges (row numbers, weights of at least `threshold` in log2 odds).

    `evidence` gives weight and mutual exclusion of any pairs. Rows must be in an order that does not depend on how they arrived.
    """
    result = Clusters(np.arange(rows), np.ones(rows))
    found = _bounded(components(rows, left, right), left, right, weight)
    order = np.argsort(found, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(found[order]) != 0]) if rows else np.zeros(0, dtype=np.int64)
    groups = [group for group in np.split(order, starts[1:]) if len(group) > 1]
    at = 0
    while at < len(groups):
        pairs, end = 0, at
        while end < len(groups) and (end == at or pairs + len(groups[end]) ** 2 // 2 <= BATCH):
            pairs, end = pairs + len(groups[end]) ** 2 // 2, end + 1
        _divide(groups[at:end], evidence, threshold, result)
        at = end
    return result


def _bounded(found: Array, left: Array, right: Array, weight: Array) -> Array:
    """Components of more than LARGEST records fall apart at a higher threshold, step by step."""
    step = 4.0
    while (sizes := np.bincount(found)).max(initial=0) > LARGEST and step < 64:
        large = sizes[found[left]] > LARGEST
        keep = ~large | (weight >= step)
        left, right, weight = left[keep], right[keep], weight[keep]
        found = components(len(found), left, right)
        step += 2.0
    return found


def _divide(groups: list[Array], evidence: Evidence, threshold: float, result: Clusters) -> None:
    corners = [np.triu_indices(len(group), 1) for group in groups]
    one = np.concatenate([group[i] for group, (i, _) in zip(groups, corners, strict=True)])
    other = np.concatenate([group[j] for group, (_, j) in zip(groups, corners, strict=True)])
    weights, excluded = evidence(one, other)
    weights = np.where(excluded, NEVER, weights)
    at = 0
    for group, (i, _) in zip(groups, corners, strict=True):
        _divide_one(group, weights[at : at + len(i)], threshold, result)
        at += len(i)


def _divide_one(group: Array, condensed: Array, threshold: float, result: Clusters) -> None:
    size = len(group)
    if size == 2:
        if condensed[0] > NEVER / 2:
            _record(group, np.ones(2, dtype=np.int64), _square(condensed, 2), result)
        return
    clipped = np.where(condensed > NEVER / 2, np.clip(condensed, -CLIP, CLIP), NEVER)
    part = fcluster(linkage(CLIP - clipped, "average"), CLIP, "distance")
    square = _square(condensed, size)
    if part.max() > 1:
        part = _set_ambiguous_apart(group, part, square, threshold, result)
    _record(group, part, square, result)


def _square(condensed: Array, size: int) -> Array:
    square = np.full((size, size), -np.inf)
    upper = np.triu_indices(size, 1)
    square[upper] = condensed
    return np.maximum(square, square.T)


def _set_ambiguous_apart(group: Array, part: Array, square: Array, threshold: float, result: Clusters) -> Array:
    """Records that fit two clusters that exclude each other about equally well become entities of their own."""
    part = part.copy()
    for row in range(len(group)):
        strong = np.flatnonzero((square[row] >= threshold - 1e-9) & (part != part[row]))
        own = np.flatnonzero(part == part[row])
        own = own[own != row]
        if not len(strong) or not len(own):
            continue
        for rival in np.unique(part[strong]).tolist():
            theirs = np.flatnonzero(part == rival)
            exclusive = (square[np.ix_(own, theirs)] <= NEVER / 2).any()
            near = square[row, own].max() - square[row, theirs].max() < AMBIGUOUS_MARGIN
            if exclusive and near and (square[row, theirs] > NEVER / 2).all():
                part[row] = part.max() + 1
                result.ambiguous.add(int(group[row]))
                break
    return part


def _record(group: Array, part: Array, square: Array, result: Clusters) -> None:
    for number in np.unique(part).tolist():
        members = np.flatnonzero(part == number)
        label = int(group[members].min())
        result.label[group[members]] = label
        if len(members) < 2:
            continue
        inner = square[np.ix_(members, members)]
        best = 1.0 / (1.0 + np.exp2(-np.clip(inner.max(axis=1), -500, 500)))
        result.confidence[group[members]] = best
        result.weakest[label] = _weakest(inner, best)


def _weakest(inner: Array, best: Array) -> float:
    """Probability of the weakest link that an entity cannot do without (the last edge of its maximum spanning tree)."""
    if len(inner) <= 3:
        return float(best.min())
    probabilities = 1.0 / (1.0 + np.exp2(-np.clip(inner, -500, 500)))
    return float(1.0 - linkage((1.0 - probabilities)[np.triu_indices(len(inner), 1)], "single")[-1, 2])
