"""Postcodes of any country."""

from __future__ import annotations

from collections.abc import Mapping

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Cut
from spine.identity.composites.postal_address import postcode, postcode_district


class Postcode(AttributeKind):
    """Postcodes; the `+4` of US codes is dropped."""

    name = "postcode"
    example = "60612-1234"
    shared = True
    rest = (VALUE,)
    rest_with_name = True
    alone_levels = ("exact", "edits <= 1", "same district")
    cuts: Mapping[str, Cut] = {"district": lambda value: [postcode_district(value)]}

    def standardize(self, text: str | None) -> str | None:
        """The code without separators."""
        return postcode(text) or None


KIND = Postcode()
