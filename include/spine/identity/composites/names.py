"""Forename and surname of every distinct name, what is derived from one name alone, and what keys are cut from it.

Made once per distinct part or word, not per value.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.blocking.cuttings import ODD, Array, Cut, Cutting, hash_table, mixed, of_part, sound, sounds
from spine.identity.comparing.texts import Both, Codes, Texts, alike, cut_of, derive, pieces, true_of
from spine.identity.standardize import vocabulary
from spine.identity.standardize.nicknames import NICKNAMES
from spine.identity.standardize.spelling import all_consonants, consonants, spelling, spellings
from spine.identity.standardize.text import SEP

SPELLED, CLOSE, HEAD, SIMILAR = 0.95, 0.9, 0.85, 0.78  # similarities of what is the same but for its spelling or further words


class Names:
    """Forename and surname of every distinct name, and what is derived from one name alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.last_asked = threading.local()
        self.first, self.last = pieces(values, SEP, 2)
        self.generation = _generations(values)
        self.many_first, self.many_last = (true_of(part, lambda text: " " in text) for part in (self.first, self.last))
        self.begins = _first_letters(self.first, self.last)
        self.head = cut_of(self.first, lambda text: text.split(" ")[0])
        self.tail = cut_of(self.last, lambda text: text.split(" ")[-1])
        self.surname = Surnames(self.last)
        self.middle = cut_of(self.first, lambda text: text.rpartition(" ")[2] if " " in text else "")
        self.spelled, self.skeleton = cut_of(self.head, spelling), cut_of(self.head, consonants)
        self.groups = [NICKNAMES.get(word, frozenset()) for word in self.head.values]
        self.grouped = np.asarray([bool(group) for group in self.groups], dtype=bool)
        self.initial = Texts([word[:1] for word in self.head.values]).codes
        self.short = np.asarray([len(word) == 1 for word in self.head.values], dtype=bool)

    @cached_property
    def words(self) -> Codes:
        """A number for the set of each name's words, 0 if it has but one."""
        return _all_words_of(self, str.split)[:, 0]

    def forenames(self, left: Codes, right: Codes) -> Codes:
        """Similarity of the forenames: of the whole or of their first words."""
        heads = alike(self.head, left, self.head, right, self.many_first[left] | self.many_first[right])
        found = np.maximum(alike(self.first, left, self.first, right), heads)
        spelled, skeleton = Both(self.spelled, left, right).equal, Both(self.skeleton, left, right).equal
        akin = np.select([spelled, skeleton & (found >= SIMILAR), skeleton], [SPELLED, CLOSE, SIMILAR], default=0.0)
        return np.maximum(found, akin.astype(np.float32))

    def surnames(self, left: Codes, right: Codes) -> Codes:
        """Similarity of the surnames: of the whole, of their last words, or of what several words or spellings leave of them."""
        many = self.many_last[left] | self.many_last[right]
        tails = alike(self.tail, left, self.tail, right, many)
        found = np.maximum(alike(self.last, left, self.last, right), 0.97 * tails)
        middle = self._first_of_two(left, right) | self._first_of_two(right, left)
        akin = np.maximum(self.surname.akin(left, right, many), np.where(middle, SIMILAR, 0.0))
        return np.maximum(found, akin.astype(np.float32))

    def _first_of_two(self, one: Codes, other: Codes) -> Codes:
        """Whether the last of one's forenames is the other's surname: `Gabriel García | Márquez` and `Gabriel | García`."""
        middle, head = self.middle.codes[one], self.surname.middle_codes(self.middle)[other]
        return (middle > 0) & (middle == head)

    def reordered(self, left: Codes, right: Codes) -> Codes:
        """Whether both names consist of the same words, of which there are several."""
        words = self.words[left]
        return (words != 0) & (words == self.words[right])

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


class Surnames:
    """What is derived from one surname alone."""

    def __init__(self, last: Texts) -> None:
        self.head = cut_of(last, lambda text: _telling(text)[0])
        self.sorted = cut_of(last, lambda text: " ".join(sorted(_telling(text))))
        self.joined = cut_of(last, lambda text: text.replace(" ", ""))
        self.spelled, self.skeleton = cut_of(last, spellings), cut_of(last, all_consonants)

    def akin(self, left: Codes, right: Codes, many: Codes) -> Codes:
        """How alike surnames are by what is the same of them: all words in another order or written together, spelling, first word."""
        reordered = many & (Both(self.sorted, left, right).equal | Both(self.joined, left, right).equal)
        spelled, skeleton = Both(self.spelled, left, right).equal, Both(self.skeleton, left, right).equal
        head = many & Both(self.head, left, right).equal
        return np.select([reordered, spelled, head, skeleton], [0.97, SPELLED, HEAD, SIMILAR], default=0.0)

    def middle_codes(self, words: Texts) -> Codes:
        """The code that the first word of each surname has among other words, 0 if it has none."""
        found = pc.fill_null(pc.index_in(self.head.distinct, words.distinct), 0)
        return np.asarray(found, dtype=np.int64)[self.head.codes]


def _telling(text: str) -> list[str]:
    """The words of a surname that are no particles, all if there are no others."""
    found = text.split(" ")
    return [word for word in found if word not in vocabulary.PARTICLES] or found


def _first_letters(*parts: Texts) -> Codes:
    """The first letters of each value's parts, a column per part; equal letters have equal numbers in all columns."""
    letters = Texts([text[:1] for part in parts for text in part.values.tolist()]).codes
    columns = np.split(letters, np.cumsum([len(part.values) for part in parts])[:-1])
    return np.stack([column[part.codes] for column, part in zip(columns, parts, strict=True)], axis=1)


def _generations(values: Sequence[str]) -> Texts:
    """The generation of each name, `` where it has none."""
    texts = pa.array(values, pa.string())
    told = pc.equal(pc.count_substring(texts, SEP), 2)
    if not pc.any(told).as_py():
        return Texts(pa.repeat(pa.scalar(""), len(texts)))
    return Texts([value.split(SEP)[2] if has else "" for value, has in zip(values, told.to_pylist(), strict=True)])


def both(value: str) -> tuple[str, str]:
    """Forename and surname of one name."""
    forename, _, rest = value.partition(SEP)
    return forename, rest.partition(SEP)[0]


def forename(values: Sequence[str]) -> Texts:
    """The forename of a name."""
    return derive(values, Names).first


def surname(values: Sequence[str]) -> Texts:
    """The surname of a name."""
    return derive(values, Names).last


def _longest_words(text: str) -> list[str]:
    return sorted((word for word in set(text.split(" ")) if len(word) > 1), key=lambda word: (-len(word), word))[:2]


def _nicknames(forename: str) -> list[str]:
    return [f"#{group}" for group in sorted(NICKNAMES.get(forename, ()))[:2]]


def _name_words(value: str) -> list[str]:
    forename, surname = both(value)
    return list(dict.fromkeys([*_longest_words(surname), *_longest_words(forename), *_nicknames(forename.split(" ")[0])]))


def _all_words(value: str) -> list[str]:
    found = sorted(set(" ".join(both(value)).split(" ")) - {""})
    return [" ".join(found)] if len(found) > 1 and any(len(word) > 1 for word in found) else []


def _sounds(value: str) -> list[str]:
    found = sounds(" ".join(both(value)))
    return [" ".join(found)] if len(found) > 1 else []


def _initial_and_sound(value: str) -> list[str]:
    forename, surname = both(value)
    return [f"{forename[0]} {sound(surname.split(' ')[-1])}"] if forename and surname else []


def _initial(value: str) -> list[str]:
    return [value[0]] if not value.startswith(SEP) else []


def _initials(value: str) -> list[str]:
    forename, surname = both(value)
    return ["".join(sorted(forename[:1] + surname[:1]))] if forename and surname else []


def of_words(words: Cut, groups: Cut) -> Callable[[Sequence[str]], Array]:
    """`words` of surname and of forename, and `groups` of the first forename: two of each."""

    def numbers(values: Sequence[str]) -> Array:
        names = derive(values, Names)
        return np.concatenate([of_part(names.last, words, 2), of_part(names.first, words, 2), of_part(names.head, groups, 2)], axis=1)

    return numbers


def of_all(words: Cut) -> Callable[[Sequence[str]], Array]:
    """All `words` of a name together, in whatever order; 0 for a name of one such word."""

    def numbers(values: Sequence[str]) -> Array:
        return _all_words_of(derive(values, Names), words)

    return numbers


def _all_words_of(names: Names, words: Cut) -> Array:
    size = len(names.first.codes)
    total: Array = np.zeros(size, dtype=np.int64)
    count: Array = np.zeros(size, dtype=np.int64)
    for part in (names.first, names.last):
        table = hash_table([sorted(set(words(text))) for text in part.values.tolist()], 12)
        with np.errstate(over="ignore"):
            total += (table * (table ^ ODD)).sum(axis=1)[part.codes]
        count += (table != 0).sum(axis=1)[part.codes]
    return np.where(count > 1, np.where(total == 0, 1, total), 0)[:, None]


def of_initials(values: Sequence[str]) -> Array:
    """The initials of forename and surname in either order, for names that have both."""
    names = derive(values, Names)
    one, other = (of_part(part, lambda text: [text[:1]] if text else []) for part in (names.first, names.last))
    return mixed(np.minimum(one, other), np.maximum(one, other)) * ((one != 0) & (other != 0))


def of_initial(values: Sequence[str]) -> Array:
    """The forename's initial."""
    return of_part(derive(values, Names).first, lambda text: [text[:1]] if text else [])


def of_initial_and(heard: Callable[[str], str]) -> Callable[[Sequence[str]], Array]:
    """The forename's initial and how the surname's last word sounds."""

    def numbers(values: Sequence[str]) -> Array:
        names = derive(values, Names)
        return mixed(of_initial(values), of_part(names.tail, lambda text: [f"#{heard(text)}"] if text else []))

    return numbers


WORDS = Cutting("words", _name_words, 6, of_words(_longest_words, _nicknames))
ALL_WORDS = Cutting("all words", _all_words, 1, of_all(str.split))
SOUNDS = Cutting("sound", _sounds, 1, of_all(sounds))
INITIAL = Cutting("initial", _initial, 1, of_initial)
INITIALS = Cutting("initials", _initials, 1, of_initials)
INITIAL_AND_SOUND = Cutting("initial and sound of surname", _initial_and_sound, 1, of_initial_and(sound))
