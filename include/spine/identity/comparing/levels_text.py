"""How alike two titles, long texts or numbers are; words weigh by their rarity, so that "the" says little and a model number much.

Kernels in the sense of `levels`. The weight of a word is the log of how few records carry it (inverse document frequency, Spärck Jones
1972), two texts are as alike as the cosine of their words (Salton 1975). A word that the other side writes in two counts as shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from spine.identity.comparing.levels import Pieces, words
from spine.identity.comparing.texts import Codes, derive

CHUNK = 100_000
RARE = 0.7  # of the greatest weight of a word: few records carry it
LEAST_CODE = 4  # characters of a model number


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
        shape = (len(words.words.bounds) - 1, max(1, len(words.words.names)))
        row, whole, one, other = words.joins
        self.weighted = sp.csr_matrix((weight[words.words.columns], words.words.columns, words.words.bounds), shape=shape)
        self.present = sp.csr_matrix((np.ones(len(words.words.columns)), words.words.columns, words.words.bounds), shape=shape)
        self.joined = sp.csr_matrix((np.ones(len(row)), (row, whole)), shape=shape)
        self.parts = sp.csr_matrix((weight[one] + weight[other], (row, whole)), shape=shape)
        self.own = _total(self.weighted)

    def seen(self, left: Codes, right: Codes) -> tuple[Codes, Codes]:
        """What the left text shares with the right one, counted on the left and counted on the right."""
        common = _total(self.weighted[left].multiply(self.present[right]))
        if not self.joined.nnz:
            return common, common
        one = common + self._across(left, right)
        other = common + self._across(right, left)
        return np.minimum(one, self.own[left]), np.minimum(other, self.own[right])

    def _across(self, here: Codes, there: Codes) -> Codes:
        """Words here that the other side writes in two, and words in two here that it writes as one."""
        return _total(self.weighted[here].multiply(self.joined[there])) + _total(self.parts[here].multiply(self.present[there]))


def _total(matrix: sp.csr_matrix) -> Codes:
    return np.asarray(matrix.sum(axis=1), dtype=float).ravel()


def _distinct(kernel: Callable[[Codes, Codes], Codes], values: Sequence[str], left: Codes, right: Codes) -> Codes:
    """`kernel` of each distinct pair of values once."""
    size = np.int64(max(1, len(values)))
    keys, inverse = np.unique(np.asarray(left, dtype=np.int64) * size + right, return_inverse=True)
    return kernel(keys // size, keys % size)[inverse]


def _triples(values: Sequence[str]) -> sp.csr_matrix:
    """Letter triples of every text, rows of length one."""
    found = Pieces(values, lambda value: [value[at : at + 3] for at in range(max(1, len(value) - 2))])
    lengths = np.diff(found.bounds)
    data: Codes = np.repeat(1.0 / np.sqrt(np.maximum(lengths, 1)), lengths)
    return sp.csr_matrix((data, found.columns, found.bounds), shape=(len(lengths), max(1, len(found.names))))


def _spelling(values: Sequence[str], left: Codes, right: Codes) -> Codes:
    """Cosine of the letter triples: high for slips of spelling."""
    triples = derive(values, _triples)
    parts = [_total(triples[left[at : at + CHUNK]].multiply(triples[right[at : at + CHUNK]])) for at in range(0, len(left), CHUNK)]
    return np.concatenate([np.zeros(0), *parts])


TITLE_LEVELS = (
    "same words",
    "nearly the same words",
    "shared model number",
    "one title within the other",
    "many words in common",
    "alike but for a number",
    "few words in common",
    "different title",
)


def title(values: Sequence[str], left: Codes, right: Codes, rarity: Mapping[str, float]) -> Codes:
    """Levels of TITLE_LEVELS; numbers that differ on both sides (`mark 2`, `mark 3`) keep a pair from the levels of likeness."""
    greatest = max(rarity.values(), default=8.0)

    def level(one: Codes, other: Codes) -> Codes:
        found = derive(values, Words).shared(one, other, rarity, greatest)
        spelling = _spelling(values, one, other)
        alike = (found.cosine >= 0.5) | (spelling >= 0.7)
        return np.select(
            [
                (found.cosine >= 0.97) & ~found.clash,
                ((found.cosine >= 0.78) | (spelling >= 0.85)) & ~found.clash,
                found.code,
                (found.within >= 0.85) & (found.weight >= RARE * greatest) & ~found.clash,
                alike & ~found.clash,
                alike,
                found.cosine >= 0.2,
            ],
            [1, 2, 3, 4, 5, 6, 7],
            default=8,
        )

    return _distinct(level, values, left, right)


TEXT_LEVELS = (
    "same text",
    "most words in common",
    "one text within the other",
    "many words in common",
    "some words in common",
    "different text",
)


def text(values: Sequence[str], left: Codes, right: Codes, rarity: Mapping[str, float]) -> Codes:
    """Levels of TEXT_LEVELS."""
    greatest = max(rarity.values(), default=8.0)

    def level(one: Codes, other: Codes) -> Codes:
        found = derive(values, Words).shared(one, other, rarity, greatest)
        within = (found.within >= 0.85) & (found.weight >= RARE * greatest)
        likeness = [found.cosine >= 0.97, found.cosine >= 0.7, within, found.cosine >= 0.4, found.cosine >= 0.15]
        return np.select(likeness, [1, 2, 3, 4, 5], default=6)

    return _distinct(level, values, left, right)


NUMBER_LEVELS = ("same number", "nearly the same", "about the same", "different number")
YEARS = (1_000, 2_200)


def _amounts(values: Sequence[str]) -> Codes:
    return np.asarray(pa.array(values, pa.string()).cast(pa.float64()))


def number(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of NUMBER_LEVELS: up to 2 % and 15 % of the larger one apart; whole numbers that could be years up to one and three.

    A year without its century (`98`) is nearly the same as `1998`.
    """
    amounts = derive(values, _amounts)
    one, other = amounts[left], amounts[right]
    gap, low, high = np.abs(one - other), np.minimum(one, other), np.maximum(one, other)
    relative = gap / np.maximum(np.maximum(np.abs(one), np.abs(other)), 1e-12)
    late = (high >= YEARS[0]) & (high <= YEARS[1]) & (one % 1 == 0) & (other % 1 == 0)
    years = late & (low >= YEARS[0])
    nearly = np.where(years, gap <= 1, relative <= 0.02) | (late & (low >= 0) & (low < 100) & (high % 100 == low))
    about = np.where(years, gap <= 3, relative <= 0.15)
    return np.select([gap == 0, nearly, about], [1, 2, 3], default=4)
