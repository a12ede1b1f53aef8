"""A person's name: forename and surname together, since fields get swapped and one may hold both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.attribute import Test
from spine.identity.blocking.cuttings import VALUE, Part, Rule
from spine.identity.comparing.plan import Comparison, FeatureKind, Plan, Shapes
from spine.identity.comparing.stated import shared
from spine.identity.comparing.texts import Both, Codes, Texts, derive
from spine.identity.composites import names as cut
from spine.identity.composites import postal_address
from spine.identity.composites.names import Names
from spine.identity.kinds.date import DAY, YEAR
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.columns import Function, each, encoded, parts
from spine.identity.standardize.generations import GENERATIONS, generation, spelled
from spine.identity.standardize.nicknames import NICKNAMES
from spine.identity.standardize.text import BRACKETS, CACHED, SEP, is_placeholder, tokens

MEMBERS = ("forename", "surname", "full_name")
FORENAME_LEVELS = (
    "same forename",
    "nickname or close spelling",
    "forename and surname swapped",
    "initial",
    "similar forename",
    "different forename",
)
GENERATION_LEVELS = ("same generation", "another generation")
SURNAME_LEVELS = ("same surname", "close spelling", "similar surname", "different surname")


def name_words(text: str | None) -> list[str]:
    """Words of a person's name without titles; a hyphenated name gives its parts."""
    if not text or is_placeholder(text):
        return []
    found = tokens(BRACKETS.sub(" ", text) if "(" in text else text)
    kept = [word for word in found if word not in words.TITLES]
    return kept or found


@lru_cache(maxsize=CACHED)
def _name(text: str | None, least: int = 1) -> tuple[tuple[str, ...], str]:
    """The words of a part of a name, of which `least` are left at least, and its generation."""
    if not text or is_placeholder(text):
        return (), ""
    shorter, told = spelled(text)
    found = tokens(BRACKETS.sub(" ", shorter) if "(" in shorter else shorter)
    kept, suffix = generation(found, least)
    named = tuple(word for word in kept if word not in words.TITLES)
    return named or tuple(kept), told or suffix


def _full_name(text: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Words of forename and surname (or of what is not yet divided, first) and generation of a whole name, also `Lee, Ann`."""
    before, comma, after = text.partition(",")
    if not comma or (set(tokens(after)) and set(tokens(after)) <= GENERATIONS.keys()):
        found, told = _name(text, 2)
        return found, (), told
    first, of_first = _name(after)
    last, of_last = _name(before)
    return first, last, of_first or of_last


def person_name(forename: str | None, surname: str | None, full_name: str | None = None) -> str | None:
    """`<forename words>SEP<surname words>`, with a generational suffix `…SEP<generation>`.

    A full name fills what is missing, a surname kept in the forename moves to its place.
    """
    (first, of_first), (last, of_last) = _name(forename), _name(surname)
    told = of_last or of_first
    if full_name and not first and not last:
        first, last, told = _full_name(full_name)
    if first and last and len(first) > len(last) and first[-len(last) :] == last:
        first = first[: -len(last)]
    if len(first) > 1 and not last:
        cut = len(first) - 1
        while cut > 1 and first[cut - 1] in words.PARTICLES:
            cut -= 1
        first, last = first[:cut], first[cut:]
    whole = f"{' '.join(first)}{SEP}{' '.join(last)}" if first or last else None
    return f"{whole}{SEP}{told}" if whole and told else whole


def alone(text: str | None) -> str | None:
    """A name or part of one that is compared by itself: its words without titles."""
    return " ".join(name_words(text)) or None


def _by_parts(values: Mapping[str, pa.Array], function: Function) -> pa.DictionaryArray:
    """`person_name`, which is called (as `function`) only where a part is missing or the forename may end with the surname."""
    first, first_end, of_first = parts(values["forename"], _name_and_end)
    last, last_end, of_last = parts(values["surname"], _name_and_end)
    whole = pc.and_(pc.not_equal(first, ""), pc.not_equal(last, ""))
    plain = pc.and_(pc.and_(pc.not_equal(first_end, last_end), whole), pc.and_(pc.equal(of_first, ""), pc.equal(of_last, "")))
    return encoded(pc.binary_join_element_wise(first, last, SEP), plain, list(values.values()), function)


def _name_and_end(text: str | None) -> tuple[str, str, str]:
    found, told = _name(text)
    return " ".join(found), found[-1] if found else "", told


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
    crossed = np.where(whole & (straight < 0.88) & names.reordered(left, right), 1.0, crossed)
    answer = forename, surname, np.where((crossed >= 0.88) & (crossed > straight), crossed, 0.0)
    names.last_asked.answer = (left, right, answer)
    return answer


def compare_forenames(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
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


def compare_surnames(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of SURNAME_LEVELS, in the orientation in which the two names fit better."""
    names = derive(values, Names)
    _forename, straight, swapped = _orientation(names, left, right)
    comparable: Codes = Both(names.last, left, right).there | (swapped > 0)
    similar: Codes = np.where(swapped > 0, swapped, straight)
    return np.select([~comparable, similar >= 0.999, similar >= 0.9, similar >= 0.78], [0, 1, 2, 3], default=4)


def compare_generations(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of GENERATION_LEVELS; a name without a suffix says nothing of its generation."""
    both = Both(derive(values, Names).generation, left, right)
    return np.select([~both.there, both.equal], [0, 1], default=2)


def word_part(plan: Plan) -> Part | None:
    """The words of a person's name as a part of a key."""
    feature = plan.first("person name")
    return cut.WORDS.part(feature.name, "name word") if feature else None


def _rules(plan: Plan, words: Part) -> list[Rule]:
    address = postal_address.parts_of(plan)
    name_of = words.feature
    dates = [feature.name for feature in plan.of_kind("date")][:1]
    initial = cut.INITIAL.part(name_of)
    same_words = cut.ALL_WORDS.part(name_of, "all name words")
    rules = [Rule("name word and birth date", (words, DAY.part(name, "date"))) for name in dates]
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("house", "postcode") if name in address]
    rules.append(Rule("all name words", (same_words,), address.get("district")))
    for name in dates:
        rules += [Rule(f"birth date and {at}", (DAY.part(name, "date"), address[at])) for at in ("district", "town") if at in address]
        rules.append(Rule("birth date and initials", (DAY.part(name, "date"), cut.INITIALS.part(name_of))))
        rules.append(Rule("name word and birth year", (words, YEAR.part(name)), initial))
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("district", "town") if name in address]
    rules.append(Rule("names sound alike", (cut.SOUNDS.part(name_of, "sounds"),), address.get("district")))
    if plan.kinds_of(name_of) in ({"forename"}, {"surname"}):
        rules.append(Rule("same name", (VALUE.part(name_of, "whole name"),), address.get("district")))
    sound = cut.INITIAL_AND_SOUND.part(name_of)
    rules += [Rule(f"sound of surname and {name}", (sound, address[name])) for name in ("town",) if name in address]
    rules += [Rule("sound of surname and birth year", (sound, YEAR.part(name))) for name in dates]
    return rules


def _forename_of(text: str) -> str:
    forename, surname = cut.both(text)
    return forename or surname


def _surname_of(text: str) -> str:
    forename, surname = cut.both(text)
    return surname or forename


def _generation_of(text: str) -> str:
    return "".join(text.split(SEP)[2:])


def _nicknames(value: str) -> list[str]:
    head = value.split(" ")[0]
    return [head, *(f"#{group}" for group in NICKNAMES.get(head, frozenset()))]


def _shapes(values: Sequence[str]) -> Texts:
    """Which parts each name has: forename (`f`, an initial `i`) and surname."""
    names = derive(values, Names)
    first, last, short = names.first.codes > 0, names.last.codes > 0, names.short[names.head.codes]
    letters = np.where(first, np.where(short, "i", "f"), "").astype(object) + np.where(last, "l", "")
    return Texts(letters.tolist())


def _possible(shares: Mapping[str, float]) -> tuple[float, ...]:
    """The share of pairs that can have each level of forenames: a surname to be swapped with, an initial to be one."""
    forename = sum(share for shape, share in shares.items() if shape[:1] in ("f", "i")) or 1.0
    initial = sum(share for shape, share in shares.items() if shape[:1] == "i") / forename
    surname = sum(share for shape, share in shares.items() if shape.endswith("l"))
    return 1.0, 1.0, 1 - (1 - surname) ** 2, 1 - (1 - initial) ** 2, 1.0, 1.0


NICKNAME: Mapping[str, Callable[[float], Test]] = {"nickname": lambda _: shared(_nicknames)}
FORENAME = Comparison(
    "forename", "person name", FORENAME_LEVELS, compare_forenames, (0.71, 0.14, 0.03, 0.045, 0.055, 0.02),
    (0.008, 0.012, 0.0005, 0.01, 0.06, 0.9095),
    (0.02, 0.005, 0.0, 0.02, 0.0, 0.0), {1: cut.forename}, opposes=True, names=True, shown=_forename_of,
    shapes=Shapes(_shapes, _possible, {"fl": 0.97, "il": 0.03}),
)  # fmt: skip
SURNAME = Comparison(
    "surname", "person name", SURNAME_LEVELS, compare_surnames, (0.82, 0.08, 0.05, 0.05), (0.003, 0.003, 0.03, 0.964), None,
    {1: cut.surname}, shown=_surname_of,
)  # fmt: skip
# A father and his son of one name differ in nothing else that they share with a household; a suffix is left out more often than changed.
GENERATION = Comparison(
    "generation", "person name", GENERATION_LEVELS, compare_generations, (0.97, 0.03), (0.4, 0.6), (),
    exclusive=True, outweighable=True, silent=True, shown=_generation_of,
)  # fmt: skip


class PersonName(FeatureKind):
    """`<forename words>SEP<surname words>`, and `SEP<generation>` if there is a generational suffix."""

    name = "person name"
    rank = 50
    rest = (cut.ALL_WORDS, cut.WORDS, cut.SOUNDS)

    def column(self, kinds: Sequence[str], values: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
        """Put together from parts that are standardised once each, where forename and surname are there."""
        by_kind = dict(zip(kinds, values, strict=True))
        return _by_parts(by_kind, function) if {"forename", "surname"} <= by_kind.keys() else each(values, function)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """A word of the name with birth date or address, all words, sounds: the most telling first."""
        words = word_part(plan)
        if words:
            yield from _rules(plan, words)


PERSON_NAME = PersonName()
