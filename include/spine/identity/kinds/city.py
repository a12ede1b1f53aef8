"""Towns and cities."""

from __future__ import annotations

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE
from spine.identity.standardize.text import plain


class City(AttributeKind):
    """Towns; part of a postal address if there is more of one."""

    name = "city"
    example = "Bad Aibling"
    shared = True
    rest = (VALUE,)
    rest_with_name = True
    alone_levels = ("exact", "jaro_winkler >= 0.92")

    def standardize(self, text: str | None) -> str | None:
        """Its words, folded."""
        return plain(text)


KIND = City()
