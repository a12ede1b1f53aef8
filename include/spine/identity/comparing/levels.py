"""How alike two values are, as a small level per pair: 1 is the surest agreement, the last level plain disagreement, 0 not comparable.

A kernel gets the distinct values of a feature and two arrays of codes into them, one entry per distinct pair of values; work that
depends on one value alone is done once per value. Similarities: Winkler 1990 (Jaro-Winkler) and OSA (edits with transpositions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from spine.identity.comparing.parts import Addresses, Dates, Mails, Names, Phones
from spine.identity.comparing.texts import Both, Codes, Texts, alike, derive, edits

Kernel = Callable[[Sequence[str], Codes, Codes, Mapping[str, float]], Codes]


def _orientation(names: Names, left: Codes, right: Codes) -> tuple[Codes, Codes, Codes]:
    """Straight similarities (forename, surname) and the similarity if the two fields are swapped (the weaker half, or the only one).

    Forename and surname are compared one after the other for the same pairs, so the last answer is kept.
    """
    last = getattr(names.last_asked, "answer", None)
    if last is not None and last[0] is left and last[1] is right:
        return cast(tuple[Codes, Codes, Codes], last[2])
    forename, surname = names.forenames(left, right), names.surnames(left, right)
    one, other = names.crossed(left, right)
    first, last = Both(names.first, left, right).there, Both(names.last, left, right).there
    whole, lone = first & last, first & ~last
    crossed = np.where(whole, np.minimum(one, other), np.where(lone, np.maximum(one, other), 0.0))
    straight = np.where(whole, np.minimum(forename, surname), forename)
    answer = forename, surname, np.where((crossed >= 0.88) & (crossed > straight), crossed, 0.0)
    names.last_asked.answer = (left, right, answer)
    return answer


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
    names = derive(values, Names)
    similar, _surname, swapped = _orientation(names, left, right)
    first, head = Both(names.first, left, right), Both(names.head, left, right)
    comparable = first.there
    lone = ~Both(names.last, left, right).there
    same = first.equal | head.equal
    initial = names.initials(left, right)
    level = np.select(
        [
            ~comparable | (lone & (swapped > 0)),
            same & ~initial,
            swapped > 0,
            initial,
            names.nicknames(left, right) | (similar >= 0.9),
            similar >= 0.78,
        ],
        [0, 1, 3, 4, 2, 5],
        default=6,
    )
    return np.where((level == 0) | ~first.equal, level, np.where(initial, 4, 1))


def surname(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of SURNAME_LEVELS, in the orientation in which the two names fit better."""
    names = derive(values, Names)
    _forename, straight, swapped = _orientation(names, left, right)
    comparable: Codes = Both(names.last, left, right).there | (swapped > 0)
    similar: Codes = np.where(swapped > 0, swapped, straight)
    return np.select([~comparable, similar >= 0.999, similar >= 0.9, similar >= 0.78], [0, 1, 2, 3], default=4)


DATE_LEVELS = ("same date", "one slip or swapped day and month", "two slips", "same year", "different date")


def date(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of DATE_LEVELS; unknown days and months are not held against a pair."""
    dates = derive(values, Dates)
    same_year = dates.year.codes[left] == dates.year.codes[right]
    partial = ~dates.known[left] | ~dates.known[right]
    month = dates.month.codes
    same_month = (month[left] == month[right]) | (month[left] == 0) | (month[right] == 0)
    distance = edits(dates.whole, left, right, np.ones(len(left), dtype=bool), 2)
    turned = dates.whole.codes[left] == dates.turned[right]
    level = np.select([distance == 0, (distance == 1) | turned, distance == 2, same_year], [1, 2, 3, 4], default=5)
    return np.where(partial, np.where(same_year & same_month, np.maximum(level, 3), np.where(same_year, 4, 5)), level)


EMAIL_LEVELS = ("same address", "same mailbox elsewhere", "close spelling", "same role address", "same company domain", "different address")


def email(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of EMAIL_LEVELS; a role address (`info@`) never counts as a personal one, a free-mail domain never as a company's."""
    mails = derive(values, Mails)
    same_local = mails.local.codes[left] == mails.local.codes[right]
    same_domain = mails.domain.codes[left] == mails.domain.codes[right]
    same, roles, company = same_local & same_domain, mails.role[left] | mails.role[right], same_domain & ~mails.free[left]
    long = mails.long[left] & mails.long[right]
    close = edits(mails.whole, left, right, long & (same_local | same_domain), 1) <= 1  # one slip spares mailbox or domain
    return np.select(
        [same & mails.role[left], same, company & roles, roles, close, same_local & mails.long[left], company],
        [4, 1, 5, 6, 3, 2, 5],
        default=6,
    )


PHONE_LEVELS = ("same number", "same last seven digits", "one digit off", "different number")


def phone(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of PHONE_LEVELS."""
    phones = derive(values, Phones)
    digits, tail = phones.digits, phones.tail.codes
    same = phones.whole.codes[left] == phones.whole.codes[right]
    same_tail = (tail[left] == tail[right]) & (digits[left] >= 7) & (digits[right] >= 7)
    cut = same_tail & (digits[left] != digits[right])
    close = phones.ends.one_slip(left, right, ~same_tail)
    return np.select([same | cut, same_tail, close], [1, 2, 3], default=4)


ADDRESS_LEVELS = (
    "same house",
    "same number, other spelling",
    "same street",
    "same postcode",
    "near postcode",
    "same town",
    "elsewhere",
)


def address(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of ADDRESS_LEVELS from house number, street, postcode and town together, since they depend on each other."""
    parts = derive(values, Addresses)
    number, road, code, town, head, district = (
        Both(part, left, right) for part in (parts.number, parts.road, parts.code, parts.town, parts.head, parts.district)
    )
    # What decides nothing is not compared: the spelling of towns under one postcode, of streets that are apart in any case.
    towns = town.equal | (alike(parts.town, left, parts.town, right, ~code.equal) >= 0.92)
    apart = (code.there & ~code.equal) & (town.there & ~towns)
    place = code.equal | towns
    matters = ~apart & (number.equal | ~number.there | place)
    streets = road.equal | head.equal | (alike(parts.road, left, parts.road, right, matters & ~head.equal) >= 0.9)
    near = parts.code_ends.one_slip(left, right, code.there & ~code.equal) | (district.equal & towns)
    return np.select(
        [
            ~(code.there | town.there | road.there | number.there),
            number.equal & streets & ~apart,
            number.equal & (place | (~code.there & ~town.there)) & ~streets,
            streets & (~number.there | place) & ~apart,
            code.equal,
            near,
            towns | district.equal,
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


class Pieces:
    """One row per value, one column per distinct piece (word or letter triple)."""

    def __init__(self, values: Sequence[str], cut: Callable[[str], list[str]]) -> None:
        pieces = [list(dict.fromkeys(cut(value))) for value in values]
        encoded = pa.array([piece for found in pieces for piece in found], pa.string()).dictionary_encode()
        self.names: list[str] = encoded.dictionary.to_pylist()
        self.columns = np.asarray(encoded.indices, dtype=np.int64)
        self.bounds = np.r_[0, np.cumsum([len(found) for found in pieces])].astype(np.int64)

    def weighted(self, weights: Mapping[str, float], unknown: float) -> sp.csr_matrix:
        """The matrix of the square roots of the pieces' weights."""
        data = np.sqrt([weights.get(name, unknown) for name in self.names])[self.columns] if self.names else np.zeros(0)
        return sp.csr_matrix((data, self.columns, self.bounds), shape=(len(self.bounds) - 1, max(1, len(self.names))))


def words(values: Sequence[str]) -> Pieces:
    """The words of every value."""
    return Pieces(values, str.split)


def _triples(values: Sequence[str]) -> sp.csr_matrix:
    return Pieces(values, _trigrams).weighted({}, 1.0)


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
    keys, inverse = np.unique(left * np.int64(len(values)) + right, return_inverse=True)
    left, right = keys // max(1, len(values)), keys % max(1, len(values))
    unknown = max(rarity.values(), default=8.0)
    shared, one, other = _overlap(derive(values, words).weighted(rarity, unknown), left, right)
    pieces, left_pieces, right_pieces = _overlap(derive(values, _triples), left, right)
    cosine = shared / np.maximum(np.sqrt(one * other), 1e-9)
    within = shared / np.maximum(np.minimum(one, other), 1e-9)
    spelling = pieces / np.maximum(np.sqrt(left_pieces * right_pieces), 1e-9)
    strong = shared >= unknown * 0.7
    level = np.select(
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
    return level[inverse]


URL_LEVELS = ("same host", "same name, other ending", "different host")


class Hosts:
    """What is derived from one host name alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, self.name = Texts(values), Texts([max(value.split(".")[:-1], key=len) for value in values])


def url(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of URL_LEVELS."""
    hosts = derive(values, Hosts)
    same_name = hosts.name.codes[left] == hosts.name.codes[right]
    return np.select([hosts.whole.codes[left] == hosts.whole.codes[right], same_name], [1, 2], default=3)


IDENTIFIER_LEVELS = ("same identifier", "one character off", "different identifier")


def identifier(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of IDENTIFIER_LEVELS."""
    distance = edits(derive(values, Texts), left, right, np.ones(len(left), dtype=bool), 1)
    return np.select([distance == 0, distance == 1], [1, 2], default=3)


CATEGORY_LEVELS = ("same", "different")


def category(_values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of CATEGORY_LEVELS."""
    return np.where(left == right, 1, 2)
