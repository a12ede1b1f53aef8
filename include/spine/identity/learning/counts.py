"""Pairs counted by their pattern and by the rules that yield them: all that learning needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Counts:
    """How many candidate pairs have each (set of rules, pattern)."""

    mask: Array
    pattern: Array
    count: Array

    def with_these(self, other: Counts) -> Counts:
        """What both count, in the order of sets and patterns."""
        keys = np.stack([np.concatenate([self.mask, other.mask]), np.concatenate([self.pattern, other.pattern])], axis=1)
        table, place = np.unique(keys, axis=0, return_inverse=True)
        return Counts(table[:, 0], table[:, 1], np.bincount(place.reshape(-1), np.concatenate([self.count, other.count]), len(table)))


def count_patterns(mask: Array, patterns: Array, times: Array | None = None) -> Counts:
    """Counts of the distinct combinations, each pair counted once, or so many `times`."""
    size = int(patterns.max(initial=0)) + 1
    if int(mask.max(initial=0)) >= 2**62 // size:
        table, place = np.unique(np.stack([mask, patterns], axis=1), axis=0, return_inverse=True)
        return Counts(table[:, 0], table[:, 1], np.bincount(place.reshape(-1), times, len(table)).astype(float))
    if times is None:
        codes, count = np.unique(mask * size + patterns, return_counts=True)
    else:
        codes, place = np.unique(mask * size + patterns, return_inverse=True)
        count = np.bincount(place, times, len(codes))
    return Counts(codes // size, codes % size, count.astype(float))
