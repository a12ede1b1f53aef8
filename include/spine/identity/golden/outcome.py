"""What a resolution has decided -> rows of the Gold tables: Arrow tables of what differs from before. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.entities import Entity
from spine.identity import engine
from spine.identity.clustering.cluster import Clusters
from spine.identity.engine import Candidates, Records
from spine.identity.explaining.waterfalls import waterfalls
from spine.identity.golden import ids, survive
from spine.identity.golden.overrides import Order, Override
from spine.identity.learning.model import Model
from spine.identity.learning.score import Scored
from spine.identity.matching import Constraints

Array: TypeAlias = Any  # numpy arrays of many element types
MOMENT = pa.timestamp("us", "UTC")
_LINK = ("source", "stream", "record_id", "connection_id")


def _none(**columns: pa.DataType) -> pa.Table:
    return pa.schema(list(columns.items())).empty_table()


def _no_links() -> pa.Table:
    text = dict.fromkeys(("record_ref", "entity_id", *_LINK, "method"), pa.string())
    return _none(**text, confidence=pa.float64(), linked_at=MOMENT)


def _no_matches() -> pa.Table:
    text = dict.fromkeys(("left_ref", "right_ref", "entity_id", "decision", "reason", "blocking_rule"), pa.string())
    return _none(**text, probability=pa.float64(), weight=pa.float64(), model_version=pa.int32())


@dataclass(frozen=True)
class Before:
    """A tenant's Gold as it is: links, matches (without their waterfall), golden records, overrides, and the newest model."""

    links: pa.Table = field(default_factory=_no_links)
    matches: pa.Table = field(default_factory=_no_matches)
    golden: pa.Table = field(default_factory=lambda: _none(entity_id=pa.string(), first_seen_at=MOMENT))
    overrides: Sequence[Override] = ()
    model: Model | None = None


@dataclass(frozen=True)
class Run:
    """Which run this is: its number within the entity, its id, its moment."""

    number: int
    run_id: str
    moment: datetime


@dataclass
class Outcome:
    """Rows to write by table; links, matches, golden, redirects and overrides carry `op` (`upsert` or `delete`)."""

    links: pa.Table | None = None
    matches: pa.Table | None = None
    golden: pa.Table | None = None
    history: pa.Table | None = None
    changes: pa.Table | None = None
    redirects: pa.Table | None = None
    overrides: pa.Table | None = None
    models: pa.Table | None = None
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class State:
    """Everything that is known when the entities have their ids. Row numbers are places in `table`, which is sorted by `record_ref`.

    `linked` is each row's place in the links of before (-1: none), `after` its entity id now; `left` and `right` are the rows of the
    matches of before (-1: gone), `holds` those that need not be scored again; `found` and `scored` are the new pairs worth keeping.
    """

    tenant: str
    entity: Entity
    run: Run
    before: Before
    table: pa.Table
    refs: list[str]
    records: Records
    model: Model
    found: Candidates
    scored: Scored
    threshold: float
    linked: Array
    left: Array
    right: Array
    holds: Array
    touched: Array
    clusters: Clusters
    ids: ids.Assignment
    after: Array
    constraints: Constraints
    reasons: Mapping[tuple[int, int], str]
    order: Order | None

    @property
    def key(self) -> dict[str, str]:
        """What every row begins with."""
        return {"tenant_id": self.tenant, "entity": self.entity.entity}


def constant(value: Any, rows: int, kind: pa.DataType) -> pa.Array:
    """A column of one value."""
    return pa.repeat(pa.scalar(value, kind), rows)


def codes(values: pa.Array | pa.ChunkedArray) -> tuple[Array, pa.Array]:
    """A number per value, and the distinct values by number."""
    encoded = values.combine_chunks().dictionary_encode() if isinstance(values, pa.ChunkedArray) else values.dictionary_encode()
    return np.asarray(encoded.indices), encoded.dictionary


def places(values: Any, known: pa.Array | pa.ChunkedArray) -> Array:
    """Where each value is in `known`, -1 where it is not."""
    found = pc.index_in(values, value_set=known)
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def _stamped(s: State, columns: dict[str, Any], rows: int) -> pa.Table:
    """A table of `columns` after tenant and entity, with the run's id and `op`."""
    first = {name: constant(value, rows, pa.string()) for name, value in s.key.items()}
    last = {"run_id": constant(s.run.run_id, rows, pa.string())}
    if "op" not in columns:
        last["op"] = constant("upsert", rows, pa.string())
    return pa.table({**first, **columns, **last})


def _removed(s: State, table: pa.Table, gone: Array) -> pa.Table:
    """Rows of a table of before, to be deleted."""
    dropped = table.take(pa.array(gone))
    return dropped.append_column("op", constant("delete", len(gone), pa.string()))


def _joined(parts: Sequence[pa.Table]) -> pa.Table | None:
    filled = [part for part in parts if part.num_rows]
    return pa.concat_tables(filled, promote_options="permissive") if filled else None


def differs(one: Any, other: Any) -> Array:
    """Where two columns are not the same, nulls being equal to each other."""
    unequal = pc.fill_null(pc.not_equal(one, other), False)
    return np.asarray(pc.or_(unequal, pc.not_equal(pc.is_null(one), pc.is_null(other))))


def links(s: State) -> pa.Table | None:
    """Links of touched records that differ from before, and the removal of those whose record is gone."""
    rows = np.flatnonzero(s.touched)
    entity_id = pa.array(s.after[rows], pa.string())
    number, _ = codes(entity_id)
    single = np.bincount(number)[number] == 1 if len(rows) else np.zeros(0, dtype=bool)
    tied: Array = np.zeros(len(s.refs), dtype=bool)
    tied[s.constraints.must.ravel()] = True
    tied = tied[rows]
    new = {
        "entity_id": entity_id, "record_ref": s.table.column("record_ref").take(pa.array(rows)),
        **{name: s.table.column(name).take(pa.array(rows)) for name in _LINK},
        "confidence": pa.array(np.where(single | tied, 1.0, s.clusters.confidence[rows])),
        "method": pa.array(np.where(tied, "steward", np.where(single, "single", "matched")), pa.string()),
    }  # fmt: skip
    former = s.before.links.take(pa.array(s.linked[rows], mask=s.linked[rows] < 0))
    moved = differs(former.column("entity_id"), entity_id)
    changed = moved | np.logical_or.reduce([differs(former.column(name), new[name]) for name in ("confidence", "method", "connection_id")])
    linked_at = pc.if_else(pa.array(moved), pa.scalar(s.run.moment, MOMENT), former.column("linked_at"))
    table = _stamped(s, new | {"linked_at": linked_at}, len(rows)).filter(pa.array(changed))
    gone = np.setdiff1d(np.arange(s.before.links.num_rows), s.linked)
    return _joined([table, _removed(s, s.before.links, gone)])


def matches(s: State) -> pa.Table | None:
    """New pairs with their waterfall, stored pairs whose decision changed, and the removal of pairs that no longer hold."""
    size = np.int64(max(1, len(s.refs)))
    new_code, old_code = s.found.left * size + s.found.right, s.left * size + s.right
    old_code[(s.left < 0) | (s.right < 0)] = -1
    stored = places(pa.array(new_code), pa.array(old_code))
    new = _decided(s, s.found.left, s.found.right, s.scored.probability, s.scored.weight)
    new["blocking_rule"] = pa.array(np.asarray(engine.rule_names(s.records.plan), dtype=object)[s.found.rule], pa.string())
    new["model_version"] = constant(s.model.version, len(new_code), pa.int32())
    former = s.before.matches.take(pa.array(stored, mask=stored < 0))
    same = ("probability", "weight", "decision", "entity_id", "reason", "blocking_rule", "model_version")
    write = np.flatnonzero((stored < 0) | np.logical_or.reduce([differs(former.column(name), new[name]) for name in same]))
    fresh = _stamped(s, new, len(new_code)).take(pa.array(write))
    features, scored = s.records.features, s.scored.take(write)
    texts = waterfalls(s.records.plan, s.model, features, scored, s.found.left[write], s.found.right[write])
    fresh = fresh.append_column("waterfall", texts)
    place = np.flatnonzero(s.holds & (s.touched[s.left] | s.touched[s.right]))
    kept = s.before.matches.take(pa.array(place))
    again = _decided(s, s.left[place], s.right[place], np.asarray(kept.column("probability")), np.asarray(kept.column("weight")))
    again |= {name: kept.column(name) for name in ("blocking_rule", "model_version")}
    turned = np.logical_or.reduce([differs(kept.column(name), again[name]) for name in ("decision", "entity_id", "reason")])
    turned_table = _stamped(s, again, len(place)).filter(pa.array(turned))
    gone = np.flatnonzero(~s.holds & ~np.isin(np.arange(s.before.matches.num_rows), stored))
    return _joined([fresh, turned_table, _removed(s, s.before.matches, gone)])


def _decided(s: State, left: Array, right: Array, probability: Array, weight: Array) -> dict[str, Any]:
    """The columns of pairs (rows) of known weight that follow from the entities: decision, reason, entity."""
    number, _ = codes(pa.array(s.after, pa.string()))
    together, strong = number[left] == number[right], weight >= s.threshold - 1e-9
    decision = np.where(strong, np.where(together, "accepted", "conflict"), "review").astype(object)
    size = np.int64(max(1, len(s.refs)))
    never = s.constraints.never
    rejected = np.isin(left * size + right, never[:, 0] * size + never[:, 1])
    decision[rejected] = "rejected"
    reason: Array = np.full(len(left), None, dtype=object)
    for at in np.flatnonzero(decision == "conflict").tolist():
        reason[at] = s.reasons.get((int(left[at]), int(right[at])))
    reason[rejected] = "a steward keeps the two records apart"
    refs = s.table.column("record_ref")
    return {
        "left_ref": refs.take(pa.array(left)), "right_ref": refs.take(pa.array(right)),
        "entity_id": pa.array(np.where(together, s.after[left], None), pa.string()),
        "probability": pa.array(probability, pa.float64()), "weight": pa.array(weight, pa.float64()),
        "decision": pa.array(decision, pa.string()), "reason": pa.array(reason, pa.string()),
        "matched_at": constant(s.run.moment, len(left), MOMENT),
    }  # fmt: skip


def golden(s: State) -> tuple[pa.Table | None, pa.Table | None]:
    """Golden records of touched entities that differ from before, and the history of those that differ in values or records."""
    rows = np.flatnonzero(s.touched)
    fresh, members = _golden_now(s, rows)
    place = places(fresh.column("entity_id"), s.before.golden.column("entity_id"))
    former = s.before.golden.take(pa.array(place, mask=place < 0))
    changed = place < 0
    for name in fresh.column_names:
        if name not in former.column_names:
            changed |= np.asarray(pc.is_valid(fresh.column(name)))
            continue
        if fresh.column(name).type != former.column(name).type:
            fresh = fresh.set_column(fresh.column_names.index(name), name, fresh.column(name).cast(former.column(name).type))
        changed |= differs(former.column(name), fresh.column(name))
    born = pc.fill_null(former.column("first_seen_at"), pa.scalar(s.run.moment, MOMENT))
    fresh = fresh.append_column("first_seen_at", _born(s, fresh.column("entity_id"), born))
    fresh = fresh.append_column("updated_at", constant(s.run.moment, fresh.num_rows, MOMENT))
    fresh = fresh.append_column("run_id", constant(s.run.run_id, fresh.num_rows, pa.string()))
    regrouped = places(fresh.column("entity_id"), pa.array(sorted(_regrouped(s, rows)), pa.string())) >= 0
    ended = _ended(s)
    dead = _removed(s, s.before.golden, np.flatnonzero(places(s.before.golden.column("entity_id"), ended) >= 0))
    history = _history(s, fresh.append_column("records", members).filter(pa.array(changed | regrouped)), dead)
    upserts = fresh.append_column("op", constant("upsert", fresh.num_rows, pa.string())).filter(pa.array(changed))
    return _joined([upserts, dead]), history


def _golden_now(s: State, rows: Array) -> tuple[pa.Table, pa.Array]:
    """The golden records of all touched entities, and the references of each one's records."""
    entity_id = pa.array(s.after[rows], pa.string())
    chosen = s.table.take(pa.array(rows)).append_column("entity_id", entity_id)
    table = survive.golden(chosen, s.entity)
    number, names = codes(entity_id)
    to = places(names, table.column("entity_id"))[number] if len(rows) else number
    order = np.argsort(to, kind="stable")
    counts = np.bincount(to, minlength=table.num_rows)
    starts = np.r_[0, np.cumsum(counts)].astype(np.int32)
    members = pa.ListArray.from_arrays(pa.array(starts), chosen.column("record_ref").take(pa.array(order)).combine_chunks())
    source, _ = codes(chosen.column("source"))
    pairs = np.unique(to * (int(source.max(initial=0)) + 1) + source) // (int(source.max(initial=0)) + 1)
    weakest = np.ones(table.num_rows)
    if s.clusters.weakest:
        labels = np.fromiter(s.clusters.weakest, dtype=np.int64, count=len(s.clusters.weakest))
        at = places(pa.array(s.after[labels], pa.string()), table.column("entity_id"))
        weakest[at[at >= 0]] = np.fromiter(s.clusters.weakest.values(), dtype=float, count=len(labels))[at >= 0]
    facts = {
        "tenant_id": constant(s.tenant, table.num_rows, pa.string()), "record_count": pa.array(counts, pa.int32()),
        "source_count": pa.array(np.bincount(pairs, minlength=table.num_rows), pa.int32()), "confidence": pa.array(weakest),
        "schema_version": constant(s.entity.version, table.num_rows, pa.int32()),
    }  # fmt: skip
    for name, column in facts.items():
        table = table.append_column(name, column)
    return table, members


def _born(s: State, entity_id: pa.ChunkedArray, born: Any) -> Any:
    """When each entity was first seen; one that came back has been seen before."""
    back = {} if s.order is None else {key: when for key, when in s.order.wish.born.items() if key in s.ids.restored}
    if not back:
        return born
    return pa.array([back.get(key, when) for key, when in zip(entity_id.to_pylist(), born.to_pylist(), strict=True)], MOMENT)


def _regrouped(s: State, rows: Array) -> set[str]:
    """Entities that got or lost a record."""
    moved = rows[differs(s.before.links.column("entity_id").take(pa.array(s.linked[rows], mask=s.linked[rows] < 0)), s.after[rows])]
    gone = np.setdiff1d(np.arange(s.before.links.num_rows), s.linked)
    left = np.r_[gone, s.linked[moved][s.linked[moved] >= 0]]
    return set(s.after[moved].tolist()) | set(s.before.links.column("entity_id").take(pa.array(left)).to_pylist())


def _ended(s: State) -> pa.Array:
    """Ids of before that no record has now."""
    was = pc.unique(s.before.links.column("entity_id"))
    return was.filter(pa.array(places(was, pa.array(s.after, pa.string())) < 0))


def _history(s: State, now: pa.Table, dead: pa.Table) -> pa.Table | None:
    """Golden records as they are from now on, with their records; an ended one names where its id leads."""
    moment = constant(s.run.moment, now.num_rows, MOMENT)
    now = now.append_column("valid_from", moment).append_column("ended", constant(False, now.num_rows, pa.bool_()))
    now = now.append_column("redirect_to", pa.nulls(now.num_rows, pa.string()))
    gone = dead.column("entity_id")
    to = pa.array([s.ids.redirects.get(entity_id) for entity_id in gone.to_pylist()], pa.string())
    rows = len(gone)
    ended = pa.table({
        "tenant_id": constant(s.tenant, rows, pa.string()), "entity_id": gone, "valid_from": constant(s.run.moment, rows, MOMENT),
        "ended": constant(True, rows, pa.bool_()), "redirect_to": to, "run_id": constant(s.run.run_id, rows, pa.string()),
    })  # fmt: skip
    return _joined([now, ended])


def changes(s: State, found: Sequence[ids.Change]) -> pa.Table | None:
    """One row per change; in a steward's run all of them are the steward's."""
    if not found and s.order is None:
        return None
    actor = "engine" if s.order is None else s.order.wish.actor
    rows = [
        {
            **s.key, "change_id": change.change_id(s.tenant, s.entity.entity, s.run.number), "kind": change.kind,
            "entity_id": change.entity_id, "other_entity_id": change.other_entity_id, "record_ref": change.record_ref, "actor": actor,
            "reason": change.reason if s.order is None or change is s.order.change else f"{s.order.wish.reason} ({change.reason})",
            "changed_at": s.run.moment, "run_id": s.run.run_id,
        }
        for change in [*([s.order.change] if s.order else []), *found]
    ]  # fmt: skip
    text = dict.fromkeys(rows[0], pa.string())
    return pa.Table.from_pylist(rows, pa.schema(list({**text, "changed_at": MOMENT}.items())))


def redirects(s: State) -> pa.Table | None:
    """Ids that were merged away, and the end of those that came back."""
    found = [(old, new, "upsert") for old, new in sorted(s.ids.redirects.items())] + [
        (old, None, "delete") for old in sorted(s.ids.restored)
    ]
    if not found:
        return None
    columns = {name: pa.array([row[place] for row in found], pa.string()) for place, name in enumerate(("from_id", "to_id", "op"))}
    return _stamped(s, columns | {"created_at": constant(s.run.moment, len(found), MOMENT)}, len(found))


def overrides(s: State, written: Sequence[Override]) -> pa.Table | None:
    """Overrides that are new, ended or came to life again."""
    if not written:
        return None
    rows = [item.row(s.tenant, s.entity.entity) for item in written]
    kinds = {"made_at": MOMENT, "undone_at": MOMENT, "weight": pa.float64(), "active": pa.bool_()}
    return pa.Table.from_pylist(rows, pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]]))
