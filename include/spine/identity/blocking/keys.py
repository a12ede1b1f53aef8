"""Blocking keys as 64-bit integers per record, and which keys have too many records.

A key with too many records is split by a second key; what is still too many is dropped and named. Which keys those are is decided when
the model is learned, so that later runs yield the same pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from spine.core.screen import logger
from spine.identity.blocking.cuttings import Part, Rule, hash_table
from spine.identity.standardize.text import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
Coded = Mapping[str, tuple[Array, list[str]]]
Rarity = Mapping[str, Mapping[str, float]]
log = logger(__name__)
PAIRS_PER_RECORD = 6  # for each of the first MANY records
PAIRS_PER_FURTHER_RECORD = 1  # chance makes more of them the more records there are
MANY = 100_000
LEAST_BUDGET = 40_000
LONE_WORDS = 2
SMALL_BLOCK = 12
LARGEST_BLOCK = 2_000
NAMED = 5
LIKE = " like "  # what follows it is a value, which no log may show
BITS = 20
ALL = slice(None)


@dataclass
class Heavy:
    """Keys of one rule that are split, keys that are dropped, and how the dropped ones read (with their number of records)."""

    split: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def log_heavy(heavy: Sequence[Heavy]) -> None:
    """Tells how many keys were split or dropped, by rule and largest block. Their values stay in the model, which is the tenant's own."""
    for found in heavy:
        if found.names:
            largest = found.names[0].partition(LIKE)[0]
            log.warning("blocking keys with too many records: %s split, %s dropped, %s; `spine report` names the values",
                        f"{len(found.split):,}", f"{len(found.dropped):,}", largest)  # fmt: skip


class Keys:
    """Keys of the same records under many rules; what one value contributes to a key is made once."""

    def __init__(self, coded: Coded, rarity: Rarity, known: Mapping[Part, Array] | None = None) -> None:
        self.coded, self.rarity = coded, rarity
        self._parts: dict[Part, Array] = dict(known or {})
        self._lock = Lock()

    def part(self, part: Part) -> Array:
        """What each record contributes under one part (records x `part.most`, 0 for none)."""
        with self._lock:
            if part not in self._parts:
                codes, values = self.coded[part.feature]
                made = self._made(part, values)
                table = np.concatenate([made, np.zeros((1, part.most), dtype=np.int64)])
                self._parts[part] = table[codes]  # code -1 takes the last row, which holds no key
            return self._parts[part]

    def _made(self, part: Part, values: Sequence[str]) -> Array:
        if part.rank:
            weights = self.rarity.get(part.feature, {})
            return hash_table([_rarest(part.cutting.texts(value), weights, part.most) for value in values], part.most)
        if part.cutting.numbers:
            return part.cutting.numbers(values)
        return hash_table([part.cutting.texts(value) for value in values], part.most)

    def plain(self, rule: Rule, rows: Array | slice = ALL) -> Array:
        """All keys of a rule (rows x keys, 0 for none), perhaps of some rows only."""
        keys = self.part(rule.parts[0])[rows]
        for part in rule.parts[1:]:
            keys = combined(keys, self.part(part)[rows])
        return keys

    def light(self, rule: Rule, heavy: Heavy, rows: Array | slice = ALL) -> Array:
        """The keys of a rule, those that are too many split and dropped."""
        keys = self.plain(rule, rows)
        too_many = among(keys, heavy.split)
        light = np.where(too_many, 0, keys)
        if rule.split is not None and too_many.any():
            light = np.concatenate([light, combined(np.where(too_many, keys, 0), self.part(rule.split)[rows])], axis=1)
        light[among(light, heavy.dropped)] = 0
        return light[:, light.any(axis=0)] if light.any() else light[:, :1]


def sharing(keys: Array, changed: Array) -> Array:
    """Flags the rows that may share a key with a row that `changed` flags, told by a part of the bits (the others share none)."""
    return (_maybe_among(keys, keys[changed]) & (keys != 0)).any(axis=1)


def among(keys: Array, some: Sequence[int]) -> Array:
    """Which of many keys are among `some`; most are told by a part of their bits, so that they need not be sorted."""
    if not len(some):
        return np.zeros(keys.shape, dtype=bool)
    wanted = np.asarray(some, dtype=np.int64)
    found = _maybe_among(keys, wanted)
    found[found] = np.isin(keys[found], wanted)
    return found


def _maybe_among(keys: Array, some: Array) -> Array:
    seen: Array = np.zeros(1 << BITS, dtype=bool)
    seen[bucket(some)] = True
    return seen[bucket(keys)]


def bucket(keys: Array, bits: int = BITS) -> Array:
    """The first bits of keys: equal for equal keys, and rarely for others."""
    return keys.view(np.uint64) >> np.uint64(64 - bits)


def _rarest(words: Sequence[str], weights: Mapping[str, float], most: int) -> list[str]:
    """The rarest of the words that several records carry, then the longest of the others, which new records may share."""
    words = list(dict.fromkeys(words))
    shared = sorted((word for word in words if word in weights), key=lambda word: (-weights[word], word))
    lone = sorted((word for word in words if word not in weights), key=lambda word: (-len(word), word))
    return shared[: most - LONE_WORDS] + lone[:LONE_WORDS]


def combined(one: Array, other: Array) -> Array:
    """Every key of the one with every key of the other, per record; 0 stays absent."""
    with np.errstate(over="ignore"):
        mixed = (one[:, :, None] * np.int64(-7046029254386353131)) ^ (other[:, None, :] * np.int64(-4417276706812531889) + np.int64(97))
    mixed[mixed == 0] = 1
    mixed[np.broadcast_to((one[:, :, None] == 0) | (other[:, None, :] == 0), mixed.shape)] = 0
    return mixed.reshape(len(one), one.shape[1] * other.shape[1])


def rule_keys(rules: Sequence[Rule], coded: Coded, heavy: Sequence[Heavy] | None, rarity: Rarity) -> list[Array]:
    """Keys of every record under every rule (rows x keys, 0 for none); with `heavy`, its keys are split and dropped.

    Keys that have become too common since `heavy` was learned stay; `blocks` drops them.
    """
    keys = Keys(coded, rarity)
    return [keys.plain(rule) if heavy is None else keys.light(rule, heavy[number]) for number, rule in enumerate(rules)]


def largest_allowed(sizes: Array, blocks: Array, rows: int, budget: int | None = None) -> int:
    """How many of `rows` records a key of one rule may have, if there are so many blocks of each size (sizes rise).

    A stated `budget` of pairs per record is kept to the letter; without one, small blocks and small tables are always compared.
    """
    pairs = np.cumsum(sizes * (sizes - 1) // 2 * blocks)
    chosen = PAIRS_PER_RECORD * min(rows, MANY) + PAIRS_PER_FURTHER_RECORD * max(0, rows - MANY)
    allowed = sizes[pairs <= (max(LEAST_BUDGET, chosen) if budget is None else budget * rows)]
    return min(max(SMALL_BLOCK if budget is None else 1, int(allowed.max(initial=0))), LARGEST_BLOCK)


def block_name(rule: Rule, size: int, row: int, coded: Coded) -> str:
    """How a block of `size` records reads, of which `row` is one (as far as its values are at hand)."""
    shown = [coded[part.feature][1][coded[part.feature][0][row]].replace(SEP, " ").strip() for part in rule.parts if part.feature in coded]
    return f"{rule.name}: {size} records{LIKE}{', '.join(shown)}" if shown else f"{rule.name}: {size} records"
