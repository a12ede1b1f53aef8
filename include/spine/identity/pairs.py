"""Blocking keys -> candidate pairs. A pair is owned by the first rule that yields it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy arrays of many element types
CHUNK = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """Candidate pairs as row numbers (left < right), the rule that owns each, and all rules that yield it as bits."""

    left: Array
    right: Array
    rule: Array
    mask: Array


def find_pairs(keys: Sequence[Array], changed: Array | None = None) -> Iterator[Pairs]:
    """Candidate pairs in chunks, each pair once; with `changed`, only pairs of which one record changed."""
    for number, matrix in enumerate(keys):
        for left, right, key in _rule_pairs(matrix, changed):
            owned: Array = np.ones(len(left), dtype=bool)
            for earlier in keys[:number]:
                owned &= ~_common(earlier, left, right)
            if matrix.shape[1] > 1:
                owned &= _smallest_common(matrix, left, right) == key
            left, right = left[owned], right[owned]
            mask: Array = np.zeros(len(left), dtype=np.int64)
            for bit in range(number, len(keys)):
                mask |= _common(keys[bit], left, right).astype(np.int64) << bit
            yield Pairs(left, right, np.full(len(left), number), mask)


def _rule_pairs(matrix: Array, changed: Array | None) -> Iterator[tuple[Array, Array, Array]]:
    rows, columns = np.nonzero(matrix)
    table = np.unique(np.stack([matrix[rows, columns], rows], axis=1), axis=0) if len(rows) else np.zeros((0, 2), dtype=np.int64)
    keys, rows = table[:, 0], table[:, 1]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    wanted = sizes > 1
    if changed is not None and len(keys):
        wanted &= np.add.reduceat(changed[rows].astype(np.int64), starts) > 0
    position: Array = np.repeat(np.where(wanted, starts + sizes, 0), sizes)
    partners = np.maximum(position - np.arange(len(keys)) - 1, 0)
    bounds: Array = np.searchsorted(np.cumsum(partners), np.arange(CHUNK, partners.sum() + CHUNK, CHUNK)) + 1
    at = 0
    for bound in bounds.tolist():
        count = partners[at:bound]
        one: Array = np.repeat(np.arange(at, at + len(count)), count)
        other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        at = bound
        left, right, key = rows[one], rows[other], keys[one]
        if changed is not None:
            keep = changed[left] | changed[right]
            left, right, key = left[keep], right[keep], key[keep]
        yield left, right, key


def _common(matrix: Array, left: Array, right: Array) -> Array:
    found: Array = np.zeros(len(left), dtype=bool)
    for one in range(matrix.shape[1]):
        mine = matrix[left, one]
        for other in range(matrix.shape[1]):
            found |= (mine == matrix[right, other]) & (mine != 0)
    return found


def _smallest_common(matrix: Array, left: Array, right: Array) -> Array:
    none = np.iinfo(np.int64).max
    found = np.full(len(left), none)
    for one in range(matrix.shape[1]):
        mine = matrix[left, one]
        for other in range(matrix.shape[1]):
            found = np.minimum(found, np.where((mine == matrix[right, other]) & (mine != 0), mine, none))
    return found
