"""Identifiers that belong to one person or organisation alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Rule
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Codes, Texts, derive, edits
from spine.identity.standardize.text import is_placeholder, tokens

IDENTIFIER_LEVELS = ("same identifier", "one character off", "different identifier")


def identifier(text: str | None) -> str | None:
    """A national or other id: letters and digits only."""
    return None if not text or is_placeholder(text) else "".join(tokens(text)) or None


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of IDENTIFIER_LEVELS."""
    distance = edits(derive(values, Texts), left, right, np.ones(len(left), dtype=bool), 1)
    return np.select([distance == 0, distance == 1], [1, 2], default=3)


class NationalId(AttributeKind):
    """Numbers that tell one person or organisation from all others: social security, tax, register. Different ones exclude a pair."""

    name = "national_id"
    rank = 10
    example = "AB 12-34 56"
    comparison = Comparison(
        "", "", IDENTIFIER_LEVELS, compare, (0.95, 0.03, 0.02), (0.00001, 0.00005, 0.99994),
        (0.0, 0.0, 0.0), {1: texts.whole}, exclusive=True, outweighable=True,
    )  # fmt: skip

    def standardize(self, text: str | None) -> str | None:
        """Letters and digits only."""
        return identifier(text)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """The same identifier."""
        for feature in plan.of_kind(self.name):
            yield Rule(f"same {feature.name}", (VALUE.part(feature.name, feature.name),))


KIND = NationalId()
