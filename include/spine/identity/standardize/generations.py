"""Generational suffixes of names (`Jr.`, `III`, `d. Ä.`, `Filho`): they tell a father from his son of the same name."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ORDER = {
    "sr": "sr snr sen senior i pere padre vater starsi starshii starszy vanhempi idosb id",
    "jr": "jr jnr jun junior ii 2nd 2 filho fils hijo mladsi mladshii mlodszy nuorempi ifj ifjabb",
    "iii": "iii 3rd 3 neto",
    "iv": "iv 4th 4",
    "v": "v 5th",
}
GENERATIONS = {word: rank for rank, words in _ORDER.items() for word in words.split()}
# Words that are nothing else; the others are names, initials or words, too, and count only as the last of several.
_ALWAYS = frozenset(["jr", "jnr", "snr", "ii", "iii", "iv", "2nd", "3rd", "4th"])
_FIRST = frozenset(["id", "idosb", "ifj", "ifjabb"])  # Hungarian, in front of the name
_NEVER_ALONE = frozenset(["i", "v", "2", "3", "4", "id", "padre", "vater"])  # too often something else
# `the younger` and `the elder`, as words and as letters; of the letters the first is small, initials are not.
_SPELLED = re.compile(
    r"[\s,]+(?:(?P<jr>(?i:the younger|der j(?:ü|ue|u)ngere|den yngre|il giovane|el joven|mladší|ml\.)|"
    r"d\. ?J\.|d\. ?y\.)|"
    r"(?P<sr>(?i:the elder|der (?:ä|ae|a)ltere|den (?:ä|æ|e)ldre|il vecchio|el viejo|starší|st\.)|d\. ?(?:Ä|Ae)\.|d\. ?[äæe]\.))\s*\Z"
)


def spelled(text: str) -> tuple[str, str]:
    """A name without `the younger` or its sisters at the end, and the generation that they mean, `` if there are none."""
    found = _SPELLED.search(text)
    return (text[: found.start()], found.lastgroup or "") if found else (text, "")


def generation(words: Sequence[str], least: int) -> tuple[list[str], str]:
    """The words of a name without generational suffix, of which at least `least` must be left, and the generation, `` if it has none."""
    kept = list(words)
    for place in range(len(kept) - 1, 0, -1):
        if kept[place] in _ALWAYS and len(kept) > 1:
            return [*kept[:place], *kept[place + 1 :]], GENERATIONS[kept[place]]
    if len(kept) > least and kept[-1] in GENERATIONS and kept[-1] not in _NEVER_ALONE and kept[-1] not in _FIRST:
        return kept[:-1], GENERATIONS[kept[-1]]
    if len(kept) > least and kept[0] in _FIRST:
        return kept[1:], GENERATIONS[kept[0]]
    return kept, ""
