"""The scored pairs of a matching run as a table: what became of each, which rule found it, and what each comparison said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity import engine
from spine.identity.matching import Matched, threshold_weight

Array: TypeAlias = Any  # numpy arrays of many element types
DECISIONS = ("accepted", "review", "conflict")


@dataclass(frozen=True)
class Decisions:
    """Per kept pair the number of its decision in DECISIONS.

    `accepted` pairs reach the threshold and are in one cluster, `conflict` pairs reach it and were left apart, `review` pairs do not.
    """

    code: Array

    @classmethod
    def of(cls, matched: Matched, threshold: float) -> Decisions:
        """The decisions under a threshold (a probability, inclusive)."""
        strong = matched.scored.weight >= threshold_weight(threshold) - 1e-9
        together = matched.label[matched.found.left] == matched.label[matched.found.right]
        return cls(np.where(strong, np.where(together, 0, 2), 1))

    @property
    def counts(self) -> dict[str, int]:
        """Pairs per decision."""
        found = np.bincount(self.code, minlength=len(DECISIONS)).tolist()
        return dict(zip(("accepted", "review", "conflicts"), found, strict=True))


def pair_table(matched: Matched, ids: pa.Array, decisions: Decisions) -> pa.Table:
    """One row per kept pair, sorted by the ids; the weights of a row add up to its `weight` (log2 odds).

    `weight_<comparison>` holds what its level and the rarity of its value say, `weight_rest` the prior and all that is no comparison.
    """
    found, scored, plan = matched.found, matched.scored, matched.records.plan
    order = np.lexsort((found.right, found.left))
    said = (scored.parts + scored.rarity)[order]
    weight = scored.weight[order]
    columns = {
        "left_id": ids.take(pa.array(found.left[order])),
        "right_id": ids.take(pa.array(found.right[order])),
        "probability": np.round(scored.probability[order], 9),
        "weight": np.round(weight, 4),
        "decision": pa.array(DECISIONS).take(pa.array(decisions.code[order])),
        "blocking_rule": pa.array(engine.rule_names(plan), pa.string()).take(pa.array(found.rule[order])),
    }
    for place, comparison in enumerate(plan.comparisons):
        columns[f"weight_{comparison.name}"] = np.round(said[:, place], 4)
    return pa.table(columns | {"weight_rest": np.round(weight - said.sum(axis=1), 4)})
