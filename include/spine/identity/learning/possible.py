"""What is believed of levels, and of the rarity of values, fits the parts that the values at hand have.

An address of city and postcode alone has no house to share: what is believed of that level goes to those that can occur.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.learning.model import ENGINE, Model

Array: TypeAlias = Any  # numpy arrays of many element types
SHAPES = -1  # stands for the level in tallies of shapes
_LEAST = 1e-3  # of what cannot occur, so that its weight stays what is believed


def adapt(plan: Plan, model: Model, shapes: Mapping[str, Mapping[str, int]]) -> None:
    """Makes a model's beliefs and its frequencies of values fit the shapes of values, counted by comparison."""
    for comparison in plan.comparisons:
        counts = shapes.get(comparison.name, {})
        total = sum(counts.values())
        if comparison.shapes is None or not total or comparison.fixed:
            continue
        possible = _possible(comparison, {shape: count / total for shape, count in counts.items()})
        believed = possible / _possible(comparison, comparison.shapes.usual)
        model.m[comparison.name], model.u[comparison.name] = _shared_out(comparison.m, believed), _shared_out(comparison.u, believed)
        for level, terms in model.terms.get(comparison.name, {}).items():
            # u of a level counts all pairs that are compared, a value's frequency only those that can share one.
            terms.total = round(terms.total / float(possible[int(level) - 1]))


def fits(plan: Plan, model: Model) -> bool:
    """Whether a model weighs what the plan compares: it may be of an earlier version, or of other rules."""
    return model.engine == ENGINE and all(len(model.m.get(one.name, ())) == len(one.labels) for one in plan.comparisons)


def _possible(comparison: Comparison, shares: Mapping[str, float]) -> Array:
    assert comparison.shapes is not None
    return np.clip(np.asarray(comparison.shapes.possible(shares), dtype=float), _LEAST, 1.0)


def _shared_out(chances: Sequence[float], possible: Array) -> list[float]:
    found: Array = np.asarray(chances) * possible
    shared: list[float] = (found / found.sum()).tolist()
    return shared


def believing(plan: Plan, begun: Model) -> Plan:
    """The plan whose comparisons believe what a model believed before it learned."""
    known = [replace(one, m=tuple(begun.m[one.name]), u=tuple(begun.u[one.name])) for one in plan.comparisons]
    return replace(plan, comparisons=tuple(known))
