"""One tenant's records and its Gold of before -> what has to change in Gold. Arrow in, Arrow out; no I/O, no engine.

Only pairs that touch a changed record are compared, only components that such a pair touches are divided anew. Since weights, rarities and
blocking keys are frozen in the model, the outcome is that of a full run with the same model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.core.entities import Entity
from spine.core.errors import ConfigError
from spine.identity import cluster, engine, gate, ids, survive
from spine.identity.comparisons import make_plan, pattern
from spine.identity.model import Model
from spine.identity.score import Scored, score, waterfall

Array: TypeAlias = Any  # numpy arrays of many element types
REVIEW = 0.5
UNTOUCHED = ("entity_id", "confidence", "method", "connection_id")


@dataclass(frozen=True)
class Before:
    """A tenant's Gold as it is: links, matches (without their waterfall), golden records, and the newest model."""

    links: list[dict[str, Any]] = field(default_factory=list)
    matches: list[dict[str, Any]] = field(default_factory=list)
    golden: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: Model | None = None


@dataclass(frozen=True)
class Run:
    """Which run this is: its number within the entity, its id, its moment."""

    number: int
    run_id: str
    moment: datetime


@dataclass
class Outcome:
    """Rows to write; links, matches and golden carry `op` (`upsert` or `delete`)."""

    links: list[dict[str, Any]] = field(default_factory=list)
    matches: list[dict[str, Any]] = field(default_factory=list)
    golden: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    redirects: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def resolve_tenant(
    tenant: str,
    entity: Entity,
    records: pa.Table,
    before: Before,
    changed: Collection[str] | None,
    run: Run,
    relearn: bool = False,
    pairing: engine.Pairing | None = None,
) -> Outcome:
    """What a tenant's Gold must become, given its live `records` and which references `changed` (None: all may have).

    Raises ConfigError if the entity has no matching rules, QualityFailed if the gate refuses the outcome.
    """
    if entity.matching is None:
        raise ConfigError(f"entity {entity.entity} has no matching rules", hint="Add a matching block with attribute kinds")
    return _Resolution(
        tenant, entity, records.sort_by("record_ref"), before, changed, run, relearn, pairing or engine.LocalPairing()
    ).outcome()


class _Resolution:
    """The steps of one tenant's resolution, in order; each leaves its result in a field of its own."""

    def __init__(
        self,
        tenant: str,
        entity: Entity,
        records: pa.Table,
        before: Before,
        changed: Collection[str] | None,
        run: Run,
        relearn: bool,
        pairing: engine.Pairing,
    ) -> None:
        assert entity.matching is not None
        self.tenant, self.entity, self.table, self.before, self.run = tenant, entity, records, before, run
        self.pairing = pairing
        self.plan = make_plan(entity.matching)
        self.threshold = float(np.log2(entity.matching.threshold / max(1e-12, 1 - entity.matching.threshold)))
        self.refs: list[str] = records.column("record_ref").to_pylist()
        self.row = {ref: number for number, ref in enumerate(self.refs)}
        self.linked = {link["record_ref"]: link for link in before.links}
        self.all = relearn or changed is None or before.model is None
        known = set() if changed is None else set(changed)
        self.changed = np.asarray([self.all or ref in known or ref not in self.linked for ref in self.refs], dtype=bool)
        self.gone = {ref for ref in self.linked if ref not in self.row}
        self.relearn = relearn or before.model is None
        self.result = Outcome()

    def outcome(self) -> Outcome:
        if not self.changed.any() and not self.gone:
            return self.result
        self.records = engine.prepare(self.table, self.plan, "source")
        self._model()
        self._pairs()
        self._cluster()
        self._identify()
        self._judge()
        self._write_links()
        self._write_matches()
        self._write_golden()
        self._count()
        return self.result

    def _model(self) -> None:
        if self.relearn or self.before.model is None:
            version = 1 if self.before.model is None else self.before.model.version + 1
            self.model, self.found = self.pairing.fit(self.records, version, REVIEW)
            self.result.models = [{
                "tenant_id": self.tenant, "entity": self.entity.entity, "model_version": version, "learned_at": self.run.moment,
                "parameters": self.model.to_json(), "run_id": self.run.run_id,
            }]  # fmt: skip
        else:
            self.model = self.before.model
            self.found = self.pairing.candidates(self.records, self.model, None if self.all else self.changed, REVIEW)

    def _pairs(self) -> None:
        """New scores worth keeping, stored matches that still hold, and the edges of both."""
        self.scored = engine.scored(self.records, self.model, self.found)
        self.worth = np.flatnonzero(self.scored.probability >= REVIEW)
        kept = [match for match in self.before.matches if self._holds(match)]
        self.kept = [match for match in kept if match["decision"] != "rejected"]
        self.never = {
            (self.row[match["left_ref"]], self.row[match["right_ref"]]) for match in self.before.matches
            if match["decision"] == "rejected" and match["left_ref"] in self.row and match["right_ref"] in self.row
        }  # fmt: skip
        strong = [match for match in self.kept if match["weight"] >= self.threshold - 1e-9]
        mine = self.worth[self.scored.weight[self.worth] >= self.threshold - 1e-9]
        self.left = np.r_[self.found.left[mine], np.asarray([self.row[match["left_ref"]] for match in strong], dtype=np.int64)]
        self.right = np.r_[self.found.right[mine], np.asarray([self.row[match["right_ref"]] for match in strong], dtype=np.int64)]
        self.weight = np.r_[self.scored.weight[mine], np.asarray([match["weight"] for match in strong], dtype=float)]

    def _holds(self, match: dict[str, Any]) -> bool:
        left, right = self.row.get(match["left_ref"]), self.row.get(match["right_ref"])
        if left is None or right is None:
            return False
        return match["decision"] == "rejected" or not (self.changed[left] or self.changed[right])

    def _cluster(self) -> None:
        """Components that a change touches are divided anew, the others stay as they are linked."""
        found = cluster.components(len(self.refs), self.left, self.right)
        touched_rows = self.changed.copy()
        for match in self.before.matches:
            for one, other in ((match["left_ref"], match["right_ref"]), (match["right_ref"], match["left_ref"])):
                if one in self.row and (other not in self.row or self.changed[self.row[other]]):
                    touched_rows[self.row[one]] = True
        bereft = {self.linked[ref]["entity_id"] for ref in self.gone}
        touched_rows |= np.asarray([ref in self.linked and self.linked[ref]["entity_id"] in bereft for ref in self.refs], dtype=bool)
        touched: Array = np.zeros(len(self.refs), dtype=bool)
        touched[found[touched_rows]] = True
        self.touched = touched[found]
        edges = self.touched[self.left] if len(self.left) else np.zeros(0, dtype=bool)
        self.clusters = cluster.cluster(
            len(self.refs), self.left[edges], self.right[edges], self.weight[edges], self._evidence, self.threshold
        )

    def _evidence(self, left: Array, right: Array) -> tuple[Array, Array]:
        left, right = np.minimum(left, right), np.maximum(left, right)
        patterns = pattern(self.plan, self.records.features, left, right, self.model.rarity)
        found = score(self.plan, self.model, self.records.features, left, right, patterns)
        excluded = self._excluded(found, left, right)
        if self.never:
            excluded |= np.asarray([pair in self.never for pair in zip(left.tolist(), right.tolist(), strict=True)], dtype=bool)
        return found.weight, excluded

    def _excluded(self, found: Scored, left: Array, right: Array) -> Array:
        excluded: Array = np.zeros(len(left), dtype=bool)
        for place, comparison in enumerate(self.plan.comparisons):
            if comparison.exclusive:
                excluded |= found.levels[:, place] == len(comparison.labels)
        if self.plan.matching.link == "across_sources":
            excluded |= self.records.source[left] == self.records.source[right]
        return excluded

    def _identify(self) -> None:
        groups: dict[Any, list[str]] = {}
        for number, ref in enumerate(self.refs):
            key = int(self.clusters.label[number]) if self.touched[number] else self.linked[ref]["entity_id"]
            groups.setdefault(key, []).append(ref)
        self.groups = list(groups.values())
        born = {entity_id: str(row["first_seen_at"]) for entity_id, row in self.before.golden.items()}
        links = {ref: link["entity_id"] for ref, link in self.linked.items()}
        self.ids = ids.assign(self.tenant, self.entity.entity, self.run.number, self.groups, links, born)
        disputed = {
            ref for match in self.before.matches if match["decision"] == "conflict" for ref in (match["left_ref"], match["right_ref"])
        }
        for number in sorted(self.clusters.ambiguous):
            ref = self.refs[number]
            if ref not in disputed:
                reason = "IDENTITY_CONFLICT: fits two entities that exclude each other"
                self.ids.changes.append(ids.Change("conflict", self.ids.ids[ref], record_ref=ref, reason=reason))
        self.result.changes = [
            {
                "tenant_id": self.tenant, "entity": self.entity.entity,
                "change_id": change.change_id(self.tenant, self.entity.entity, self.run.number), "kind": change.kind,
                "entity_id": change.entity_id, "other_entity_id": change.other_entity_id, "record_ref": change.record_ref,
                "actor": "engine", "reason": change.reason, "changed_at": self.run.moment, "run_id": self.run.run_id,
            }
            for change in self.ids.changes
        ]  # fmt: skip
        self.result.redirects = [
            {"tenant_id": self.tenant, "entity": self.entity.entity, "from_id": old, "to_id": new, "run_id": self.run.run_id,
             "created_at": self.run.moment}
            for old, new in sorted(self.ids.redirects.items())
        ]  # fmt: skip

    def _judge(self) -> None:
        former = Counter(link["entity_id"] for link in self.before.links)
        kinds = Counter(change.kind for change in self.ids.changes)
        largest = 0 if self.relearn else max(former.values(), default=0)
        sizes = [len(group) for group in self.groups if len(group) > 1]
        weakest = list(self.clusters.weakest.values())
        gate.check(self.tenant, self.entity.entity, sizes, weakest, largest, 0 if self.relearn else len(former), kinds)

    def _write_links(self) -> None:
        sizes = Counter(self.ids.ids.values())
        columns = {name: self.table.column(name).to_pylist() for name in ("source", "stream", "record_id", "connection_id")}
        for number in np.flatnonzero(self.touched).tolist():
            ref = self.refs[number]
            entity_id, former = self.ids.ids[ref], self.linked.get(ref)
            single = sizes[entity_id] == 1
            link = {
                "tenant_id": self.tenant, "entity": self.entity.entity, "entity_id": entity_id, "record_ref": ref,
                **{name: values[number] for name, values in columns.items()},
                "confidence": 1.0 if single else float(self.clusters.confidence[number]), "method": "single" if single else "matched",
            }  # fmt: skip
            if former is None or any(former[name] != link[name] for name in UNTOUCHED):
                moved = former is None or former["entity_id"] != entity_id
                link |= {"linked_at": self.run.moment if moved else former["linked_at"], "run_id": self.run.run_id, "op": "upsert"}  # type: ignore[index]
                self.result.links.append(link)
        self.result.links += [{**self.linked[ref], "op": "delete"} for ref in sorted(self.gone)]

    def _write_matches(self) -> None:
        """New pairs with their waterfall, stored pairs whose decision changed, and the removal of pairs that no longer hold."""
        stored = {(match["left_ref"], match["right_ref"]): match for match in self.before.matches}
        rejected = {pair for pair, match in stored.items() if match["decision"] == "rejected"}
        alive = {(match["left_ref"], match["right_ref"]) for match in self.kept} | rejected
        rules = engine.rule_names(self.plan)
        for at in self.worth.tolist():
            left, right = int(self.found.left[at]), int(self.found.right[at])
            pair = (self.refs[left], self.refs[right])
            alive.add(pair)
            if pair in rejected:
                continue
            match = self._match(pair, float(self.scored.probability[at]), float(self.scored.weight[at]))
            match |= {"blocking_rule": rules[int(self.found.rule[at])], "model_version": self.model.version}
            same = ("probability", "weight", "decision", "entity_id", "blocking_rule", "model_version")
            if pair not in stored or any(stored[pair][name] != match[name] for name in same):
                match["waterfall"] = waterfall(self.plan, self.model, self.records.features, self.scored, at, left, right)
                self.result.matches.append(match)
        for former in self.kept:
            pair = (former["left_ref"], former["right_ref"])
            match = former | self._match(pair, former["probability"], former["weight"])
            if self.touched[self.row[pair[0]]] and any(former[name] != match[name] for name in ("decision", "entity_id")):
                self.result.matches.append(match | {"waterfall": None})
        dropped = [match for pair, match in stored.items() if pair not in alive or (pair in rejected and self.gone & set(pair))]
        self.result.matches += [{**match, "waterfall": None, "op": "delete"} for match in dropped]

    def _match(self, pair: tuple[str, str], probability: float, weight: float) -> dict[str, Any]:
        one, other = self.ids.ids[pair[0]], self.ids.ids[pair[1]]
        strong = weight >= self.threshold - 1e-9
        decision = ("accepted" if one == other else "conflict") if strong else "review"
        return {
            "tenant_id": self.tenant, "entity": self.entity.entity, "left_ref": pair[0], "right_ref": pair[1],
            "entity_id": one if one == other else None, "probability": probability, "weight": weight, "decision": decision,
            "matched_at": self.run.moment, "run_id": self.run.run_id, "op": "upsert",
        }  # fmt: skip

    def _write_golden(self) -> None:
        """Golden records of every entity that a change touched; only those that really differ are written."""
        affected = {self.ids.ids[self.refs[number]] for number in np.flatnonzero(self.touched).tolist()}
        rows = [number for number, ref in enumerate(self.refs) if self.ids.ids[ref] in affected]
        if rows:
            chosen = self.table.take(pa.array(rows))
            chosen = chosen.append_column("entity_id", pa.array([self.ids.ids[self.refs[number]] for number in rows], pa.string()))
            for row in survive.golden(chosen, self.entity).to_pylist():
                self._golden_row(row, chosen)
        live = set(self.ids.ids.values())
        for entity_id, former in sorted(self.before.golden.items()):
            if entity_id not in live:
                self.result.golden.append({**former, "op": "delete"})

    def _golden_row(self, row: dict[str, Any], chosen: pa.Table) -> None:
        count, sources, confidence = self._facts(chosen)[row["entity_id"]]
        row |= {"tenant_id": self.tenant, "record_count": count, "source_count": sources, "confidence": confidence}
        row["schema_version"] = self.entity.version
        former = self.before.golden.get(row["entity_id"])
        if former is not None and all(former.get(name) == value for name, value in row.items()):
            return
        row["first_seen_at"] = former["first_seen_at"] if former else self.run.moment
        self.result.golden.append(row | {"updated_at": self.run.moment, "run_id": self.run.run_id, "op": "upsert"})

    def _facts(self, chosen: pa.Table) -> dict[str, tuple[int, int, float]]:
        """Records, sources and weakest link of every affected entity (computed once)."""
        if not hasattr(self, "_known_facts"):
            weakest = {self.ids.ids[self.refs[label]]: value for label, value in self.clusters.weakest.items()}
            records: Counter[str] = Counter(chosen.column("entity_id").to_pylist())
            sources: dict[str, set[str]] = {}
            for entity_id, source in zip(chosen.column("entity_id").to_pylist(), chosen.column("source").to_pylist(), strict=True):
                sources.setdefault(entity_id, set()).add(source)
            self._known_facts = {key: (count, len(sources[key]), weakest.get(key, 1.0)) for key, count in records.items()}
        return self._known_facts

    def _count(self) -> None:
        decisions = Counter(match["decision"] for match in self.result.matches if match["op"] == "upsert")
        kinds = Counter(change["kind"] for change in self.result.changes)
        self.result.counts.update({
            "records": len(self.refs), "changed_records": int(self.changed.sum()) + len(self.gone), "pairs": len(self.found.left),
            "accepted": decisions["accepted"], "review": decisions["review"], "conflicts": decisions["conflict"],
            "entities": len(self.groups), **{kind: kinds[kind] for kind in ("created", "merged", "split", "retired")},
        })  # fmt: skip
