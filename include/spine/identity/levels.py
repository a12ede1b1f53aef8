"""How alike two values are, as a small level per pair: 1 is the surest agreement, the last level plain disagreement, 0 not comparable.

A kernel gets the distinct values of a feature and two arrays of codes into them, one entry per distinct pair of values; work that
depends on one value alone is done once per value. Similarities: Winkler 1990 (Jaro-Winkler) and OSA (edits with transpositions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

from spine.identity import standardize, vocabulary
from spine.identity.standardize import SEP

Codes: TypeAlias = Any  # numpy arrays of many element types
Kernel = Callable[[Sequence[str], Codes, Codes, Mapping[str, float]], Codes]


class Texts:
    """One part of every distinct value, with its own codes so that equality is an integer comparison; `` is code 0 and means absent."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.values, codes = np.unique(np.asarray(["", *parts], dtype=object), return_inverse=True)
        self.codes = codes[1:]

    def present(self, which: Codes) -> Codes:
        """Whether the part is there."""
        return self.codes[which] > 0


def _measured(scorer: Any, a: Texts, left: Codes, b: Texts, right: Codes, where: Codes, missing: float) -> Codes:
    """`scorer` for the pairs in `where`, once per distinct pair of texts; `missing` for the others."""
    result: Codes = np.full(len(left), missing, dtype=np.float32)
    chosen = np.flatnonzero(where)
    if len(chosen):
        keys = a.codes[left[chosen]].astype(np.int64) * len(b.values) + b.codes[right[chosen]]
        distinct, inverse = np.unique(keys, return_inverse=True)
        one, other = a.values[distinct // len(b.values)], b.values[distinct % len(b.values)]
        result[chosen] = process.cpdist(list(one), list(other), scorer=scorer, dtype=np.float32)[inverse]
    return result


def _alike(a: Texts, left: Codes, b: Texts, right: Codes) -> Codes:
    """Jaro-Winkler of the pairs where both parts are there, 0 otherwise."""
    return _measured(JaroWinkler.normalized_similarity, a, left, b, right, a.present(left) & b.present(right), 0.0)


def _edits(a: Texts, left: Codes, right: Codes, where: Codes) -> Codes:
    return _measured(OSA.distance, a, left, a, right, where, 99.0)


class Names:
    """Forename and surname of every distinct name, and what is derived from one name alone."""

    def __init__(self, values: Sequence[str]) -> None:
        split = [value.split(SEP) for value in values]
        self.first = Texts([forename for forename, _ in split])
        self.last = Texts([surname for _, surname in split])
        self.head = Texts([forename.split(" ")[0] for forename, _ in split])
        self.tail = Texts([surname.split(" ")[-1] for _, surname in split])
        self.groups = [vocabulary.NICKNAMES.get(word, frozenset()) for word in self.head.values]

    def forenames(self, left: Codes, right: Codes) -> Codes:
        """Similarity of the forenames: of the whole or of their first words."""
        return np.maximum(_alike(self.first, left, self.first, right), _alike(self.head, left, self.head, right))

    def surnames(self, left: Codes, right: Codes) -> Codes:
        """Similarity of the surnames: of the whole or of their last words."""
        return np.maximum(_alike(self.last, left, self.last, right), 0.97 * _alike(self.tail, left, self.tail, right))

    def crossed(self, left: Codes, right: Codes) -> tuple[Codes, Codes]:
        """Similarity of the left forename with the right surname, and of the left surname with the right forename."""
        return _alike(self.first, left, self.last, right), _alike(self.last, left, self.first, right)

    def nicknames(self, left: Codes, right: Codes) -> Codes:
        """Whether both forenames are forms of one name."""
        keys = self.head.codes[left].astype(np.int64) * len(self.groups) + self.head.codes[right]
        distinct, inverse = np.unique(keys, return_inverse=True)
        share = [bool(self.groups[key // len(self.groups)] & self.groups[key % len(self.groups)]) for key in distinct.tolist()]
        return np.asarray(share, dtype=bool)[inverse] if share else np.zeros(0, dtype=bool)

    def initials(self, left: Codes, right: Codes) -> Codes:
        """Whether one forename is just the other's first letter."""
        letter = np.asarray([word[:1] for word in self.head.values], dtype=object)
        short = np.asarray([len(word) == 1 for word in self.head.values])
        a, b = self.head.codes[left], self.head.codes[right]
        return (letter[a] == letter[b]) & (short[a] | short[b]) & (a > 0) & (b > 0)


def _orientation(names: Names, left: Codes, right: Codes) -> tuple[Codes, Codes, Codes]:
    """Straight similarities (forename, surname) and the similarity if the two fields are swapped (the weaker half, or the only one)."""
    forename, surname = names.forenames(left, right), names.surnames(left, right)
    one, other = names.crossed(left, right)
    whole = names.first.present(left) & names.last.present(left) & names.first.present(right) & names.last.present(right)
    lone = (~names.last.present(left) | ~names.last.present(right)) & (names.first.present(left) & names.first.present(right))
    crossed = np.where(whole, np.minimum(one, other), np.where(lone, np.maximum(one, other), 0.0))
    straight = np.where(whole, np.minimum(forename, surname), forename)
    return forename, surname, np.where((crossed >= 0.88) & (crossed > straight), crossed, 0.0)


FORENAME_LEVELS = (
    "same forename",
    "nickname or close spelling",
    "forename and surname swapped",
    "initial",
    "similar forename",
    "different forename",
)
SURNAME_LEVELS = ("same surname", "close spelling", "similar surname", "different surname")


def forename(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of FORENAME_LEVELS; a lone name that fits the other's surname says nothing about the forename."""
    names = Names(values)
    alike, _surname, swapped = _orientation(names, left, right)
    comparable = names.first.present(left) & names.first.present(right)
    lone = ~names.last.present(left) | ~names.last.present(right)
    same = (names.first.codes[left] == names.first.codes[right]) | (names.head.codes[left] == names.head.codes[right])
    initial = names.initials(left, right)
    level = np.select(
        [
            ~comparable | (lone & (swapped > 0)),
            same & ~initial,
            swapped > 0,
            initial,
            names.nicknames(left, right) | (alike >= 0.9),
            alike >= 0.78,
        ],
        [0, 1, 3, 4, 2, 5],
        default=6,
    )
    return np.where((level == 0) | (names.first.codes[left] != names.first.codes[right]) | ~comparable, level, np.where(initial, 4, 1))


def surname(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of SURNAME_LEVELS, in the orientation in which the two names fit better."""
    names = Names(values)
    _forename, straight, swapped = _orientation(names, left, right)
    comparable: Codes = (names.last.present(left) & names.last.present(right)) | (swapped > 0)
    alike: Codes = np.where(swapped > 0, swapped, straight)
    return np.select([~comparable, alike >= 0.999, alike >= 0.9, alike >= 0.78], [0, 1, 2, 3], default=4)


DATE_LEVELS = ("same date", "one slip or swapped day and month", "two slips", "same year", "different date")


def date(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of DATE_LEVELS; unknown days and months are not held against a pair."""
    whole, year = Texts(list(values)), Texts([value[:4] for value in values])
    swapped = Texts([value[:4] + value[6:] + value[4:6] for value in values])
    known = np.asarray([not value.endswith("00") for value in values], dtype=bool)
    month = Texts([value[4:6] for value in values])
    same_year = year.codes[left] == year.codes[right]
    partial = ~known[left] | ~known[right]
    same_month = (
        (month.codes[left] == month.codes[right]) | (month.values[month.codes[left]] == "00") | (month.values[month.codes[right]] == "00")
    )
    distance = _edits(whole, left, right, np.ones(len(left), dtype=bool))
    turned = whole.values[whole.codes[left]] == swapped.values[swapped.codes[right]]
    level = np.select([distance == 0, (distance == 1) | turned, distance == 2, same_year], [1, 2, 3, 4], default=5)
    return np.where(partial, np.where(same_year & same_month, np.maximum(level, 3), np.where(same_year, 4, 5)), level)


EMAIL_LEVELS = ("same address", "same mailbox elsewhere", "close spelling", "same role address", "same company domain", "different address")


def email(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of EMAIL_LEVELS; a role address (`info@`) never counts as a personal one, a free-mail domain never as a company's."""
    local, domain = Texts([value.split("@")[0] for value in values]), Texts([value.split("@")[1] for value in values])
    role = np.asarray([standardize.is_role_mail(value) for value in values], dtype=bool)
    long = np.asarray([len(value.split("@")[0]) >= 5 for value in values], dtype=bool)
    free = np.asarray([value.split("@")[1] in vocabulary.FREE_MAIL for value in values], dtype=bool)
    same_local, same_domain = local.codes[left] == local.codes[right], domain.codes[left] == domain.codes[right]
    same, roles = same_local & same_domain, role[left] | role[right]
    close = _edits(Texts(list(values)), left, right, long[left] & long[right]) <= 1
    return np.select(
        [same & role[left], same, same_domain & ~free[left] & roles, roles, close, same_local & long[left], same_domain & ~free[left]],
        [4, 1, 5, 6, 3, 2, 5],
        default=6,
    )


PHONE_LEVELS = ("same number", "same last seven digits", "one digit off", "different number")


def phone(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of PHONE_LEVELS."""
    whole, short = Texts(list(values)), Texts([value[-7:] for value in values])
    uneven = np.asarray([len(value) for value in values])
    same = whole.codes[left] == whole.codes[right]
    tail = (short.codes[left] == short.codes[right]) & (uneven[left] >= 7) & (uneven[right] >= 7)
    cut = tail & (uneven[left] != uneven[right])
    close = _edits(whole, left, right, np.ones(len(left), dtype=bool)) <= 1
    return np.select([same | cut, tail, close], [1, 2, 3], default=4)


ADDRESS_LEVELS = ("same house", "same number, other spelling", "same street", "same postcode", "near postcode", "same town", "elsewhere")


def address(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of ADDRESS_LEVELS from house number, street, postcode and town together, since they depend on each other."""
    split = [value.split(SEP) for value in values]
    number, road, code, town = (Texts([parts[place] for parts in split]) for place in range(4))
    head = Texts([max(parts[1].split(" "), key=len) for parts in split])
    district = Texts([standardize.postcode_district(parts[2]) for parts in split])

    def both(part: Texts) -> Codes:
        return part.present(left) & part.present(right)

    def equal(part: Texts) -> Codes:
        return both(part) & (part.codes[left] == part.codes[right])

    towns = equal(town) | (_alike(town, left, town, right) >= 0.92)
    streets = equal(road) | equal(head) | (_alike(road, left, road, right) >= 0.9)
    apart = (both(code) & ~equal(code)) & (both(town) & ~towns)
    place = equal(code) | towns
    near = (both(code) & (_edits(code, left, right, both(code)) <= 1)) | (equal(district) & towns)
    nothing = ~(both(number) & both(road)) & ~both(code) & ~both(town) & ~both(road) & ~both(number)
    return np.select(
        [
            nothing,
            equal(number) & streets & ~apart,
            equal(number) & (place | (~both(code) & ~both(town))) & ~streets,
            streets & ~both(number) & ~apart,
            equal(code),
            near,
            towns | equal(district),
        ],
        [0, 1, 2, 3, 4, 5, 6],
        default=7,
    )


ORGANIZATION_LEVELS = (
    "same name",
    "nearly the same words",
    "one name within the other",
    "several words in common",
    "few words in common",
    "different name",
)


def _weighted(values: Sequence[str], cut: Callable[[str], list[str]], weights: Mapping[str, float], unknown: float) -> sp.csr_matrix:
    """One row per value, one column per distinct piece, sqrt of the piece's weight."""
    index: dict[str, int] = {}
    rows, columns, data = [], [], []
    for row, value in enumerate(values):
        for piece in set(cut(value)):
            rows.append(row)
            columns.append(index.setdefault(piece, len(index)))
            data.append(weights.get(piece, unknown))
    return sp.csr_matrix((np.sqrt(data), (rows, columns)), shape=(len(values), max(1, len(index))))


def _trigrams(value: str) -> list[str]:
    padded = f" {value} "
    return [padded[at : at + 3] for at in range(len(padded) - 2)]


def _overlap(matrix: sp.csr_matrix, left: Codes, right: Codes) -> tuple[Codes, Codes, Codes]:
    """Shared weight and the weight of either side, in chunks so that memory stays flat."""
    own = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    shared = [
        np.asarray(matrix[left[at : at + 100_000]].multiply(matrix[right[at : at + 100_000]]).sum(axis=1)).ravel()
        for at in range(0, len(left), 100_000)
    ]
    return (np.concatenate(shared) if shared else np.zeros(0)), own[left], own[right]


def organization(values: Sequence[str], left: Codes, right: Codes, rarity: Mapping[str, float]) -> Codes:
    """Levels of ORGANIZATION_LEVELS: words weigh by their rarity, spelling slips are caught by letter triples."""
    unknown = max(rarity.values(), default=8.0)
    shared, one, other = _overlap(_weighted(values, str.split, rarity, unknown), left, right)
    pieces, left_pieces, right_pieces = _overlap(_weighted(values, _trigrams, {}, 1.0), left, right)
    cosine = shared / np.maximum(np.sqrt(one * other), 1e-9)
    within = shared / np.maximum(np.minimum(one, other), 1e-9)
    spelling = pieces / np.maximum(np.sqrt(left_pieces * right_pieces), 1e-9)
    strong = shared >= unknown * 0.7
    return np.select(
        [
            cosine >= 0.97,
            (cosine >= 0.72) | (spelling >= 0.78),
            (within >= 0.85) & strong,
            (cosine >= 0.42) | (spelling >= 0.6),
            cosine >= 0.15,
        ],
        [1, 2, 3, 4, 5],
        default=6,
    )


URL_LEVELS = ("same host", "same name, other ending", "different host")


def url(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of URL_LEVELS."""
    whole, name = Texts(list(values)), Texts([max(value.split(".")[:-1], key=len) for value in values])
    return np.select([whole.codes[left] == whole.codes[right], name.codes[left] == name.codes[right]], [1, 2], default=3)


IDENTIFIER_LEVELS = ("same identifier", "one character off", "different identifier")


def identifier(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of IDENTIFIER_LEVELS."""
    distance = _edits(Texts(list(values)), left, right, np.ones(len(left), dtype=bool))
    return np.select([distance == 0, distance == 1], [1, 2], default=3)


CATEGORY_LEVELS = ("same", "different")


def category(_values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of CATEGORY_LEVELS."""
    return np.where(left == right, 1, 2)
