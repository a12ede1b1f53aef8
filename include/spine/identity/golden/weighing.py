"""The pairs of a tenant's records and what they weigh: those that a change touches anew, the others as they are stored. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity import engine
from spine.identity.comparing.plan import Plan
from spine.identity.copies import Copies
from spine.identity.engine import Candidates, Pairing, Records
from spine.identity.golden.columns import places
from spine.identity.golden.former import Aligned, News
from spine.identity.golden.scope import Scope
from spine.identity.learning.model import Model
from spine.identity.learning.recounting import follow, numbered
from spine.identity.learning.score import Scored
from spine.identity.matching import PairEvidence, kept, modelled

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Weighed:
    """Records with their pairs: `found` and `scored` are the new pairs worth keeping of those that were `compared`.

    `holds` flags the former matches that need not be scored again; `learned` says whether the model is new. `regrouped` flags the records
    that are new, changed, or have gained or lost a record with the same values: all their pairs are new. `recounted` ones have a value that
    has become more common than the model had it, or share a pair with one.
    """

    records: Records
    copies: Copies
    regrouped: Array
    recounted: Array
    model: Model
    found: Candidates
    scored: Scored
    holds: Array
    compared: int
    learned: bool

    def evidence(self, never: Array) -> PairEvidence:
        """What speaks for and against any pair of rows; `never` are those that a steward keeps apart."""
        return PairEvidence(self.records, self.model, self.found, self.scored, never)


@dataclass(frozen=True)
class Edges:
    """Pairs of rows, new and former, that are strong enough to be one entity."""

    left: Array
    right: Array
    weight: Array

    def inside(self, rows: Array) -> Edges:
        """Those whose first record is flagged."""
        chosen = rows[self.left]
        return Edges(self.left[chosen], self.right[chosen], self.weight[chosen])


def weigh(plan: Plan, aligned: Aligned, news: News, pairing: Pairing, limit: float) -> Weighed:
    """Finds and scores the pairs that are new, by the former model or one that is learned now; `limit` is the threshold's weight."""
    records = engine.prepare(aligned.table, plan, "source")
    copies = Copies.of(records)
    regrouped, former, how = _regrouped(aligned, news, copies), aligned.former.model, news.learning
    model, recounted = (former, _no(regrouped)) if former is None or how.way != "keep" else _counted(records, copies, former, regrouped)
    regrouped |= _groups(copies, recounted & copies.several)
    flags = None if news.everything else regrouped
    model, found = modelled(records, copies, pairing, limit, model, how, news.basis, flags)
    found = found.with_these(copies.twins(records, model))
    worth, scored = copies.spread(*kept(records, model, found), limit)
    new = np.flatnonzero(regrouped[worth.left] | regrouped[worth.right])
    worth, scored, holds = worth.take(new), scored.take(new), _holds(aligned, regrouped)
    stale = holds & (recounted[aligned.left] | recounted[aligned.right])
    again, scored_again = kept(records, model, _stored(aligned, records, model, stale))
    recounted[aligned.left[stale]] = recounted[aligned.right[stale]] = True
    return Weighed(
        records, copies, regrouped, recounted, model, worth.with_these(again), scored.with_these(scored_again), holds & ~stale,
        len(found.left), how.way != "keep",
    )  # fmt: skip


def _no(flags: Array) -> Array:
    return np.zeros(len(flags), dtype=bool)


def _counted(records: Records, copies: Copies, model: Model, news: Array) -> tuple[Model, Array]:
    """The model with the counts of the values that are new among distinct records, and flags of the rows whose pairs weigh otherwise."""
    some = records.take(copies.distinct)
    model, rows = follow(records.plan, model, *numbered(records.plan, some.features), news[copies.distinct])
    found = _no(news)
    found[copies.distinct[rows]] = True
    return model, found[copies.first]


def _groups(copies: Copies, rows: Array) -> Array:
    """Flags of all copies of some rows."""
    found = _no(rows)
    found[copies.first[rows]] = True
    return found[copies.first]


def _stored(aligned: Aligned, records: Records, model: Model, chosen: Array) -> Candidates:
    """Some of the former matches, of which both records are there, as pairs that are scored anew."""
    left, right = aligned.left[chosen], aligned.right[chosen]
    names = aligned.former.matches.column("blocking_rule").filter(pa.array(chosen))
    rule = places(names, pa.array(engine.origins(records.plan), pa.string()))
    rule = np.where(rule < 0, 0, rule)  # one of a former version
    return Candidates(left, right, engine.patterns(records, left, right, model.rarity), rule, np.int64(1) << rule)


def _regrouped(aligned: Aligned, news: News, copies: Copies) -> Array:
    flags = news.changed.copy()
    alike = np.asarray(pc.fill_null(pc.equal(aligned.former.matches.column("blocking_rule"), engine.IDENTICAL), False))
    for one, other in ((aligned.left, aligned.right), (aligned.right, aligned.left)):
        lost = one >= 0
        lost[lost] &= (other[lost] < 0) | news.changed[other[lost]]
        lost[lost] &= alike[lost] | copies.several[one[lost]]
        flags[one[lost]] = True
    return _groups(copies, flags)


def _holds(aligned: Aligned, regrouped: Array) -> Array:
    """Flags of the former matches of which both records are there and neither is looked at anew."""
    left, right = aligned.left, aligned.right
    holds = (left >= 0) & (right >= 0)
    holds[holds] &= ~(regrouped[left[holds]] | regrouped[right[holds]])
    return holds


def strong_edges(scope: Scope, aligned: Aligned, weighed: Weighed) -> Edges:
    """New pairs and former matches that still hold, of at least the threshold's weight."""
    former: Array = np.asarray(aligned.former.matches.column("weight"))
    old = weighed.holds & scope.strong(former)
    new = scope.strong(weighed.scored.weight)
    return Edges(
        np.r_[weighed.found.left[new], aligned.left[old]],
        np.r_[weighed.found.right[new], aligned.right[old]],
        np.r_[weighed.scored.weight[new], former[old]],
    )


def weights_of(aligned: Aligned, weighed: Weighed, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """The weights of those pairs of references of which both records exist, constraints aside."""
    live = sorted({pair for pair in pairs if pair[0] in aligned.row and pair[1] in aligned.row})
    left, right = (np.asarray([aligned.row[pair[side]] for pair in live], dtype=np.int64) for side in (0, 1))
    nothing: Array = np.zeros((0, 2), dtype=np.int64)
    weight, _ = weighed.evidence(nothing)(left, right)
    return dict(zip(live, weight.tolist(), strict=True))
