"""What blocking keys are cut from: cuttings of values, parts of keys, rules. Every cutting has texts; most have numbers, made by columns.

Two values share a number if they share a text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import jellyfish
import numpy as np

from spine.identity.blocking.siphash import numbers_of
from spine.identity.comparing.texts import Texts

Array: TypeAlias = Any  # numpy arrays of many element types
Cut: TypeAlias = Callable[[str], Sequence[str]]
MOST_WORDS = 6
_FEW = 200  # texts that are hashed before pandas would have been imported
ODD = np.int64(-7046029254386353131)


@dataclass(frozen=True)
class Cutting:
    """What a standardised value gives a key: `texts` of one value, at most `most`; `numbers` of many values at once where that is quicker.

    `numbers` gives values x keys (0 for none), for which two values share a number if they share a text.
    """

    name: str
    texts: Cut
    most: int = 1
    numbers: Callable[[Sequence[str]], Array] | None = None

    def part(self, feature: str, name: str | None = None) -> Part:
        """This cutting of a feature as a part of a key."""
        return Part(name or self.name, feature, self)


@dataclass(frozen=True)
class Part:
    """Texts that one value of a feature contributes to a key: the first `most`, or if `rank`, the words that fewest records carry."""

    name: str
    feature: str
    cutting: Cutting = field(compare=False)
    most: int = 0
    rank: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "most", self.most or self.cutting.most)


@dataclass(frozen=True)
class Rule:
    """Records that share every part are compared. `split` divides a key with too many records, `budget` is its pairs per record if stated.

    `akin` are features of the attributes that the parts are cut from, too.
    """

    name: str
    parts: tuple[Part, ...]
    split: Part | None = None
    budget: int | None = None
    akin: frozenset[str] = frozenset()

    @property
    def features(self) -> frozenset[str]:
        """Features that this rule's pairs agree on by construction."""
        return self.akin | {part.feature for part in self.parts}


def hashes(texts: Sequence[str]) -> Array:
    """A number per text, never 0, the same on every machine."""
    if len(texts) <= _FEW and "pandas" not in sys.modules:
        hashed = np.array(numbers_of(texts), dtype=np.uint64).astype(np.int64)
    else:
        import pandas as pd

        hashed = pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False).astype(np.int64)
    return np.where(hashed == 0, 1, hashed)


def hash_table(cuts: Sequence[Sequence[str]], most: int) -> Array:
    """The numbers of the first `most` texts of each cut, 0 where there are fewer."""
    table: Array = np.zeros((len(cuts), most), dtype=np.int64)
    counts = [min(most, len(cut)) for cut in cuts]
    rows: Array = np.repeat(np.arange(len(cuts)), counts)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts, dtype=np.int64) - counts, counts)
    if len(rows):
        table[rows, columns] = hashes([text for cut in cuts for text in cut[:most]])
    return table


def of_part(part: Texts, cut: Cut, most: int = 1) -> Array:
    """The numbers of what is cut out of a part of each value."""
    return hash_table([cut(text) for text in part.values.tolist()], most)[part.codes]


def mixed(one: Array, other: Array) -> Array:
    """A number per pair of numbers, 0 where one is missing."""
    with np.errstate(over="ignore"):
        both = (one * ODD) ^ other
    return np.where((one == 0) | (other == 0), 0, np.where(both == 0, 1, both))


def whole(text: str) -> list[str]:
    """The text itself, unless it is empty."""
    return [text] if text else []


def of_value(values: Sequence[str]) -> Array:
    """The value itself."""
    return hashes(values)[:, None] if len(values) else np.zeros((0, 1), dtype=np.int64)


def _value(value: str) -> list[str]:
    return [value]


@lru_cache(maxsize=100_000)
def sound(word: str) -> str:
    """How a word sounds (Metaphone, Philips 1990)."""
    return jellyfish.metaphone(word)


def sounds(text: str) -> list[str]:
    """How the words of a text sound, in order of the sounds; a letter alone has none."""
    return sorted({sound(word) for word in text.split(" ") if len(word) > 1} - {""})


def _words(value: str) -> list[str]:
    return [word for word in dict.fromkeys(value.split()) if len(word) > 1][:MOST_WORDS]


def _all_words(value: str) -> list[str]:
    return [" ".join(sorted(set(value.split())))]


VALUE = Cutting("value", _value, 1, of_value)
WORDS = Cutting("words", _words, MOST_WORDS)
ALL_WORDS = Cutting("all words", _all_words)
