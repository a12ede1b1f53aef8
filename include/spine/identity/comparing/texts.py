"""Texts of the distinct values of a feature: what is derived from one value alone is made once, equality is an integer comparison.

Similarities: Winkler 1990 (Jaro-Winkler) and OSA (edits with transpositions), by rapidfuzz.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

Codes: TypeAlias = Any  # numpy arrays of many element types
T = TypeVar("T")
CHUNK = 2_000_000
SMALL_TABLE = 40_000_000
LEAST_ALIKE = 0.75
WORKERS = os.cpu_count() or 1


class Values(list[str]):
    """The distinct values of a feature; remembers what kernels derive from them, so that it is derived once."""

    def __init__(self, values: Sequence[str] = ()) -> None:
        super().__init__(values)
        self.derived: dict[Any, Any] = {}
        self.lock = threading.RLock()  # what is derived may derive something itself


def derive(values: Sequence[str], maker: Callable[[Sequence[str]], T]) -> T:
    """`maker(values)`, made once for a `Values`."""
    if not isinstance(values, Values):
        return maker(values)
    with values.lock:
        if maker not in values.derived:
            values.derived[maker] = maker(values)
        return cast(T, values.derived[maker])


class Texts:
    """One part of every distinct value, with its own codes so that equality is an integer comparison; `` is code 0 and means absent."""

    codes: Codes

    def __init__(self, parts: Sequence[str] | pa.Array) -> None:
        given = parts if isinstance(parts, pa.Array) else pa.array(parts, pa.string())
        encoded = pa.concat_arrays([pa.array([""]), given]).dictionary_encode()
        self.distinct = encoded.dictionary
        self.codes = np.asarray(encoded.indices, dtype=np.int64)[1:]

    @cached_property
    def values(self) -> Codes:
        """The distinct texts as Python's."""
        return self.distinct.to_numpy(zero_copy_only=False)


class Both:
    """Where a part is `there` on both sides of the pairs, and where it is `equal` besides."""

    def __init__(self, texts: Texts, left: Codes, right: Codes) -> None:
        one, other = texts.codes[left], texts.codes[right]
        self.there: Codes = (one > 0) & (other > 0)
        self.equal: Codes = self.there & (one == other)


def pieces(values: Sequence[str], separator: str, count: int) -> list[Texts]:
    """The first `count` pieces of every value, of which all have so many."""
    split = pc.split_pattern(pa.array(values, pa.string()), separator)
    return [Texts(pc.list_element(split, place)) for place in range(count)]


def cut_of(texts: Texts, cut: Callable[[str], str]) -> Texts:
    """A part of a part, cut once per distinct text."""
    found = Texts([cut(text) for text in texts.values.tolist()])
    found.codes = found.codes[texts.codes]
    return found


def _measured(scorer: Any, a: Texts, left: Codes, b: Texts, right: Codes, where: Codes, missing: float, cutoff: float) -> Codes:
    """`scorer` for the pairs in `where`, once per distinct pair of texts if there are few; `missing` for the others.

    What is below (a similarity) or above (a distance) `cutoff` need not be exact, which makes it several times faster.
    """
    result: Codes = np.full(len(left), missing, dtype=np.float32)
    chosen = np.flatnonzero(where)
    for at in range(0, len(chosen), CHUNK):
        rows = chosen[at : at + CHUNK]
        one, other = a.codes[left[rows]], b.codes[right[rows]]
        size = len(a.values) * len(b.values)
        if size > SMALL_TABLE or size > 4 * len(rows):
            result[rows] = _compared(scorer, a, one, b, other, cutoff)
            continue
        keys = one * len(b.values) + other
        seen: Codes = np.zeros(size, dtype=bool)
        seen[keys] = True
        distinct = np.flatnonzero(seen)
        table: Codes = np.zeros(size, dtype=np.float32)
        table[distinct] = _compared(scorer, a, distinct // len(b.values), b, distinct % len(b.values), cutoff)
        result[rows] = table[keys]
    return result


def _compared(scorer: Any, a: Texts, one: Codes, b: Texts, other: Codes, cutoff: float) -> Codes:
    left, right = a.values[one].tolist(), b.values[other].tolist()
    return np.asarray(process.cpdist(left, right, scorer=scorer, dtype=np.float32, score_cutoff=cutoff, workers=WORKERS))


def alike(a: Texts, left: Codes, b: Texts, right: Codes, where: Codes | None = None) -> Codes:
    """Jaro-Winkler of the pairs where both parts are there, 0 where they are missing or less alike than any level asks for."""
    one, other = a.codes[left], b.codes[right]
    present = (one > 0) & (other > 0)
    if where is not None:
        present &= where
    if a is not b:
        return _measured(JaroWinkler.normalized_similarity, a, left, b, right, present, 0.0, LEAST_ALIKE)
    equal = present & (one == other)
    found = _measured(JaroWinkler.normalized_similarity, a, left, b, right, present & ~equal, 0.0, LEAST_ALIKE)
    return np.where(equal, np.float32(1.0), found)


def edits(a: Texts, left: Codes, right: Codes, where: Codes, most: int) -> Codes:
    """Edits and transpositions between the texts, 99 outside `where`; exact up to `most`."""
    equal = where & (a.codes[left] == a.codes[right])
    found = _measured(OSA.distance, a, left, a, right, where & ~equal, 99.0, most)
    return np.where(equal, np.float32(0.0), found)


class Ends:
    """First and last `size` characters of every text. A slip touches two neighbours at most, so that a text of 2 + 2 size keeps an end."""

    def __init__(self, texts: Texts, size: int) -> None:
        self.texts = texts
        self.first = Texts(pc.utf8_slice_codeunits(texts.distinct, 0, size)).codes
        self.last = Texts(pc.utf8_slice_codeunits(texts.distinct, -size)).codes
        self.short = np.asarray(pc.utf8_length(texts.distinct)) < 2 + 2 * size

    def one_slip(self, left: Codes, right: Codes, where: Codes) -> Codes:
        """Whether the texts differ by one edit or transposition at most, inside `where`."""
        one, other = self.texts.codes[left], self.texts.codes[right]
        near = (self.first[one] == self.first[other]) | (self.last[one] == self.last[other]) | self.short[one] | self.short[other]
        return edits(self.texts, left, right, where & near, 1) <= 1


def true_of(texts: Texts, holds: Callable[[str], bool]) -> Codes:
    """Whether something holds of the part of each value."""
    return np.asarray([holds(text) for text in texts.values.tolist()], dtype=bool)[texts.codes]


def whole(values: Sequence[str]) -> Texts:
    """The value itself."""
    return derive(values, Texts)
