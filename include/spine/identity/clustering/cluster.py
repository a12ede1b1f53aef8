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

Array: TypeAlias = Any  # numpy arrays of many element types
Evidence = Callable[[Array, Array], tuple[Array, Array]]
CLIP = 12.0
NEVER = -1e9
FORBIDDEN = 2 * NEVER  # not by values that exclude each other, but by a steward
MUST = 60.0
AMBIGUOUS_MARGIN = 2.5
LARGEST = 1_200
BATCH = 2_000_000


@dataclass
class Clusters:
    """`label` per row (the first row of its entity), `confidence` per row (its best link), the weakest link per label, ambiguous rows.

    `unit` is per row the row whose place in its entity it shares: itself, unless it is a copy of it (None: no row is).
    """

    label: Array
    confidence: Array
    weakest: dict[int, float] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)
    unit: Array | None = None


def components(rows: int, left: Array, right: Array) -> Array:
    """The first row of each row's connected component."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

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


def _places(starts: Array, sizes: Array) -> Array:
    """The places of groups of `sizes` places from `starts`, one group after the other."""
    return np.repeat(starts, sizes) + np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _inner_pairs(starts: Array, sizes: Array) -> tuple[Array, Array, Array]:
    """All pairs of places inside each group of `sizes` places from `starts` (ordered as `np.triu_indices`), and where each group begins."""
    place = _places(starts, sizes)
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
    free = np.where(np.isneginf(weight), FORBIDDEN, np.where(excluded, NEVER, weight))
    weight = np.where(bound[one] == bound[other], MUST, free)
    result.label[order[_places(starts, sizes)]] = np.repeat(order[starts], sizes)
    disagrees = np.flatnonzero(np.minimum.reduceat(weight, offset) <= 0)
    for size in np.unique(sizes[disagrees]).tolist():
        some = disagrees[sizes[disagrees] == size][:, None]
        group = order[starts[some] + np.arange(size)]
        part = _parts(group, free[offset[some] + np.arange(size * (size - 1) // 2)], bound[group], threshold, result)
        first = (part[:, :, None] == part[:, None, :]).argmax(axis=2)
        result.label[group] = np.take_along_axis(group, first, axis=1)
    _record(one, other, weight, result)


def _parts(group: Array, free: Array, bound: Array, threshold: float, result: Clusters) -> Array:
    """Of groups of one size (a row each), a number per record: records with the same number are one entity."""
    size = group.shape[1]
    clipped = _square(np.where(free > NEVER / 2, np.clip(free, -CLIP, CLIP), free), size)
    part = _linked(CLIP - clipped)
    tied = (np.diff(np.sort(bound, axis=1), axis=1) == 0).any(axis=1)
    for number in np.flatnonzero(tied).tolist():
        part[number] = _joined(part[number], np.unique(bound[number], return_inverse=True)[1], clipped[number])
    doubtful = np.flatnonzero(~tied & part.any(axis=1) & (free.min(axis=1) <= NEVER / 2))
    for number, square in zip(doubtful.tolist(), _square(free[doubtful], size), strict=True):
        part[number] = _set_ambiguous_apart(group[number].tolist(), part[number].tolist(), square.tolist(), threshold, result)
    return part


def _square(condensed: Array, size: int) -> Array:
    """The values of all pairs of each group as a symmetric matrix; minus infinity on its diagonal."""
    square = np.full((len(condensed), size, size), -np.inf)
    one, other = np.triu_indices(size, 1)
    square[:, one, other] = square[:, other, one] = condensed
    return square


def _linked(distance: Array) -> Array:
    """Average linkage while the mean evidence is not negative: per group and record the first place of its part. Uses up `distance`.

    Follows a chain of nearest neighbours until two are each other's nearest, in all groups at the same time. Of equally near ones the
    first counts, but the one that the chain came from before all others: what a cut of
    scipy's `linkage` gives, one call of which for each of many small groups would take most of the time.
    """
    count, size = distance.shape[:2]
    part = np.tile(np.arange(size), (count, 1))
    held = np.ones((count, size))
    chain, length = np.zeros((count, size), dtype=np.int64), np.zeros(count, dtype=np.int64)
    active = np.arange(count)
    while len(active := active[held[active].max(axis=1) < size]):
        fresh = active[length[active] == 0]
        chain[fresh, 0], length[fresh] = (held[fresh] > 0).argmax(axis=1), 1
        last = length[active] - 1
        tip, before = chain[active, last], chain[active, last - 1]
        near, each = distance[active, tip], np.arange(len(active))
        nearest = near.argmin(axis=1)
        mutual = (last > 0) & (near[each, before] == near[each, nearest])
        on, back = active[~mutual], active[mutual]
        chain[on, length[on]] = nearest[~mutual]
        length[on] += 1
        length[back] -= 2
        _merge(distance, held, part, back, np.sort(np.stack([tip, before])[:, mutual], axis=0))
    return part


def _merge(distance: Array, held: Array, part: Array, groups: Array, pair: Array) -> None:
    """In each of the groups the second place of the pair now stands for the records of both: its distances are the means over both."""
    gone, stays = pair
    close = distance[groups, gone, stays] <= CLIP
    low, high = np.sort([part[groups, gone], part[groups, stays]], axis=0)[:, close, None]
    part[groups[close]] = np.where(part[groups[close]] == high, low, part[groups[close]])
    lost, own = held[groups, gone][:, None], held[groups, stays][:, None]
    mean = (lost * distance[groups, gone] + own * distance[groups, stays]) / (lost + own)
    distance[groups, stays] = distance[groups, :, stays] = mean
    distance[groups, gone] = distance[groups, :, gone] = np.inf
    held[groups, stays] += held[groups, gone]
    held[groups, gone] = 0


def _joined(part: Array, tied: Array, square: Array) -> Array:
    """What evidence divides and a steward ties: entities become one as a whole unless that joined records that exclude each other.

    Where the steward ties two records whose own values exclude each other, those values say nothing about the rest of their entities
    either; the steward's own never-links do.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

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


def _set_ambiguous_apart(group: list[int], part: list[int], square: list[list[float]], threshold: float, result: Clusters) -> list[int]:
    """Records that fit two clusters that exclude each other about equally well become entities of their own."""
    against = [{place for place, weight in enumerate(row) if weight <= NEVER / 2} for row in square]
    members: dict[int, set[int]] = {}
    for row, number in enumerate(part):
        members.setdefault(number, set()).add(row)
    for row, near in enumerate(square):
        strong = {number for number, weight in zip(part, near, strict=True) if weight >= threshold - 1e-9 and number != part[row]}
        own = members[part[row]] - {row}
        if not strong or not own:
            continue
        best = max(near[place] for place in own)
        rejected = set().union(*(against[place] for place in own))
        for theirs in (members[number] for number in strong):
            exclusive = not rejected.isdisjoint(theirs) and against[row].isdisjoint(theirs)
            if exclusive and best - max(near[place] for place in theirs) < AMBIGUOUS_MARGIN:
                members[part[row]] = own
                part[row] = len(group) + row
                members[part[row]] = {row}
                result.ambiguous.add(group[row])
                break
    return part


def _record(one: Array, other: Array, weight: Array, result: Clusters) -> None:
    """Each record's best link, and the weakest link that its entity cannot do without: the last edge of its maximum spanning tree."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    inside = result.label[one] == result.label[other]
    one, other, weight = one[inside], other[inside], np.clip(weight[inside], -500, 500)
    best = np.full(len(result.label), -np.inf)
    np.maximum.at(best, one, weight)
    np.maximum.at(best, other, weight)
    rows = np.flatnonzero(best > -np.inf)
    result.confidence[rows] = 1.0 / (1.0 + np.exp2(-best[rows]))
    place: Array = np.zeros(len(result.label), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    lengths = coo_matrix((600.0 - weight, (place[one], place[other])), shape=(len(rows), len(rows)))
    tree = minimum_spanning_tree(lengths.tocsr()).tocoo()
    label = result.label[rows[tree.row]]
    weakest = np.full(len(result.label), -np.inf)
    np.maximum.at(weakest, label, tree.data)
    labels = np.flatnonzero(weakest > -np.inf)
    result.weakest |= dict(zip(labels.tolist(), (1.0 / (1.0 + np.exp2(weakest[labels] - 600.0))).tolist(), strict=True))
