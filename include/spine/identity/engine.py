"""Standardise, block, compare, learn and score one tenant's records in this process; the Spark way runs the same kernels over joins.

Reads an Arrow table of raw attributes, gives scored pairs of row numbers. No I/O.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import Blocks, known_blocks, learn_blocks
from spine.identity.blocking.keys import Keys, log_heavy
from spine.identity.blocking.pairs import find_pairs
from spine.identity.comparing.comparisons import coded, pattern, standardized
from spine.identity.comparing.plan import Plan
from spine.identity.learning import learn
from spine.identity.learning.counts import Counts, count_patterns
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored, score
from spine.identity.planning import make_plan

__all__ = ["Candidates", "LocalPairing", "Pairing", "Records", "candidates", "fit", "make_plan", "prepare", "rule_names", "scored"]

Array: TypeAlias = Any  # numpy arrays of many element types
Settle = Callable[[Model], None]
CHUNK = 250_000
IDENTICAL = "all values alike"


@dataclass(frozen=True)
class Records:
    """Standardised records: coded features and the source of each (for `across_sources`)."""

    plan: Plan
    features: Mapping[str, tuple[Array, list[str]]]
    source: Array
    rows: int

    def take(self, chosen: Array) -> Records:
        """Some of the records (row numbers that rise); these themselves if it is all of them."""
        if len(chosen) == self.rows:
            return self
        features = {name: (codes[chosen], values) for name, (codes, values) in self.features.items()}
        return Records(self.plan, features, self.source[chosen], len(chosen))


@dataclass(frozen=True)
class Repeated:
    """Rows of records that have copies, and whether the first copy of each is of the same source."""

    rows: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    within: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Candidates:
    """Compared pairs: row numbers with left < right, pattern, owning rule and all yielding rules."""

    left: Array
    right: Array
    pattern: Array
    rule: Array
    mask: Array

    def take(self, chosen: Array) -> Candidates:
        """Some of the pairs."""
        return Candidates(*(column[chosen] for column in vars(self).values()))

    def with_these(self, other: Candidates) -> Candidates:
        """These pairs and then the others."""
        return Candidates(*(np.concatenate(both) for both in zip(vars(self).values(), vars(other).values(), strict=True)))

    def of_rows(self, rows: Array) -> Candidates:
        """The same pairs, of records that are known by these (rising) row numbers elsewhere."""
        return Candidates(rows[self.left], rows[self.right], self.pattern, self.rule, self.mask)


NONE_REPEATED = Repeated()


def as_learned(model: Model) -> None:
    """Leaves a model as it is."""


def prepare(table: pa.Table, plan: Plan, source: str | None = None) -> Records:
    """Standardised records of a table of raw attributes, in its order. `source` names the column that tells where a record is from."""
    return recall(standardized(table, plan), plan, None if source is None else table.column(source))


def source_names(source: pa.ChunkedArray | pa.Array) -> list[str]:
    """The names of sources in the order of the codes that `recall` gives them."""
    return list(coded(pa.table({"source": source}))["source"][1])


def recall(features: pa.Table, plan: Plan, source: pa.ChunkedArray | pa.Array | None = None) -> Records:
    """Records of values that are standardised already. `source` tells where each record is from."""
    if source is None:
        return Records(plan, coded(features), np.zeros(features.num_rows, dtype=np.int64), features.num_rows)
    codes = coded(pa.table({"source": source}))["source"][0]
    return Records(plan, coded(features), codes, features.num_rows)


def candidates(records: Records, model: Model, changed: Array | None = None) -> Candidates:
    """Candidate pairs of the records with their patterns; with `changed` (a flag per row) only pairs of which one record changed."""
    return _candidates(records, model, changed)[0]


def _candidates(records: Records, model: Model, changed: Array | None) -> tuple[Candidates, Keys]:
    keys = Keys(records.features, model.rarity)
    blocks = list(known_blocks(blocking.make_rules(records.plan), keys, model.heavy, changed))
    return _paired(records, model, blocks, changed), keys


def _paired(records: Records, model: Model, blocks: list[Blocks], changed: Array | None = None) -> Candidates:
    across = records.plan.matching.link == "across_sources"
    parts = []
    for found in find_pairs(blocks, records.rows, changed):
        left, right, rule, mask = found.left, found.right, found.rule, found.mask
        if across:
            keep = records.source[left] != records.source[right]
            left, right, rule, mask = left[keep], right[keep], rule[keep], mask[keep]
        parts.append((left, right, patterns(records, left, right, model.rarity), rule, mask))
    none: Array = np.zeros(0, dtype=np.int64)
    return Candidates(*(np.concatenate([none, *columns]) for columns in zip(*parts, strict=True)))


def patterns(records: Records, left: Array, right: Array, rarity: Mapping[str, Mapping[str, float]]) -> Array:
    """The pattern of each pair of row numbers; many pairs are compared by all cores."""

    def part(at: int) -> Array:
        return pattern(records.plan, records.features, left[at : at + CHUNK], right[at : at + CHUNK], rarity)

    starts = range(0, max(1, len(left)), CHUNK)
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
        return np.concatenate(list(pool.map(part, starts)))


def fit(records: Records, version: int = 1, repeated: Repeated = NONE_REPEATED) -> tuple[Model, Candidates]:
    """Learns a model from distinct records, of which others `repeated` some; also gives the candidate pairs."""
    return _fit(records, version, repeated)[:2]


def _fit(records: Records, version: int, repeated: Repeated) -> tuple[Model, Candidates, Keys]:
    begun, keys, blocks = begin(records)
    found = _paired(records, begun, blocks)
    within = records.source[found.left] == records.source[found.right]
    counts = count_patterns(found.mask, found.pattern, within, _times(records.rows, repeated, found))
    counts = counts.with_these(repeated_counts(records, begun, keys, repeated))
    return learn.finish(records.plan, records.features, records.source, begun, counts, version, len(repeated)), found, keys


def begin(records: Records) -> tuple[Model, Keys, list[Blocks]]:
    """What distinct records tell before any pair is compared: rarity, heavy keys (of the model), all keys, the blocks that remain."""
    begun = learn.start(records.plan, records.features, records.rows)
    keys = Keys(records.features, begun.rarity)
    learned = list(learn_blocks(blocking.make_rules(records.plan), keys))
    begun.heavy = [heavy for heavy, _ in learned]
    log_heavy(begun.heavy)
    return begun, keys, [blocks for _, blocks in learned]


def _times(rows: int, repeated: Repeated, found: Candidates) -> Array | None:
    """How many times each pair counts if a repeated record stands for two."""
    if not len(repeated):
        return None
    times: Array = np.ones(rows)
    times[repeated.rows] = 2.0
    return times[found.left] * times[found.right]


def repeated_counts(records: Records, begun: Model, keys: Keys, repeated: Repeated) -> Counts:
    """Counts, once for each `repeated` record, of its agreement with a copy, which all rules yield that give it a key.

    A record that stands in a file many times is learned from as if it stood there twice: without any of its pairs the engine would not see
    that many matches agree in all they have, with all of them it would see nothing else.
    """
    rules = blocking.make_rules(records.plan)
    seen: Array = np.full(len(repeated), identical(len(rules)))
    for number, (rule, heavy) in enumerate(zip(rules, begun.heavy, strict=True)):
        if len(repeated):
            seen |= keys.light(rule, heavy, repeated.rows).any(axis=1).astype(np.int64) << number
    return count_patterns(seen, patterns(records, repeated.rows, repeated.rows, begun.rarity), repeated.within)


def identical(rules: int) -> np.int64:
    """The bit that stands beside those of so many blocking rules: the two records have the same values."""
    return np.int64(1) << np.int64(rules)


class Pairing(Protocol):
    """Finds and compares pairs; `likely` is the least probability of pairs that must be given (others may be, too)."""

    def fit(
        self, records: Records, version: int, likely: float, repeated: Repeated = NONE_REPEATED, settle: Settle = as_learned
    ) -> tuple[Model, Candidates]:
        """Learns a model of distinct records, which `settle` mends before pairs are scored; also gives the likely pairs.

        `repeated` tells of which there are copies.
        """
        ...

    def candidates(self, records: Records, model: Model, changed: Array | None, likely: float) -> Candidates:
        """The likely pairs, of which one record changed if `changed` flags are given."""
        ...


class LocalPairing:
    """Finds and compares pairs in this process. `keys` are those of the records that it has paired last."""

    keys: Keys | None = None

    def fit(
        self, records: Records, version: int, likely: float, repeated: Repeated = NONE_REPEATED, settle: Settle = as_learned
    ) -> tuple[Model, Candidates]:
        """Learns a model; also gives all candidate pairs."""
        model, found, self.keys = _fit(records, version, repeated)
        settle(model)
        return model, found

    def candidates(self, records: Records, model: Model, changed: Array | None, likely: float) -> Candidates:
        """All candidate pairs."""
        found, self.keys = _candidates(records, model, changed)
        return found


def scored(records: Records, model: Model, found: Candidates) -> Scored:
    """Scores of candidate pairs under a model."""
    return score(records.plan, model, records.features, found.left, found.right, found.pattern)


def rule_names(plan: Plan) -> list[str]:
    """Names of the blocking rules, by their number."""
    return [rule.name for rule in blocking.make_rules(plan)]


def origins(plan: Plan) -> list[str]:
    """What brings pairs together, by the number of their rule: the blocking rules, and last that all values are alike."""
    return [*rule_names(plan), IDENTICAL]
