"""What a matching run found, whichever engine did it, and its pairs as a table: what became of each, what each comparison said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity import engine
from spine.identity.comparing.plan import Plan
from spine.identity.learning.model import Model
from spine.identity.matching import Matched, threshold_weight

Array: TypeAlias = Any  # numpy arrays of many element types
DECISIONS = ("accepted", "review", "conflict")


@dataclass(frozen=True)
class Found:
    """Per record (sorted by id) the first row of its entity and the probability of its best link; pairs by decision, and as a table."""

    ids: pa.Array
    label: Array
    confidence: Array
    model: Model
    compared: int
    counts: Mapping[str, int]
    pairs: Callable[[], pa.Table]

    @classmethod
    def of(cls, matched: Matched, ids: pa.Array, threshold: float) -> Found:
        """What `match` found in this process, under a threshold (a probability, inclusive)."""
        decisions = Decisions.of(matched, threshold)
        return cls(
            ids, matched.label, matched.confidence, matched.model, matched.compared, decisions.counts,
            lambda: pair_table(matched, ids, decisions),
        )  # fmt: skip


@dataclass(frozen=True)
class Decisions:
    """Per kept pair the number of its decision in DECISIONS.

    `accepted` pairs reach the threshold and are in one cluster, `conflict` pairs reach it and were left apart, `review` pairs do not.
    """

    code: Array

    @classmethod
    def of(cls, matched: Matched, threshold: float) -> Decisions:
        """The decisions under a threshold (a probability, inclusive)."""
        together = matched.label[matched.found.left] == matched.label[matched.found.right]
        return cls.by_weight(matched.scored.weight, together, threshold)

    @classmethod
    def by_weight(cls, weight: Array, together: Array, threshold: float) -> Decisions:
        """The decisions on pairs of these weights, of which some are `together` in a cluster."""
        strong = weight >= threshold_weight(threshold) - 1e-9
        return cls(np.where(strong, np.where(together, 0, 2), 1))

    @property
    def counts(self) -> dict[str, int]:
        """Pairs per decision."""
        return counted(np.bincount(self.code, minlength=len(DECISIONS)))


def counted(pairs: Array) -> dict[str, int]:
    """Numbers of pairs, in the order of DECISIONS, by name."""
    return dict(zip(("accepted", "review", "conflicts"), pairs.tolist(), strict=True))


def pair_table(matched: Matched, ids: pa.Array, decisions: Decisions) -> pa.Table:
    """`told_pairs` of the kept pairs of `matched`."""
    found, scored = matched.found, matched.scored
    order = np.lexsort((found.right, found.left))
    ends = [ids.take(pa.array(rows[order])) for rows in (found.left, found.right)]
    some = scored.take(order)
    said = list(some.said.T)
    return told_pairs(matched.records.plan, ends, some.weight, some.probability, decisions.code[order], found.rule[order], said)


def told_pairs(
    plan: Plan, ends: Sequence[Any], weight: Array, probability: Array, decision: Array, rule: Array, said: Sequence[Array]
) -> pa.Table:
    """One row per kept pair, in the order given (that of both ids); the weights of a row add up to its `weight` (log2 odds).

    `weight_<comparison>` holds what its level and the rarity of its value say (an array of `said` each), `weight_rest` the prior and all
    that is no comparison.
    """
    columns = {
        "left_id": ends[0],
        "right_id": ends[1],
        "probability": np.round(probability, 9),
        "weight": np.round(weight, 4),
        "decision": pa.array(DECISIONS).take(pa.array(decision)),
        "blocking_rule": pa.array(engine.origins(plan), pa.string()).take(pa.array(rule)),
    }
    for comparison, told in zip(plan.comparisons, said, strict=True):
        columns[f"weight_{comparison.name}"] = np.round(told, 4)
    whole = np.stack(said, axis=1).sum(axis=1)
    return pa.table(columns | {"weight_rest": np.round(weight - whole, 4)})
