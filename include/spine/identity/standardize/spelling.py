"""Spellings of one name in several orthographies and romanisations: words with the same key may be one name."""

# ruff: noqa: RUF003 - letters of other alphabets are what this is about
from __future__ import annotations

import re
from functools import lru_cache

_SHORTEST = 4  # letters of a word whose spelling is not taken at its word
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<![aeoq])([aou])e", r"\1"),  # German ä, ö, ü written out
        (r"schtsch|shch|szcz", "sh"),  # Russian and Ukrainian щ
        (r"tsch|tch|cz", "ch"),  # ч
        (r"sch", "sh"),
        (r"(?<=[aeiouy])ch|kh", "h"),  # х
        (r"zh|zs", "z"),  # ж
        (r"ts|tz", "c"),  # ц
        (r"(?<=[oe])(?:ff|w)$", "v"),  # the ending of Slavic surnames
        (r"ph", "f"),
        (r"th", "t"),
        (r"dh", "d"),
        (r"gh", "g"),
        (r"dzh|dj", "j"),
        (r"ck|q", "k"),
        (r"x", "ks"),
        (r"w", "v"),
        (r"d?tt?$", "t"),  # Schmidt, Schmitt
        (r"ou|oo", "u"),
        (r"^(?:y|j|i)e", "e"),  # Russian е at the beginning
        (r"[yji]+", "i"),  # й, ы, и, ю, я and their sisters
        (r"(?<=[aeiou])h(?![aeiou])", ""),  # Sarah, Kohn
        (r"(.)\1+", r"\1"),
    )
)
_VOWELS = re.compile("[aeiou]")
_FIRST = str.maketrans("eiou", "iioo")


@lru_cache(maxsize=100_000)
def spelling(word: str) -> str:
    """The key of a word's spelling: equal for `mueller` and `muller`, `yevgeny` and `jewgenij`, `schmidt` and `schmitt`."""
    if len(word) < _SHORTEST or not word.isascii():
        return word
    for pattern, replacement in _RULES:
        word = pattern.sub(replacement, word)
    return word


@lru_cache(maxsize=100_000)
def consonants(word: str) -> str:
    """First sound and consonants of a word's spelling, `` if they are fewer than three.

    Equal for `mohammed` and `muhammad`, `yusuf` and `youssef`: romanisations of scripts that write no vowels differ in these.
    """
    key = spelling(word)
    found = key[:1].translate(_FIRST) + _VOWELS.sub("", key[1:])
    return found if len(found) >= 3 and key.isascii() else ""


def spellings(text: str) -> str:
    """The keys of all words of a text."""
    return " ".join(spelling(word) for word in text.split(" "))


def all_consonants(text: str) -> str:
    """`consonants` of all words of a text, `` if a word has too few."""
    found = [consonants(word) for word in text.split(" ")]
    return " ".join(found) if all(found) else ""
