"""What a resolution has decided -> rows of the Gold tables: Arrow tables of what differs from before. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity import engine
from spine.identity.explaining.reach import out_of_reach
from spine.identity.explaining.shortfalls import in_words, of_model
from spine.identity.explaining.waterfalls import waterfalls
from spine.identity.golden import ids
from spine.identity.golden.columns import MOMENT, codes, constant, differs, joined, places, removed
from spine.identity.golden.former import LINK
from spine.identity.golden.golden_records import golden
from spine.identity.golden.resolved import Resolved
from spine.identity.golden.weighing import weights_of

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass
class Outcome:
    """Rows to write by table; links, matches, golden, redirects, overrides and frequencies carry `op` (`upsert` or `delete`).

    `relearned` are the facts of weights that took the place of former ones, `could_not` what weights that are new can not do.
    """

    links: pa.Table | None = None
    matches: pa.Table | None = None
    golden: pa.Table | None = None
    history: pa.Table | None = None
    changes: pa.Table | None = None
    redirects: pa.Table | None = None
    overrides: pa.Table | None = None
    models: pa.Table | None = None
    frequencies: pa.Table | None = None
    counts: Counter[str] = field(default_factory=Counter)
    relearned: Mapping[str, Any] | None = None
    could_not: Mapping[str, Any] | None = None


def outcome_of(r: Resolved) -> Outcome:
    """Everything that a resolution changes in Gold, and its counts."""
    matches, found = _matches(r), [*r.identified.assigned.changes, *_new_conflicts(r)]
    now, history = golden(r)
    return Outcome(
        links=_links(r),
        matches=matches,
        golden=now,
        history=history,
        changes=_changes(r, found),
        redirects=_redirects(r),
        overrides=_overrides(r),
        models=_models(r),
        frequencies=_frequencies(r),
        counts=_counts(r, matches, Counter(change.kind for change in found)),
        relearned=_relearned(r, Counter(change.kind for change in found)),
        could_not=_could_not(r),
    )


def _stamped(r: Resolved, columns: dict[str, Any], rows: int) -> pa.Table:
    """A table of `columns` after tenant and entity, with the run's id and `op`."""
    first = {name: constant(value, rows, pa.string()) for name, value in r.scope.key.items()}
    last = {"run_id": constant(r.scope.run.run_id, rows, pa.string())}
    if "op" not in columns:
        last["op"] = constant("upsert", rows, pa.string())
    return pa.table({**first, **columns, **last})


def _links(r: Resolved) -> pa.Table | None:
    """Links of touched records that differ from before, and the removal of those whose record is gone."""
    rows, known, linked = r.divided.rows, r.aligned.former.links, r.aligned.linked[r.divided.rows]
    new = _links_now(r, rows)
    former = known.take(pa.array(linked, mask=linked < 0))
    moved = differs(former.column("entity_id"), new["entity_id"])
    changed = moved | np.logical_or.reduce([differs(former.column(name), new[name]) for name in ("confidence", "method", "connection_id")])
    linked_at = pc.if_else(pa.array(moved), pa.scalar(r.scope.run.moment, MOMENT), former.column("linked_at"))
    table = _stamped(r, new | {"linked_at": linked_at}, len(rows)).filter(pa.array(changed))
    return joined([table, removed(known, r.aligned.gone)])


def _links_now(r: Resolved, rows: Array) -> dict[str, Any]:
    """Each row's entity, and by what right it is linked to it."""
    entity_id, table = pa.array(r.identified.now[rows], pa.string()), r.aligned.table
    number, _ = codes(entity_id)
    single = np.bincount(number)[number] == 1 if len(rows) else np.zeros(0, dtype=bool)
    tied: Array = np.isin(rows, r.word.constraints.must)
    return {
        "entity_id": entity_id, "record_ref": table.column("record_ref").take(pa.array(rows)),
        **{name: table.column(name).take(pa.array(rows)) for name in LINK},
        "confidence": pa.array(np.where(single | tied, 1.0, r.divided.clusters.confidence[rows])),
        "method": pa.array(np.where(tied, "steward", np.where(single, "single", "matched")), pa.string()),
    }  # fmt: skip


def _matches(r: Resolved) -> pa.Table | None:
    """New pairs with their waterfall, stored pairs whose decision changed, and the removal of pairs that no longer hold."""
    size, known = np.int64(max(1, len(r.aligned.refs))), r.aligned.former.matches
    old = r.aligned.left * size + r.aligned.right
    old[(r.aligned.left < 0) | (r.aligned.right < 0)] = -1
    stored = places(pa.array(r.weighed.found.left * size + r.weighed.found.right), pa.array(old))
    gone = np.flatnonzero(~r.weighed.holds & ~np.isin(np.arange(known.num_rows), stored))
    return joined([_new_matches(r, stored), _turned_matches(r), removed(known, gone)])


def _new_matches(r: Resolved, stored: Array) -> pa.Table:
    """New pairs that are not `stored` (their places in the former matches) as they are now, with their waterfall."""
    found, scored, records = r.weighed.found, r.weighed.scored, r.weighed.records
    new = _decided(r, found.left, found.right, scored.probability, scored.weight)
    new["blocking_rule"] = pa.array(np.asarray(engine.origins(records.plan), dtype=object)[found.rule], pa.string())
    new["model_version"] = constant(r.weighed.model.version, len(stored), pa.int32())
    former = r.aligned.former.matches.take(pa.array(stored, mask=stored < 0))
    same = ("probability", "weight", "decision", "entity_id", "reason", "blocking_rule", "model_version")
    write = np.flatnonzero((stored < 0) | np.logical_or.reduce([differs(former.column(name), new[name]) for name in same]))
    texts = waterfalls(records.plan, r.weighed.model, records.features, scored.take(write), found.left[write], found.right[write])
    return _stamped(r, new, len(stored)).take(pa.array(write)).append_column("waterfall", texts)


def _turned_matches(r: Resolved) -> pa.Table:
    """Former matches that still hold, of touched records, of which something else is decided now."""
    left, right, touched = r.aligned.left, r.aligned.right, r.divided.touched
    place = np.flatnonzero(r.weighed.holds & (touched[left] | touched[right]))
    kept = r.aligned.former.matches.take(pa.array(place))
    again = _decided(r, left[place], right[place], np.asarray(kept.column("probability")), np.asarray(kept.column("weight")))
    again |= {name: kept.column(name) for name in ("blocking_rule", "model_version")}
    turned = np.logical_or.reduce([differs(kept.column(name), again[name]) for name in ("decision", "entity_id", "reason")])
    return _stamped(r, again, len(place)).filter(pa.array(turned))


def _decided(r: Resolved, left: Array, right: Array, probability: Array, weight: Array) -> dict[str, Any]:
    """The columns of pairs (rows) of known weight that follow from the entities: decision, reason, entity."""
    number, _ = codes(pa.array(r.identified.now, pa.string()))
    together = number[left] == number[right]
    decision = np.where(r.scope.strong(weight), np.where(together, "accepted", "conflict"), "review").astype(object)
    size, never = np.int64(max(1, len(r.aligned.refs))), r.word.constraints.never
    rejected = np.isin(left * size + right, never[:, 0] * size + never[:, 1])
    decision[rejected] = "rejected"
    reason: Array = np.full(len(left), None, dtype=object)
    for at in np.flatnonzero(decision == "conflict").tolist():
        conflict = r.divided.conflicts.get((int(left[at]), int(right[at])))
        reason[at] = None if conflict is None else conflict.reason
    reason[rejected] = "a steward keeps the two records apart"
    refs = r.aligned.table.column("record_ref")
    return {
        "left_ref": refs.take(pa.array(left)), "right_ref": refs.take(pa.array(right)),
        "entity_id": pa.array(np.where(together, r.identified.now[left], None), pa.string()),
        "probability": pa.array(probability, pa.float64()), "weight": pa.array(weight, pa.float64()),
        "decision": pa.array(decision, pa.string()), "reason": pa.array(reason, pa.string()),
        "matched_at": constant(r.scope.run.moment, len(left), MOMENT),
    }  # fmt: skip


def _new_conflicts(r: Resolved) -> list[ids.Change]:
    """A change for every record that fits two entities, and for every two entities that evidence joins, unless it was so before."""
    disputed, refs, now = r.aligned.former.decided("conflict"), r.aligned.refs, r.identified.now
    former = {ref for name in ("left_ref", "right_ref") for ref in disputed.column(name).to_pylist()}
    found: dict[Any, ids.Change] = {}
    for _, item in sorted(r.divided.conflicts.items()):
        ref, rival = refs[item.row], refs[item.rivals[0]]
        sides = now[item.row], now[item.rivals[0]]
        about = item.row if item.row in r.divided.clusters.ambiguous else frozenset(sides)
        if about not in found and not {ref, rival} <= former:
            found[about] = ids.Change("conflict", *sides, ref, item.reason)
    return list(found.values())


def _changes(r: Resolved, found: Sequence[ids.Change]) -> pa.Table | None:
    """One row per change; in a steward's run all of them are the steward's."""
    ruling = r.word.ruling
    every = [*([ruling.change] if ruling else []), *found]
    if not every:
        return None
    rows = [_change_row(r, change) for change in every]
    text = dict.fromkeys(rows[0], pa.string())
    return pa.Table.from_pylist(rows, pa.schema(list({**text, "changed_at": MOMENT}.items())))


def _change_row(r: Resolved, change: ids.Change) -> dict[str, Any]:
    ruling, run, reason = r.word.ruling, r.scope.run, change.reason
    if ruling is not None and change is not ruling.change:
        reason = f"{ruling.order.reason} ({change.reason})"
    return {
        **r.scope.key, "change_id": change.change_id(r.scope.tenant, r.scope.name, run.number), "kind": change.kind,
        "entity_id": change.entity_id, "other_entity_id": change.other_entity_id, "record_ref": change.record_ref,
        "actor": "engine" if ruling is None else ruling.order.actor, "reason": reason, "changed_at": run.moment, "run_id": run.run_id,
    }  # fmt: skip


def _redirects(r: Resolved) -> pa.Table | None:
    """Ids that were merged away, and the end of those that came back."""
    assigned = r.identified.assigned
    found: list[tuple[str, str | None, str]] = [(old, new, "upsert") for old, new in sorted(assigned.redirects.items())]
    found += [(old, None, "delete") for old in sorted(assigned.restored)]
    if not found:
        return None
    columns = {name: pa.array([row[place] for row in found], pa.string()) for place, name in enumerate(("from_id", "to_id", "op"))}
    return _stamped(r, columns | {"created_at": constant(r.scope.run.moment, len(found), MOMENT)}, len(found))


def _overrides(r: Resolved) -> pa.Table | None:
    """Overrides that are new, ended or came to life again, with what the engine thinks of the pair."""
    if not r.word.written:
        return None
    weight = weights_of(r.aligned, r.weighed, [(item.left_ref, item.right_ref) for item in r.word.written])
    written = [replace(item, weight=weight.get((item.left_ref, item.right_ref), item.weight)) for item in r.word.written]
    rows = [item.row(r.scope.tenant, r.scope.name) for item in written]
    types = {"made_at": MOMENT, "undone_at": MOMENT, "weight": pa.float64(), "active": pa.bool_()}
    return pa.Table.from_pylist(rows, pa.schema([(name, types.get(name, pa.string())) for name in rows[0]]))


def _models(r: Resolved) -> pa.Table | None:
    """The model, if it was learned in this run."""
    if not r.weighed.learned:
        return None
    run, model = r.scope.run, r.weighed.model
    return pa.table({
        "tenant_id": [r.scope.tenant], "entity": [r.scope.name], "model_version": pa.array([model.version], pa.int32()),
        "learned_at": pa.array([run.moment], MOMENT), "parameters": [model.to_json()], "run_id": [run.run_id],
    })  # fmt: skip


def _frequencies(r: Resolved) -> pa.Table | None:
    """Counts of values that have risen in this run; with a new model, the end of those that belonged to the former one."""
    former, now = r.aligned.former, r.weighed.model
    if r.weighed.learned or former.model is None:
        return joined([removed(former.frequencies, np.arange(former.frequencies.num_rows))])
    rows = [
        {**r.scope.key, "model_version": now.version, "comparison": name, "level": int(level), "value": text, "records": count,
         "run_id": r.scope.run.run_id, "op": "upsert"}
        for name, levels in now.terms.items() if levels is not former.model.terms[name]
        for level, terms in levels.items() for text, count in terms.counts.items() - former.model.terms[name][level].counts.items()
    ]  # fmt: skip
    types = {"model_version": pa.int32(), "level": pa.int32(), "records": pa.float64()}
    return pa.Table.from_pylist(rows, pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])) if rows else None


def _relearned(r: Resolved, kinds: Counter[str]) -> dict[str, Any] | None:
    """What to tell of weights, or of heavy keys and frequencies, that took the place of former ones."""
    model, how = r.aligned.former.model, r.news.learning
    if model is None or how.way == "keep":
        return None
    then = model.learned_from if how.way == "learn" else model.counted or model.learned_from
    return {
        "tenant": r.scope.tenant, "entity": r.scope.name, "run_id": r.scope.run.run_id, "way": how.way, "reason": how.why,
        "records": r.news.basis.records, "records_before": then.records, "model_version": r.weighed.model.version,
        "merged": kinds["merged"], "split": kinds["split"],
    }  # fmt: skip


def _could_not(r: Resolved) -> dict[str, Any] | None:
    """What to tell of weights that were learned in this run: a line per thing, and a sentence where no two records can be one."""
    if not r.weighed.learned:
        return None
    records, model = r.weighed.records, r.weighed.model
    lacking = out_of_reach(records, model, r.scope.threshold)
    told = None if lacking is None else f"{lacking.describe(r.scope.matching.threshold)}. Map {lacking.would_help()}"
    return {
        "tenant": r.scope.tenant, "entity": r.scope.name, "run_id": r.scope.run.run_id, "records": records.rows,
        "out_of_reach": told, "lines": in_words(of_model(model)),
    }  # fmt: skip


def _counts(r: Resolved, matches: pa.Table | None, kinds: Counter[str]) -> Counter[str]:
    decisions: Counter[str] = Counter()
    if matches is not None:
        rows = zip(matches.column("decision").to_pylist(), matches.column("op").to_pylist(), strict=True)
        decisions = Counter(decision for decision, op in rows if op == "upsert")
    return Counter({
        "records": len(r.aligned.refs), "changed_records": int(r.news.changed.sum()) + len(r.aligned.gone), "pairs": r.weighed.compared,
        "accepted": decisions["accepted"], "review": decisions["review"], "conflicts": decisions["conflict"],
        "entities": len(set(r.identified.now.tolist())),
        **{kind: kinds[kind] for kind in ("created", "merged", "split", "retired", "restored")},
    })  # fmt: skip
