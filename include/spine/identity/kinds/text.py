"""Long texts: what they have in common by their rare words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import ALL_WORDS, WORDS, Rule
from spine.identity.blocking.rare_words import rules_of_texts
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Codes, derive
from spine.identity.comparing.words import RARE, Words, of_distinct
from spine.identity.standardize.free_text import free_text

TEXT_LEVELS = (
    "same text",
    "most words in common",
    "one text within the other",
    "many words in common",
    "some words in common",
    "different text",
)


def compare(values: Sequence[str], left: Codes, right: Codes, rarity: Mapping[str, float]) -> Codes:
    """Levels of TEXT_LEVELS."""
    greatest = max(rarity.values(), default=8.0)

    def level(one: Codes, other: Codes) -> Codes:
        found = derive(values, Words).shared(one, other, rarity, greatest)
        within = (found.within >= 0.85) & (found.weight >= RARE * greatest)
        likeness = [found.cosine >= 0.97, found.cosine >= 0.7, within, found.cosine >= 0.4, found.cosine >= 0.15]
        return np.select(likeness, [1, 2, 3, 4, 5], default=6)

    return of_distinct(level, values, left, right)


class Text(AttributeKind):
    """Descriptions, lists of authors and other long texts."""

    name = "text"
    rank = 71
    example = "The quick brown fox, and 1,000 others"
    worded = True
    rest = (ALL_WORDS, WORDS)
    comparison = Comparison(
        "", "", TEXT_LEVELS, compare, (0.3, 0.17, 0.08, 0.13, 0.17, 0.15),
        (0.0005, 0.0005, 0.0005, 0.003, 0.03, 0.9655), (), {1: texts.whole},
    )  # fmt: skip

    def standardize(self, text: str | None) -> str | None:
        """Its words in order."""
        return free_text(text)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """Rare words of texts and names of organisations, unless titles call for them already."""
        if not plan.of_kind("title"):
            yield from rules_of_texts(plan)


KIND = Text()
