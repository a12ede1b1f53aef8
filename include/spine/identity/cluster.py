"""Edges -> entities: connected components, then each component is divided where the evidence of all its pairs speaks against one entity.

All pairs inside a component are scored, not only the blocked ones; average linkage over their weights joins groups while the mean evidence
is positive, so one weak bridge or one chain of neighbours cannot hold an entity together, and two records that exclude each other
(birth dates, identifiers, one source under `across_sources`, a steward's word) are never joined. What must be one entity by a steward's
word is one from the start. A component's division depends on nothing outside it: what did not change keeps its entities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

Array: TypeAlias = Any  # numpy arrays of many element types
Evidence = Callable[[Array, Array], tuple[Array, Array]]
CLIP = 12.0
NEVER = -1e9
FORBIDDEN = 2 * NEVER  # not by values that exclude each other, but by a steward
MUST = 60.0
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
    _, found = connected_components(coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(rows, rows)), directed=False)
    first = np.full(found.max(initial=-1) + 1, rows)
    np.minimum.at(first, found, np.arange(rows))
    return first[found]


def cluster(
    rows: int, left: Array, right: Array, weight: Array, evidence: Evidence, threshold: float, must: tuple[Array, Array] | None = None
) -> Clusters:
    """Entities of `rows` records joined by edges (row numbers, weights of at least `threshold` in log2 odds).

    `evidence` gives weight and mutual exclusion of any pairs (weight minus infinity: by a steward's word); `must` are pairs of rows that
    are one entity whatever speaks against it.
    Rows must be in an order that does not depend on how they arrived.
    """
    result = Clusters(np.arange(rows), np.ones(rows))
    if must is not None and len(must[0]):
        left, right = np.r_[left, must[0]], np.r_[right, must[1]]
        weight = np.r_[weight, np.full(len(must[0]), MUST * 2)]
        bound = components(rows, *must)
    else:
        bound = np.arange(rows)
    found = _bounded(components(rows, left, right), left, right, weight)
    order = np.argsort(found, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(found[order]) != 0]) if rows else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, rows])
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    pairs = np.cumsum(sizes * (sizes - 1) // 2)
    at = 0
    while at < len(sizes):
        done = pairs[at - 1] if at else 0
        end = max(at + 1, int(np.searchsorted(pairs, done + BATCH, side="right")))
        _divide(order, starts[at:end], sizes[at:end], bound, evidence, threshold, result)
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


def _inner_pairs(starts: Array, sizes: Array) -> tuple[Array, Array, Array]:
    """All pairs of places inside each group of `sizes` places from `starts` (ordered as `np.triu_indices`), and where each group begins."""
    place = np.repeat(starts, sizes) + np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    partners = np.repeat(starts + sizes, sizes) - place - 1
    one: Array = np.repeat(place, partners)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(partners) - partners, partners)
    counts = sizes * (sizes - 1) // 2
    return one, other, np.cumsum(counts) - counts


def _divide(order: Array, starts: Array, sizes: Array, bound: Array, evidence: Evidence, threshold: float, result: Clusters) -> None:
    """Divides the groups that evidence speaks against; a group whose pairs all agree stays whole, which is what linkage would give."""
    one, other, offset = _inner_pairs(starts, sizes)
    one, other = order[one], order[other]
    weight, excluded = evidence(one, other)
    free = np.where(excluded, np.where(np.isneginf(weight), FORBIDDEN, NEVER), weight)
    weight = np.where(bound[one] == bound[other], MUST, free)
    disagrees = np.minimum.reduceat(weight, offset) <= 0
    first = np.minimum.reduceat(np.minimum(one, other), offset)
    members = order[np.repeat(starts, sizes) + np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)]
    result.label[members] = np.repeat(first, sizes)
    for number in np.flatnonzero(disagrees).tolist():
        begin, size = offset[number], int(sizes[number])
        group = order[starts[number] : starts[number] + size]
        part = _parts(group, free[begin : begin + size * (size - 1) // 2], bound, threshold, result)
        smallest = np.full(int(part.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(smallest, part, group)
        result.label[group] = smallest[part]
    _record(one, other, weight, result)


def _parts(group: Array, condensed: Array, bound: Array, threshold: float, result: Clusters) -> Array:
    """A number per record of a group: records with the same number are one entity."""
    size = len(group)
    clipped = np.where(condensed > NEVER / 2, np.clip(condensed, -CLIP, CLIP), condensed)
    part = _cut(linkage(CLIP - clipped, "average"), size)
    square = _square(condensed, size)
    tied = np.unique(bound[group], return_inverse=True)[1]
    if tied.max() + 1 < size:
        return _joined(part, tied, _square(clipped, size))
    return _set_ambiguous_apart(group, part, square, threshold, result) if part.max() else part


def _cut(tree: Array, size: int) -> Array:
    """A number per record: the groups that average linkage joined while the mean evidence was not negative."""
    groups: list[list[int]] = [[row] for row in range(size)]
    for one, other, distance, _ in tree.tolist():
        groups.append(groups[int(one)] + groups[int(other)] if distance <= CLIP else [])
    part = np.full(size, -1)
    for number in range(len(groups) - 1, -1, -1):
        if groups[number] and part[groups[number][0]] < 0:
            part[groups[number]] = number
    return np.unique(part, return_inverse=True)[1]


def _joined(part: Array, tied: Array, square: Array) -> Array:
    """What evidence divides and a steward ties: entities become one as a whole unless that joined records that exclude each other.

    Where the steward ties two records whose own values exclude each other, those values say nothing about the rest of their entities
    either; the steward's own never-links do.
    """
    size = len(part)
    _, whole = connected_components(coo_matrix((np.ones(size), (part, size + tied)), shape=(2 * size, 2 * size)), directed=False)
    union = whole[part]
    together = union[:, None] == union[None, :]
    bound = tied[:, None] == tied[None, :]
    forbidden = (square <= NEVER * 1.5) & np.isfinite(square)
    excluded = (square <= NEVER / 2) & np.isfinite(square) & ~forbidden
    overruled = np.isin(union, union[(excluded & bound).any(axis=1)])
    apart = (forbidden | (excluded & ~overruled[:, None])) & ~bound
    return _agglomerate(tied, square) if (together & apart).any() else union


def _agglomerate(tied: Array, square: Array) -> Array:
    """Average linkage that begins with the groups of records that must be together."""
    count = int(tied.max()) + 1
    membership = np.zeros((count, len(tied)))
    membership[tied, np.arange(len(tied))] = 1.0
    np.fill_diagonal(square, 0.0)
    total, sizes = membership @ square @ membership.T, membership.sum(axis=1)
    alive: Array = np.ones(count, dtype=bool)
    part = tied.copy()
    while True:
        mean = np.where(alive[:, None] & alive[None, :], total / np.outer(sizes, sizes), -np.inf)
        np.fill_diagonal(mean, -np.inf)
        one, other = divmod(int(mean.argmax()), count)
        if mean[one, other] < 0 or not np.isfinite(mean[one, other]):
            return part
        total[one] += total[other]
        total[:, one] += total[:, other]
        sizes[one] += sizes[other]
        alive[other] = False
        part[part == other] = one


def _square(condensed: Array, size: int) -> Array:
    square = np.full((size, size), -np.inf)
    upper = np.triu_indices(size, 1)
    square[upper] = condensed
    return np.maximum(square, square.T)


def _set_ambiguous_apart(group: Array, part: Array, square: Array, threshold: float, result: Clusters) -> Array:
    """Records that fit two clusters that exclude each other about equally well become entities of their own."""
    if not (np.isfinite(square) & (square <= NEVER / 2)).any():
        return part
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


def _record(one: Array, other: Array, weight: Array, result: Clusters) -> None:
    """Each record's best link, and the weakest link that its entity cannot do without: the last edge of its maximum spanning tree."""
    inside = result.label[one] == result.label[other]
    one, other, weight = one[inside], other[inside], np.clip(weight[inside], -500, 500)
    rows = np.unique(np.r_[one, other])
    best = np.full(len(result.label), -np.inf)
    np.maximum.at(best, one, weight)
    np.maximum.at(best, other, weight)
    result.confidence[rows] = 1.0 / (1.0 + np.exp2(-best[rows]))
    place: Array = np.zeros(len(result.label), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    lengths = coo_matrix((600.0 - weight, (place[one], place[other])), shape=(len(rows), len(rows)))
    tree = minimum_spanning_tree(lengths.tocsr()).tocoo()
    label = result.label[rows[tree.row]]
    weakest = np.full(len(result.label), -np.inf)
    np.maximum.at(weakest, label, tree.data)
    labels = np.unique(label)
    result.weakest |= dict(zip(labels.tolist(), (1.0 / (1.0 + np.exp2(weakest[labels] - 600.0))).tolist(), strict=True))
