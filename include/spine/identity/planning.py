"""From a matching block to its plan: features and comparisons that the kinds of the attributes call for, and those that are stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from spine.core.choices import CHOSEN, parse_key
from spine.core.entities import Kind, Matching
from spine.core.errors import ConfigError
from spine.identity import standardize
from spine.identity.comparing import comparisons as chosen
from spine.identity.comparing import levels, parts, stated
from spine.identity.comparing.comparisons import Comparison, Feature, Plan

_NAME_KINDS: tuple[Kind, ...] = ("forename", "surname", "full_name")
_ADDRESS_KINDS: tuple[Kind, ...] = ("street", "house_number", "postcode", "city", "region")
# Levels of an attribute that is compared alone although its kind belongs to a composite: its comparison is stated, or it is the second one.
_ALONE_LEVELS: dict[Kind, tuple[str, ...]] = {
    "forename": ("exact", "nickname", "jaro_winkler >= 0.9", "same initial"),
    "surname": ("exact", "jaro_winkler >= 0.9", "jaro_winkler >= 0.78"),
    "full_name": ("exact", "jaro_winkler >= 0.92", "words >= 0.6", "same sound"),
    "street": ("exact", "jaro_winkler >= 0.92", "same road"),
    "house_number": ("exact",),
    "postcode": ("exact", "edits <= 1", "same district"),
    "city": ("exact", "jaro_winkler >= 0.92"),
    "region": ("exact",),
}
# What members of a household or neighbours share as matches do.
_SHARED_KINDS = frozenset({"surname", "phone", "url", *_ADDRESS_KINDS})
_WORDED_KINDS = frozenset({"organization", "title", "text"})
_LARGEST_PATTERN = 2**62
_FUNCTIONS: dict[Kind, Callable[..., str | None]] = chosen.FUNCTIONS | stated.ALONE
_WEAK_KINDS = frozenset({"category", "country", "region"})
# Rules without weight: agreement and disagreement are as likely among matches as among strangers.
_CERTAIN = Comparison("", "", ("all agree", "not all agree"), levels.category, (0.5, 0.5), (0.5, 0.5), None, certain=True, fixed=True)
_NEVER = Comparison("", "", ("not all differ", "all differ"), stated.all_differ, (0.5, 0.5), (0.5, 0.5), None, exclusive=True, fixed=True)


def make_plan(matching: Matching) -> Plan:
    """The plan of an entity's `matching` block. Raises ConfigError if no attribute can be compared, or a stated weight does not fit."""
    made = _Making(matching)
    made.composites()
    made.attributes()
    made.check_something_identifies()
    made.stated_keys()
    made.certain_rules()
    made.never_rules()
    made.fixed_weights()
    return Plan(matching, tuple(made.features.values()), tuple(made.comparisons.values()))


class _Making:
    """The steps of a plan; each adds features and comparisons by name."""

    def __init__(self, matching: Matching) -> None:
        self.matching = matching
        self.kinds = {attribute: kind for attribute, kind in matching.attributes.items() if kind != "ignore"}
        self.features: dict[str, Feature] = {}
        self.comparisons: dict[str, Comparison] = {}
        self.alone: list[str] = []

    def _add(self, comparison: Comparison) -> None:
        """Adds a comparison under its name, or, if a composite's has it already, under a name with its kind."""
        name = comparison.name
        if name in self.comparisons:
            name = f"{name} ({self.features[comparison.feature].kind})"
        self.comparisons[name] = replace(comparison, name=name)

    def composites(self) -> None:
        """Names and addresses as wholes; the second attribute of a kind belongs to a second whole."""
        for number, group in enumerate(_groups(self.kinds, _NAME_KINDS)):
            if number and not ("full_name" in group or len(group) > 1):
                self.alone += group.values()
            else:
                self._name(group, f" {number + 1}" if number else "")
        for number, group in enumerate(_groups(self.kinds, _ADDRESS_KINDS)):
            if number and len(group) == 1 and "street" not in group:
                self.alone += group.values()
            else:
                self._address(group, f" {number + 1}" if number else "")

    def _name(self, group: dict[Kind, str], suffix: str) -> None:
        """A person's name; what is compared as stated stays in it for blocking and for telling swapped fields."""
        stated_ones = [kind for kind, attribute in group.items() if attribute in self.matching.comparisons]
        self.alone += [group[kind] for kind in stated_ones]
        if "full_name" in stated_ones and len(group) > 1:
            del group["full_name"]
        feature = _composite(f"person name{suffix}", [group.get(kind) for kind in _NAME_KINDS], standardize.person_name)
        self.features[feature.name] = feature
        whole = not stated_ones or ("full_name" in group and "full_name" not in stated_ones)
        for kind, comparison in (("forename", chosen.FORENAME), ("surname", chosen.SURNAME)):
            if kind not in stated_ones and (whole or kind in group):
                self._add(
                    replace(comparison, name=f"{comparison.name}{suffix}", feature=feature.name, opposes=not suffix and comparison.opposes)
                )

    def _address(self, group: dict[Kind, str], suffix: str) -> None:
        """A postal address; without the parts that are compared as stated, which stay in a feature for blocking."""
        whole = _composite(f"postal address{suffix}", [group.get(kind) for kind in _ADDRESS_KINDS], standardize.address)
        self.features[whole.name] = whole
        rest = {kind: attribute for kind, attribute in group.items() if attribute not in self.matching.comparisons}
        self.alone += [attribute for attribute in group.values() if attribute in self.matching.comparisons]
        if not rest:
            return
        compared = whole
        if len(rest) < len(group):
            compared = _composite(f"rest of {whole.name}", [rest.get(kind) for kind in _ADDRESS_KINDS], standardize.address)
            self.features[compared.name] = compared
        self._add(replace(chosen.ADDRESS, name=f"address{suffix}", feature=compared.name))

    def attributes(self) -> None:
        """Attributes that are compared by themselves."""
        for attribute, kind in self.kinds.items():
            if kind not in chosen.BY_KIND and attribute not in self.alone:
                continue
            feature = self._feature(attribute)
            choice = self.matching.comparisons.get(attribute)
            texts = (choice.levels if choice else None) or (None if kind in chosen.BY_KIND else _ALONE_LEVELS[kind])
            if texts is None:
                comparison = replace(chosen.BY_KIND[kind], name=attribute, feature=feature.name)
            else:
                comparison = _from_levels(attribute, kind, feature.name, texts)
                if any(text.startswith("words") for text in texts):
                    self.features[feature.name] = replace(feature, worded=True)
            if choice and not choice.term_frequency:
                comparison = replace(comparison, terms={})
            self._add(comparison)

    def _feature(self, attribute: str) -> Feature:
        """The feature of one attribute alone."""
        found = next(
            (feature for feature in self.features.values() if feature.attributes == (attribute,) and feature.kind in _FUNCTIONS), None
        )
        if found is None:
            kind = self.kinds[attribute]
            name = f"{attribute} ({kind})" if attribute in self.features else attribute
            found = self.features[name] = Feature(name, kind, (attribute,), _FUNCTIONS[kind], kind in _WORDED_KINDS)
        return found

    def _together(self, attributes: tuple[str, ...]) -> Feature:
        """The feature of several attributes, empty where one of them is."""
        if len(attributes) == 1:
            return self._feature(attributes[0])
        functions = [_FUNCTIONS[self.kinds[attribute]] for attribute in attributes]
        name = " and ".join(attributes)
        feature = Feature(
            name, "together", attributes,
            lambda *texts: stated.together([function(text) for function, text in zip(functions, texts, strict=True)]),
        )  # fmt: skip
        return self.features.setdefault(name, feature)

    def check_something_identifies(self) -> None:
        """Raises ConfigError unless an attribute can tell records apart."""
        if not set(self.kinds.values()) - _WEAK_KINDS and not self.matching.same and self.matching.blocking is None:
            raise ConfigError(
                "no attribute to match on (IDR-06)",
                hint="Give matching.attributes a kind that tells records apart, such as a name, date, address, e-mail, identifier or text",
            )

    def stated_keys(self) -> None:
        """Features that stated blocking keys are cut from."""
        for rule in self.matching.blocking or ():
            for text in () if rule.chosen else (*rule.key, *([rule.split] if rule.split else [])):
                self._feature(parse_key(text, self.kinds).attribute)

    def certain_rules(self) -> None:
        """Stated `same` rules: comparisons without weight whose agreement makes a pair certain."""
        for attributes in self.matching.same:
            feature = self._together(attributes)
            self._add(replace(_CERTAIN, name=f"same {feature.name}", feature=feature.name))

    def never_rules(self) -> None:
        """Stated `never` rules: an attribute's own comparison excludes on its last level, others get one without weight."""
        if not self.matching.keeps_chosen_never:
            self.comparisons = {name: replace(comparison, exclusive=False) for name, comparison in self.comparisons.items()}
        for attributes in self.matching.never or ():
            if attributes == (CHOSEN,):
                continue
            feature = self._together(attributes)
            own = next((item for item in self.comparisons.values() if item.feature == feature.name and not item.certain), None)
            if own:
                self.comparisons[own.name] = replace(own, exclusive=True, outweighable=False)
            else:
                self._add(replace(_NEVER, name=f"never {feature.name}", feature=feature.name))

    def fixed_weights(self) -> None:
        """Stated weights; checks what can be known only now. Raises ConfigError."""
        for name, weights in self.matching.weights.items():
            comparison = self.comparisons.get(name)
            if comparison is None:
                raise ConfigError(f"weights.{name}: there is no such comparison", hint=f"Known are {', '.join(self.comparisons)}")
            if len(weights.m) != len(comparison.labels):
                levels_there = ", ".join(comparison.labels)
                raise ConfigError(f"weights.{name}: m and u need {len(comparison.labels)} chances", hint=f"The levels are {levels_there}")
            self.comparisons[name] = replace(comparison, m=weights.m, u=weights.u, fixed=True)
        if np.prod([float(comparison.size) for comparison in self.comparisons.values()]) > _LARGEST_PATTERN:
            raise ConfigError(
                f"{len(self.comparisons)} comparisons are too many", hint="Set the kind of the less telling attributes to ignore"
            )


def _groups(kinds: Mapping[str, Kind], wanted: Sequence[Kind]) -> list[dict[Kind, str]]:
    """Attributes of the `wanted` kinds: the first of each, the second of each, and so on."""
    by_kind = {kind: [attribute for attribute, own in kinds.items() if own == kind] for kind in wanted}
    most = max(len(attributes) for attributes in by_kind.values())
    return [{kind: attributes[at] for kind, attributes in by_kind.items() if at < len(attributes)} for at in range(most)]


def _from_levels(name: str, kind: Kind, feature: str, texts: tuple[str, ...]) -> Comparison:
    m, u = stated.beliefs(len(texts))
    return Comparison(
        name, feature, (*texts, "different"), stated.kernel(stated.parse_levels(texts, kind)), m, u,
        None if kind in _SHARED_KINDS else (), {1: parts.whole} if texts[0] == "exact" else {},
        exclusive=kind in chosen.BY_KIND and chosen.BY_KIND[kind].exclusive, opposes=kind == "forename",
    )  # fmt: skip


def _composite(name: str, attributes: Sequence[str | None], function: Callable[..., str | None]) -> Feature:
    present = tuple(attribute for attribute in attributes if attribute)
    places = [index for index, attribute in enumerate(attributes) if attribute]

    def spread(*values: str | None) -> str | None:
        padded: list[str | None] = [None] * len(attributes)
        for place, value in zip(places, values, strict=True):
            padded[place] = value
        return function(*padded)

    return Feature(name, name, present, spread)
