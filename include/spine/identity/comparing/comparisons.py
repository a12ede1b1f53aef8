"""From raw attributes to coded features, and from pairs of records to one small integer pattern each.

Works on Arrow columns and numpy arrays and knows no engine: the same functions run over all pairs of a small table
and over one batch of a large one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.comparing.plan import Feature, Plan
from spine.identity.comparing.texts import Values
from spine.identity.standardize.columns import text_of
from spine.identity.standardize.text import MAX_LENGTH

Array: TypeAlias = Any  # numpy arrays of many element types
_LONGEST = 4 * MAX_LENGTH


def standardized(table: pa.Table, plan: Plan) -> pa.Table:
    """The plan's features of a table of raw attributes, dictionary-encoded, row by row in the same order."""
    if table.num_rows == 0:
        return pa.table({feature.name: pa.array([], pa.string()).dictionary_encode() for feature in plan.features})
    kinds = plan.matching.attributes

    def standardize_one(feature: Feature) -> pa.DictionaryArray:
        values = [_cut(text_of(table.column(attribute))) for attribute in feature.attributes]
        return feature.kind.column([kinds[attribute] for attribute in feature.attributes], values, feature.function)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return pa.table(dict(zip((feature.name for feature in plan.features), pool.map(standardize_one, plan.features), strict=True)))


def _cut(values: pa.Array) -> pa.Array:
    """Texts of a length that caches can hold; kinds look at their first MAX_LENGTH letters."""
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    return pc.utf8_slice_codeunits(values, 0, _LONGEST) if longest > _LONGEST else values


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
