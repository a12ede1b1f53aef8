"""What blocking keys with too many records cost: pairs of their blocks are drawn at random and compared if nothing else joins them.

The estimate is that of Horvitz and Thompson (1952): a pair is drawn as often as it shares such blocks, and counts the less for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import Blocks, blocks_of
from spine.identity.blocking.cuttings import Rule
from spine.identity.blocking.keys import Heavy, Keys, among
from spine.identity.learning.model import Model
from spine.identity.learning.score import score
from spine.identity.matching import Matched

Array: TypeAlias = Any  # numpy arrays of many element types
DRAWN = 50_000


@dataclass(frozen=True)
class Dropped:
    """Keys with too many records, and the pairs of their blocks (shared blocks counted each), of which `drawn` were compared.

    `lost` estimates how many pairs of records (copies too) reach the threshold and stand in two entities since no rule joins them,
    `spread` is its standard error. `recall` is the share that they are of all pairs of one entity, `most` what it is at most (95 %), also
    with none seen.
    """

    keys: int
    pairs: int
    drawn: int
    lost: float
    spread: float
    recall: float
    most: float


def dropped(matched: Matched, limit: float, keys: Keys | None = None) -> Dropped | None:
    """The cost of the keys that were too common; None if there are none.

    `limit` is the weight from which on two records are one, `keys` are those of the distinct records, if they are at hand.
    """
    distinct, model = matched.copies.distinct, matched.model
    records, label = matched.records.take(distinct), matched.label[distinct]
    rules = [
        (rule, heavy) for rule, heavy in zip(blocking.make_rules(records.plan), model.heavy, strict=True) if heavy.split or heavy.dropped
    ]
    if not rules:
        return None
    keys = keys or Keys(records.features, model.rarity)
    found = [_too_large(rule, heavy, keys) for rule, heavy in rules]
    pairs = sum(int(_pairs(blocks).sum()) for blocks in found)
    count = sum(len(blocks.size) for blocks in found)
    if not pairs:
        return None
    left, right = _draw(found, DRAWN)
    sharing = sum(_shared(_heavy(rule, heavy, keys, left), _heavy(rule, heavy, keys, right)) for rule, heavy in rules)
    apart = np.flatnonzero((label[left] != label[right]) & ~_brought(records, model, keys, left, right))
    one, other = np.minimum(left, right)[apart], np.maximum(left, right)[apart]
    scored = score(records.plan, model, records.features, one, other, engine.patterns(records, one, other, model.rarity))
    share: Array = np.zeros(len(left))
    times = np.bincount(matched.copies.first, minlength=len(matched.label))[distinct]
    share[apart] = (scored.weight >= limit - 1e-9) * times[one] * times[other] / np.maximum(sharing[apart], 1)
    lost, spread = pairs * float(share.mean()), pairs * float(share.std()) / len(share) ** 0.5
    sizes = np.bincount(matched.label).astype(np.int64)
    together = max(1, int((sizes * (sizes - 1) // 2).sum()))
    most = lost + 2 * spread if share.any() else 3 * pairs / len(share)  # the rule of three
    return Dropped(count, pairs, len(left), lost, spread, lost / (lost + together), most / (most + together))


def _heavy(rule: Rule, heavy: Heavy, keys: Keys, rows: Array | slice = slice(None)) -> Array:
    """The keys of a rule that are too many by themselves, 0 in place of the others."""
    plain = keys.plain(rule, rows)
    return np.where(among(plain, [*heavy.split, *heavy.dropped]), plain, 0)


def _too_large(rule: Rule, heavy: Heavy, keys: Keys) -> Blocks:
    return blocks_of(_heavy(rule, heavy, keys))


def _pairs(blocks: Blocks) -> Array:
    return blocks.size.astype(np.int64) * (blocks.size - 1) // 2


def _draw(found: list[Blocks], most: int) -> tuple[Array, Array]:
    """Random pairs of records of one block, each block as often as it has pairs."""
    random = np.random.default_rng(1)
    size = np.concatenate([blocks.size for blocks in found]).astype(np.int64)
    rows = np.concatenate([blocks.rows for blocks in found])
    chance = np.concatenate([_pairs(blocks) for blocks in found]).astype(float)
    block = random.choice(len(size), most, p=chance / chance.sum())
    first = (np.cumsum(size) - size)[block]
    one = random.integers(0, size[block])
    other = random.integers(0, size[block] - 1)
    return rows[first + one].astype(np.int64), rows[first + other + (other >= one)].astype(np.int64)


def _shared(left: Array, right: Array) -> Array:
    """How many keys each pair shares, given the keys of both sides (pairs x keys, 0 for none)."""
    return ((left[:, :, None] == right[:, None, :]) & (left[:, :, None] != 0)).any(axis=2).sum(axis=1)


def _brought(records: engine.Records, model: Model, keys: Keys, left: Array, right: Array) -> Array:
    """Which pairs a rule brings together all the same."""
    found: Array = np.zeros(len(left), dtype=bool)
    for rule, heavy in zip(blocking.make_rules(records.plan), model.heavy, strict=True):
        both = keys.light(rule, heavy, np.concatenate([left, right]))
        found |= _shared(both[: len(left)], both[len(left) :]) > 0
    return found
