"""Identifiers that belong to one person or organisation alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Rule
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Codes, Texts, derive, edits
from spine.identity.standardize.text import fold, is_placeholder, tokens

IDENTIFIER_LEVELS = ("same identifier", "one character off", "different identifier")


# Numbers of the form of a US social security number that nobody has (no area 000 or 666, no group 00, no serial 0000), and two that were
# printed in advertisements (Social Security Administration, "Social Security Numbers": history of the number 078-05-1120; 219-09-9999).
_NO_SOCIAL_SECURITY = re.compile(r"(?:000|666)-\d\d-\d{4}|\d{3}-00-\d{4}|\d{3}-\d\d-0000|078-05-1120|219-09-9999")
_MASKED = re.compile(r"[*#\u2022\u25cf]{2}|(?:^|[^a-z0-9])x{2,}(?:[^a-z0-9]|\d+\Z)")
_LEAST_RUN = 6
_RUNS = ("0123456789" * 2, "9876543210" * 2)


def identifier(text: str | None) -> str | None:
    """A national or other id: letters and digits only. What is masked or typed because a number must be there is none.

    Such are a placeholder, one character repeated, a run of digits (`123-45-6789`, `987654321`) and what looks like a US social security
    number that is never given.
    """
    if not text or is_placeholder(text):
        return None
    folded = fold(text).strip()
    if _MASKED.search(folded) or _NO_SOCIAL_SECURITY.fullmatch(folded):
        return None
    found = "".join(tokens(folded))
    return None if not found or (len(found) >= _LEAST_RUN and any(found in run for run in _RUNS)) else found


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
