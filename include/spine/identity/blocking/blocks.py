"""Records that share a blocking key, and which keys have too many of them. A rule per core at a time, so that memory stays flat."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from spine.core.screen import logger
from spine.identity.blocking.cuttings import Part, Rule
from spine.identity.blocking.keys import (
    LARGEST_BLOCK,
    NAMED,
    Coded,
    Heavy,
    Keys,
    among,
    block_name,
    bucket,
    combined,
    largest_allowed,
    sharing,
)

Array: TypeAlias = Any  # numpy arrays of many element types
log = logger(__name__)


@dataclass(frozen=True)
class Blocks:
    """Blocks of two records or more: the `rows` of one block after the other (rising within a block), each block's `key` and `size`."""

    rows: Array
    key: Array
    size: Array

    def where(self, chosen: Array) -> Blocks:
        """Some of the blocks."""
        return Blocks(self.rows[np.repeat(chosen, self.size)], self.key[chosen], self.size[chosen])


def blocks_of(matrix: Array, rows: Array | None = None, changed: Array | None = None) -> Blocks:
    """The blocks of a matrix of keys (records x keys, 0 for none), whose records are `rows` (default: numbered in order).

    With `changed` (a flag per row), only blocks that have a changed record.
    """
    width = max(1, matrix.shape[1])
    flat = matrix.reshape(-1)
    place = np.flatnonzero(flat)
    key, row = flat[place], place // width
    if rows is not None:
        row = rows[row]
    keep = _shared(key, None if changed is None else changed[row])
    key, row = key[keep], row[keep]
    order = np.argsort(key, kind="stable")
    key, row = key[order], row[order]
    new = np.r_[True, (key[1:] != key[:-1]) | (row[1:] != row[:-1])][: len(key)]  # a record may have one key twice
    key, row = key[new], row[new]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
    found = Blocks(row.astype(np.int32), key[starts], np.diff(np.r_[starts, len(key)]))
    wanted = found.size > 1
    if changed is not None and len(starts):
        wanted &= np.add.reduceat(changed[row].astype(np.int64), starts) > 0
    return found.where(wanted)


def _shared(key: Array, changed: Array | None) -> Array:
    """Which entries may share their key with another one (told by a part of the key's bits, so that the rest need not be sorted)."""
    bits = min(24, max(8, len(key).bit_length() + 1))
    place = bucket(key, bits).astype(np.int64)
    keep = np.bincount(place, minlength=1 << bits)[place] > 1
    if changed is not None:
        keep &= sharing(key[:, None], changed)
    return np.flatnonzero(keep)


def learn_blocks(rules: Sequence[Rule], keys: Keys) -> Iterator[tuple[Heavy, Blocks]]:
    """Of each rule: which keys are too many for its budget of pairs per record, and the blocks that remain."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(partial(_learned, keys), rules)


def _learned(keys: Keys, rule: Rule) -> tuple[Heavy, Blocks]:
    matrix = keys.plain(rule)
    found = blocks_of(matrix)
    heavy = Heavy()
    too_many = found.size > _limit(found.size, len(matrix), rule.budget)
    heavy.split = found.key[too_many].tolist()
    light = found.where(~too_many)
    if not heavy.split or not rule.split:
        heavy.names = _named(rule, found.where(too_many), keys.coded)
        return heavy, light
    rows = np.unique(found.where(too_many).rows)
    finer = blocks_of(combined(np.where(among(matrix[rows], heavy.split), matrix[rows], 0), keys.part(rule.split)[rows]), rows)
    limit = _limit(np.r_[light.size, finer.size], len(matrix), rule.budget)
    still = finer.size > limit
    heavy.dropped = np.r_[light.key[light.size > limit], finer.key[still]].tolist()
    heavy.names = _named(rule, finer.where(still), keys.coded)
    return heavy, _joined(light.where(light.size <= limit), finer.where(~still))


def known_blocks(rules: Sequence[Rule], keys: Keys, heavy: Sequence[Heavy], changed: Array | None) -> Iterator[Blocks]:
    """The blocks of each rule under keys that are known to be too many; of these, if `changed` is given, those with a changed record."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        near: dict[Part, Array] = {}
        if changed is not None:
            parts = list(dict.fromkeys(part for rule in rules for part in rule.parts))
            near = dict(zip(parts, pool.map(lambda part: sharing(keys.part(part), changed), parts), strict=True))
        for rule, found in zip(rules, pool.map(partial(_known, keys, changed, near), rules, heavy), strict=True):
            overgrown = found.size > 2 * LARGEST_BLOCK
            if overgrown.any():
                log.warning("%s: %d keys dropped, too common since the weights were learned, of up to %d records; resolve with relearn",
                            rule.name, int(overgrown.sum()), int(found.size[overgrown].max()))  # fmt: skip
            yield found.where(~overgrown)


def _known(keys: Keys, changed: Array | None, near: Mapping[Part, Array], rule: Rule, heavy: Heavy) -> Blocks:
    """The blocks under keys that are known to be too many; after a change only rows that share every part with a changed row matter."""
    if changed is None:
        return blocks_of(keys.light(rule, heavy))
    rows = np.flatnonzero(np.logical_and.reduce([near[part] for part in rule.parts]))
    rows = rows[sharing(keys.plain(rule, rows), changed[rows])]
    return blocks_of(keys.light(rule, heavy, rows), rows, changed)


def _limit(sizes: Array, rows: int, budget: int | None) -> int:
    return largest_allowed(*np.unique(np.r_[1, sizes], return_counts=True), rows, budget)


def _joined(one: Blocks, other: Blocks) -> Blocks:
    return Blocks(np.r_[one.rows, other.rows], np.r_[one.key, other.key], np.r_[one.size, other.size])


def _named(rule: Rule, found: Blocks, coded: Coded) -> list[str]:
    """How the largest of the blocks read."""
    first = np.cumsum(found.size) - found.size
    worst = np.argsort(-found.size, kind="stable")[:NAMED]
    return [block_name(rule, int(found.size[number]), int(found.rows[first[number]]), coded) for number in worst.tolist()]
