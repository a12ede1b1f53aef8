"""Blocks -> candidate pairs. A pair is owned by the first rule that yields it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from spine.identity.blocking.blocks import Blocks

Array: TypeAlias = Any  # numpy arrays of many element types
MOST_PAIRS = 60_000_000
RULE_BITS = 6
MANY = 1_000_000  # from so many on all cores sort them


@dataclass(frozen=True)
class Pairs:
    """Candidate pairs as row numbers (left < right), the rule that owns each, and all rules that yield it as bits."""

    left: Array
    right: Array
    rule: Array
    mask: Array


def find_pairs(blocks: Sequence[Blocks], rows: int, changed: Array | None = None) -> Iterator[Pairs]:
    """Candidate pairs among `rows` records, each pair once; with `changed` (a flag per row), only pairs of which one record changed.

    In passes over shares of the records where there are more than MOST_PAIRS at once, so that memory stays flat.
    """
    total = sum(int((found.size * (found.size - 1) // 2).sum()) for found in blocks)
    passes = total // MOST_PAIRS + 1
    for share in range(passes):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = list(pool.map(lambda rule: _codes(blocks[rule], rule, rows, changed, share, passes), range(len(blocks))))  # noqa: B023
            code = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
            del parts
            pieces = _ranges(code) if len(code) > MANY else [code]
            del code
            yield from pool.map(partial(_united, rows), pieces)


def _ranges(code: Array) -> list[Array]:
    """The codes cut into ranges of about equal size, one per core; all codes of a pair are in one of them."""
    sample = np.sort(code[:: max(1, len(code) // 10_000)])
    count = os.cpu_count() or 1
    cuts = [int(sample[len(sample) * place // count] >> RULE_BITS << RULE_BITS) for place in range(1, count)]
    return [code[(code >= low) & (code < high)] for low, high in pairwise([0, *cuts, np.iinfo(np.int64).max])]


def _united(rows: int, code: Array) -> Pairs:
    """The distinct pairs of some codes, in the order of their rows."""
    code.sort()
    rule, pair = code & ((1 << RULE_BITS) - 1), code >> RULE_BITS
    first = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]][: len(pair)])
    mask = np.bitwise_or.reduceat(np.int64(1) << rule, first) if len(first) else np.zeros(0, dtype=np.int64)
    return Pairs(pair[first] // max(1, rows), pair[first] % max(1, rows), rule[first], mask)


def _codes(found: Blocks, number: int, rows: int, changed: Array | None, share: int, passes: int) -> Array:
    """The pairs of one rule, as one integer each: left row, right row, rule."""
    size: Array = np.repeat(found.size, found.size)
    starts = np.cumsum(found.size) - found.size
    place = np.arange(len(found.rows))
    partners = size - 1 - (place - np.repeat(starts, found.size))
    if passes > 1:
        partners = np.where(found.rows % passes == share, partners, 0)
    one: Array = np.repeat(place, partners)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(partners) - partners, partners)
    left, right = found.rows[one].astype(np.int64), found.rows[other].astype(np.int64)
    if changed is not None:
        keep = changed[left] | changed[right]
        left, right = left[keep], right[keep]
    return ((left * rows + right) << RULE_BITS) | number
