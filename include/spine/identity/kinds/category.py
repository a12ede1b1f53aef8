"""Values of a short list, which many records share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison
from spine.identity.comparing.texts import Codes
from spine.identity.standardize.text import plain

CATEGORY_LEVELS = ("same", "different")


def compare(_values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of CATEGORY_LEVELS."""
    return np.where(left == right, 1, 2)


class Category(AttributeKind):
    """Sex, segment, colour: equal or not, and little said either way."""

    name = "category"
    example = "Female"
    identifies = False
    comparison = Comparison("", "", CATEGORY_LEVELS, compare, (0.85, 0.15), (0.3, 0.7), (0.0, 0.0), {1: texts.whole})

    def standardize(self, text: str | None) -> str | None:
        """Its words, folded."""
        return plain(text)


KIND = Category()
