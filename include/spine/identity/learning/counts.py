"""Pairs counted by their pattern and by the rules that yield them: all that learning needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Counts:
    """How many candidate pairs have each (set of rules, pattern), and how many of these lie `within` one source."""

    mask: Array
    pattern: Array
    count: Array
    within: Array

    def with_these(self, other: Counts) -> Counts:
        """What both count, in the order of sets and patterns."""
        keys = np.stack([np.concatenate([self.mask, other.mask]), np.concatenate([self.pattern, other.pattern])], axis=1)
        return _summed(keys, np.concatenate([self.count, other.count]), np.concatenate([self.within, other.within]))

    def where(self, chosen: Array) -> Counts:
        """Some of the combinations."""
        return Counts(self.mask[chosen], self.pattern[chosen], self.count[chosen], self.within[chosen])


def count_patterns(mask: Array, patterns: Array, within: Array, times: Array | None = None) -> Counts:
    """Counts of the distinct combinations, each pair counted once, or so many `times`; `within` flags pairs of one source."""
    size = 2 * (int(patterns.max(initial=0)) + 1)
    if int(mask.max(initial=0)) >= 2**62 // size:
        counted: Array = np.ones(len(mask)) if times is None else times
        return _summed(np.stack([mask, patterns], axis=1), counted, counted * within)
    codes = mask * size + 2 * patterns + within
    if times is None:
        codes, count = np.unique(codes, return_counts=True)
    else:
        codes, place = np.unique(codes, return_inverse=True)
        count = np.bincount(place, times, len(codes))
    return _summed(np.stack([codes // size, codes % size // 2], axis=1), count, count * (codes % 2))


def _summed(keys: Array, count: Array, within: Array) -> Counts:
    table, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    return Counts(table[:, 0], table[:, 1], *(np.bincount(place, column, len(table)).astype(float) for column in (count, within)))
