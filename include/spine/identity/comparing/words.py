"""Texts as sets of words or letter triples, weighed by how rare they are; what pairs of texts share.

The weight of a word is the log of how few records carry it (inverse document frequency, Spärck Jones 1972), two texts are as alike as the
cosine of their words (Salton 1975). A word that the other side writes in two counts as shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from spine.identity.comparing.texts import Codes, derive

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CHUNK = 100_000
RARE = 0.7  # of the greatest weight of a word: few records carry it
LEAST_CODE = 4  # characters of a model number


class Pieces:
    """One row per value, one column per distinct piece (word or letter triple)."""

    def __init__(self, values: Sequence[str], cut: Callable[[str], list[str]]) -> None:
        pieces = [list(dict.fromkeys(cut(value))) for value in values]
        encoded = pa.array([piece for found in pieces for piece in found], pa.string()).dictionary_encode()
        self.names: list[str] = encoded.dictionary.to_pylist()
        self.columns = np.asarray(encoded.indices, dtype=np.int64)
        self.bounds = np.r_[0, np.cumsum([len(found) for found in pieces])].astype(np.int64)

    def weighted(self, weights: Mapping[str, float], unknown: float) -> csr_matrix:
        """The matrix of the square roots of the pieces' weights."""
        from scipy.sparse import csr_matrix

        data = np.sqrt([weights.get(name, unknown) for name in self.names])[self.columns] if self.names else np.zeros(0)
        return csr_matrix((data, self.columns, self.bounds), shape=(len(self.bounds) - 1, max(1, len(self.names))))


def words(values: Sequence[str]) -> Pieces:
    """The words of every value."""
    return Pieces(values, str.split)


@dataclass(frozen=True)
class Shared:
    """What pairs of texts share: cosine, share and weight of the shorter side, a rare word with a digit, numbers that both lack."""

    cosine: Codes
    within: Codes
    weight: Codes
    code: Codes
    clash: Codes


class Words:
    """Words of every distinct text, and its neighbouring words written as one where another text knows such a word."""

    def __init__(self, values: Sequence[str]) -> None:
        self.words = derive(values, words)
        index = {word: place for place, word in enumerate(self.words.names)}
        joins = [
            (row, index[one + other], index[one], index[other])
            for row, value in enumerate(values)
            for one, other in pairwise(value.split())
            if one + other in index
        ]
        self.joins = np.asarray(joins, dtype=np.int64).reshape(len(joins), 4).T
        self.digits = np.asarray([any(char.isdigit() for char in word) for word in index], dtype=bool)
        self.long = np.asarray([len(word) >= LEAST_CODE for word in index], dtype=bool)

    def shared(self, left: Codes, right: Codes, rarity: Mapping[str, float], greatest: float) -> Shared:
        """What the pairs of texts have in common."""
        weight = np.asarray([rarity.get(word, greatest) for word in self.words.names], dtype=float)
        codes = (self.digits & self.long & (weight >= RARE * greatest)).astype(float)
        weights, numbers = _Sides(self, weight), _Sides(self, self.digits.astype(float))
        coded = _Sides(self, codes)
        none: Codes = np.zeros(0)
        no: Codes = np.zeros(0, dtype=bool)
        one, other, code, clash = none, none, no, no
        for at in range(0, len(left), CHUNK):
            a, b = left[at : at + CHUNK], right[at : at + CHUNK]
            mine, theirs = weights.seen(a, b)
            one, other = np.r_[one, mine], np.r_[other, theirs]
            code = np.r_[code, np.maximum(*coded.seen(a, b)) > 0]
            mine, theirs = numbers.seen(a, b)
            clash = np.r_[clash, (numbers.own[a] - mine > 0.5) & (numbers.own[b] - theirs > 0.5)]
        own_left, own_right = weights.own[left], weights.own[right]
        both = np.sqrt(one * other)
        shorter = np.minimum(own_left, own_right)
        within = np.maximum(np.where(own_left <= shorter, one, 0.0), np.where(own_right <= shorter, other, 0.0)) / np.maximum(shorter, 1e-9)
        return Shared(both / np.maximum(np.sqrt(own_left * own_right), 1e-9), within, both, code, clash)


class _Sides:
    """Sums of one weight per word over what two texts share, as each side counts it."""

    def __init__(self, words: Words, weight: Codes) -> None:
        from scipy.sparse import csr_matrix

        shape = (len(words.words.bounds) - 1, max(1, len(words.words.names)))
        row, whole, one, other = words.joins
        self.weighted = csr_matrix((weight[words.words.columns], words.words.columns, words.words.bounds), shape=shape)
        self.present = csr_matrix((np.ones(len(words.words.columns)), words.words.columns, words.words.bounds), shape=shape)
        self.joined = csr_matrix((np.ones(len(row)), (row, whole)), shape=shape)
        self.parts = csr_matrix((weight[one] + weight[other], (row, whole)), shape=shape)
        self.own = total(self.weighted)

    def seen(self, left: Codes, right: Codes) -> tuple[Codes, Codes]:
        """What the left text shares with the right one, counted on the left and counted on the right."""
        common = total(self.weighted[left].multiply(self.present[right]))
        if not self.joined.nnz:
            return common, common
        one = common + self._across(left, right)
        other = common + self._across(right, left)
        return np.minimum(one, self.own[left]), np.minimum(other, self.own[right])

    def _across(self, here: Codes, there: Codes) -> Codes:
        """Words here that the other side writes in two, and words in two here that it writes as one."""
        return total(self.weighted[here].multiply(self.joined[there])) + total(self.parts[here].multiply(self.present[there]))


def total(matrix: csr_matrix) -> Codes:
    """Sums of the rows."""
    return np.asarray(matrix.sum(axis=1), dtype=float).ravel()


def of_distinct(kernel: Callable[[Codes, Codes], Codes], values: Sequence[str], left: Codes, right: Codes) -> Codes:
    """`kernel` of each distinct pair of values once."""
    size = np.int64(max(1, len(values)))
    keys, inverse = np.unique(np.asarray(left, dtype=np.int64) * size + right, return_inverse=True)
    return kernel(keys // size, keys % size)[inverse]


def trigrams(value: str) -> list[str]:
    """The letter triples of a text, its ends marked by a blank."""
    padded = f" {value} "
    return [padded[at : at + 3] for at in range(len(padded) - 2)]


def triples(values: Sequence[str]) -> csr_matrix:
    """Letter triples of every text, rows of length one."""
    from scipy.sparse import csr_matrix

    found = Pieces(values, lambda value: [value[at : at + 3] for at in range(max(1, len(value) - 2))])
    lengths = np.diff(found.bounds)
    data: Codes = np.repeat(1.0 / np.sqrt(np.maximum(lengths, 1)), lengths)
    return csr_matrix((data, found.columns, found.bounds), shape=(len(lengths), max(1, len(found.names))))


def spelling(values: Sequence[str], left: Codes, right: Codes) -> Codes:
    """Cosine of the letter triples: high for slips of spelling."""
    cut = derive(values, triples)
    parts = [total(cut[left[at : at + CHUNK]].multiply(cut[right[at : at + CHUNK]])) for at in range(0, len(left), CHUNK)]
    return np.concatenate([np.zeros(0), *parts])
