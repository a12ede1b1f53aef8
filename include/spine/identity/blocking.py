"""Which pairs are worth a comparison: rules as key expressions chosen from attribute kinds (`keys`, `pairs` turn them into pairs)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jellyfish

from spine.identity import standardize, vocabulary
from spine.identity.comparisons import Plan
from spine.identity.standardize import SEP


@dataclass(frozen=True)
class Part:
    """Texts that one value of a feature contributes to a key."""

    name: str
    feature: str
    function: Callable[[str], Sequence[str]] = field(compare=False)
    most: int = 1


@dataclass(frozen=True)
class Rule:
    """Records that share every part are compared. `split` divides a key with too many records."""

    name: str
    parts: tuple[Part, ...]
    split: Part | None = None

    @property
    def features(self) -> frozenset[str]:
        """Features that this rule's pairs agree on by construction."""
        return frozenset(part.feature for part in self.parts)


def _name_words(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    found = [word for word in f"{surname} {forename}".split() if len(word) > 1]
    groups = vocabulary.NICKNAMES.get(forename.split(" ")[0], frozenset())
    return list(dict.fromkeys([*found[:4], *(f"#{group}" for group in sorted(groups)[:2])]))


def _all_words(value: str) -> list[str]:
    found = sorted(set(re.split(rf"[ {SEP}]", value)) - {""})
    return [" ".join(found)] if len(found) > 1 and any(len(word) > 1 for word in found) else []


def _sounds(value: str) -> list[str]:
    found = sorted({jellyfish.metaphone(word) for word in re.split(rf"[ {SEP}]", value) if len(word) > 1} - {""})
    return [" ".join(found)] if len(found) > 1 else []


def _initial_and_sound(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return [f"{forename[0]} {jellyfish.metaphone(surname.split(' ')[-1])}"] if forename and surname else []


def _initial(value: str) -> list[str]:
    return [value[0]] if not value.startswith(SEP) else []


def _initials(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return ["".join(sorted(forename[:1] + surname[:1]))] if forename and surname else []


def _field(place: int) -> Callable[[str], list[str]]:
    return lambda value: [found] if (found := value.split(SEP)[place]) else []


def _district(value: str) -> list[str]:
    return [standardize.postcode_district(code)] if (code := value.split(SEP)[2]) else []


def _house(value: str) -> list[str]:
    number, road, *_ = value.split(SEP)
    return [f"{number} {max(road.split(' '), key=len)}"] if number and road else []


def _one(value: str) -> list[str]:
    return [value]


def _organization_words(value: str) -> list[str]:
    return [word for word in dict.fromkeys(value.split()) if len(word) > 1][:6]


def make_rules(plan: Plan) -> tuple[Rule, ...]:
    """The rules that the plan's features allow, the most telling first."""
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
    if organization := _organization_part(plan):
        rules += _organization_rules(plan, organization)
    return tuple(rules)


def _tail(value: str) -> list[str]:
    return [value[-7:]]


def _personal_mail(value: str) -> list[str]:
    return [] if standardize.is_role_mail(value) else [value]


def _organization_part(plan: Plan) -> Part | None:
    found = next((feature for kind in ("organization", "title") for feature in plan.of_kind(kind)), None)
    return Part("name word", found.name, _organization_words, 6) if found else None


def _address_parts(plan: Plan) -> dict[str, Part]:
    feature = plan.feature("postal address")
    if not feature:
        return {}
    cuts: dict[str, Callable[[str], Sequence[str]]] = {
        "house": _house, "postcode": _field(2), "house number": _field(0), "district": _district, "town": _field(3)
    }  # fmt: skip
    return {name: Part(name, "postal address", cut) for name, cut in cuts.items()}


def _person_rules(plan: Plan, words: Part) -> list[Rule]:
    address = _address_parts(plan)
    dates = [feature.name for feature in plan.of_kind("date")][:1]
    initial = Part("initial", "person name", _initial)
    same_words = Part("all name words", "person name", _all_words)
    rules = [Rule("name word and birth date", (words, Part("date", name, _one))) for name in dates]
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("house", "postcode") if address]
    rules.append(Rule("all name words", (same_words,), address.get("district")))
    for name in dates:
        rules += [Rule(f"birth date and {at}", (Part("date", name, _one), address[at])) for at in ("district", "town") if address]
        rules.append(Rule("birth date and initials", (Part("date", name, _one), Part("initials", "person name", _initials))))
        rules.append(Rule("name word and birth year", (words, Part("year", name, lambda value: [value[:4]])), initial))
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("district", "town") if address]
    rules.append(Rule("names sound alike", (Part("sounds", "person name", _sounds),), address.get("district")))
    sound = Part("initial and sound of surname", "person name", _initial_and_sound)
    rules += [Rule(f"sound of surname and {name}", (sound, address[name])) for name in ("town",) if address]
    rules += [Rule("sound of surname and birth year", (sound, Part("year", name, lambda value: [value[:4]]))) for name in dates]
    return rules


def _organization_rules(plan: Plan, words: Part) -> list[Rule]:
    address = _address_parts(plan)
    rules = [Rule("all name words", (Part("all name words", words.feature, _sorted_words),), address.get("town"))]
    rules += [Rule(f"same {name}", (address[name],), words) for name in ("house",) if address]
    rules += [Rule(f"name word and {name}", (words, address[name])) for name in ("house number", "postcode", "town") if address]
    rules += [Rule("house number and postcode", (address["house number"], address["postcode"]))] if address else []
    rules.append(Rule("rare name word", (words,)))
    rules += [Rule("same house number", (address["house number"],), words)] if address else []
    return rules


def _sorted_words(value: str) -> list[str]:
    return [" ".join(sorted(set(value.split())))]
