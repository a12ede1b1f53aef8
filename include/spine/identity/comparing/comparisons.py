"""From attribute kinds to comparisons, and from pairs of records to one small integer pattern each.

Works on Arrow columns and numpy arrays and knows no engine: the same functions run over all pairs of a small table
and over one batch of a large one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.entities import Kind, Matching
from spine.identity import standardize
from spine.identity.comparing import levels, levels_text, parts
from spine.identity.comparing.texts import Values
from spine.identity.standardize import columns as standardize_columns

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Feature:
    """One standardised column: how it comes from the raw attributes, and whether its words are weighed by their rarity."""

    name: str
    kind: str
    attributes: tuple[str, ...]
    function: Callable[..., str | None] = field(compare=False)
    worded: bool = False


@dataclass(frozen=True)
class Comparison:
    """Levels of one feature, from agreement to disagreement.

    `m` and `u` are what is believed of matches and of strangers before any data is seen; `related` what relatives or neighbours share
    (None: they share it as a match does; otherwise a floor per level over `u`). `terms` gives per level the part whose rarity counts.
    On the last level an `exclusive` comparison excludes a pair (an `outweighable` one gives way to overwhelming evidence where matches turn
    out to differ in it often) and an `opposes` one keeps certain rules from lifting it; the first level of
    a `certain` one is such a rule. The chances of a `fixed` one are stated and not learned.
    """

    name: str
    feature: str
    labels: tuple[str, ...]
    kernel: levels.Kernel = field(compare=False)
    m: tuple[float, ...]
    u: tuple[float, ...]
    related: tuple[float, ...] | None = ()
    terms: Mapping[int, parts.TextsOf] = field(default_factory=dict, compare=False)
    exclusive: bool = False
    outweighable: bool = False
    opposes: bool = False
    certain: bool = False
    fixed: bool = False

    @property
    def weighs(self) -> bool:
        """Whether levels carry weight; rules without weight only make pairs certain or exclude them."""
        return self.m != self.u

    @property
    def size(self) -> int:
        """Number of digits of this comparison in a pattern: its levels and `not comparable`."""
        return len(self.labels) + 1


FORENAME = Comparison(
    "forename", "person name", levels.FORENAME_LEVELS, levels.forename, (0.71, 0.14, 0.03, 0.045, 0.055, 0.02),
    (0.008, 0.012, 0.0005, 0.01, 0.06, 0.9095),
    (0.02, 0.005, 0.0, 0.02, 0.0, 0.0), {1: parts.forename}, opposes=True,
)  # fmt: skip
SURNAME = Comparison(
    "surname",
    "person name",
    levels.SURNAME_LEVELS,
    levels.surname,
    (0.82, 0.08, 0.05, 0.05),
    (0.003, 0.003, 0.03, 0.964),
    None,
    {1: parts.surname},
)
ADDRESS = Comparison(
    "address", "postal address", levels.ADDRESS_LEVELS, levels.address, (0.5, 0.05, 0.05, 0.1, 0.05, 0.13, 0.12),
    (0.0005, 0.001, 0.001, 0.002, 0.002, 0.04, 0.9535), None, {1: parts.house, 3: parts.road, 4: parts.postcode, 6: parts.town},
)  # fmt: skip
BY_KIND: dict[Kind, Comparison] = {
    "date": Comparison(
        "", "", levels.DATE_LEVELS, levels.date, (0.86, 0.08, 0.025, 0.015, 0.02), (0.00006, 0.0015, 0.02, 0.015, 0.96344),
        (0.05, 0.0, 0.0, 0.0, 0.0), {1: parts.whole}, exclusive=True, outweighable=True,
    ),
    "email": Comparison(
        "", "", levels.EMAIL_LEVELS, levels.email, (0.5, 0.06, 0.05, 0.02, 0.08, 0.29), (0.00002, 0.0002, 0.0001, 0.0005, 0.006, 0.99318),
        (0.04, 0.0, 0.02, 0.02, 0.0, 0.0), {1: parts.whole, 4: parts.whole, 5: parts.domain},
    ),
    "phone": Comparison(
        "", "", levels.PHONE_LEVELS, levels.phone, (0.6, 0.01, 0.05, 0.34), (0.0001, 0.00002, 0.0001, 0.99978), None, {1: parts.whole}
    ),
    "organization": Comparison(
        "", "", levels.ORGANIZATION_LEVELS, levels.organization, (0.5, 0.2, 0.12, 0.1, 0.05, 0.03),
        (0.0005, 0.001, 0.002, 0.008, 0.06, 0.9285),
        (0.02, 0.02, 0.02, 0.03, 0.05, 0.0), {1: parts.whole},
    ),
    "url": Comparison("", "", levels.URL_LEVELS, levels.url, (0.8, 0.05, 0.15), (0.0003, 0.0003, 0.9994), None, {1: parts.whole}),
    "national_id": Comparison(
        "", "", levels.IDENTIFIER_LEVELS, levels.identifier, (0.95, 0.03, 0.02), (0.00001, 0.00005, 0.99994),
        (0.0, 0.0, 0.0), {1: parts.whole}, exclusive=True, outweighable=True,
    ),
    "title": Comparison(
        "", "", levels_text.TITLE_LEVELS, levels_text.title, (0.35, 0.22, 0.08, 0.1, 0.1, 0.03, 0.09, 0.03),
        (0.0005, 0.0005, 0.0003, 0.0005, 0.002, 0.003, 0.05, 0.9432),
        (0.0, 0.005, 0.0, 0.01, 0.1, 0.2, 0.3, 0.0), {1: parts.whole},
    ),
    "text": Comparison(
        "", "", levels_text.TEXT_LEVELS, levels_text.text, (0.3, 0.17, 0.08, 0.13, 0.17, 0.15),
        (0.0005, 0.0005, 0.0005, 0.003, 0.03, 0.9655), (), {1: parts.whole},
    ),
    "number": Comparison(
        "", "", levels_text.NUMBER_LEVELS, levels_text.number, (0.6, 0.15, 0.1, 0.15), (0.02, 0.05, 0.1, 0.83), (), {1: parts.whole}
    ),
    "category": Comparison("", "", levels.CATEGORY_LEVELS, levels.category, (0.85, 0.15), (0.3, 0.7), (0.0, 0.0), {1: parts.whole}),
}  # fmt: skip
BY_KIND["country"] = BY_KIND["category"]

FUNCTIONS: dict[Kind, Callable[..., str | None]] = {
    "date": standardize.date, "email": standardize.email, "phone": standardize.phone, "organization": standardize.organization,
    "url": standardize.host, "national_id": standardize.identifier, "title": standardize.free_text, "text": standardize.free_text,
    "category": standardize.plain, "number": standardize.number, "country": standardize.plain,
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Everything that follows from the attribute kinds: features, comparisons, threshold, link mode."""

    matching: Matching
    features: tuple[Feature, ...]
    comparisons: tuple[Comparison, ...]

    def feature(self, name: str) -> Feature | None:
        """A feature by name, None if the entity has none such."""
        return next((feature for feature in self.features if feature.name == name), None)

    def of_kind(self, kind: str) -> list[Feature]:
        """All features of a kind."""
        return [feature for feature in self.features if feature.kind == kind]

    def attributes(self, name: str) -> tuple[str, ...]:
        """The attributes that a feature is made of, by its name."""
        return next(feature.attributes for feature in self.features if feature.name == name)

    @property
    def radix(self) -> Array:
        """Place value of each comparison in a pattern."""
        return np.cumprod([1, *(comparison.size for comparison in self.comparisons[:-1])]).astype(np.int64)

    def digits(self, patterns: Array) -> Array:
        """Levels of each pattern: one row per pattern, one column per comparison."""
        return (patterns[:, None] // self.radix) % np.asarray([comparison.size for comparison in self.comparisons])


def standardized(table: pa.Table, plan: Plan) -> pa.Table:
    """The plan's features of a table of raw attributes, dictionary-encoded, row by row in the same order."""
    if table.num_rows == 0:
        return pa.table({feature.name: pa.array([], pa.string()).dictionary_encode() for feature in plan.features})
    kinds = plan.matching.attributes

    def standardize_one(feature: Feature) -> pa.DictionaryArray:
        columns = [(kinds[attribute], table.column(attribute)) for attribute in feature.attributes]
        return standardize_columns.feature(feature.kind, columns, feature.function)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return pa.table(dict(zip((feature.name for feature in plan.features), pool.map(standardize_one, plan.features), strict=True)))


def coded(features: pa.Table) -> dict[str, tuple[Array, list[str]]]:
    """Integer codes (-1 for null) and distinct values of every feature, independent of the order of rows."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(features.column_names, pool.map(_coded, features.columns), strict=True))


def _coded(values: pa.ChunkedArray) -> tuple[Array, list[str]]:
    whole = values.combine_chunks()
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary))
    rank: Array = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    codes = np.asarray(pc.fill_null(encoded.indices, -1), dtype=np.int64)
    renumbered = np.where(codes >= 0, rank[codes], -1) if len(order) else codes
    return renumbered, Values(encoded.dictionary.take(pa.array(order)).to_pylist())


def pattern(
    plan: Plan, columns: Mapping[str, tuple[Array, list[str]]], left: Array, right: Array, rarity: Mapping[str, Mapping[str, float]]
) -> Array:
    """The pattern of each pair of row numbers, in either order alike."""
    result: Array = np.zeros(len(left), dtype=np.int64)
    sides: dict[str, tuple[Array, Array, Array]] = {}
    for comparison, place in zip(plan.comparisons, plan.radix, strict=True):
        codes, values = columns[comparison.feature]
        if comparison.feature not in sides:
            sides[comparison.feature] = _sides(codes[left], codes[right])
        known, low, high = sides[comparison.feature]
        if len(low):
            result[known] += comparison.kernel(values, low, high, rarity.get(comparison.feature, {})).astype(np.int64) * place
    return result


def _sides(one: Array, other: Array) -> tuple[Array, Array, Array]:
    """Places of the pairs of which both values are known, and their codes, the smaller first."""
    known = np.flatnonzero((one >= 0) & (other >= 0))
    one, other = one[known], other[known]
    return known, np.minimum(one, other), np.maximum(one, other)
