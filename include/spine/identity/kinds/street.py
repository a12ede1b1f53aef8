"""Lines with a street and perhaps a house number."""

from __future__ import annotations

from collections.abc import Mapping

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Cut
from spine.identity.composites.postal_address import house_number, road_word, street


class Street(AttributeKind):
    """A line of an address: street, house number, at times a postcode."""

    name = "street"
    example = "12 Main Street"
    shared = True
    rest = (VALUE,)
    alone_levels = ("exact", "jaro_winkler >= 0.92", "same road")
    cuts: Mapping[str, Cut] = {"number": house_number, "road": road_word}

    def standardize(self, text: str | None) -> str | None:
        """House number and street words without fillers."""
        number, road, _ = street(text)
        return " ".join([*([number] if number else []), *road]) or None


KIND = Street()
