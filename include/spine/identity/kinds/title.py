"""Titles and product names: a model number tells most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import ALL_WORDS, WORDS, Rule
from spine.identity.blocking.rare_words import rules_of_texts
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Codes, derive
from spine.identity.comparing.words import RARE, Words, of_distinct, spelling
from spine.identity.standardize.free_text import free_text

TITLE_LEVELS = (
    "same words",
    "nearly the same words",
    "shared model number",
    "one title within the other",
    "many words in common",
    "alike but for a number",
    "few words in common",
    "different title",
)


def compare(values: Sequence[str], left: Codes, right: Codes, rarity: Mapping[str, float]) -> Codes:
    """Levels of TITLE_LEVELS; numbers that differ on both sides (`mark 2`, `mark 3`) keep a pair from the levels of likeness."""
    greatest = max(rarity.values(), default=8.0)

    def level(one: Codes, other: Codes) -> Codes:
        found = derive(values, Words).shared(one, other, rarity, greatest)
        letters = spelling(values, one, other)
        alike = (found.cosine >= 0.5) | (letters >= 0.7)
        return np.select(
            [
                (found.cosine >= 0.97) & ~found.clash,
                ((found.cosine >= 0.78) | (letters >= 0.85)) & ~found.clash,
                found.code,
                (found.within >= 0.85) & (found.weight >= RARE * greatest) & ~found.clash,
                alike & ~found.clash,
                alike,
                found.cosine >= 0.2,
            ],
            [1, 2, 3, 4, 5, 6, 7],
            default=8,
        )

    return of_distinct(level, values, left, right)


class Title(AttributeKind):
    """Names of things: products, songs, publications. Numbers that differ (`mark 2`, `mark 3`) part what is otherwise alike."""

    name = "title"
    rank = 70
    example = "Canon PowerShot A590 &amp; case"
    worded = True
    rest = (ALL_WORDS, WORDS)
    comparison = Comparison(
        "", "", TITLE_LEVELS, compare, (0.35, 0.22, 0.08, 0.1, 0.1, 0.03, 0.09, 0.03),
        (0.0005, 0.0005, 0.0003, 0.0005, 0.002, 0.003, 0.05, 0.9432),
        (0.0, 0.005, 0.0, 0.01, 0.1, 0.2, 0.3, 0.0), {1: texts.whole},
    )  # fmt: skip

    def standardize(self, text: str | None) -> str | None:
        """Its words in order."""
        return free_text(text)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """Rare words of titles, texts and names of organisations."""
        yield from rules_of_texts(plan)


KIND = Title()
