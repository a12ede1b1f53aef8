"""What names, addresses, mails and phones contribute to blocking keys, as numbers: made once per distinct word or part, not per value.

Each function gets the distinct values of a feature and gives values x keys (0 for none): two values share a number if they share the text
that the function of the same name in `blocking` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from spine.identity.comparing.parts import Addresses, Mails, Names, Phones
from spine.identity.comparing.texts import Texts, derive

Array: TypeAlias = Any  # numpy arrays of many element types
Cut = Callable[[str], Sequence[str]]
_ODD = np.int64(-7046029254386353131)


def hashes(texts: Sequence[str]) -> Array:
    """A number per text, never 0, the same on every machine."""
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


def _of_part(part: Texts, cut: Cut, most: int = 1) -> Array:
    return hash_table([cut(text) for text in part.values.tolist()], most)[part.codes]


def of_words(words: Cut, groups: Cut) -> Callable[[Sequence[str]], Array]:
    """`words` of surname and of forename, and `groups` of the first forename: two of each."""

    def numbers(values: Sequence[str]) -> Array:
        names = derive(values, Names)
        return np.concatenate([_of_part(names.last, words, 2), _of_part(names.first, words, 2), _of_part(names.head, groups, 2)], axis=1)

    return numbers


def of_all(words: Cut) -> Callable[[Sequence[str]], Array]:
    """All `words` of a name together, in whatever order; 0 for a name of one such word."""

    def numbers(values: Sequence[str]) -> Array:
        names = derive(values, Names)
        total: Array = np.zeros(len(values), dtype=np.int64)
        count: Array = np.zeros(len(values), dtype=np.int64)
        for part in (names.first, names.last):
            table = hash_table([sorted(set(words(text))) for text in part.values.tolist()], 12)
            with np.errstate(over="ignore"):
                total += (table * (table ^ _ODD)).sum(axis=1)[part.codes]
            count += (table != 0).sum(axis=1)[part.codes]
        return np.where(count > 1, np.where(total == 0, 1, total), 0)[:, None]

    return numbers


def _mixed(one: Array, other: Array) -> Array:
    with np.errstate(over="ignore"):
        mixed = (one * _ODD) ^ other
    return np.where((one == 0) | (other == 0), 0, np.where(mixed == 0, 1, mixed))


def of_initials(values: Sequence[str]) -> Array:
    """The initials of forename and surname in either order, for names that have both."""
    names = derive(values, Names)
    one, other = (_of_part(part, lambda text: [text[:1]] if text else []) for part in (names.first, names.last))
    return _mixed(np.minimum(one, other), np.maximum(one, other)) * ((one != 0) & (other != 0))


def of_initial(values: Sequence[str]) -> Array:
    """The forename's initial."""
    return _of_part(derive(values, Names).first, lambda text: [text[:1]] if text else [])


def of_initial_and(sound: Callable[[str], str]) -> Callable[[Sequence[str]], Array]:
    """The forename's initial and how the surname's last word sounds."""

    def numbers(values: Sequence[str]) -> Array:
        names = derive(values, Names)
        return _mixed(of_initial(values), _of_part(names.tail, lambda text: [f"#{sound(text)}"] if text else []))

    return numbers


def of_house(values: Sequence[str]) -> Array:
    """House number and longest word of the street."""
    parts = derive(values, Addresses)
    return _mixed(_of_part(parts.number, _whole), _of_part(parts.head, _whole))


def of_address(part: str) -> Callable[[Sequence[str]], Array]:
    """One part of an address: number, road, code, town or district."""
    return lambda values: _of_part(getattr(derive(values, Addresses), part), _whole)


def _whole(text: str) -> list[str]:
    return [text] if text else []


def of_value(values: Sequence[str]) -> Array:
    """The value itself."""
    return hashes(values)[:, None] if len(values) else np.zeros((0, 1), dtype=np.int64)


def of_personal_mail(values: Sequence[str]) -> Array:
    """The address, unless it belongs to a function rather than a person."""
    return np.where(derive(values, Mails).role[:, None], 0, of_value(values))


def of_tail(values: Sequence[str]) -> Array:
    """The last seven digits."""
    return _of_part(derive(values, Phones).tail, _whole)
