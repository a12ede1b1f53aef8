"""Blocking keys as 64-bit integers per record, and which keys have too many records.

A key with too many records is split by a second key; what is still too many is dropped and named. Which keys those are is decided when
the model is learned, so that later runs yield the same pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from spine.identity.blocking import Part, Rule
from spine.identity.standardize import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
Coded = Mapping[str, tuple[Array, list[str]]]
log = logging.getLogger(__name__)
PAIRS_PER_RECORD = 6
SMALL_BLOCK = 12
LARGEST_BLOCK = 2_000


@dataclass
class Heavy:
    """Keys of one rule that are split, keys that are dropped, and how the dropped ones read (with their number of records)."""

    split: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def _hashes(texts: Sequence[str]) -> Array:
    import pandas as pd

    hashed = pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False).astype(np.int64)
    return np.where(hashed == 0, 1, hashed)


def _part_keys(part: Part, coded: Coded) -> Array:
    codes, values = coded[part.feature]
    cuts = [part.function(value)[: part.most] for value in values]
    table: Array = np.zeros((len(values) + 1, part.most), dtype=np.int64)
    rows: Array = np.repeat(np.arange(len(values)), [len(cut) for cut in cuts]) if cuts else np.zeros(0, dtype=np.int64)
    columns = np.asarray([place for cut in cuts for place in range(len(cut))], dtype=np.int64)
    flat = [text for cut in cuts for text in cut]
    if flat:
        table[rows, columns] = _hashes(flat)
    return table[codes]  # code -1 takes the last row, which holds no key


def _combined(one: Array, other: Array) -> Array:
    """Every key of the one with every key of the other, per record; 0 stays absent."""
    with np.errstate(over="ignore"):
        mixed = (one[:, :, None] * np.int64(-7046029254386353131)) ^ (other[:, None, :] * np.int64(-4417276706812531889) + np.int64(97))
    mixed = np.where((one[:, :, None] == 0) | (other[:, None, :] == 0), 0, np.where(mixed == 0, 1, mixed))
    return mixed.reshape(len(one), -1)


def rule_keys(rules: Sequence[Rule], coded: Coded, heavy: Sequence[Heavy] | None) -> list[Array]:
    """Keys of every record under every rule (rows x keys, 0 for none); with `heavy`, its keys are split and dropped."""
    parts: dict[Part, Array] = {}
    result = []
    for number, rule in enumerate(rules):
        keys = None
        for part in (*rule.parts, *([rule.split] if rule.split else [])):
            if part not in parts:
                parts[part] = _part_keys(part, coded)
        for part in rule.parts:
            keys = parts[part] if keys is None else _combined(keys, parts[part])
        assert keys is not None
        if heavy is not None:
            keys = _capped(rule, _lightened(keys, parts[rule.split] if rule.split else None, heavy[number]), coded)
        result.append(keys)
    return result


def _lightened(keys: Array, split: Array | None, heavy: Heavy) -> Array:
    too_many = np.isin(keys, np.asarray(heavy.split, dtype=np.int64))
    light = np.where(too_many, 0, keys)
    if split is not None and too_many.any():
        light = np.concatenate([light, _combined(np.where(too_many, keys, 0), split)], axis=1)
    light = np.where(np.isin(light, np.asarray(heavy.dropped, dtype=np.int64)), 0, light)
    return light[:, light.any(axis=0)] if light.any() else light[:, :1]


def _capped(rule: Rule, keys: Array, coded: Coded) -> Array:
    """Drops keys that have become too common since the model was learned, and says so: time to learn anew."""
    distinct, counts = np.unique(keys[keys != 0], return_counts=True)
    overgrown = distinct[counts > 2 * LARGEST_BLOCK]
    if not len(overgrown):
        return keys
    for name in _readable(rule, keys, overgrown.tolist(), coded):
        log.warning("blocking key dropped, it has become too common since the weights were learned: %s", name)
    return np.where(np.isin(keys, overgrown), 0, keys)


def find_heavy(rules: Sequence[Rule], coded: Coded) -> list[Heavy]:
    """Which keys of each rule are too many for the budget of PAIRS_PER_RECORD pairs per record and rule."""
    plain = rule_keys(rules, coded, None)
    found = []
    for number, keys in enumerate(plain):
        heavy = Heavy(split=_over_budget(keys))
        if heavy.split and rules[number].split:
            again = rule_keys([rules[number]], coded, [heavy])[0]
            heavy.dropped = _over_budget(again)
            heavy.names = _readable(rules[number], again, heavy.dropped, coded)
        else:
            heavy.names = _readable(rules[number], keys, heavy.split, coded)
        found.append(heavy)
    return found


def _over_budget(keys: Array) -> list[int]:
    distinct, counts = np.unique(keys[keys != 0], return_counts=True)
    sizes, blocks = np.unique(counts, return_counts=True)
    return [int(key) for key in distinct[counts > largest_allowed(sizes, blocks, len(keys))]]


def largest_allowed(sizes: Array, blocks: Array, rows: int) -> int:
    """How many of `rows` records a key of one rule may have, if there are so many blocks of each size (sizes rise)."""
    pairs = np.cumsum(sizes * (sizes - 1) // 2 * blocks)
    allowed = sizes[pairs <= max(20_000, PAIRS_PER_RECORD * rows)]
    return min(max(SMALL_BLOCK, int(allowed.max(initial=0))), LARGEST_BLOCK)


def _readable(rule: Rule, keys: Array, which: Sequence[int], coded: Coded) -> list[str]:
    names = []
    for key in which[:5]:
        rows = np.flatnonzero((keys == key).any(axis=1))
        names.append(block_name(rule, len(rows), int(rows[0]), coded))
    return names


def block_name(rule: Rule, size: int, row: int, coded: Coded) -> str:
    """How a block of `size` records reads, of which `row` is one."""
    shown = [coded[part.feature][1][coded[part.feature][0][row]].replace(SEP, " ").strip() for part in rule.parts]
    return f"{rule.name}: {size} records like {', '.join(shown)}"
