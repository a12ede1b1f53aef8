"""Records -> entities: learn or take a model, score the candidate pairs, divide them into entities. Arrays in, arrays out; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine
from spine.identity.clustering import cluster
from spine.identity.clustering.copies import cluster_copies
from spine.identity.comparing.comparisons import pattern
from spine.identity.comparing.plan import Plan
from spine.identity.copies import Copies, settled
from spine.identity.engine import Candidates, LocalPairing, Pairing, Records
from spine.identity.learning.growth import Basis, Learning
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored, hopeful, score

Array: TypeAlias = Any  # numpy arrays of many element types
REVIEW = 0.5


def _no_pairs() -> Array:
    return np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Constraints:
    """A steward's word: pairs of row numbers (n x 2, left < right) that must be, or must never be, one entity."""

    must: Array = field(default_factory=_no_pairs)
    never: Array = field(default_factory=_no_pairs)


@dataclass(frozen=True)
class Conflict:
    """A strong pair that is not one entity, and why: `row` and `rivals` are row numbers."""

    row: int
    rivals: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Matched:
    """What `match` found. `found` and `scored` are the pairs worth keeping (probability of REVIEW or more).

    Per row: `label` (the smallest row of its entity) and `confidence` (probability of its best link, 1.0 if it is alone);
    per entity of several records: the `weakest` link that it cannot do without. `copies` tells of records with the same values.
    """

    records: Records
    model: Model
    found: Candidates
    scored: Scored
    label: Array
    confidence: Array
    weakest: Mapping[int, float]
    conflicts: list[Conflict]
    compared: int
    copies: Copies


def threshold_weight(probability: float) -> float:
    """The weight (log2 odds) of a probability."""
    return float(np.log2(probability / max(1e-12, 1 - probability)))


def excluded(plan: Plan, model: Model, source: Array, scored: Scored, left: Array, right: Array) -> Array:
    """Pairs that cannot be one entity: exclusive attributes (birth dates, identifiers) differ, or one source under `across_sources`.

    An attribute in which even matches often differ (`model.unreliable`) speaks by its weight alone.
    """
    found: Array = np.zeros(len(left), dtype=bool)
    for place, comparison in enumerate(plan.comparisons):
        if comparison.exclusive and comparison.name not in model.unreliable:
            found |= scored.levels[:, place] == len(comparison.labels)
    if plan.matching.link == "across_sources":
        found |= source[left] == source[right]
    return found


class PairEvidence:
    """Weight and exclusion of any pairs of records; pairs that were scored before are looked up, the others scored."""

    def __init__(self, records: Records, model: Model, found: Candidates, scored: Scored, never: Array) -> None:
        self.records, self.model = records, model
        code = found.left * np.int64(records.rows) + found.right
        order = np.argsort(code)
        self.code, self.weight = code[order], scored.weight[order]
        self.apart = excluded(records.plan, model, records.source, scored, found.left, found.right)[order]
        self.never = np.sort(never[:, 0] * np.int64(records.rows) + never[:, 1])

    def same_source(self, left: int, right: int) -> bool:
        """Whether two records come from one source."""
        return bool(self.records.source[left] == self.records.source[right])

    def __call__(self, left: Array, right: Array) -> tuple[Array, Array]:
        """Weights (log2 odds; minus infinity where a steward forbids it) and exclusions of the pairs, in either order of their rows."""
        left, right = np.minimum(left, right), np.maximum(left, right)
        code = left * np.int64(self.records.rows) + right
        place = np.minimum(np.searchsorted(self.code, code), max(0, len(self.code) - 1))
        known = self.code[place] == code if len(self.code) else np.zeros(len(code), dtype=bool)
        weight: Array = np.zeros(len(code))
        apart: Array = np.zeros(len(code), dtype=bool)
        weight[known], apart[known] = self.weight[place[known]], self.apart[place[known]]
        new = np.flatnonzero(~known)
        if len(new):
            one, other = left[new], right[new]
            patterns = pattern(self.records.plan, self.records.features, one, other, self.model.rarity)
            found = score(self.records.plan, self.model, self.records.features, one, other, patterns)
            weight[new], apart[new] = found.weight, excluded(self.records.plan, self.model, self.records.source, found, one, other)
        if len(self.never):
            forbidden = np.isin(code, self.never)
            apart |= forbidden
            weight[forbidden] = -np.inf
        return weight, apart


def match(
    records: Records,
    threshold: float,
    *,
    model: Model | None = None,
    pairing: Pairing | None = None,
    constraints: Constraints | None = None,
    learning: Learning | None = None,
    basis: Basis | None = None,
) -> Matched:
    """Entities of all records. `threshold` is a probability, inclusive.

    Takes a `model` if one is given, unless `learning` says that it is counted or learned anew from these records, which are `basis`.
    """
    pairing, given, copies = pairing or LocalPairing(), constraints or Constraints(), Copies.of(records)
    limit = threshold_weight(threshold)
    how = learning or Learning("learn" if model is None else "keep")
    model, found = modelled(records, copies, pairing, limit, model, how, basis)
    found = found.with_these(copies.twins(records, model))
    pairs, scored = copies.spread(*kept(records, model, found), limit)
    return divide(records, model, pairs, scored, threshold, given, len(found.left), copies)


def modelled(
    records: Records,
    copies: Copies,
    pairing: Pairing,
    limit: float,
    former: Model | None,
    how: Learning,
    basis: Basis | None = None,
    changed: Array | None = None,
) -> tuple[Model, Candidates]:
    """The model that holds for records, and the likely pairs of distinct ones; with a former model that is kept, of `changed` ones only.

    `limit` is the threshold's weight, from which on copies are one.
    """
    distinct, version = copies.distinct, 1 if former is None else former.version + 1
    some = records.take(distinct)

    def settle(model: Model) -> None:
        settled(records, copies, model, limit)

    if how.way == "learn" or former is None:
        model, found = pairing.fit(some, version, REVIEW, copies.repeated(records), settle)
        model.basis, model.why = basis, how.why
        return model, found.of_rows(distinct)
    if how.way == "recount":
        begun, _, _ = engine.begin(some)
        former = replace(former, rarity=begun.rarity, terms=begun.terms, heavy=begun.heavy, counted=basis, version=version, why=how.why)
        settle(former)
        changed = None
    return former, pairing.candidates(some, former, None if changed is None else changed[distinct], REVIEW).of_rows(distinct)


def divide(
    records: Records, model: Model, found: Candidates, scored: Scored, threshold: float, given: Constraints, compared: int, copies: Copies
) -> Matched:
    """Entities of the records from their scored pairs, which are spread over copies."""
    limit = threshold_weight(threshold)
    evidence = PairEvidence(records, model, found, scored, given.never)
    strong = scored.weight >= limit - 1e-9
    clusters = cluster_copies(
        copies.first, found.left[strong], found.right[strong], scored.weight[strong], evidence, limit, given.must, given.never
    )
    conflicts = find_conflicts(clusters, found, strong, evidence, records.plan.matching.link == "across_sources")
    return Matched(records, model, found, scored, clusters.label, clusters.confidence, clusters.weakest, conflicts, compared, copies)


def kept(records: Records, model: Model, found: Candidates) -> tuple[Candidates, Scored]:
    """The pairs worth keeping, with their scores: probability of REVIEW or more."""
    found = found.take(np.flatnonzero(hopeful(records.plan, model, found.pattern, threshold_weight(REVIEW))))
    scored = engine.scored(records, model, found)
    worth = np.flatnonzero(scored.probability >= REVIEW)
    return found.take(worth), scored.take(worth)


def find_conflicts(clusters: cluster.Clusters, found: Candidates, strong: Array, evidence: PairEvidence, across: bool) -> list[Conflict]:
    """Every strong pair that was left apart, with the reason in words."""
    label = clusters.label
    cut = np.flatnonzero(strong & (label[found.left] != label[found.right]))
    left, right = found.left[cut], found.right[cut]
    _, direct = evidence(left, right)
    entities = _excluding(clusters, left, right, evidence)
    result = []
    for number, (one, other) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        torn = next((row for row in (one, other) if row in clusters.ambiguous), None)
        if torn is not None:
            why = "fits two entities that exclude each other"
        elif direct[number]:
            why = "two records of one source" if across and evidence.same_source(one, other) else "known values that exclude each other"
        elif entities[number]:
            why = "belongs to an entity whose other records exclude it"
        else:
            why = "one weak bridge: most other pairs of the two entities speak against it"
        result.append(Conflict(torn if torn is not None else one, (other if torn != other else one,), f"IDENTITY_CONFLICT: {why}"))
    return result


def _excluding(clusters: cluster.Clusters, left: Array, right: Array, evidence: PairEvidence) -> Array:
    """Of each pair, whether its two entities hold records that exclude each other. Two entities are compared once, some at a time."""
    label = clusters.label
    units: Array = np.arange(len(label)) if clusters.unit is None else np.unique(clusters.unit)
    order = units[np.argsort(label[units], kind="stable")]
    ranked = label[order]
    entities, back = np.unique(np.stack([label[left], label[right]], axis=1), axis=0, return_inverse=True)
    first: Array = np.searchsorted(ranked, entities)
    size: Array = np.searchsorted(ranked, entities, side="right") - first
    pairs = size[:, 0] * size[:, 1]
    found: Array = np.zeros(len(entities), dtype=bool)
    for some in np.split(np.arange(len(entities)), np.flatnonzero(np.diff(np.cumsum(pairs) // cluster.BATCH)) + 1):
        which: Array = np.repeat(some, pairs[some])
        within = np.arange(len(which)) - np.repeat(np.cumsum(pairs[some]) - pairs[some], pairs[some])
        one, other = order[first[which, 0] + within // size[which, 1]], order[first[which, 1] + within % size[which, 1]]
        found[which[evidence(one, other)[1]]] = True
    return found[back.reshape(-1)]
