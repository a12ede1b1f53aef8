"""Parts of every distinct value of a feature, and what is derived from one value alone: made once, by columns rather than value by value.

`texts_of` functions give the part whose rarity a comparison's level takes into account.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity import standardize
from spine.identity.comparing.texts import Codes, Ends, Texts, alike, cut_of, derive, pieces
from spine.identity.standardize import SEP, vocabulary

TextsOf = Callable[[Sequence[str]], Texts]
_AFTER_ITS_HEAD = r"(?s)[._-].*"


class Names:
    """Forename and surname of every distinct name, and what is derived from one name alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.last_asked = threading.local()
        self.first, self.last = pieces(values, SEP, 2)
        self.many_first, self.many_last = (_true_of(part, lambda text: " " in text) for part in (self.first, self.last))
        self.begins = _initials(self.first, self.last)
        self.head = cut_of(self.first, lambda text: text.split(" ")[0])
        self.tail = cut_of(self.last, lambda text: text.split(" ")[-1])
        self.groups = [vocabulary.NICKNAMES.get(word, frozenset()) for word in self.head.values]
        self.grouped = np.asarray([bool(group) for group in self.groups], dtype=bool)
        self.initial = Texts([word[:1] for word in self.head.values]).codes
        self.short = np.asarray([len(word) == 1 for word in self.head.values], dtype=bool)

    def forenames(self, left: Codes, right: Codes) -> Codes:
        """Similarity of the forenames: of the whole or of their first words."""
        heads = alike(self.head, left, self.head, right, self.many_first[left] | self.many_first[right])
        return np.maximum(alike(self.first, left, self.first, right), heads)

    def surnames(self, left: Codes, right: Codes) -> Codes:
        """Similarity of the surnames: of the whole or of their last words."""
        tails = alike(self.tail, left, self.tail, right, self.many_last[left] | self.many_last[right])
        return np.maximum(alike(self.last, left, self.last, right), 0.97 * tails)

    def crossed(self, left: Codes, right: Codes) -> tuple[Codes, Codes]:
        """Similarity of the left forename with the right surname, and of the left surname with the right forename, with one initial."""
        one = alike(self.first, left, self.last, right, self.begins[left, 0] == self.begins[right, 1])
        return one, alike(self.last, left, self.first, right, self.begins[left, 1] == self.begins[right, 0])

    def nicknames(self, left: Codes, right: Codes) -> Codes:
        """Whether both forenames are forms of one name."""
        found: Codes = np.zeros(len(left), dtype=bool)
        a, b = self.head.codes[left], self.head.codes[right]
        rows = np.flatnonzero(self.grouped[a] & self.grouped[b] & (a != b))
        keys, inverse = np.unique(a[rows] * len(self.groups) + b[rows], return_inverse=True)
        share = [bool(self.groups[key // len(self.groups)] & self.groups[key % len(self.groups)]) for key in keys.tolist()]
        found[rows] = np.asarray(share, dtype=bool)[inverse]
        return found

    def initials(self, left: Codes, right: Codes) -> Codes:
        """Whether one forename is just the other's first letter."""
        a, b = self.head.codes[left], self.head.codes[right]
        return (self.initial[a] == self.initial[b]) & (self.short[a] | self.short[b]) & (a > 0) & (b > 0)


def _true_of(texts: Texts, holds: Callable[[str], bool]) -> Codes:
    """Whether something holds of the part of each value."""
    return np.asarray([holds(text) for text in texts.values.tolist()], dtype=bool)[texts.codes]


def _initials(*parts: Texts) -> Codes:
    """The first letters of each value's parts, a column per part; equal letters have equal numbers in all columns."""
    letters = Texts([text[:1] for part in parts for text in part.values.tolist()]).codes
    columns = np.split(letters, np.cumsum([len(part.values) for part in parts])[:-1])
    return np.stack([column[part.codes] for column, part in zip(columns, parts, strict=True)], axis=1)


class Dates:
    """What is derived from one date alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, self.year = Texts(values), Texts([value[:4] for value in values])
        turned = pa.array([value[:4] + value[6:] + value[4:6] for value in values], pa.string())
        self.turned = np.asarray(pc.fill_null(pc.index_in(turned, self.whole.distinct), -1), dtype=np.int64)
        self.known = np.asarray([not value.endswith("00") for value in values], dtype=bool)
        self.month = Texts([value[4:6].replace("00", "") for value in values])


class Mails:
    """What is derived from one address alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, (self.local, self.domain) = Texts(values), pieces(values, "@", 2)
        head = pc.replace_substring_regex(self.local.distinct, _AFTER_ITS_HEAD, "")
        self.role = np.asarray(pc.is_in(head, pa.array(sorted(vocabulary.ROLE_MAILBOXES))), dtype=bool)[self.local.codes]
        self.long = (np.asarray(pc.utf8_length(self.local.distinct)) >= 5)[self.local.codes]
        self.free = _true_of(self.domain, lambda domain: domain in vocabulary.FREE_MAIL)


class Phones:
    """What is derived from one number alone."""

    def __init__(self, values: Sequence[str]) -> None:
        numbers = pa.array(values, pa.string())
        self.whole, self.tail = Texts(numbers), Texts(pc.utf8_slice_codeunits(numbers, -7))
        self.digits = np.asarray(pc.utf8_length(numbers), dtype=np.int64)
        self.ends = Ends(self.whole, 3)


class Addresses:
    """Parts of every distinct address; `head` is the longest word of the street."""

    def __init__(self, values: Sequence[str]) -> None:
        self.number, self.road, self.code, self.town = pieces(values, SEP, 4)
        self.head = cut_of(self.road, lambda road: max(road.split(" "), key=len))
        self.district = cut_of(self.code, standardize.postcode_district)
        self.code_ends = Ends(self.code, 1)


def whole(values: Sequence[str]) -> Texts:
    """The value itself."""
    return derive(values, Texts)


def forename(values: Sequence[str]) -> Texts:
    """The forename of a name."""
    return derive(values, Names).first


def surname(values: Sequence[str]) -> Texts:
    """The surname of a name."""
    return derive(values, Names).last


def domain(values: Sequence[str]) -> Texts:
    """What follows the `@` of an address."""
    return derive(values, Mails).domain


def house(values: Sequence[str]) -> Texts:
    """House number and longest word of the street."""
    return derive(values, _houses)


def _houses(values: Sequence[str]) -> Texts:
    parts = derive(values, Addresses)
    columns = [part.distinct.take(pa.array(part.codes)) for part in (parts.number, parts.head)]
    return Texts(pc.binary_join_element_wise(*columns, " "))


def road(values: Sequence[str]) -> Texts:
    """The street of an address."""
    return derive(values, Addresses).road


def postcode(values: Sequence[str]) -> Texts:
    """The postcode of an address."""
    return derive(values, Addresses).code


def town(values: Sequence[str]) -> Texts:
    """The town of an address."""
    return derive(values, Addresses).town
