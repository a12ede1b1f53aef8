"""Countries, in whatever spelling the sources agree on."""

from __future__ import annotations

from spine.identity.attribute import AttributeKind
from spine.identity.kinds import category
from spine.identity.standardize.text import plain


class Country(AttributeKind):
    """Countries; compared like a category."""

    name = "country"
    example = "Germany"
    identifies = False
    comparison = category.KIND.comparison

    def standardize(self, text: str | None) -> str | None:
        """Its words, folded."""
        return plain(text)


KIND = Country()
