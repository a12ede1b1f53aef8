"""Whether evidence suffices: could any record be one with a copy of itself, and if not, what would help."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine
from spine.identity.composites import person_name, postal_address
from spine.identity.engine import Records
from spine.identity.learning.model import Model
from spine.identity.learning.score import probability, score

Array: TypeAlias = Any  # numpy arrays of many element types
SAMPLED = 20_000
_TELLING = {
    "email": "an e-mail", "phone": "a telephone number", "date": "a birth date", "postal address": "a street and postcode",
    "national_id": "a number that one has alone",
}  # fmt: skip


@dataclass(frozen=True)
class OutOfReach:
    """No two of `records` can be one: alike in all they would be with probability `best`. `filled` features, of `kinds`, have values."""

    records: int
    best: float
    filled: tuple[str, ...]
    kinds: tuple[str, ...]

    def describe(self, threshold: float) -> str:
        """One sentence without an end mark."""
        names = " and ".join(self.filled) or "what they have"
        alone = (
            f"even with the same {names} two are one with a probability of {self.best:.2g} at most, below the threshold of {threshold:g}"
        )
        return f"no two of the {self.records:,} records can be one: {alone}"

    def would_help(self) -> str:
        """What would tell namesakes apart."""
        return would_help(self.kinds)


def out_of_reach(records: Records, model: Model, limit: float) -> OutOfReach | None:
    """What is told where no record would be one with its copy (`limit` is the threshold in bits), else None.

    Where none is, no two records can be, whatever they agree on.
    """
    if records.rows < 2 or reachable(records, model, limit):
        return None
    names, attributes = filled(records), records.plan.matching.attributes
    best = float(probability(np.asarray(_best(records, model))))
    return OutOfReach(records.rows, best, tuple(names), tuple(attributes.get(name, name) for name in names))


def reachable(records: Records, model: Model, limit: float) -> bool:
    """Whether any record would be one with a copy of itself."""
    chunks = np.array_split(np.arange(records.rows), max(1, records.rows // SAMPLED))
    return any(bool((own_weight(records, model, rows) >= limit - 1e-9).any()) for rows in chunks if len(rows))


def filled(records: Records) -> list[str]:
    """The features that have more than one value."""
    return [feature.name for feature in records.plan.features if len(np.unique(records.features[feature.name][0])) > 1]


def own_weight(records: Records, model: Model, rows: Array) -> Array:
    """The weight (log2 odds) of each of the `rows` with a copy of itself."""
    patterns = engine.patterns(records, rows, rows, model.rarity)
    return score(records.plan, model, records.features, rows, rows, patterns).weight


def sample(rows: int) -> Array:
    """All rows, or `SAMPLED` of them, the same ones each time."""
    return np.arange(rows) if rows <= SAMPLED else np.sort(np.random.default_rng(1).choice(rows, SAMPLED, replace=False))


def would_help(kinds: Collection[str]) -> str:
    """What beside attributes of these kinds would tell namesakes apart."""
    there = {whole_of(kind) for kind in kinds}
    missing = [words for kind, words in _TELLING.items() if kind not in there]
    return f"a column that tells namesakes apart ({', '.join(missing[:-1])} or {missing[-1]})" if len(missing) > 1 else "a telling column"


def whole_of(kind: str) -> str:
    """What a kind is compared as: parts of a name or of an address as one."""
    if kind in person_name.MEMBERS:
        return "person name"
    return "postal address" if kind in postal_address.MEMBERS else kind


def _best(records: Records, model: Model) -> float:
    """The greatest weight of a record with a copy of itself, in a sample."""
    return float(own_weight(records, model, sample(records.rows)).max(initial=-np.inf))
