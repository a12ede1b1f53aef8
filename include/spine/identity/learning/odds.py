"""What levels say under a model: log ratios, and how probable each pattern makes a match or a relation."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.learning.model import Model

Array: TypeAlias = Any  # numpy arrays of many element types


def log_ratios(model: Model, which: str, name: str) -> Array:
    """log2(m/u) or log2(h/u) of a comparison by level, with 0 for `not comparable` in front."""
    upper = np.asarray((model.m if which == "m" else model.h)[name])
    return np.r_[0.0, np.log2(np.maximum(upper, 1e-9) / np.maximum(model.u[name], 1e-9))]


def state(plan: Plan, feature: str, digits: Array) -> Array:
    """One number per pattern for how a pair agrees on a feature: the levels of all its comparisons together."""
    found: Array = np.zeros(len(digits), dtype=np.int64)
    for place, comparison in enumerate(plan.comparisons):
        if comparison.feature == feature:
            found = found * comparison.size + digits[:, place]
    return found


def following(plan: Plan, model: Model, comparison: Comparison, digits: Array) -> Array:
    """Bits of a comparison's agreement that already follow from how other features agree, of each pattern (`Model.follows`)."""
    found: Array = np.zeros(len(digits))
    place = plan.comparisons.index(comparison)
    for feature, table in model.follows.get(comparison.name, {}).items():
        found = np.maximum(found, np.asarray(table)[state(plan, feature, digits), digits[:, place]])
    return found


def kinship(comparison: Comparison, kin: Array, follows: Array) -> Array:
    """`log2(h/u)` where strangers are likelier to agree by the factor that `follows` says: what relatives do not share is theirs, too."""
    return kin - follows if comparison.related is None else np.maximum(np.minimum(kin, 0.0), kin - follows)


def posterior(
    plan: Plan, model: Model, digits: Array, skip: frozenset[str] = frozenset(), shares: Array | None = None
) -> tuple[Array, Array]:
    """Probability of being a match and of being related, of each pattern; `shares` (match, related, stranger) replaces the prior."""
    prior = np.log2(shares) if shares is not None else np.asarray([model.prior, model.related, 0.0])
    match, related = np.full(len(digits), prior[0] - prior[2]), np.full(len(digits), prior[1] - prior[2])
    for place, comparison in enumerate(plan.comparisons):
        if comparison.feature not in skip:
            level = digits[:, place]
            follows = following(plan, model, comparison, digits)
            match += log_ratios(model, "m", comparison.name)[level] - follows
            related += kinship(comparison, log_ratios(model, "h", comparison.name)[level], follows)
    match, related = np.exp2(np.clip(match, -200, 200)), np.exp2(np.clip(related, -200, 200))
    total = match + related + 1.0
    return match / total, related / total


def histogram(digits: Array, weights: Array, size: int) -> Array:
    """Sums of the weights by level, without `not comparable`."""
    return np.bincount(digits, weights=weights, minlength=size)[1:size]
