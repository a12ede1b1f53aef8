"""Records whose standardised values are all alike: the first of them is compared for all, and what was found is spread over them again.

A copy tells nothing that the first did not say, so rarities, blocks and budgets are those of distinct records, and weights are learned as
if a repeated record stood there twice: a file has the same model whether its rows stand in it two times or a thousand.

Whether copies are one entity is a question of evidence as any other: the *twins*, a record and its first copy, are a pair that agrees in
all it has. From the threshold on the copies are *tight* and follow their first wherever it goes; below it they are *loose*, namesakes of
which each is a record of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity import engine
from spine.identity.blocking import rules as blocking
from spine.identity.engine import Candidates, Records, Repeated
from spine.identity.learning import learn
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored

Array: TypeAlias = Any  # numpy arrays of many element types
SLACK = 1e-9  # of weights that reach a threshold


@dataclass(frozen=True)
class Copies:
    """`first` is per record the first one that has all its values: itself, unless it is a copy."""

    first: Array

    @classmethod
    def of(cls, records: Records) -> Copies:
        """The copies among records; none where two records of one source are known to be two entities."""
        own: Array = np.arange(records.rows)
        if records.plan.matching.link == "across_sources":
            return cls(own)
        alike: Array = np.zeros(records.rows, dtype=np.int64)
        for codes, _ in sorted(records.features.values(), key=lambda column: -len(column[1])):
            alike = np.asarray(pa.array(alike * (codes.max(initial=-1) + 2) + codes + 1).dictionary_encode().indices, dtype=np.int64)
            if alike.max(initial=-1) + 1 == records.rows:
                return cls(own)
        place = np.flatnonzero(np.diff(np.maximum.accumulate(alike), prepend=-1))  # they are numbered as they appear
        return cls(place[alike] if len(place) else own)

    @cached_property
    def distinct(self) -> Array:
        """The rows that are no copies."""
        return np.flatnonzero(self.first == np.arange(len(self.first)))

    @cached_property
    def several(self) -> Array:
        """Flags of the records that have a copy, or are one."""
        return np.bincount(self.first, minlength=len(self.first))[self.first] > 1

    @cached_property
    def _ranked(self) -> tuple[Array, Array, Array]:
        """All rows with copies behind their first; per row where those that share its first begin, and how many they are."""
        order = np.argsort(self.first, kind="stable")
        size = np.bincount(self.first, minlength=len(self.first))
        return order, (np.cumsum(size) - size)[self.first], size[self.first]

    def repeated(self, records: Records, chosen: Array | None = None) -> Repeated:
        """Which of the distinct records, or of some of them, have copies, by their numbers among these."""
        order, start, _ = self._ranked
        chosen = self.distinct if chosen is None else chosen
        rows = np.flatnonzero(self.several[chosen])
        lead = chosen[rows]
        return Repeated(rows, records.source[lead] == records.source[order[start[lead] + 1]])

    def twins(self, records: Records, model: Model, among: Array | None = None) -> Candidates:
        """A pair per record that has copies: it and the first of them; only of the rows that `among` flags, if given."""
        order, start, size = self._ranked
        left = self.distinct[size[self.distinct] > 1]
        left = left if among is None else left[among[left]]
        right = order[start[left] + 1]
        rules = len(blocking.make_rules(records.plan))
        rule, mask = np.full(len(left), rules), np.full(len(left), engine.identical(rules))
        return Candidates(left, right, engine.patterns(records, left, right, model.rarity), rule, mask)

    def tight(self, left: Array, right: Array, weight: Array, limit: float) -> Array:
        """Flags of the records whose copies are one with them, told by the kept pairs: those of twins reach the weight `limit`."""
        found: Array = np.zeros(len(self.first), dtype=bool)
        found[self.first[left[(self.first[left] == self.first[right]) & (weight >= limit - SLACK)]]] = True
        return found[self.first]

    def spread(self, found: Candidates, scored: Scored, limit: float) -> tuple[Candidates, Scored]:
        """Pairs of records from pairs of firsts and of twins: as few as tell everything.

        A record is paired with each of its copies, the copies not with one another. Loose copies have the pairs of their first; where
        both sides have loose copies, each with the first of the other side.
        """
        if not self.several[found.left].any() and not self.several[found.right].any():
            return found, scored
        order, start, size = self._ranked
        spreads = ~self.tight(found.left, found.right, scored.weight, limit)
        twins = self.first[found.left] == self.first[found.right]
        many, others = (np.where(spreads[rows], size[rows], 1) for rows in (found.left, found.right))
        times = np.where(twins, size[found.left] - 1, many + others - 1)
        pair: Array = np.repeat(np.arange(len(times)), times)
        step = np.arange(len(pair)) - np.repeat(np.cumsum(times) - times, times)
        left, right = found.left[pair], found.right[pair]
        own = np.where(twins[pair], 0, np.minimum(step, many[pair] - 1))
        other = np.where(twins[pair], step + 1, step - own)
        one, two = order[start[left] + own], order[start[right] + other]
        some = found.take(pair)
        return Candidates(np.minimum(one, two), np.maximum(one, two), some.pattern, some.rule, some.mask), scored.take(pair)


def settled(records: Records, copies: Copies, model: Model, limit: float) -> None:
    """Lets a model that was learned from distinct records count loose copies one by one: so many namesakes bear a name.

    Those are counted whose twins stay below the weight `limit` while every distinct record counts once.
    """
    twins = copies.twins(records, model)
    loose: Array = np.zeros(records.rows, dtype=bool)
    loose[twins.left[engine.scored(records, model, twins).weight < limit - SLACK]] = True
    if loose.any():
        counted = np.flatnonzero((copies.first == np.arange(records.rows)) | loose[copies.first])
        model.terms = learn.frequencies(records.plan, learn.tallies(records.plan, records.take(counted).features))
