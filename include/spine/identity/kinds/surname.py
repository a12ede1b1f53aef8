"""Family names of persons."""

from __future__ import annotations

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE
from spine.identity.composites.person_name import alone


class Surname(AttributeKind):
    """Family names; households share them."""

    name = "surname"
    example = "van der Berg"
    shared = True
    rest = (VALUE,)
    alone_levels = ("exact", "jaro_winkler >= 0.9", "jaro_winkler >= 0.78")

    def standardize(self, text: str | None) -> str | None:
        """Its words without titles."""
        return alone(text)


KIND = Surname()
