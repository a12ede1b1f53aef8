"""What is believed of levels, and of the rarity of values, fits the parts that the values at hand have.

An address of city and postcode alone has no house to share: what is believed of that level goes to those that can occur.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.learning.model import ENGINE, Model, Terms

Array: TypeAlias = Any  # numpy arrays of many element types
SHAPES = -1  # stands for the level in tallies of shapes
_LEAST = 1e-3  # of what cannot occur, so that its weight stays what is believed


def adapt(plan: Plan, model: Model, shapes: Mapping[str, Mapping[str, int]]) -> None:
    """Makes a model's beliefs and its frequencies of values fit the shapes of values, counted by comparison."""
    for comparison, possible in _possibilities(plan, shapes):
        assert comparison.shapes is not None
        believed = possible / _possible(comparison, comparison.shapes.usual)
        model.m[comparison.name], model.u[comparison.name] = _shared_out(comparison.m, believed), _shared_out(comparison.u, believed)
    rescale(plan, model.terms, shapes)


def rescale(plan: Plan, terms: Mapping[str, Mapping[str, Terms]], shapes: Mapping[str, Mapping[str, int]]) -> None:
    """Counts a value's frequency among those alone that can share one, since u of a level is of all pairs that are compared."""
    for comparison, possible in _possibilities(plan, shapes):
        for level, table in terms.get(comparison.name, {}).items():
            table.total = round(table.total / float(possible[int(level) - 1]))


def _possibilities(plan: Plan, shapes: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[Comparison, Array]]:
    """The comparisons whose values have shapes, with the share of pairs that can have each level."""
    for comparison in plan.comparisons:
        counts = shapes.get(comparison.name, {})
        total = sum(counts.values())
        if comparison.shapes is not None and total and not comparison.fixed:
            yield comparison, _possible(comparison, {shape: count / total for shape, count in counts.items()})


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
