"""Patterns -> probabilities, with the weight of every comparison kept apart (the waterfall). Symmetric; knows no engine.

The weight of a pair is log2 of its odds: prior + sum of log2(m/u) + rarity of the shared values - what follows from other attributes
- log2(1 + odds of being merely related).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.learning.model import Model
from spine.identity.learning.odds import following, kinship, log_ratios

Array: TypeAlias = Any  # numpy arrays of many element types
Coded = Mapping[str, tuple[Array, list[str]]]
SMOOTHING = 100.0
CERTAIN = float(np.log2(0.99 / 0.01)) + 1e-9
SAME_OWNER = float(np.log2(0.95 / 0.05))


@dataclass(frozen=True)
class Scored:
    """Weights (log2 odds) of pairs under a model, and what they are made of besides patterns; `rarity` has a column per comparison."""

    plan: Plan
    model: Model
    pattern: Array
    weight: Array
    rarity: Array
    related: Array
    lifted: Array

    @property
    def probability(self) -> Array:
        """How probable it is that a pair is one entity."""
        return probability(self.weight)

    @cached_property
    def levels(self) -> Array:
        """The level of each comparison: one row per pair, one column per comparison."""
        return self.plan.digits(self.pattern)

    @cached_property
    def parts(self) -> Array:
        """What each level adds to the weight, in the shape of `levels`."""
        return _ratios(self.plan, self.model, "m", self.levels)

    @cached_property
    def follows(self) -> Array:
        """What of each level follows from other attributes, in bits that do not count again, in the shape of `levels`."""
        return _follows(self.plan, self.model, self.levels, self.rarity)

    @property
    def said(self) -> Array:
        """What each comparison says in all, in the shape of `levels`."""
        return self.parts + self.rarity - self.follows

    def take(self, chosen: Array) -> Scored:
        """Some of the pairs."""
        return Scored(self.plan, self.model, *(column[chosen] for column in self._columns()))

    def with_these(self, other: Scored) -> Scored:
        """These scores and then the others."""
        return Scored(self.plan, self.model, *(np.concatenate(both) for both in zip(self._columns(), other._columns(), strict=True)))

    def _columns(self) -> tuple[Array, ...]:
        return self.pattern, self.weight, self.rarity, self.related, self.lifted


def _ratios(plan: Plan, model: Model, which: str, digits: Array) -> Array:
    """`log_ratios` of the levels `digits`: one row per pair, one column per comparison."""
    return np.stack([log_ratios(model, which, one.name)[digits[:, place]] for place, one in enumerate(plan.comparisons)], axis=1)


def _follows(plan: Plan, model: Model, digits: Array, rarity: Array) -> Array:
    """Bits that follow from other attributes. What a common value has lost by its frequency is not taken from it twice."""
    found: Array = np.zeros(rarity.shape)
    for place, comparison in enumerate(plan.comparisons):
        if comparison.name in model.follows:
            bits = following(plan, model, comparison, digits)
            found[:, place] = np.where(bits > 0, np.maximum(bits + rarity[:, place], 0.0), 0.0)
    return found


def probability(weight: Array) -> Array:
    """The probability whose log2 odds are `weight`."""
    return 1.0 / (1.0 + np.exp2(-np.clip(weight, -500, 500)))


def score(plan: Plan, model: Model, coded: Coded, left: Array, right: Array, patterns: Array) -> Scored:
    """Scores of the pairs (row numbers `left`, `right`) whose patterns are known."""
    digits = plan.digits(patterns)
    parts, kin = _ratios(plan, model, "m", digits), _ratios(plan, model, "h", digits)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        columns = pool.map(lambda one, level: _rarity(one, model, coded, left, right, level), plan.comparisons, digits.T)
        rarity = np.stack(list(columns), axis=1)
    follows = _follows(plan, model, digits, rarity)
    related = np.full(len(digits), model.related)
    for place, comparison in enumerate(plan.comparisons):
        related += kinship(comparison, kin[:, place], follows[:, place])
        if comparison.related is None:
            related += rarity[:, place]
    household = -np.logaddexp2(0.0, np.clip(related, -200, 200))
    weight = model.prior + parts.sum(axis=1) + rarity.sum(axis=1) - follows.sum(axis=1) + household
    lifted = _lift(plan, model, coded, left, digits, weight)
    return Scored(plan, model, patterns, weight + lifted, rarity, household, lifted)


def hopeful(plan: Plan, model: Model, patterns: Array, least: float) -> Array:
    """Which patterns can reach the weight `least` at all, whatever the rarity of the shared values; the others need not be scored."""
    possible = int(plan.radix[-1]) * plan.comparisons[-1].size
    if possible < len(patterns):
        return hopeful(plan, model, np.arange(possible), least)[patterns]
    bound = np.full(len(patterns), model.prior)
    for comparison, place in zip(plan.comparisons, plan.radix.tolist(), strict=True):
        best = log_ratios(model, "m", comparison.name).copy()
        for level in comparison.terms:
            if terms := model.terms.get(comparison.name, {}).get(str(level)):
                best[level] += _rarest(model.u[comparison.name][level - 1], terms.total)
        if comparison.certain or comparison.owners:
            best[1] = np.inf
        bound += best[(patterns // place) % comparison.size]
    return bound >= least - 1e-6


def _rarest(usual: float, total: int) -> float:
    """The most that rarity can add."""
    return float(np.log2(usual / max(SMOOTHING * usual / (total + SMOOTHING), min(usual, 0.5 / (total + SMOOTHING)))))


def _rarity(comparison: Comparison, model: Model, coded: Coded, left: Array, right: Array, level: Array) -> Array:
    """log2(u / chance of this very value) for levels on which the pair shares a value; the pair itself is not counted."""
    codes, values = coded[comparison.feature]
    result = np.zeros(len(level))
    for at, texts_of in comparison.terms.items():
        rows = np.flatnonzero(level == at)
        terms = model.terms.get(comparison.name, {}).get(str(at))
        if not len(rows) or terms is None:
            continue
        texts = texts_of(values)
        one, other = texts.codes[codes[left[rows]]], texts.codes[codes[right[rows]]]
        used: Array = np.zeros(len(texts.distinct), dtype=bool)
        used[one] = used[other] = True
        counts: Array = np.zeros(len(used))
        counts[used] = terms.frequency(texts.distinct.filter(pa.array(used)).to_pylist()) * max(1, terms.total)
        count = np.maximum(counts[one], counts[other])
        usual = model.u[comparison.name][at - 1]
        result[rows] = np.log2(usual / chance_of(count, usual, terms.total, model.partners))
    return result


def chance_of(count: Array, usual: float, total: int, partners: float) -> Array:
    """The chance that a stranger has a value which `count` of `total` records have, where a value's `usual` chance is u of the level."""
    chance = (np.maximum(count - 1 - partners**0.75, 0) + SMOOTHING * usual) / (total + SMOOTHING)
    return np.maximum(chance, min(usual, 0.5 / (total + SMOOTHING)))


def _lift(plan: Plan, model: Model, coded: Coded, left: Array, digits: Array, weight: Array) -> Array:
    """What certain rules add: stated ones unless a never rule speaks against a pair, and the belief that the same personal e-mail of few
    people is one person, unless the name does, too."""
    result = np.zeros(len(weight))
    never: Array = np.zeros(len(weight), dtype=bool)
    against: Array = np.zeros(len(weight), dtype=bool)
    for place, comparison in enumerate(plan.comparisons):
        last = digits[:, place] == len(comparison.labels)
        never |= last & comparison.exclusive
        against |= last & (comparison.exclusive or comparison.opposes)
    for place, comparison in enumerate(plan.comparisons):
        codes, values = coded[comparison.feature]
        if comparison.certain:
            result = np.where((digits[:, place] == 1) & ~never, np.maximum(result, CERTAIN - weight), result)
        if not comparison.owners or 1 not in comparison.terms:
            continue
        rows = np.flatnonzero((digits[:, place] == 1) & ~against & (weight < SAME_OWNER))
        if len(rows):
            terms = model.terms[comparison.name]["1"]
            used, inverse = np.unique(codes[left[rows]], return_inverse=True)
            few = np.asarray([terms.counts.get(values[code], 1) <= comparison.owners for code in used.tolist()])[inverse]
            result[rows] = np.where(few, np.maximum(result[rows], SAME_OWNER - weight[rows]), result[rows])
    return result
