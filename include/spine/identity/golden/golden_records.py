"""Golden records that differ from the former ones, and their history. Arrow tables; no I/O."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.golden import survive
from spine.identity.golden.columns import MOMENT, codes, constant, differs, joined, places, removed
from spine.identity.golden.resolved import Resolved

Array: TypeAlias = Any  # numpy arrays of many element types


def golden(r: Resolved) -> tuple[pa.Table | None, pa.Table | None]:
    """Golden records of touched entities that differ from before, and the history of those that differ in values or records."""
    fresh, members = _golden_now(r)
    place = places(fresh.column("entity_id"), r.aligned.former.golden.column("entity_id"))
    former = r.aligned.former.golden.take(pa.array(place, mask=place < 0))
    fresh, unlike = _compared(fresh, former)
    changed = unlike | (place < 0)
    fresh = _stamped(r, fresh, former)
    dead = _dead(r)
    regrouped = places(fresh.column("entity_id"), pa.array(sorted(_regrouped(r)), pa.string())) >= 0
    history = _history(r, fresh.append_column("records", members).filter(pa.array(changed | regrouped)), dead)
    upserts = fresh.append_column("op", constant("upsert", fresh.num_rows, pa.string())).filter(pa.array(changed))
    return joined([upserts, dead]), history


def _golden_now(r: Resolved) -> tuple[pa.Table, pa.Array]:
    """The golden records of all touched entities, and the references of each one's records."""
    rows = r.divided.rows
    entity_id = pa.array(r.identified.now[rows], pa.string())
    chosen = r.aligned.table.take(pa.array(rows)).append_column("entity_id", entity_id)
    table = survive.golden(chosen, r.scope.entity)
    number, names = codes(entity_id)
    to = places(names, table.column("entity_id"))[number] if len(rows) else number
    counts = np.bincount(to, minlength=table.num_rows)
    facts = {
        "tenant_id": constant(r.scope.tenant, table.num_rows, pa.string()), "record_count": pa.array(counts, pa.int32()),
        "source_count": pa.array(_sources(chosen.column("source"), to, table.num_rows), pa.int32()),
        "confidence": pa.array(_weakest(r, table.column("entity_id"))),
        "schema_version": constant(r.scope.entity.version, table.num_rows, pa.int32()),
    }  # fmt: skip
    for name, column in facts.items():
        table = table.append_column(name, column)
    starts = np.r_[0, np.cumsum(counts)].astype(np.int32)
    refs = chosen.column("record_ref").take(pa.array(np.argsort(to, kind="stable"))).combine_chunks()
    return table, pa.ListArray.from_arrays(pa.array(starts), refs)


def _sources(source: pa.ChunkedArray, to: Array, entities: int) -> Array:
    """How many sources the records of each entity come from; `to` is the entity of each record."""
    code, _ = codes(source)
    most = int(code.max(initial=0)) + 1
    return np.bincount(np.unique(to * most + code) // most, minlength=entities)


def _weakest(r: Resolved, entity_id: pa.ChunkedArray) -> Array:
    """The weakest link of each entity, 1 if it has a single record."""
    found, weakest = np.ones(len(entity_id)), r.divided.clusters.weakest
    if weakest:
        labels = np.fromiter(weakest, dtype=np.int64, count=len(weakest))
        at = places(pa.array(r.identified.now[labels], pa.string()), entity_id)
        found[at[at >= 0]] = np.fromiter(weakest.values(), dtype=float, count=len(labels))[at >= 0]
    return found


def _compared(fresh: pa.Table, former: pa.Table) -> tuple[pa.Table, Array]:
    """Golden records in the types of the former ones, and which of them have other values."""
    unlike: Array = np.zeros(fresh.num_rows, dtype=bool)
    for place, name in enumerate(fresh.column_names):
        if name not in former.column_names:
            unlike |= np.asarray(pc.is_valid(fresh.column(name)))
            continue
        if fresh.column(name).type != former.column(name).type:
            fresh = fresh.set_column(place, name, fresh.column(name).cast(former.column(name).type))
        unlike |= differs(former.column(name), fresh.column(name))
    return fresh, unlike


def _stamped(r: Resolved, fresh: pa.Table, former: pa.Table) -> pa.Table:
    """Golden records with when they were first seen, and with moment and run."""
    run, rows = r.scope.run, fresh.num_rows
    born = pc.fill_null(former.column("first_seen_at"), pa.scalar(run.moment, MOMENT))
    fresh = fresh.append_column("first_seen_at", _born(r, fresh.column("entity_id"), born))
    fresh = fresh.append_column("updated_at", constant(run.moment, rows, MOMENT))
    return fresh.append_column("run_id", constant(run.run_id, rows, pa.string()))


def _born(r: Resolved, entity_id: pa.ChunkedArray, born: Any) -> Any:
    """When each entity was first seen; one that came back has been seen before."""
    ruling, restored = r.word.ruling, r.identified.assigned.restored
    back = {} if ruling is None else {key: when for key, when in ruling.order.born.items() if key in restored}
    if not back:
        return born
    return pa.array([back.get(key, when) for key, when in zip(entity_id.to_pylist(), born.to_pylist(), strict=True)], MOMENT)


def _regrouped(r: Resolved) -> set[str]:
    """Entities that got or lost a record."""
    rows, linked, was = r.divided.rows, r.aligned.linked, r.aligned.former.links.column("entity_id")
    moved = rows[differs(was.take(pa.array(linked[rows], mask=linked[rows] < 0)), r.identified.now[rows])]
    left = np.r_[r.aligned.gone, linked[moved][linked[moved] >= 0]]
    return set(r.identified.now[moved].tolist()) | set(was.take(pa.array(left)).to_pylist())


def _dead(r: Resolved) -> pa.Table:
    """The former golden records whose id no record has now, to be deleted."""
    was = pc.unique(r.aligned.former.links.column("entity_id"))
    ended = was.filter(pa.array(places(was, pa.array(r.identified.now, pa.string())) < 0))
    golden = r.aligned.former.golden
    return removed(golden, np.flatnonzero(places(golden.column("entity_id"), ended) >= 0))


def _history(r: Resolved, now: pa.Table, dead: pa.Table) -> pa.Table | None:
    """Golden records as they are from now on, with their records; an ended one names where its id leads."""
    run = r.scope.run
    now = now.append_column("valid_from", constant(run.moment, now.num_rows, MOMENT))
    now = now.append_column("ended", constant(False, now.num_rows, pa.bool_()))
    now = now.append_column("redirect_to", pa.nulls(now.num_rows, pa.string()))
    gone, rows = dead.column("entity_id"), dead.num_rows
    to = pa.array([r.identified.assigned.redirects.get(entity_id) for entity_id in gone.to_pylist()], pa.string())
    ended = pa.table({
        "tenant_id": constant(r.scope.tenant, rows, pa.string()), "entity_id": gone, "valid_from": constant(run.moment, rows, MOMENT),
        "ended": constant(True, rows, pa.bool_()), "redirect_to": to, "run_id": constant(run.run_id, rows, pa.string()),
    })  # fmt: skip
    return joined([now, ended])
