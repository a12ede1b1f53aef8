"""One tenant's records and its Gold of before -> what has to change in Gold. Arrow in, Arrow out; no I/O, no engine.

Only pairs that touch a changed record are compared, only components that such a pair or a steward's order touches are divided anew. Since
weights, rarities and blocking keys are frozen in the model, the outcome is that of a full run with the same model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.core.entities import Entity
from spine.core.errors import ConfigError
from spine.identity import engine
from spine.identity.clustering import cluster
from spine.identity.engine import Candidates
from spine.identity.golden import gate, ids, outcome, overrides
from spine.identity.golden.outcome import MOMENT, Before, Outcome, Run, State, places
from spine.identity.matching import REVIEW, PairEvidence, find_conflicts, kept, threshold_weight

Array: TypeAlias = Any  # numpy arrays of many element types
__all__ = ["Before", "Outcome", "Run", "resolve_tenant"]


def resolve_tenant(
    tenant: str,
    entity: Entity,
    records: pa.Table,
    before: Before,
    changed: Collection[str] | None,
    run: Run,
    relearn: bool = False,
    pairing: engine.Pairing | None = None,
    wish: overrides.Wish | None = None,
) -> Outcome:
    """What a tenant's Gold must become, given its live `records`, which references `changed` (None: all may have), and a steward's `wish`.

    Raises ConfigError if the entity has no matching rules or the wish names what is not there, IdentityConflict if it contradicts another
    one, QualityFailed if the gate refuses the outcome.
    """
    if entity.matching is None:
        raise ConfigError(f"entity {entity.entity} has no matching rules", hint="Add a matching block with attribute kinds")
    made = _Resolution(tenant, entity, records.sort_by("record_ref"), before, run, pairing or engine.LocalPairing())
    return made.outcome(changed, relearn, wish)


class _Resolution:
    """The steps of one tenant's resolution, in order; each leaves its result in a field of its own."""

    def __init__(self, tenant: str, entity: Entity, records: pa.Table, before: Before, run: Run, pairing: engine.Pairing) -> None:
        assert entity.matching is not None
        self.tenant, self.entity, self.table, self.before, self.run = tenant, entity, records, before, run
        self.pairing, self.plan = pairing, engine.make_plan(entity.matching)
        self.threshold = threshold_weight(entity.matching.threshold)
        refs = records.column("record_ref")
        self.refs: list[str] = refs.to_pylist()
        self.row = {ref: number for number, ref in enumerate(self.refs)}
        self.linked = places(refs, before.links.column("record_ref"))
        linked_ids = before.links.column("entity_id").take(pa.array(self.linked, mask=self.linked < 0))
        self.was: Array = np.asarray(linked_ids.to_pylist(), dtype=object)
        self.gone = np.setdiff1d(np.arange(before.links.num_rows), self.linked)
        known, size = before.matches, len(self.refs)
        self.left, self.right = (
            places(known.column(name), refs) if size else np.full(known.num_rows, -1) for name in ("left_ref", "right_ref")
        )

    def outcome(self, changed: Collection[str] | None, relearn: bool, wish: overrides.Wish | None) -> Outcome:
        self.relearn = relearn or self.before.model is None
        self.all = self.relearn or changed is None
        self.changed = (self.linked < 0) | self.all
        if not self.all and changed:
            self.changed[[self.row[ref] for ref in changed if ref in self.row]] = True
        self._stewards(wish)
        if not self.changed.any() and not len(self.gone) and not self.written:
            return Outcome()
        self.records = engine.prepare(self.table, self.plan, "source")
        models = self._model()
        self._pairs()
        self._cluster()
        self._identify()
        self._judge()
        return self._rows(models)

    def _stewards(self, wish: overrides.Wish | None) -> None:
        """What stewards said so far, and what they say now."""
        matches = self.before.matches
        rejected = matches.filter(pa.array(np.asarray(matches.column("decision").to_pylist(), dtype=object) == "rejected", pa.bool_()))
        old = overrides.legacy(rejected.to_pylist(), self.before.overrides, self.run.moment, self.run.run_id)
        known = [*self.before.overrides, *old]
        self.order: overrides.Order | None = None
        self.written = old
        self.active = [item for item in known if item.active]
        if wish is not None:
            links = dict(
                zip(self.before.links.column("record_ref").to_pylist(), self.before.links.column("entity_id").to_pylist(), strict=True)
            )
            run = self.run
            self.order = overrides.order(wish, self.tenant, self.entity.entity, links, known, run.number, run.run_id, run.moment)
            self.active = list(self.order.active)
            self.written = [*[item for item in old if item not in self.order.written], *self.order.written]
        self.constraints = overrides.constraints(self.active, self.row)

    def _model(self) -> pa.Table | None:
        """Learns a model or takes that of before; finds the pairs."""
        if not self.relearn and self.before.model is not None:
            self.model = self.before.model
            found = self.pairing.candidates(self.records, self.model, None if self.all else self.changed, REVIEW)
            self._score(found)
            return None
        version = 1 if self.before.model is None else self.before.model.version + 1
        self.model, found = self.pairing.fit(self.records, version, REVIEW)
        self._score(found)
        return pa.table({
            "tenant_id": [self.tenant], "entity": [self.entity.entity], "model_version": pa.array([version], pa.int32()),
            "learned_at": pa.array([self.run.moment], MOMENT), "parameters": [self.model.to_json()], "run_id": [self.run.run_id],
        })  # fmt: skip

    def _score(self, found: Candidates) -> None:
        self.compared = len(found.left)
        self.found, self.scored = kept(self.records, self.model, found)

    def _pairs(self) -> None:
        """Stored matches that still hold, and the edges of old and new pairs."""
        self.holds = (self.left >= 0) & (self.right >= 0)
        self.holds[self.holds] &= ~(self.changed[self.left[self.holds]] | self.changed[self.right[self.holds]])
        weight = np.asarray(self.before.matches.column("weight"))
        strong = self.holds & (weight >= self.threshold - 1e-9)
        mine = self.scored.weight >= self.threshold - 1e-9
        self.edges = (
            np.r_[self.found.left[mine], self.left[strong]],
            np.r_[self.found.right[mine], self.right[strong]],
            np.r_[self.scored.weight[mine], weight[strong]],
        )

    def _cluster(self) -> None:
        """Components that a change touches are divided anew, the others stay as they are linked."""
        left, right, weight = self.edges
        must = (self.constraints.must[:, 0], self.constraints.must[:, 1])
        self.touched = self._touched(cluster.components(len(self.refs), np.r_[left, must[0]], np.r_[right, must[1]]))
        inside, tied = self.touched[left], self.touched[must[0]]
        evidence = PairEvidence(self.records, self.model, self.found, self.scored, self.constraints.never)
        self.clusters = cluster.cluster(
            len(self.refs), left[inside], right[inside], weight[inside], evidence, self.threshold, (must[0][tied], must[1][tied])
        )
        none: Array = np.zeros(int(inside.sum()), dtype=np.int64)
        cut = Candidates(left[inside], right[inside], none, none, none)
        across = self.plan.matching.link == "across_sources"
        found = find_conflicts(self.clusters, cut, np.ones(len(none), dtype=bool), evidence, across)
        self.conflicts = {(min(item.row, *item.rivals), max(item.row, *item.rivals)): item for item in found}

    def _touched(self, component: Array) -> Array:
        """Rows whose component or whose entity of before has a row that changed, lost a partner, or is in a steward's order."""
        touched = self.changed.copy()
        for one, other in ((self.left, self.right), (self.right, self.left)):
            lost = (one >= 0) & ~self.holds
            lost[lost] &= (other[lost] < 0) | self.changed[other[lost]]
            touched[one[lost]] = True
        if self.order is not None:
            touched[[self.row[ref] for ref in self.order.touched if ref in self.row]] = True
        for item in self.written:
            touched[[self.row[ref] for ref in (item.left_ref, item.right_ref) if ref in self.row]] = True
        bereft = set(self.before.links.column("entity_id").take(pa.array(self.gone)).to_pylist())
        bereft |= set() if self.order is None else set(self.order.wish.former.values())
        number, names = outcome.codes(pa.array(self.was, pa.string()).fill_null(""))
        hit = np.asarray([name in bereft for name in names.to_pylist()], dtype=bool)
        touched |= hit[number] if len(hit) else False
        while True:
            before = int(touched.sum())
            reached: Array = np.zeros(len(self.refs), dtype=bool)
            reached[component[touched]] = True
            touched = reached[component]
            entities = np.unique(number[touched & (self.linked >= 0)])
            touched |= np.isin(number, entities) & (self.linked >= 0)
            if int(touched.sum()) == before:
                return touched

    def _identify(self) -> None:
        """Ids of the touched entities; all others keep theirs."""
        rows = np.flatnonzero(self.touched)
        groups: dict[int, list[str]] = {}
        for number, label in zip(rows.tolist(), self.clusters.label[rows].tolist(), strict=True):
            groups.setdefault(label, []).append(self.refs[number])
        self.groups = list(groups.values())
        links = {self.refs[number]: self.was[number] for number in rows.tolist() if self.linked[number] >= 0}
        lost = self.before.links.take(pa.array(self.gone))
        links |= dict(zip(lost.column("record_ref").to_pylist(), lost.column("entity_id").to_pylist(), strict=True))
        mine = self.before.golden.select(["entity_id", "first_seen_at"])
        mine = mine.filter(pa.array(places(mine.column("entity_id"), pa.array(sorted(set(links.values())), pa.string())) >= 0))
        born = {entity_id: str(seen) for entity_id, seen in zip(*(column.to_pylist() for column in mine.columns), strict=True)}
        restore = None if self.order is None else self.order.wish.former
        self.ids = ids.assign(self.tenant, self.entity.entity, self.run.number, self.groups, links, born, restore)
        self.after = self.was.copy()
        self.after[rows] = [self.ids.ids[self.refs[number]] for number in rows.tolist()]

    def _judge(self) -> None:
        former = Counter(self.before.links.column("entity_id").value_counts().field("counts").to_pylist())
        number, _ = outcome.codes(pa.array(self.after, pa.string()))
        sizes = np.bincount(number, minlength=1)
        largest = np.flatnonzero(number == sizes.argmax())[:3].tolist()
        figures = gate.Figures(
            sizes[sizes > 1].tolist(), list(self.clusters.weakest.values()), 0 if self.relearn else max(former, default=0),
            0 if self.relearn else former.total(), Counter(change.kind for change in self.ids.changes), self._labels(),
            [self.refs[row] for row in largest],
        )  # fmt: skip
        gate.check(self.tenant, self.entity.entity, figures)

    def _labels(self) -> list[gate.Label]:
        """What the weights alone say of the pairs that stewards judged, now and when they did."""
        pairs = {(item.left_ref, item.right_ref): item for item in self.active if item.weight is not None}
        limit = self.threshold - 1e-9
        return [
            gate.Label(*pair, pairs[pair].kind == overrides.MUST, weight >= limit, (pairs[pair].weight or 0.0) >= limit)
            for pair, weight in self._weights(list(pairs)).items()
        ]

    def _rows(self, models: pa.Table | None) -> Outcome:
        state = State(
            self.tenant, self.entity, self.run, self.before, self.table, self.refs, self.records, self.model, self.found, self.scored,
            self.threshold, self.linked, self.left, self.right, self.holds, self.touched, self.clusters, self.ids, self.after,
            self.constraints, {pair: item.reason for pair, item in self.conflicts.items()}, self.order,
        )  # fmt: skip
        golden, history = outcome.golden(state)
        matches = outcome.matches(state)
        found = [*self.ids.changes, *self._new_conflicts()]
        result = Outcome(
            outcome.links(state), matches, golden, history, outcome.changes(state, found), outcome.redirects(state),
            outcome.overrides(state, self._weighed()), models,
        )  # fmt: skip
        result.counts.update(self._counts(matches, Counter(change.kind for change in found)))
        return result

    def _new_conflicts(self) -> list[ids.Change]:
        """A change for every record that fits two entities, and for every two entities that evidence joins, unless it was so before."""
        known = self.before.matches
        disputed = np.asarray(known.column("decision").to_pylist(), dtype=object) == "conflict"
        former = {
            ref for name in ("left_ref", "right_ref") for ref in known.column(name).filter(pa.array(disputed, pa.bool_())).to_pylist()
        }
        found: dict[Any, ids.Change] = {}
        for _, item in sorted(self.conflicts.items()):
            ref, rival = self.refs[item.row], self.refs[item.rivals[0]]
            sides = self.after[item.row], self.after[item.rivals[0]]
            about = item.row if item.row in self.clusters.ambiguous else frozenset(sides)
            if about not in found and not {ref, rival} <= former:
                found[about] = ids.Change("conflict", *sides, ref, item.reason)
        return list(found.values())

    def _weighed(self) -> list[overrides.Override]:
        """The overrides to write; new ones with what the engine thinks of the pair."""
        pairs = [(item.left_ref, item.right_ref) for item in self.written]
        weight = self._weights(pairs)
        return [replace(item, weight=weight.get(pair, item.weight)) for item, pair in zip(self.written, pairs, strict=True)]

    def _weights(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """The weights of pairs of references of which both records exist, constraints aside."""
        live = sorted({pair for pair in pairs if pair[0] in self.row and pair[1] in self.row})
        left, right = (np.asarray([self.row[pair[side]] for pair in live], dtype=np.int64) for side in (0, 1))
        none: Array = np.zeros((0, 2), dtype=np.int64)
        weight, _ = PairEvidence(self.records, self.model, self.found, self.scored, none)(left, right)
        return dict(zip(live, weight.tolist(), strict=True))

    def _counts(self, matches: pa.Table | None, kinds: Counter[str]) -> dict[str, int]:
        decisions: Counter[str] = Counter()
        if matches is not None:
            rows = zip(matches.column("decision").to_pylist(), matches.column("op").to_pylist(), strict=True)
            decisions = Counter(decision for decision, op in rows if op == "upsert")
        return {
            "records": len(self.refs), "changed_records": int(self.changed.sum()) + len(self.gone), "pairs": self.compared,
            "accepted": decisions["accepted"], "review": decisions["review"], "conflicts": decisions["conflict"],
            "entities": len(set(self.after.tolist())),
            **{kind: kinds[kind] for kind in ("created", "merged", "split", "retired", "restored")},
        }  # fmt: skip
