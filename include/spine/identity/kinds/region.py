"""States, counties and other regions."""

from __future__ import annotations

from spine.identity.attribute import AttributeKind
from spine.identity.standardize.text import plain


class Region(AttributeKind):
    """Regions; they stand in for a town that is missing."""

    name = "region"
    example = "Bavaria"
    shared = True
    identifies = False

    def standardize(self, text: str | None) -> str | None:
        """Its words, folded."""
        return plain(text)


KIND = Region()
