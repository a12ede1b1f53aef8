"""House numbers that have an attribute of their own."""

from __future__ import annotations

from collections.abc import Mapping

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Cut
from spine.identity.composites.postal_address import house_number
from spine.identity.standardize.text import plain


class HouseNumber(AttributeKind):
    """House numbers, where the street has none."""

    name = "house_number"
    example = "12b"
    shared = True
    rest = (VALUE,)
    rest_with_name = True
    cuts: Mapping[str, Cut] = {"number": house_number}

    def standardize(self, text: str | None) -> str | None:
        """Its words, folded."""
        return plain(text)


KIND = HouseNumber()
