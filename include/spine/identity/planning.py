"""From a matching block to its plan: features and comparisons that the kinds of the attributes call for, and those that are stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from spine.core.choices import CHOSEN, IGNORE, parse_key
from spine.core.entities import Kind, Matching
from spine.core.errors import ConfigError
from spine.identity.attribute import AttributeKind
from spine.identity.comparing import stated, texts
from spine.identity.comparing.plan import TOGETHER, Comparison, Feature, FeatureKind, Plan
from spine.identity.composites import person_name, postal_address
from spine.identity.composites.person_name import PERSON_NAME
from spine.identity.composites.postal_address import POSTAL_ADDRESS
from spine.identity.kinds import category, kind_of

_LARGEST_PATTERN = 2**62
_PARTS_OF_WHOLES = frozenset((*person_name.MEMBERS, *postal_address.MEMBERS))
# Rules without weight: agreement and disagreement are as likely among matches as among strangers.
_CERTAIN = Comparison("", "", ("all agree", "not all agree"), category.compare, (0.5, 0.5), (0.5, 0.5), None, certain=True, fixed=True)
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
        self.kinds = {attribute: kind for attribute, kind in matching.attributes.items() if kind != IGNORE}
        self.features: dict[str, Feature] = {}
        self.comparisons: dict[str, Comparison] = {}
        self.alone: list[str] = []

    def _add(self, comparison: Comparison) -> None:
        """Adds a comparison under its name, or, if a composite's has it already, under a name with its kind."""
        name = comparison.name
        if name in self.comparisons:
            name = f"{name} ({self.features[comparison.feature].kind.name})"
        self.comparisons[name] = replace(comparison, name=name)

    def composites(self) -> None:
        """Names and addresses as wholes; the second attribute of a kind belongs to a second whole."""
        for number, group in enumerate(_groups(self.kinds, person_name.MEMBERS)):
            if number and not ("full_name" in group or len(group) > 1):
                self.alone += group.values()
            else:
                self._name(group, f" {number + 1}" if number else "")
        for number, group in enumerate(_groups(self.kinds, postal_address.MEMBERS)):
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
        members = [group.get(kind) for kind in person_name.MEMBERS]
        feature = _composite(f"{PERSON_NAME.name}{suffix}", PERSON_NAME, members, person_name.person_name)
        self.features[feature.name] = feature
        whole = not stated_ones or ("full_name" in group and "full_name" not in stated_ones)
        for kind, comparison in (("forename", person_name.FORENAME), ("surname", person_name.SURNAME)):
            if kind not in stated_ones and (whole or kind in group):
                self._add(
                    replace(comparison, name=f"{comparison.name}{suffix}", feature=feature.name, opposes=not suffix and comparison.opposes)
                )
        self._add(replace(person_name.GENERATION, name=f"generation{suffix}", feature=feature.name))

    def _address(self, group: dict[Kind, str], suffix: str) -> None:
        """A postal address; without the parts that are compared as stated, which stay in a feature for blocking."""
        members = [group.get(kind) for kind in postal_address.MEMBERS]
        whole = _composite(f"{POSTAL_ADDRESS.name}{suffix}", POSTAL_ADDRESS, members, postal_address.address)
        self.features[whole.name] = whole
        rest = {kind: attribute for kind, attribute in group.items() if attribute not in self.matching.comparisons}
        self.alone += [attribute for attribute in group.values() if attribute in self.matching.comparisons]
        if not rest:
            return
        compared = whole
        if len(rest) < len(group):
            left = [rest.get(kind) for kind in postal_address.MEMBERS]
            compared = replace(_composite(f"rest of {whole.name}", POSTAL_ADDRESS, left, postal_address.address), partial=True)
            self.features[compared.name] = compared
        self._add(replace(postal_address.ADDRESS, name=f"address{suffix}", feature=compared.name))

    def attributes(self) -> None:
        """Attributes that are compared by themselves."""
        for attribute, name in self.kinds.items():
            kind = kind_of(name)
            if name in _PARTS_OF_WHOLES and attribute not in self.alone:
                continue
            feature = self._feature(attribute)
            choice = self.matching.comparisons.get(attribute)
            levels = (choice.levels if choice else None) or (None if kind.comparison else kind.alone_levels)
            if kind.comparison and levels is None:
                comparison = replace(kind.comparison, name=attribute, feature=feature.name)
            else:
                comparison = _from_levels(attribute, kind, feature.name, levels or kind.alone_levels)
                if any(text.startswith("words") for text in levels or ()):
                    self.features[feature.name] = replace(feature, worded=True)
            if choice and not choice.term_frequency:
                comparison = replace(comparison, terms={})
            if kind.shared_beside_name and PERSON_NAME.name in self.features:
                comparison = replace(comparison, related=None)
            self._add(comparison)

    def _feature(self, attribute: str) -> Feature:
        """The feature of one attribute alone."""
        alone = (item for item in self.features.values() if item.attributes == (attribute,) and isinstance(item.kind, AttributeKind))
        found = next(alone, None)
        if found is None:
            kind = kind_of(self.kinds[attribute])
            name = f"{attribute} ({kind.name})" if attribute in self.features else attribute
            found = self.features[name] = Feature(name, kind, (attribute,), kind.standardize, kind.worded)
        return found

    def _together(self, attributes: tuple[str, ...]) -> Feature:
        """The feature of several attributes, empty where one of them is."""
        if len(attributes) == 1:
            return self._feature(attributes[0])
        functions = [kind_of(self.kinds[attribute]).standardize for attribute in attributes]
        name = " and ".join(attributes)
        feature = Feature(
            name, TOGETHER, attributes,
            lambda *texts: stated.together([function(text) for function, text in zip(functions, texts, strict=True)]),
        )  # fmt: skip
        return self.features.setdefault(name, feature)

    def check_something_identifies(self) -> None:
        """Raises ConfigError unless an attribute can tell records apart."""
        if not any(kind_of(kind).identifies for kind in self.kinds.values()) and not self.matching.same and self.matching.blocking is None:
            raise ConfigError(
                "no attribute to match on",
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
            m, u = (_of_now(comparison, chances) for chances in (weights.m, weights.u))
            if len(m) != len(comparison.labels):
                levels_there = ", ".join(comparison.labels)
                raise ConfigError(f"weights.{name}: m and u need {len(comparison.labels)} chances", hint=f"The levels are {levels_there}")
            self.comparisons[name] = replace(comparison, m=m, u=u, fixed=True)
        if np.prod([float(comparison.size) for comparison in self.comparisons.values()]) > _LARGEST_PATTERN:
            raise ConfigError(
                f"{len(self.comparisons)} comparisons are too many", hint="Set the kind of the less telling attributes to ignore"
            )


def _of_now(comparison: Comparison, chances: tuple[float, ...]) -> tuple[float, ...]:
    """Stated chances; those of an earlier version's levels are shared out among the levels that each has become."""
    former = comparison.former
    if not former or len(chances) != max(former) + 1:
        return chances
    return tuple(chances[place] / former.count(place) for place in former)


def _groups(kinds: Mapping[str, Kind], wanted: Sequence[Kind]) -> list[dict[Kind, str]]:
    """Attributes of the `wanted` kinds: the first of each, the second of each, and so on."""
    by_kind = {kind: [attribute for attribute, own in kinds.items() if own == kind] for kind in wanted}
    most = max(len(attributes) for attributes in by_kind.values())
    return [{kind: attributes[at] for kind, attributes in by_kind.items() if at < len(attributes)} for at in range(most)]


def _from_levels(name: str, kind: AttributeKind, feature: str, levels: tuple[str, ...]) -> Comparison:
    m, u = stated.beliefs(len(levels))
    return Comparison(
        name, feature, (*levels, "different"), stated.kernel(kind, stated.parse_levels(levels, kind.name)), m, u,
        None if kind.shared else (), {1: texts.whole} if levels[0] == "exact" else {},
        exclusive=kind.comparison is not None and kind.comparison.exclusive, opposes=kind.opposes,
    )  # fmt: skip


def _composite(name: str, kind: FeatureKind, attributes: Sequence[str | None], function: Callable[..., str | None]) -> Feature:
    present = tuple(attribute for attribute in attributes if attribute)
    places = [index for index, attribute in enumerate(attributes) if attribute]

    def spread(*values: str | None) -> str | None:
        padded: list[str | None] = [None] * len(attributes)
        for place, value in zip(places, values, strict=True):
            padded[place] = value
        return function(*padded)

    return Feature(name, kind, present, spread)
