"""Blocking rules of texts: records that share a rare word, or words of two texts, are compared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from spine.identity.blocking.cuttings import Cutting, Part, Rule
from spine.identity.comparing.plan import Plan

RARE_WORDS = 6
WORDS = Cutting("words", str.split, RARE_WORDS)


def rules_of_texts(plan: Plan) -> Iterator[Rule]:
    """Titles, texts and names of organisations by their rarest words, a word of too many records only together with another one."""
    features = [feature for kind in ("title", "text", "organization") for feature in plan.of_kind(kind)]
    for feature in features:
        words = Part(f"rare words of {feature.name}", feature.name, WORDS, rank=True)
        yield Rule(f"rare words of {feature.name}", (words,), words)
    for one, other in combinations(features[:3], 2):
        both = tuple(Part(f"words of {feature.name}", feature.name, WORDS, RARE_WORDS - 2, rank=True) for feature in (one, other))
        yield Rule(f"words of {one.name} and of {other.name}", both)
