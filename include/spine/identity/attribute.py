"""The base of all kinds of attributes: how values of a kind are standardised, cut into keys, compared, believed to weigh, and explained.

A kind is one class in one file of `kinds`, named like it in entity files. What is not said there is as here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from spine.identity.blocking.cuttings import Cut
from spine.identity.comparing.plan import Comparison, FeatureKind
from spine.identity.comparing.texts import Codes

Array: TypeAlias = Any  # numpy arrays of many element types
Test: TypeAlias = Callable[[Sequence[str], Codes, Codes, Mapping[str, float]], Array]


class AttributeKind(FeatureKind, ABC):
    """One kind of attribute; its docstring is what the reference page says of it.

    `comparison` is how values are compared unless stated otherwise, with what is believed of matches and strangers. A kind without one
    is compared by `alone_levels`; if it belongs to a composite (a name, an address), only where an attribute of it stands alone.
    Members of a household or neighbours have `shared` kinds in common as matches do, colleagues those that are `shared_beside_name`.
    The words of `worded` kinds weigh by their rarity. Kinds that do not identify say nothing of who a record is. A different value of a
    kind that `opposes` keeps certain rules from lifting a pair. `cuts` and `levels` are those that only this kind knows, by the names
    that entity files use. `example` is a raw value.
    """

    example: ClassVar[str] = ""
    comparison: Comparison | None = None
    alone_levels: tuple[str, ...] = ("exact",)
    shared: bool = False
    shared_beside_name: bool = False
    worded: bool = False
    identifies: bool = True
    opposes: bool = False
    cuts: Mapping[str, Cut] = {}
    levels: Mapping[str, Callable[[float], Test]] = {}

    @abstractmethod
    def standardize(self, text: str | None) -> str | None:
        """The comparable form of a raw value, None if it says nothing."""
