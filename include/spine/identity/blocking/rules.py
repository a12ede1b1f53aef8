"""Which pairs are worth a comparison: rules as key expressions chosen from attribute kinds (`keys`, `pairs` turn them into pairs)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import jellyfish

from spine.core.choices import BlockingRule, Key, parse_key
from spine.core.errors import ConfigError
from spine.identity import standardize
from spine.identity.blocking import hashing
from spine.identity.comparing import stated
from spine.identity.comparing.comparisons import Plan
from spine.identity.standardize import SEP, vocabulary

MOST_RULES = 62
RARE_WORDS = 6


@dataclass(frozen=True)
class Part:
    """Texts that one value of a feature contributes to a key: the first `most`, or if `rank`, the words that fewest records carry."""

    name: str
    feature: str
    function: Callable[[str], Sequence[str]] = field(compare=False)
    most: int = 1
    rank: bool = False


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


@lru_cache(maxsize=100_000)
def _metaphone(word: str) -> str:
    return jellyfish.metaphone(word)


def _longest_words(text: str) -> list[str]:
    return sorted((word for word in set(text.split(" ")) if len(word) > 1), key=lambda word: (-len(word), word))[:2]


def _nicknames(forename: str) -> list[str]:
    return [f"#{group}" for group in sorted(vocabulary.NICKNAMES.get(forename, ()))[:2]]


def _name_words(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return list(dict.fromkeys([*_longest_words(surname), *_longest_words(forename), *_nicknames(forename.split(" ")[0])]))


def _all_words(value: str) -> list[str]:
    found = sorted(set(value.replace(SEP, " ").split(" ")) - {""})
    return [" ".join(found)] if len(found) > 1 and any(len(word) > 1 for word in found) else []


def _sounds_of(text: str) -> list[str]:
    return sorted({_metaphone(word) for word in text.split(" ") if len(word) > 1} - {""})


def _sounds(value: str) -> list[str]:
    found = _sounds_of(value.replace(SEP, " "))
    return [" ".join(found)] if len(found) > 1 else []


def _initial_and_sound(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return [f"{forename[0]} {_metaphone(surname.split(' ')[-1])}"] if forename and surname else []


def _initial(value: str) -> list[str]:
    return [value[0]] if not value.startswith(SEP) else []


def _initials(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return ["".join(sorted(forename[:1] + surname[:1]))] if forename and surname else []


def _field(place: int) -> Callable[[str], list[str]]:
    return lambda value: [found] if (found := value.split(SEP)[place]) else []


_house_number, _road, _postcode, _town = (_field(place) for place in range(4))


def _district(value: str) -> list[str]:
    return [standardize.postcode_district(code)] if (code := value.split(SEP)[2]) else []


def _house(value: str) -> list[str]:
    number, road, *_ = value.split(SEP)
    return [f"{number} {max(road.split(' '), key=len)}"] if number and road else []


def _one(value: str) -> list[str]:
    return [value]


def _year(value: str) -> list[str]:
    return [value[:4]]


def _organization_words(value: str) -> list[str]:
    return [word for word in dict.fromkeys(value.split()) if len(word) > 1][:6]


def make_rules(plan: Plan) -> tuple[Rule, ...]:
    """The rules that are stated or that the plan's features allow, the most telling first. Raises ConfigError if there are too many."""
    matching = plan.matching
    rules = [_certain_rule(plan, attributes) for attributes in matching.same]
    if matching.blocking is None:
        rules += chosen_rules(plan)
    for stated_rule in matching.blocking or ():
        rules += chosen_rules(plan) if stated_rule.chosen else [_stated_rule(plan, stated_rule)]
    if len(rules) > MOST_RULES:
        raise ConfigError(f"{len(rules)} blocking rules are too many, {MOST_RULES} are possible", hint="State fewer of them")
    return tuple(replace(rule, budget=rule.budget or matching.budget, akin=_akin(plan, rule)) for rule in _distinct(rules))


def _distinct(rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules without those that make the same keys as an earlier one."""
    known: set[tuple[Part, ...]] = set()
    for rule in rules:
        if rule.parts not in known:
            known.add(rule.parts)
            yield rule


def _akin(plan: Plan, rule: Rule) -> frozenset[str]:
    attributes = {name for part in rule.parts for name in plan.attributes(part.feature)}
    return frozenset(feature.name for feature in plan.features if attributes & set(feature.attributes)) - {
        part.feature for part in rule.parts
    }


def _certain_rule(plan: Plan, attributes: tuple[str, ...]) -> Rule:
    feature = next(item.feature for item in plan.comparisons if item.certain and plan.attributes(item.feature) == attributes)
    return Rule(f"same {feature}", (Part(f"all of {feature}", feature, _one),))


def _stated_rule(plan: Plan, rule: BlockingRule) -> Rule:
    kinds = plan.matching.attributes
    parts = tuple(_stated_part(plan, parse_key(text, kinds), text) for text in rule.key)
    split = _stated_part(plan, parse_key(rule.split, kinds), rule.split) if rule.split else None
    return Rule(" and ".join(rule.key), parts, split, rule.budget)


def _stated_part(plan: Plan, key: Key, text: str) -> Part:
    kind = plan.matching.attributes[key.attribute]
    feature = next(item.name for item in plan.features if item.attributes == (key.attribute,) and item.kind == kind)
    return Part(f"stated {text}", feature, stated.cut(key.cut), stated.most(key.cut))


def chosen_rules(plan: Plan) -> list[Rule]:
    """The rules that the kinds of the attributes call for; at least one if there is anything to compare."""
    rules = [Rule(f"same {feature.name}", (Part(feature.name, feature.name, _one),)) for feature in plan.of_kind("national_id")]
    words = Part("name word", "person name", _name_words, 6) if plan.feature("person name") else None
    for feature in plan.of_kind("email"):
        rules.append(Rule(f"same {feature.name}", (Part(feature.name, feature.name, _personal_mail),), words))
    for feature in plan.of_kind("phone"):
        rules.append(Rule(f"same {feature.name}", (Part(feature.name, feature.name, _tail),), words or _organization_part(plan)))
    rules += [
        Rule(f"same {feature.name}", (Part(feature.name, feature.name, _one),), _organization_part(plan)) for feature in plan.of_kind("url")
    ]
    if words:
        rules += _person_rules(plan, words)
    if (organization := _organization_part(plan)) and plan.of_kind("organization"):
        rules += _organization_rules(plan, organization)
    rules += _text_rules(plan)
    rules += _rules_for_the_rest(plan, rules, words or organization)
    return rules or _rules_of_weak(plan)


def _rules_for_the_rest(plan: Plan, rules: Sequence[Rule], names: Part | None) -> Iterator[Rule]:
    """Rules for features that no rule is cut from yet: a second date or name, a title beside an organisation, an address without a name."""
    covered = {name for rule in rules for part in rule.parts for name in plan.attributes(part.feature)}
    for feature in plan.features:
        if covered & set(feature.attributes) or feature.kind in _NEVER_ALONE:
            continue
        for name, cut, most in _REST.get(feature.kind.rstrip(" 23456789"), ()):
            part = Part(name, feature.name, cut, most)
            if names and feature.kind in _WITH_NAME:
                yield Rule(f"{names.name} and {feature.name}", (names, part))
            else:
                yield Rule(f"{name} of {feature.name}", (part,), names)


def _rules_of_weak(plan: Plan) -> list[Rule]:
    """Rules where only categories and numbers are known: two of them together, or the only one."""
    parts = [Part(feature.name, feature.name, _one) for feature in plan.features]
    pairs = [Rule(f"{one.name} and {other.name}", (one, other)) for one, other in combinations(parts, 2)]
    return (pairs or [Rule(f"same {part.name}", (part,)) for part in parts])[:MOST_RULES]


def _tail(value: str) -> list[str]:
    return [value[-7:]]


def _personal_mail(value: str) -> list[str]:
    return [] if standardize.is_role_mail(value) else [value]


def _organization_part(plan: Plan) -> Part | None:
    found = next((feature for kind in ("organization", "title") for feature in plan.of_kind(kind)), None)
    return Part("name word", found.name, _organization_words, 6) if found else None


def _address_parts(plan: Plan) -> dict[str, Part]:
    """What keys can be cut from the postal address, as far as its attributes can have it."""
    if not plan.feature("postal address"):
        return {}
    kinds = _kinds(plan, "postal address")
    cuts: dict[str, tuple[Callable[[str], Sequence[str]], set[str]]] = {
        "house": (_house, {"street"}), "postcode": (_postcode, {"postcode", "street"}),
        "house number": (_house_number, {"house_number", "street"}),
        "district": (_district, {"postcode", "street"}), "town": (_town, {"city", "region"}),
    }  # fmt: skip
    return {name: Part(name, "postal address", cut) for name, (cut, sources) in cuts.items() if kinds & sources}


def _kinds(plan: Plan, feature: str) -> set[str]:
    return {plan.matching.attributes[name] for name in plan.attributes(feature)}


def _person_rules(plan: Plan, words: Part) -> list[Rule]:
    address = _address_parts(plan)
    dates = [feature.name for feature in plan.of_kind("date")][:1]
    initial = Part("initial", "person name", _initial)
    same_words = Part("all name words", "person name", _all_words)
    rules = [Rule("name word and birth date", (words, Part("date", name, _one))) for name in dates]
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("house", "postcode") if name in address]
    rules.append(Rule("all name words", (same_words,), address.get("district")))
    for name in dates:
        rules += [Rule(f"birth date and {at}", (Part("date", name, _one), address[at])) for at in ("district", "town") if at in address]
        rules.append(Rule("birth date and initials", (Part("date", name, _one), Part("initials", "person name", _initials))))
        rules.append(Rule("name word and birth year", (words, Part("year", name, _year)), initial))
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("district", "town") if name in address]
    rules.append(Rule("names sound alike", (Part("sounds", "person name", _sounds),), address.get("district")))
    if _kinds(plan, "person name") in ({"forename"}, {"surname"}):
        rules.append(Rule("same name", (Part("whole name", "person name", _one),), address.get("district")))
    sound = Part("initial and sound of surname", "person name", _initial_and_sound)
    rules += [Rule(f"sound of surname and {name}", (sound, address[name])) for name in ("town",) if name in address]
    rules += [Rule("sound of surname and birth year", (sound, Part("year", name, _year))) for name in dates]
    return rules


def _organization_rules(plan: Plan, words: Part) -> list[Rule]:
    address = _address_parts(plan)
    rules = [Rule("all name words", (Part("all name words", words.feature, _sorted_words),), address.get("town"))]
    rules += [Rule(f"same {name}", (address[name],), words) for name in ("house",) if name in address]
    rules += [Rule(f"name word and {name}", (words, address[name])) for name in ("house number", "postcode", "town") if name in address]
    if {"house number", "postcode"} <= set(address):
        rules.append(Rule("house number and postcode", (address["house number"], address["postcode"])))
    rules.append(Rule("rare name word", (words,)))
    rules += [Rule("same house number", (address["house number"],), words)] if "house number" in address else []
    return rules


def _text_rules(plan: Plan) -> Iterator[Rule]:
    """Titles, texts and names of organisations by their rarest words, a word of too many records only together with another one."""
    features = [feature for kind in ("title", "text", "organization") for feature in plan.of_kind(kind)]
    if not plan.of_kind("title") and not plan.of_kind("text"):
        return
    for feature in features:
        words = Part(f"rare words of {feature.name}", feature.name, str.split, RARE_WORDS, rank=True)
        yield Rule(f"rare words of {feature.name}", (words,), words)
    for one, other in combinations(features[:3], 2):
        both = tuple(Part(f"words of {feature.name}", feature.name, str.split, RARE_WORDS - 2, rank=True) for feature in (one, other))
        yield Rule(f"words of {one.name} and of {other.name}", both)


def _sorted_words(value: str) -> list[str]:
    return [" ".join(sorted(set(value.split())))]


# The cuts that are made for all values of a feature at once.
NUMBERS: dict[Callable[[str], Sequence[str]], Callable[[Sequence[str]], Any]] = {
    _name_words: hashing.of_words(_longest_words, _nicknames), _all_words: hashing.of_all(str.split), _sounds: hashing.of_all(_sounds_of),
    _initial: hashing.of_initial, _initials: hashing.of_initials, _initial_and_sound: hashing.of_initial_and(_metaphone),
    _house: hashing.of_house, _house_number: hashing.of_address("number"), _road: hashing.of_address("road"),
    _postcode: hashing.of_address("code"), _district: hashing.of_address("district"), _town: hashing.of_address("town"),
    _one: hashing.of_value, _personal_mail: hashing.of_personal_mail, _tail: hashing.of_tail,
}  # fmt: skip
Cutting = tuple[str, Callable[[str], Sequence[str]], int]
_WHOLE_NAME: tuple[Cutting, ...] = (("all words", _all_words, 1), ("words", _name_words, 6), ("sound", _sounds, 1))
_WORDS: tuple[Cutting, ...] = (("all words", _sorted_words, 1), ("words", _organization_words, 6))
_ADDRESS: tuple[Cutting, ...] = (
    ("house", _house, 1), ("postcode", _postcode, 1), ("road", _road, 1), ("town", _town, 1),
    ("house number", _house_number, 1),
)  # fmt: skip
_SAME: tuple[Cutting, ...] = (("value", _one, 1),)
# Kinds that tell little even with a rare value, so that a name must agree besides.
_WITH_NAME = frozenset({"forename", "house_number", "postcode", "city", "region"})
# Kinds that tell nothing without a second attribute, and what the keys of the others are cut from where no rule of theirs exists.
_NEVER_ALONE = frozenset({"category", "country", "region", "number", "together"})
_REST: dict[str, tuple[Cutting, ...]] = {
    "person name": _WHOLE_NAME, "forename": _SAME, "surname": _SAME, "full_name": _SAME, "postal address": _ADDRESS, "date": _SAME,
    "organization": _WORDS, "title": _WORDS, "text": _WORDS, "street": _SAME, "house_number": _SAME, "postcode": _SAME, "city": _SAME,
    "region": _SAME,
}  # fmt: skip
