"""Only what changed is compared, only what it touches is divided anew; the outcome is that of a full run with the same model.

Reads the values of few records: those that share a block with a changed one, and their former entities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine, matching
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import known_blocks
from spine.identity.blocking.cuttings import ODD, Part
from spine.identity.blocking.keys import Keys
from spine.identity.blocking.pairs import find_pairs
from spine.identity.clustering import cluster
from spine.identity.clustering.touched import touched
from spine.identity.comparing.plan import Plan
from spine.identity.copies import Copies
from spine.identity.engine import Candidates, Records
from spine.identity.learning.model import Model
from spine.identity.learning.recounting import Named, Term, follow, hashed
from spine.identity.learning.score import Scored
from spine.identity.matching import Constraints, Matched

Array: TypeAlias = Any  # numpy arrays of many element types
RecordsOf = Callable[[Array], Records]


@dataclass(frozen=True)
class Former:
    """What the run before knew, by present row numbers.

    `parts` are what each record contributes to blocking keys (rows x most), `texts` the numbers of what it shares on the levels whose
    rarity counts (`recounting.hashed`); both nothing for copies, and made anew for changed rows. `first` is that of `Copies` as far as
    both records are there and did not change, and `widowed` rows have lost it or a copy. `found` and `scored` are the kept pairs of which
    neither record changed or is gone. New records have themselves as `label`; rows that lost a record of their entity, or a pair, are
    `bereft`.
    """

    model: Model
    parts: Mapping[Part, Array]
    texts: Mapping[Term, Array]
    first: Array
    widowed: Array
    found: Candidates
    scored: Scored
    label: Array
    confidence: Array
    weakest: Mapping[int, float]
    bereft: Array


def blocking_parts(plan: Plan) -> list[Part]:
    """Every part of every blocking rule once, in a lasting order."""
    rules = blocking.make_rules(plan)
    return list(dict.fromkeys(part for rule in rules for part in (*rule.parts, *([rule.split] if rule.split else []))))


def parts_of(plan: Plan, keys: Keys, copies: Copies) -> dict[Part, Array]:
    """What each record contributes to blocking keys, given the `keys` of distinct records; copies contribute nothing."""
    found = {}
    for part in blocking_parts(plan):
        own = found[part] = keys.part(part)
        if len(copies.distinct) < len(copies.first):
            found[part] = np.zeros((len(copies.first), own.shape[1]), dtype=own.dtype)
            found[part][copies.distinct] = own
    return found


@dataclass(frozen=True)
class Kept:
    """What a run leaves for the next one about each row: its parts of blocking keys, and the texts whose rarity counts."""

    parts: Mapping[Part, Array]
    texts: Mapping[Term, Array]


def kept_of(matched: Matched, keys: Keys) -> Kept:
    """What a full run leaves for the next one; `keys` are those of the distinct records."""
    copies, records = matched.copies, matched.records
    numbers, _ = hashed(records.plan, records.take(copies.distinct).features)
    return Kept(parts_of(records.plan, keys, copies), _spread(numbers, copies))


def _spread(numbers: Mapping[Term, Array], copies: Copies) -> dict[Term, Array]:
    """The numbers of distinct records as those of all, 0 for copies."""
    found = {}
    for term, own in numbers.items():
        found[term] = np.zeros(len(copies.first), dtype=own.dtype)
        found[term][copies.distinct] = own
    return found


def rematch(plan: Plan, changed: Array, former: Former, records_of: RecordsOf, threshold: float) -> tuple[Matched, Array, Kept]:
    """The entities after a change; which rows were looked at anew; and what the next run needs of all rows.

    `changed` flags new and changed rows; `records_of` gives the standardised records of some rows. The `records` of the result have no
    features. The model has the counts of values that have become more common by the change.
    """
    rows = len(changed)
    own: Array = np.arange(rows)
    news = changed | (former.widowed & (former.first == own))
    parts, texts, named = _news(plan, news, former, records_of)
    copies = _copies(plan, changed, former, parts, records_of)
    for held in texts.values():
        held[copies.first != own] = 0
    model, recounted = follow(plan, former.model, texts, named, news & (copies.first == own))
    recounted = recounted[copies.first]
    regrouped: Array = np.zeros(rows, dtype=bool)  # new, gained or lost a copy, or copies of a value that has risen
    regrouped[copies.first[news | former.widowed | (recounted & copies.several)]] = True
    regrouped = regrouped[copies.first]
    fresh = regrouped & (copies.first == own)
    for held in parts.values():
        held[regrouped & ~fresh] = 0
    former = replace(_without(former, regrouped), model=model)
    blocks = list(known_blocks(blocking.make_rules(plan), Keys({}, former.model.rarity, parts), former.model.heavy, fresh))
    pairs = [np.stack([pairs.left, pairs.right, pairs.rule, pairs.mask]) for pairs in find_pairs(blocks, rows, fresh)]
    left, right, rule, mask = np.concatenate(pairs, axis=1)
    reached = regrouped | former.bereft | recounted
    stale = recounted[former.found.left] | recounted[former.found.right]
    reached[former.found.left[stale]] = reached[former.found.right[stale]] = True
    reached[left] = reached[right] = True
    strong = former.scored.weight >= matching.threshold_weight(threshold) - 1e-9
    component = cluster.components(rows, former.found.left[strong], former.found.right[strong])
    anew = touched(reached, component, copies.first)
    part = _rematched(plan, np.flatnonzero(anew), (left, right, rule, mask), former, stale, copies, records_of, threshold)
    return _whole(plan, anew, former, part, copies), anew, Kept(parts, texts)


def _without(former: Former, rows: Array) -> Former:
    """The former run without the pairs of these rows (a flag each), which are found again."""
    left, right = former.found.left, former.found.right
    gone = rows[left] | rows[right]
    bereft = former.bereft.copy()
    bereft[left[gone]] = bereft[right[gone]] = True
    stays = np.flatnonzero(~gone)
    return replace(former, found=former.found.take(stays), scored=former.scored.take(stays), bereft=bereft)


def _copies(plan: Plan, changed: Array, former: Former, parts: Mapping[Part, Array], records_of: RecordsOf) -> Copies:
    """The copies after a change: changed records are looked at beside those that contribute the same to all blocking keys."""
    own: Array = np.arange(len(changed))
    if plan.matching.link == "across_sources":
        return Copies(own)
    all_keys: Array = np.zeros(len(changed), dtype=np.int64)
    with np.errstate(over="ignore"):
        for column in (column for held in parts.values() for column in held.T):
            all_keys = (all_keys * ODD) ^ column
    some = np.flatnonzero(changed | ((former.first == own) & np.isin(all_keys, all_keys[changed])))
    now = own.copy()
    now[some] = some[Copies.of(records_of(some)).first]
    return Copies(now[former.first])


def _news(plan: Plan, news: Array, former: Former, records_of: RecordsOf) -> tuple[dict[Part, Array], dict[Term, Array], Named]:
    """The parts and texts of all rows, those with `news` made anew; and what the numbers of their texts stand for."""
    new = np.flatnonzero(news)
    features = records_of(new).features
    keys, (numbers, named) = Keys(features, former.model.rarity), hashed(plan, features)
    parts, texts = dict(former.parts), dict(former.texts)
    if len(new):
        for part, held in parts.items():
            held[new] = keys.part(part)
        for term, held in texts.items():
            held[new] = numbers[term]
    return parts, texts, named


def _rematched(
    plan: Plan,
    chosen: Array,
    pairs: tuple[Array, Array, Array, Array],
    former: Former,
    stale: Array,
    copies: Copies,
    records_of: RecordsOf,
    threshold: float,
) -> Matched:
    """The entities of the `chosen` rows alone, numbered among themselves; `stale` kept pairs are scored anew."""
    records = records_of(chosen)
    left: Array = np.searchsorted(chosen, pairs[0])
    right: Array = np.searchsorted(chosen, pairs[1])
    rule, mask = pairs[2], pairs[3]
    if plan.matching.link == "across_sources":
        keep = records.source[left] != records.source[right]
        left, right, rule, mask = left[keep], right[keep], rule[keep], mask[keep]
    own = Copies(np.searchsorted(chosen, copies.first[chosen]))
    found = Candidates(left, right, engine.patterns(records, left, right, former.model.rarity), rule, mask)
    found = found.with_these(own.twins(records, former.model))
    compared = len(found.left)
    found, scored = own.spread(*matching.kept(records, former.model, found), matching.threshold_weight(threshold))
    inside: Array = np.zeros(len(former.label), dtype=bool)
    inside[chosen] = True
    twins = copies.first[former.found.left] == copies.first[former.found.right]
    known = inside[former.found.left] & inside[former.found.right] & ~twins
    old = np.flatnonzero(known & ~stale)
    again, scored_again = matching.kept(records, former.model, _among(chosen, former.found.take(np.flatnonzero(known & stale))))
    pairs_now = _among(chosen, former.found.take(old)).with_these(again).with_these(found)
    scored_now = former.scored.take(old).with_these(scored_again).with_these(scored)
    return matching.divide(records, former.model, pairs_now, scored_now, threshold, Constraints(), compared, own)


def _among(chosen: Array, found: Candidates) -> Candidates:
    """The same pairs, of records that are numbered among the `chosen` rows."""
    return Candidates(np.searchsorted(chosen, found.left), np.searchsorted(chosen, found.right), found.pattern, found.rule, found.mask)


def _whole(plan: Plan, anew: Array, former: Former, part: Matched, copies: Copies) -> Matched:
    """The former entities with those of the rows that were looked at `anew` put in."""
    chosen = np.flatnonzero(anew)
    label, confidence = former.label.copy(), former.confidence.copy()
    label[chosen], confidence[chosen] = chosen[part.label], part.confidence
    weakest = {row: value for row, value in former.weakest.items() if not anew[row]}
    weakest |= {int(chosen[row]): value for row, value in part.weakest.items()}
    untouched = np.flatnonzero(~(anew[former.found.left] & anew[former.found.right]))
    moved = part.found.of_rows(chosen)
    found, scored = former.found.take(untouched).with_these(moved), former.scored.take(untouched).with_these(part.scored)
    conflicts = [
        matching.Conflict(int(chosen[conflict.row]), tuple(int(chosen[row]) for row in conflict.rivals), conflict.reason)
        for conflict in part.conflicts
    ]
    records = Records(plan, {}, np.zeros(len(label), dtype=np.int64), len(label))
    return Matched(records, former.model, found, scored, label, confidence, weakest, conflicts, part.compared, copies)
