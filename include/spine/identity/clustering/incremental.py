"""Only what changed is compared, only what it touches is divided anew; the outcome is that of a full run with the same model.

Reads the values of few records: those that share a block with a changed one, and their former entities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine, matching
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import known_blocks
from spine.identity.blocking.cuttings import Part
from spine.identity.blocking.keys import Keys
from spine.identity.blocking.pairs import find_pairs
from spine.identity.clustering import cluster
from spine.identity.clustering.touched import touched
from spine.identity.comparing.plan import Plan
from spine.identity.engine import Candidates, Records
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored
from spine.identity.matching import Constraints, Matched

Array: TypeAlias = Any  # numpy arrays of many element types
RecordsOf = Callable[[Array], Records]


@dataclass(frozen=True)
class Former:
    """What the run before knew, by present row numbers.

    `parts` are what each record contributes to blocking keys (rows x most; those of changed rows are made anew). `found` and `scored` are
    the kept pairs of which neither record changed or is gone. New records have themselves as `label`; rows that lost a record of their
    entity, or a pair, are `bereft`.
    """

    model: Model
    parts: Mapping[Part, Array]
    found: Candidates
    scored: Scored
    label: Array
    confidence: Array
    weakest: Mapping[int, float]
    bereft: Array


def blocking_parts(plan: Plan) -> list[Part]:
    """Every part of every blocking rule once, in a lasting order."""
    rules = blocking.make_rules(plan)
    return list(dict.fromkeys(part for rule in rules for part in (*rule.parts, *([rule.split] if rule.split else []))))


def rematch(
    plan: Plan, changed: Array, former: Former, records_of: RecordsOf, threshold: float
) -> tuple[Matched, Array, dict[Part, Array]]:
    """The entities after a change; which rows were looked at anew; and the parts of all rows.

    `changed` flags new and changed rows; `records_of` gives the standardised records of some rows. The `records` of the result have no
    features.
    """
    rows = len(changed)
    parts = _parts(plan, changed, former, records_of)
    keys = Keys({}, former.model.rarity, parts)
    blocks = list(known_blocks(blocking.make_rules(plan), keys, former.model.heavy, changed))
    fresh = [np.stack([pairs.left, pairs.right, pairs.rule, pairs.mask]) for pairs in find_pairs(blocks, rows, changed)]
    left, right, rule, mask = np.concatenate(fresh, axis=1)
    reached = changed | former.bereft
    reached[left] = reached[right] = True
    limit = matching.threshold_weight(threshold) - 1e-9
    strong = former.scored.weight >= limit
    anew = touched(reached, cluster.components(rows, former.found.left[strong], former.found.right[strong]))
    part = _rematched(plan, np.flatnonzero(anew), (left, right, rule, mask), former, records_of, threshold)
    return _whole(plan, anew, former, part), anew, parts


def _parts(plan: Plan, changed: Array, former: Former, records_of: RecordsOf) -> dict[Part, Array]:
    new = np.flatnonzero(changed)
    keys = Keys(records_of(new).features, former.model.rarity)
    parts = {}
    for part in blocking_parts(plan):
        parts[part] = former.parts[part]
        if len(new):
            parts[part][new] = keys.part(part)
    return parts


def _rematched(
    plan: Plan, chosen: Array, pairs: tuple[Array, Array, Array, Array], former: Former, records_of: RecordsOf, threshold: float
) -> Matched:
    """The entities of the `chosen` rows alone, numbered among themselves."""
    records = records_of(chosen)
    left: Array = np.searchsorted(chosen, pairs[0])
    right: Array = np.searchsorted(chosen, pairs[1])
    rule, mask = pairs[2], pairs[3]
    if plan.matching.link == "across_sources":
        keep = records.source[left] != records.source[right]
        left, right, rule, mask = left[keep], right[keep], rule[keep], mask[keep]
    found = Candidates(left, right, engine.patterns(records, left, right, former.model.rarity), rule, mask)
    compared = len(left)
    found, scored = matching.kept(records, former.model, found)
    inside: Array = np.zeros(len(former.label), dtype=bool)
    inside[chosen] = True
    old = np.flatnonzero(inside[former.found.left] & inside[former.found.right])
    known = former.found.take(old)
    known = Candidates(np.searchsorted(chosen, known.left), np.searchsorted(chosen, known.right), known.pattern, known.rule, known.mask)
    return matching.divide(
        records, former.model, known.with_these(found), former.scored.take(old).with_these(scored), threshold, Constraints(), compared
    )


def _whole(plan: Plan, anew: Array, former: Former, part: Matched) -> Matched:
    """The former entities with those of the rows that were looked at `anew` put in."""
    chosen = np.flatnonzero(anew)
    label, confidence = former.label.copy(), former.confidence.copy()
    label[chosen], confidence[chosen] = chosen[part.label], part.confidence
    weakest = {row: value for row, value in former.weakest.items() if not anew[row]}
    weakest |= {int(chosen[row]): value for row, value in part.weakest.items()}
    untouched = np.flatnonzero(~(anew[former.found.left] & anew[former.found.right]))
    own = part.found
    moved = Candidates(chosen[own.left], chosen[own.right], own.pattern, own.rule, own.mask)
    found, scored = former.found.take(untouched).with_these(moved), former.scored.take(untouched).with_these(part.scored)
    conflicts = [
        matching.Conflict(int(chosen[conflict.row]), tuple(int(chosen[row]) for row in conflict.rivals), conflict.reason)
        for conflict in part.conflicts
    ]
    records = Records(plan, {}, np.zeros(len(label), dtype=np.int64), len(label))
    return Matched(records, former.model, found, scored, label, confidence, weakest, conflicts, part.compared)
