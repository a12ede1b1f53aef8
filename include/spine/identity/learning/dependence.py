"""How far agreement follows from other agreement: a mailbox that is made of the name, a domain that goes with the employer.

Fellegi and Sunter's weights add up only where attributes are independent given whether a pair is a match. Of strangers who share a name
many share the mailbox `forename.surname`, too, and counting both would count the name twice. Known models of such dependence have a
parameter per pair of fields and class (Thibaudeau 1993; Enamorado, Fifield and Imai 2019); here only the strangers' side is learned, for
levels that mean one shared value, since there the error is largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from spine.identity.blocking.cuttings import Rule
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.learning.counts import Counts
from spine.identity.learning.model import Model
from spine.identity.learning.odds import histogram, posterior, state

Array: TypeAlias = Any  # numpy arrays of many element types
DOUBTFUL = 0.5  # pairs that are likelier strangers than matches by all else
LEAST_BITS = 1.0  # less is not told apart from chance
SELDOM = 0.001  # of the candidate pairs: such a level does not occur in the data
# So many times as often as among all matches a level may occur among those that differ elsewhere: whoever writes one attribute carelessly
# does so with the others.
CARELESS = 2.0
MOST_MATCHES = 0.98  # beyond, no strangers are left to learn from


def learn_follows(plan: Plan, rules: Sequence[Rule], model: Model, digits: Array, candidates: Counts) -> None:
    """Sets `model.follows` from the pairs of the rules that block on one feature alone, of those that all else calls strangers."""
    model.follows = {}
    learned = [(place, one) for place, one in enumerate(plan.comparisons) if one.weighs and not one.fixed]
    for parent in dict.fromkeys(one.feature for _, one in learned):
        states = int(np.prod([one.size for one in plan.comparisons if one.feature == parent]))
        for place, comparison in learned:
            if len(comparison.terms) < 2 or set(plan.attributes(parent)) & set(plan.attributes(comparison.feature)):
                continue
            rows = np.flatnonzero(candidates.mask & _blocking_on(rules, parent, comparison.feature))
            rows = rows[posterior(plan, model, digits[rows], frozenset([comparison.feature]))[0] < DOUBTFUL]
            surest = _surest(model, comparison, histogram(digits[:, place], candidates.count, comparison.size))
            cells = state(plan, parent, digits[rows]) * comparison.size + digits[rows, place]
            seen = np.bincount(cells, candidates.count[rows], states * comparison.size).reshape(states, comparison.size)
            table: Array = _bits(model, comparison, surest, np.where(np.arange(comparison.size) > 0, seen, 0.0))
            if table.any():
                model.follows.setdefault(comparison.name, {})[parent] = np.round(table, 3).astype(float).tolist()


def _blocking_on(rules: Sequence[Rule], feature: str, other: str) -> int:
    """The bits of the rules that are cut from `feature` alone and do not split by `other`."""
    fitting = (
        number
        for number, rule in enumerate(rules)
        if all(part.feature == feature for part in rule.parts) and (rule.split is None or rule.split.feature != other)
    )
    return sum(1 << number for number in fitting)


def _surest(model: Model, comparison: Comparison, seen: Array) -> int:
    """The level that speaks most for a match, of those that occur in the data at all (`seen`, without `not comparable`)."""
    ratio = np.asarray(model.m[comparison.name]) / np.asarray(model.u[comparison.name])
    return int(np.where(seen > SELDOM * seen.sum(), ratio, 0.0).argmax()) + 1


def _bits(model: Model, comparison: Comparison, surest: int, seen: Array) -> Array:
    """By how many bits a shared value is likelier among strangers who agree so on the other feature than among all strangers.

    `seen` counts pairs by how the other feature agrees and by level. Some of them are matches all the same. The surest level bounds their
    share from above: what the other levels hold beyond that share, and beyond what careless writing makes of it, is the strangers'. Both
    counts are taken at the unfavourable end of two standard errors. The level's weight never turns negative.
    """
    m, u = np.r_[0.0, model.m[comparison.name]], np.r_[1.0, model.u[comparison.name]]
    total, sure = np.maximum(seen.sum(axis=1), 1.0), seen[:, surest]
    share = np.minimum(1.0, (sure + 2 * np.sqrt(sure) + 1) / (total * m[surest]))[:, None]
    careless = np.minimum(CARELESS * m, 1 - m[surest])  # what is left beside those that agree most
    beyond = np.maximum(seen - 2 * np.sqrt(seen), 0) / total[:, None] - share * careless
    bits = np.log2(np.maximum(beyond / np.maximum(1 - share, 1e-9), 1e-12) / u)
    shared = np.isin(np.arange(comparison.size), [one for one in comparison.terms if one != surest])
    bits = np.where(shared & (share < MOST_MATCHES) & (bits > LEAST_BITS), bits, 0.0)
    return np.minimum(bits, np.maximum(np.log2(np.maximum(m, 1e-12) / u), 0.0))
