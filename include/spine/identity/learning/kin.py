"""What relatives have in common, told from what matches have by where their records come from.

A source seldom holds one entity twice, so matches lie inside one source less often than two records drawn at random; members of a
household, colleagues or bodies of one house lie there as often as chance has it. Of pairs that all else calls matches or relatives, those
that agree least thus say how many of them are relatives, without a label. Where sources hold as many entities twice as chance would have
it, or there is one source, nothing is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spine.identity.blocking.cuttings import Rule
from spine.identity.comparing.plan import Plan
from spine.identity.learning.counts import Counts
from spine.identity.learning.model import Model
from spine.identity.learning.odds import histogram, posterior

Array: TypeAlias = Any  # numpy arrays of many element types
SURE = 0.99
ENOUGH = 100
LEAST = 0.05  # by which matches lie inside one source less often than relatives
SOME = 0.1  # of the pairs that differ: fewer relatives than that are how one source writes what another does not
CLEARLY = 0.5  # a source that errs more also holds more records twice, so that little says nothing


@dataclass(frozen=True)
class Told:
    """How many pairs of matches and of relatives agree on each level of a comparison."""

    matches: Array
    relatives: Array


def told_by_sources(
    plan: Plan, rules: Sequence[Rule], model: Model, digits: Array, candidates: Counts, strangers: Counts, lonely: bool
) -> Mapping[str, Told]:
    """What sources tell of matches and relatives, by comparison; nothing of those of which they do not tell.

    Where names are `lonely`, with nothing else to be sure by, all pairs are asked, and those that are no matches pass for relatives.
    """
    found = {}
    chance = strangers.within.sum() / max(1.0, strangers.count.sum())
    for place, comparison in enumerate(plan.comparisons):
        if not comparison.names or comparison.fixed:
            continue
        rows = np.flatnonzero(digits[:, place] > 0)
        if not lonely:
            rows = _sure(rules, candidates, rows, comparison.feature, plan, model, digits)
        count, within = (histogram(digits[rows, place], column[rows], comparison.size) for column in (candidates.count, candidates.within))
        share = _shares(count, within, chance)
        if share.any():
            found[comparison.name] = Told(count * (1 - share), count * share)
    return found


def _sure(rules: Sequence[Rule], candidates: Counts, rows: Array, feature: str, plan: Plan, model: Model, digits: Array) -> Array:
    """Of the rows those that rules without the feature yield, and all else calls matches or relatives."""
    apart = sum(1 << number for number, rule in enumerate(rules) if feature not in rule.features)
    rows = rows[candidates.mask[rows] & apart != 0]
    match, related = posterior(plan, model, digits[rows], frozenset([feature]))
    return rows[match + related >= SURE]


def _shares(count: Array, within: Array, chance: float) -> Array:
    """By level the share of relatives among pairs of which so many are `within` one source, at least (one standard error)."""
    inside = within / np.maximum(count, 1.0)
    error = np.sqrt(np.maximum(inside * (1 - inside), 0.0) / np.maximum(count, 1.0))
    many = np.flatnonzero(count >= ENOUGH)
    if not len(many) or many[0] > 0:
        return np.zeros(len(count))
    matches, relatives = inside[0], max(chance, (inside - error)[many[-1]])
    if relatives - matches < LEAST:
        return np.zeros(len(count))
    share: Array = np.clip((inside - error - matches) / (relatives - matches), 0.0, 1.0)
    share[0] = 0.0
    told = np.where((count >= ENOUGH) & (share >= CLEARLY), share, 0.0)
    few = (count * told).sum() < SOME * count[1:].sum()
    return np.zeros(len(count)) if few else told
