"""What is compared, and how: features, comparisons, and the plan that follows from the kinds of a table's attributes.

A kind of feature says how its values are standardised by columns and which blocking rules it calls for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.core.entities import Matching
from spine.identity.blocking.cuttings import Cutting, Rule
from spine.identity.comparing.texts import Codes, Texts
from spine.identity.standardize.columns import Function, each
from spine.identity.standardize.text import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
Kernel: TypeAlias = Callable[[Sequence[str], Codes, Codes, Mapping[str, float]], Codes]
TextsOf: TypeAlias = Callable[[Sequence[str]], Texts]


class FeatureKind:
    """What a feature is of. Blocking rules of kinds with a low `rank` come first: they are the most telling.

    `rest` is what keys are cut from where no rule covers an attribute of the kind, with a name besides if `rest_with_name`.
    """

    name: str = "together"
    rank: int = 100
    rest: tuple[Cutting, ...] = ()
    rest_with_name: bool = False

    def column(self, kinds: Sequence[str], values: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
        """The feature's values: `function` over aligned columns of raw texts, each of which has one of `kinds`."""
        return each(values, function)

    def rules(self, plan: Plan) -> Iterable[Rule]:
        """The blocking rules that features of this kind call for, in order."""
        return ()


TOGETHER = FeatureKind()


def plainly(text: str) -> str:
    """A standardised value as words."""
    return " ".join(text.replace(SEP, " ").split()) if SEP in text else text


@dataclass(frozen=True)
class Feature:
    """One standardised column: how it comes from the raw attributes, and whether its words are weighed by their rarity.

    A `partial` one holds only what is left of a whole that has a feature of its own.
    """

    name: str
    kind: FeatureKind
    attributes: tuple[str, ...]
    function: Callable[..., str | None] = field(compare=False)
    worded: bool = False
    partial: bool = False


@dataclass(frozen=True)
class Shapes:
    """How the parts that values have decide which levels can occur: an address without a house number has no house to share.

    `of` names the shape of each value. `possible` gives the share of pairs that can have each level, from the share of values of each
    shape. `usual` are the shares for which a comparison's m and u are believed.
    """

    of: TextsOf
    possible: Callable[[Mapping[str, float]], Sequence[float]]
    usual: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Levels of one feature, from agreement to disagreement.

    `m` and `u` are what is believed of matches and of strangers before any data is seen; `related` what relatives or neighbours share
    (None: they share it as a match does; otherwise a floor per level over `u`). `terms` gives per level the part whose rarity counts.
    On the last level an `exclusive` comparison excludes a pair (an `outweighable` one gives way to overwhelming evidence where matches
    turn out to differ in it often) and one that `opposes` keeps certain rules from lifting it; the first level of a `certain` one is such
    a rule. The chances of a `fixed` one are stated and not learned. A value that no more than `owners` records share is believed to be of
    one person. `shown` is how a value reads in an explanation. Without `shapes` every level can occur in any data. One that is `silent` is
    left out of explanations where it is not comparable. One that `names` is of what an entity keeps and each of its relatives has for
    itself. The odds that a match agrees so little or less are learned up to `farthest` times what is believed. `former` gives per level
    its place among those that stated weights of an earlier version were about.
    """

    name: str
    feature: str
    labels: tuple[str, ...]
    kernel: Kernel = field(compare=False)
    m: tuple[float, ...]
    u: tuple[float, ...]
    related: tuple[float, ...] | None = ()
    terms: Mapping[int, TextsOf] = field(default_factory=dict, compare=False)
    exclusive: bool = False
    outweighable: bool = False
    opposes: bool = False
    certain: bool = False
    fixed: bool = False
    owners: int = 0
    shapes: Shapes | None = field(default=None, compare=False)
    silent: bool = False
    names: bool = False
    farthest: float = 3.0
    former: tuple[int, ...] = ()
    shown: Callable[[str], str] = field(default=plainly, compare=False)

    @property
    def weighs(self) -> bool:
        """Whether levels carry weight; rules without weight only make pairs certain or exclude them."""
        return self.m != self.u

    @property
    def size(self) -> int:
        """Number of digits of this comparison in a pattern: its levels and `not comparable`."""
        return len(self.labels) + 1


@dataclass(frozen=True)
class Plan:
    """Everything that follows from the attribute kinds: features, comparisons, threshold, link mode."""

    matching: Matching
    features: tuple[Feature, ...]
    comparisons: tuple[Comparison, ...]

    def first(self, *kinds: str) -> Feature | None:
        """The first feature of the first of these kinds that the plan has at all."""
        return next((feature for kind in kinds for feature in self.of_kind(kind)), None)

    def of_kind(self, kind: str) -> list[Feature]:
        """All features of a kind."""
        return [feature for feature in self.features if feature.kind.name == kind and not feature.partial]

    def attributes(self, name: str) -> tuple[str, ...]:
        """The attributes that a feature is made of, by its name."""
        return next(feature.attributes for feature in self.features if feature.name == name)

    def kinds_of(self, name: str) -> set[str]:
        """The kinds of the attributes that a feature is made of, by its name."""
        return {self.matching.attributes[attribute] for attribute in self.attributes(name)}

    @property
    def radix(self) -> Array:
        """Place value of each comparison in a pattern."""
        return np.cumprod([1, *(comparison.size for comparison in self.comparisons[:-1])]).astype(np.int64)

    def digits(self, patterns: Array) -> Array:
        """Levels of each pattern: one row per pattern, one column per comparison."""
        return (patterns[:, None] // self.radix) % np.asarray([comparison.size for comparison in self.comparisons])
