"""What was learned from one tenant's records: weights, rarity of values, and which blocking keys are too common. JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import orjson

from spine.identity.blocking.keys import Heavy
from spine.identity.learning.growth import Basis

ENGINE = 4
Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass
class Terms:
    """How often each text of one comparison level occurs; texts that are not listed count as `rest`."""

    total: int
    counts: dict[str, float]
    rest: float = 1.0

    def frequency(self, texts: Sequence[str]) -> Array:
        """Share of records that carry each text."""
        return np.asarray([self.counts.get(text, self.rest) for text in texts], dtype=float) / max(1, self.total)


@dataclass
class Model:
    """Learned parameters. `prior` and `related` are log2 odds that two random records match, or belong to relatives or neighbours.

    Even matches often differ in the comparisons that are `unreliable`, so that a difference there excludes nothing.
    `follows` gives, per comparison and per feature that its agreement may follow from, bits by how that feature agrees and by level.
    `m`, `u` and `h` give each comparison's level probabilities among matches, strangers and relatives or neighbours.
    It was learned from what `basis` tells, for the reason `why`; heavy keys and frequencies may be of later records (`counted`).
    """

    records: int
    prior: float
    related: float
    m: dict[str, list[float]]
    u: dict[str, list[float]]
    h: dict[str, list[float]]
    terms: dict[str, dict[str, Terms]] = field(default_factory=dict)
    rarity: dict[str, dict[str, float]] = field(default_factory=dict)
    heavy: list[Heavy] = field(default_factory=list)
    unreliable: list[str] = field(default_factory=list)
    follows: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    version: int = 1
    engine: int = ENGINE
    basis: Basis | None = None
    counted: Basis | None = None
    why: str = ""

    @property
    def partners(self) -> float:
        """How many other records of its entity a record is expected to have, at least one."""
        return float(max(1.0, self.records / (1.0 + np.exp2(-self.prior))))

    @property
    def learned_from(self) -> Basis:
        """The records that weights were learned from; of a model of a former version no more than their number."""
        return self.basis or Basis(self.records)

    def to_json(self) -> str:
        """The model as one JSON text."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Model:
        """The model that `to_json` wrote."""
        data = orjson.loads(text)
        data["terms"] = {name: {level: Terms(**terms) for level, terms in by_level.items()} for name, by_level in data["terms"].items()}
        data["heavy"] = [Heavy(**heavy) for heavy in data["heavy"]]
        for name in ("basis", "counted"):  # a former version wrote none
            data[name] = Basis(**data[name]) if data.get(name) else None
        return cls(**data)
