"""Whole names of persons in one attribute."""

from __future__ import annotations

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE
from spine.identity.composites.person_name import NICKNAME, alone


class FullName(AttributeKind):
    """A person's whole name (`Ann Lee` or `Lee, Ann`); cut into forename and surname."""

    name = "full_name"
    example = "Dr. Ann Lee"
    rest = (VALUE,)
    alone_levels = ("exact", "jaro_winkler >= 0.92", "words >= 0.6", "same sound")
    levels = NICKNAME

    def standardize(self, text: str | None) -> str | None:
        """Its words without titles."""
        return alone(text)


KIND = FullName()
