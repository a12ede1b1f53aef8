"""Given names of persons."""

from __future__ import annotations

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE
from spine.identity.composites.person_name import NICKNAME, alone


class Forename(AttributeKind):
    """Given names; nicknames count as the same name. With a surname it is compared as a whole name."""

    name = "forename"
    example = "Bob J."
    opposes = True
    rest = (VALUE,)
    rest_with_name = True
    alone_levels = ("exact", "nickname", "jaro_winkler >= 0.9", "same initial")
    levels = NICKNAME

    def standardize(self, text: str | None) -> str | None:
        """Its words without titles."""
        return alone(text)


KIND = Forename()
