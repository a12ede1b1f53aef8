"""What stated choices do: cuts of a standardised value (`core.choices.CUTS`) and kernels made of stated levels (`core.choices.LEVELS`).

Works on the standardised text of one attribute alone; composites such as a person's name have their own kernels in `levels`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

from spine.core.choices import Cut, Level, parse_level
from spine.identity.blocking.cuttings import ALL_WORDS, WORDS, sounds
from spine.identity.comparing.words import trigrams
from spine.identity.standardize.text import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
Test: TypeAlias = Callable[[Sequence[str], Array, Array, Mapping[str, float]], Array]
_CHUNK = 100_000


class Words(Protocol):
    """The cuts and levels that only one kind of attributes knows, by name."""

    cuts: Mapping[str, Callable[[str], Sequence[str]]]
    levels: Mapping[str, Callable[[float], Test]]


def _sound(value: str) -> list[str]:
    found = sounds(value)
    return [" ".join(found)] if found else []


def _initials(value: str) -> list[str]:
    return ["".join(sorted(word[0] for word in value.split()))]


_CUTS: dict[str, Callable[[str], Sequence[str]]] = {
    "": lambda value: [value],
    "words": WORDS.texts,
    "initial": lambda value: [value[0]],
    "initials": _initials,
    "sound": _sound,
    "sorted": ALL_WORDS.texts,
}


def cut(kind: Words, what: Cut) -> Callable[[str], Sequence[str]]:
    """The function that takes a cut of a standardised value: the texts it contributes to a key, none if it has none."""
    if what.name in _CUTS:
        return _CUTS[what.name]
    if what.name in kind.cuts:
        return kind.cuts[what.name]
    number = what.number
    if what.name == "digitsN":
        return lambda value: [digits[-number:]] if len(digits := re.sub(r"\D", "", value)) >= number else []
    if what.name == "firstN":
        return lambda value: [short[:number]] if (short := value.replace(" ", "")) else []
    return lambda value: [short[-number:]] if (short := value.replace(" ", "")) else []


def most(what: Cut) -> int:
    """The largest number of texts that a cut gives."""
    return WORDS.most if what.name == "words" else 1


def _measured(scorer: Any, cutoff: float) -> Callable[[Sequence[str], Array, Array], Array]:
    """`scorer` of every pair, as far as it lies within `cutoff` (outside it: 0 for a similarity, cutoff + 1 for a distance)."""
    return lambda values, left, right: process.cpdist(
        [values[code] for code in left.tolist()], [values[code] for code in right.tolist()], scorer=scorer, score_cutoff=cutoff,
        dtype=np.float64,
    )  # fmt: skip


def shared(pieces: Callable[[str], Sequence[str]]) -> Test:
    """Tests whether two values have a piece in common."""

    def test(values: Sequence[str], left: Array, right: Array, _: Mapping[str, float]) -> Array:
        index: dict[str, int] = {}
        sets = [frozenset(index.setdefault(piece, len(index)) for piece in pieces(value)) for value in values]
        return np.fromiter((not sets[a].isdisjoint(sets[b]) for a, b in zip(left.tolist(), right.tolist(), strict=True)), bool, len(left))

    return test


def _cosine(pieces: Callable[[str], list[str]], least: float) -> Test:
    """Whether the cosine of the pieces of two values, weighed by their rarity if that is known, reaches `least`."""

    def test(values: Sequence[str], left: Array, right: Array, rarity: Mapping[str, float]) -> Array:
        from scipy.sparse import csr_matrix

        index: dict[str, int] = {}
        cut_values = [[index.setdefault(piece, len(index)) for piece in dict.fromkeys(pieces(value))] for value in values]
        starts = np.cumsum([0, *(len(found) for found in cut_values)])
        unknown = max(rarity.values(), default=1.0)
        weight = np.sqrt([rarity.get(piece, unknown) for piece in index])
        flat = np.asarray([number for found in cut_values for number in found], dtype=np.int64)
        matrix = csr_matrix((weight[flat] if len(flat) else np.zeros(0), flat, starts), shape=(len(values), max(1, len(index))))
        own = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
        shared: Array = np.zeros(len(left))
        for at in range(0, len(left), _CHUNK):
            chunk = slice(at, at + _CHUNK)
            shared[chunk] = np.asarray(matrix[left[chunk]].multiply(matrix[right[chunk]]).sum(axis=1)).ravel()
        return shared >= least * np.maximum(np.sqrt(own[left] * own[right]), 1e-9) - 1e-9

    return test


def _unweighed(test: Test) -> Test:
    return lambda values, left, right, _: test(values, left, right, {})


def near(number: Callable[[str], float], most_apart: float, share: bool = False) -> Test:
    """Tests whether two numbers differ by no more than `most_apart`, or by that percentage of the larger one."""

    def test(values: Sequence[str], left: Array, right: Array, _: Mapping[str, float]) -> Array:
        numbers = np.asarray([number(value) for value in values], dtype=float)
        one, other = numbers[left], numbers[right]
        allowed = most_apart / 100 * np.maximum(np.abs(one), np.abs(other)) if share else most_apart
        return np.abs(one - other) <= allowed + 1e-9

    return test


def _test(kind: Words, level: Level) -> Test:
    number = level.number
    if level.form in kind.levels:
        return kind.levels[level.form](number)
    tests: dict[str, Callable[[], Test]] = {
        "exact": lambda: lambda _values, left, right, _rarity: left == right,
        "same CUT": lambda: shared(cut(kind, level.cut)),
        "prefix N": lambda: shared(_long(kind, Cut("firstN", int(number)))),
        "suffix N": lambda: shared(_long(kind, Cut("lastN", int(number)))),
        "edits <= N": lambda: lambda values, left, right, _: _measured(OSA.distance, number)(values, left, right) <= number,
        "jaro_winkler >= X": lambda: (
            lambda values, left, right, _: (
                _measured(JaroWinkler.normalized_similarity, number)(values, left, right) >= max(number - 1e-9, 1e-9)
            )
        ),
        "words >= X": lambda: _cosine(str.split, number),
        "letters >= X": lambda: _unweighed(_cosine(trigrams, number)),
    }
    return tests[level.form]()


def _long(kind: Words, what: Cut) -> Callable[[str], list[str]]:
    """The cut of values that are long enough for it."""
    taken = cut(kind, what)
    return lambda value: [found for found in taken(value) if len(found) == what.number]


def kernel(kind: Words, stated: Sequence[Level]) -> Test:
    """A kernel that gives the number of the first level a pair reaches, and one more if it reaches none."""
    tests = [_test(kind, level) for level in stated]

    def compare(values: Sequence[str], left: Array, right: Array, rarity: Mapping[str, float]) -> Array:
        keys, inverse = np.unique(left.astype(np.int64) * len(values) + right, return_inverse=True)
        one, other = keys // max(1, len(values)), keys % max(1, len(values))
        undecided: Array = np.arange(len(keys))
        result: Array = np.full(len(keys), len(tests) + 1, dtype=np.int64)
        for number, test in enumerate(tests, start=1):
            reached = test(values, one[undecided], other[undecided], rarity)
            result[undecided[reached]] = number
            undecided = undecided[~reached]
        return result[inverse]

    return compare


def beliefs(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Chances of `count` levels and of `different` among matches and strangers before data speak.

    Nine matches in ten agree, most of them on the first level; chance agreement is 200 times rarer there, 1.5 times on the last level.
    """
    shares = np.asarray([0.75, *(0.15 / 2**at for at in range(1, count))])
    shares *= 0.9 / shares.sum()
    chances = shares / np.geomspace(200.0, 200.0 if count == 1 else 1.5, count)
    return (*shares.tolist(), 0.1), (*chances.tolist(), 1 - chances.sum())


def together(values: Sequence[str | None]) -> str | None:
    """The values of several attributes as one text; None if one is missing."""
    return SEP.join(value for value in values if value) if values and all(values) else None


def all_differ(values: Sequence[str], left: Array, right: Array, _: Mapping[str, float]) -> Array:
    """2 for pairs of `together` texts that differ in every attribute, 1 otherwise."""
    parts = [
        np.unique(np.asarray(part, dtype=object), return_inverse=True)[1]
        for part in zip(*(value.split(SEP) for value in values), strict=True)
    ]
    return np.where(np.logical_and.reduce([part[left] != part[right] for part in parts]), 2, 1)


@lru_cache(maxsize=256)
def parse_levels(texts: tuple[str, ...], kind: str) -> tuple[Level, ...]:
    """Stated levels of a comparison."""
    return tuple(parse_level(text, kind) for text in texts)
