"""Which pairs are worth a comparison: rules as key expressions, chosen by the kinds of the attributes or stated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from spine.core.choices import BlockingRule, Key, parse_key
from spine.core.errors import ConfigError
from spine.identity.blocking.cuttings import VALUE, Cutting, Part, Rule
from spine.identity.comparing import stated
from spine.identity.comparing.plan import Plan
from spine.identity.composites import person_name
from spine.identity.kinds import kind_of, organization

MOST_RULES = 62


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
    return Rule(f"same {feature}", (VALUE.part(feature, f"all of {feature}"),))


def _stated_rule(plan: Plan, rule: BlockingRule) -> Rule:
    kinds = plan.matching.attributes
    parts = tuple(_stated_part(plan, parse_key(text, kinds), text) for text in rule.key)
    split = _stated_part(plan, parse_key(rule.split, kinds), rule.split) if rule.split else None
    return Rule(" and ".join(rule.key), parts, split, rule.budget)


def _stated_part(plan: Plan, key: Key, text: str) -> Part:
    kind = plan.matching.attributes[key.attribute]
    feature = next(item.name for item in plan.features if item.attributes == (key.attribute,) and item.kind.name == kind)
    cutting = Cutting(f"stated {text}", stated.cut(kind_of(kind), key.cut), stated.most(key.cut))
    return cutting.part(feature)


def chosen_rules(plan: Plan) -> list[Rule]:
    """The rules that the kinds of the attributes call for; at least one if there is anything to compare."""
    kinds = sorted({feature.kind for feature in plan.features}, key=lambda kind: (kind.rank, kind.name))
    rules = [rule for kind in kinds for rule in kind.rules(plan)]
    rules += _rules_for_the_rest(plan, rules, person_name.word_part(plan) or organization.word_part(plan))
    return rules or _rules_of_weak(plan)


def _rules_for_the_rest(plan: Plan, rules: Sequence[Rule], names: Part | None) -> Iterator[Rule]:
    """Rules for features that no rule is cut from yet: a second date or name, a title beside an organisation, an address without a name."""
    covered = {name for rule in rules for part in rule.parts for name in plan.attributes(part.feature)}
    for feature in plan.features:
        if feature.partial or covered & set(feature.attributes):
            continue
        for cutting in feature.kind.rest:
            part = cutting.part(feature.name)
            if names and feature.kind.rest_with_name:
                yield Rule(f"{names.name} and {feature.name}", (names, part))
            else:
                yield Rule(f"{cutting.name} of {feature.name}", (part,), names)


def _rules_of_weak(plan: Plan) -> list[Rule]:
    """Rules where only categories and numbers are known: two of them together, or the only one."""
    parts = [VALUE.part(feature.name, feature.name) for feature in plan.features]
    pairs = [Rule(f"{one.name} and {other.name}", (one, other)) for one, other in combinations(parts, 2)]
    return (pairs or [Rule(f"same {part.name}", (part,)) for part in parts])[:MOST_RULES]
