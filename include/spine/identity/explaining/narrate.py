"""Decisions in words: what a pair's weight is made of, what decided about it, and the order in which an entity's records joined. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine
from spine.identity.blocking import postings
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.keys import rule_keys
from spine.identity.clustering.cluster import CLIP
from spine.identity.explaining.waterfalls import waterfall
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored

Array: TypeAlias = Any  # numpy arrays of many element types
_LONGEST = 1_000.0  # more than any weight, so that a heavy link is a short edge


@dataclass(frozen=True)
class Join:
    """Two groups of rows became one: by which link, of which weight, and what all links between both groups say on average.

    `by` is steward where a person tied them, otherwise evidence.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    link: tuple[int, int]
    weight: float
    mean: float
    by: str


def steps(records: engine.Records, model: Model, scored: Scored, at: int, left: int, right: int) -> list[dict[str, Any]]:
    """The waterfall of the pair `at`, each step with both values as compared and, where rarity counts, how many records share the value."""
    plan = records.plan
    found = waterfall(plan, model, records.features, scored, at, left, right)
    by_name = {comparison.name: comparison for comparison in plan.comparisons}
    for step in found:
        comparison = by_name.get(step["attribute"])
        if comparison is None:
            continue
        codes, values = records.features[comparison.feature]
        texts = [values[codes[row]] if codes[row] >= 0 else None for row in (left, right)]
        step["left"], step["right"] = (None if text is None else comparison.shown(text) for text in texts)
        terms = model.terms.get(comparison.name, {}).get(str(step["level"]))
        part = comparison.terms.get(step["level"])
        if part and terms and abs(step["tf_adjustment"]) >= 0.005:
            shared = part([text for text in texts if text is not None])
            step["shared_by"] = max(int(terms.counts.get(text, terms.rest)) for text in shared.values[shared.codes].tolist())
            step["shared_of"] = terms.total
    return found


def excluding(records: engine.Records, judged: postings.Judged, at: int, left: int, right: int) -> list[str]:
    """What keeps the pair `at` from ever being one entity by itself: attributes that exclude each other, or one source."""
    if not judged.apart[at]:
        return []
    pairs = zip(records.plan.comparisons, judged.scored.levels[at].tolist(), strict=True)
    found = [comparison.name for comparison, level in pairs if comparison.exclusive and level == len(comparison.labels)]
    same = records.plan.matching.link == "across_sources" and records.source[left] == records.source[right]
    return [*found, *(["source"] if same else [])]


def blocking_rules(records: engine.Records, model: Model, left: int, right: int) -> list[str]:
    """Names of the blocking rules that bring two rows together; empty where matching never compares them."""
    rules = blocking.make_rules(records.plan)
    found = []
    for rule, keys in zip(rules, rule_keys(rules, records.features, model.heavy, model.rarity), strict=True):
        shared = np.intersect1d(keys[left], keys[right])
        if (shared != 0).any():
            found.append(rule.name)
    return found


def joins(rows: int, weight: Array, must: Sequence[tuple[int, int]] = ()) -> list[Join]:
    """How `rows` records become one entity: the maximum spanning tree of all their links, the strongest first.

    `weight` is symmetric (rows x rows, log2 odds); links of `must` come first whatever they weigh.
    Without rows or with one there is nothing to join.
    """
    if rows < 2:
        return []
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    tied = {(min(pair), max(pair)) for pair in must}
    clipped = np.clip(weight, -_LONGEST / 2, _LONGEST / 2)
    length = np.triu(_LONGEST - clipped, 1)
    for one, other in tied:
        length[one, other] = 1e-9
    tree = minimum_spanning_tree(coo_matrix(length).tocsr()).tocoo()
    edges = sorted(zip(tree.data.tolist(), np.minimum(tree.row, tree.col).tolist(), np.maximum(tree.row, tree.col).tolist(), strict=True))
    group: dict[int, tuple[int, ...]] = {row: (row,) for row in range(rows)}
    found = []
    for _, one, other in edges:
        left, right = sorted((group[one], group[other]), key=lambda rows: (-len(rows), rows))
        mean = float(np.clip(weight[np.ix_(left, right)], -CLIP, CLIP).mean())
        found.append(Join(left, right, (one, other), float(weight[one, other]), mean, "steward" if (one, other) in tied else "evidence"))
        merged = tuple(sorted(left + right))
        group.update(dict.fromkeys(merged, merged))
    return found


def way(found: Sequence[Join], left: int, right: int) -> list[int]:
    """The rows on the way from one row to another along the links of `found`, both included."""
    near: dict[int, list[int]] = {}
    for join in found:
        near.setdefault(join.link[0], []).append(join.link[1])
        near.setdefault(join.link[1], []).append(join.link[0])
    came: dict[int, int] = {left: left}
    queue = [left]
    for row in queue:
        for neighbour in near.get(row, ()):
            if neighbour not in came:
                came[neighbour] = row
                queue.append(neighbour)
    path = [right]
    while path[-1] != left:
        path.append(came[path[-1]])
    return path[::-1]


def between(weight: Array) -> float:
    """What all links between two groups say on average (rows of one x rows of the other): positive joins them, as in clustering."""
    return float(np.clip(weight, -CLIP, CLIP).mean())


def strongest(found: Sequence[dict[str, Any]], count: int = 3) -> str:
    """The steps that say most, in a few words: `email same (+12.3), surname similar (+4.0)`."""
    told = [(step, step["weight"] + step["tf_adjustment"]) for step in found if step["attribute"] not in ("prior", "relation")]
    best = sorted(told, key=lambda item: -abs(item[1]))[:count]
    return ", ".join(f"{step['attribute']} {step['label']} ({bits:+.1f})" for step, bits in best if abs(bits) >= 0.05)
