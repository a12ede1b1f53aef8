"""What stewards say about identity: link, unlink, merge, split, undo, and the queue of pairs that wait for their word. No Spark.

An order is a run of its own over the records that it can touch, through the same resolution, journal and limits as any other: the override,
what follows from it and who wanted it land together or not at all. It reads Silver as the last run did, so that it changes nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from spine.core import clock
from spine.core.entities import Entity
from spine.core.errors import ConfigError, LakeError
from spine.core.names import require_tenant
from spine.gold.briefs import briefs
from spine.gold.records import records
from spine.gold.store import commit, former_gold, matched_entity, overrides_of, rolled_forward, rules_of
from spine.identity.clustering import cluster
from spine.identity.golden import ids
from spine.identity.golden.columns import places
from spine.identity.golden.orders import ORDERS, Order, Verb, seeds
from spine.identity.golden.outcome import Outcome
from spine.identity.golden.overrides import Override, constraints
from spine.identity.golden.resolution import resolve_tenant
from spine.identity.golden.scope import ResolveRun, Scope
from spine.identity.matching import threshold_weight
from spine.lake import gold
from spine.lake.reading import open_table, storage
from spine.sources.check import matched_entities

Where = list[tuple[str, str, Any]]


def order(
    verb: Verb, *, tenant: str, actor: str, reason: str, run_id: str, records: Sequence[str] = (), entities: Sequence[str] = (),
    entity: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Carry out a steward's link or unlink (two `records`), merge (two `entities`) or split (an entity and the `records` that leave).

    Records are references `source:stream:record_id`, entities ids, also former ones. Returns the order's `change_id`, `entity`, the rows of
    `overrides` and `changes` that were written, and the golden records concerned `before` and `now`, in brief.
    Raises ConfigError, IdentityConflict, QualityFailed, LakeError.
    """
    _require(actor, reason)
    name = entity or (entity_of_ids(entities) if entities else _entity_of_records(require_tenant(tenant), records))
    redirects = _redirects(name, tenant)
    now = tuple(ids.follow(redirects, entity_id) for entity_id in entities)
    return _carry_out(name, require_tenant(tenant), Order(verb, actor, reason, tuple(records), now), run_id)


def undo(change_id: str, *, tenant: str, actor: str, reason: str, run_id: str) -> dict[str, Any]:
    """Reverse a change (its id, or enough of its first letters): a steward's order, or a merge, split or joining by the engine.

    Entities that the change ended come back under their own ids. Returns and raises as `order`.
    """
    _require(actor, reason)
    change = _change(require_tenant(tenant), change_id)
    name, mine = change["entity"], [("tenant_id", "=", tenant)]
    about = {change["entity_id"], change["other_entity_id"]}
    if change["kind"] in ORDERS.values():
        same = gold.read_rows(gold.CHANGES, [*mine, ("entity", "=", name), ("run_id", "=", change["run_id"])])
        about |= {row[column] for row in same for column in ("entity_id", "other_entity_id")}
    declared = matched_entity(name)
    then = gold.read_rows(
        gold.history_table(declared),
        [*mine, ("entity_id", "in", pa.array(sorted(about - {None}), pa.string()))],
        ["entity_id", "records", "valid_from", "first_seen_at"],
    )
    last = {row["entity_id"]: row for row in sorted(then, key=lambda row: row["valid_from"]) if row["valid_from"] < change["changed_at"]}
    former = {ref: entity_id for entity_id, row in last.items() for ref in row["records"] or ()}
    born = {entity_id: row["first_seen_at"] for entity_id, row in last.items() if row["records"]}
    return _carry_out(name, tenant, Order("undo", actor, reason, change=change, former=former, born=born), run_id)


def list_overrides(tenant: str, entity: str | None = None, *, every: bool = False) -> list[dict[str, Any]]:
    """A tenant's overrides, newest first; those that were undone as well if `every`."""
    where: Where = [("tenant_id", "=", require_tenant(tenant)), *([("entity", "=", entity)] if entity else [])]
    rows = [row for row in gold.read_rows(gold.OVERRIDES, where) if every or row["active"]]
    return sorted(rows, key=lambda row: (row["made_at"], row["override_id"]), reverse=True)


def review(tenant: str, entity: str, *, limit: int = 50) -> list[dict[str, Any]]:
    """Pairs that wait for a steward, most valuable first: probable ones below the threshold, and conflicts, one per two entities.

    `value` is the expected number of record pairs that a link would rightly join: probability x records on both sides. `pairs` says how
    many pairs of records of the two entities wait.
    """
    declared = matched_entity(entity)
    mine: Where = [("tenant_id", "=", require_tenant(tenant)), ("entity", "=", entity)]
    columns = ["left_ref", "right_ref", "probability", "weight", "decision", "reason", "blocking_rule"]
    waiting = gold.read_table(gold.MATCHES, [*mine, ("decision", "in", pa.array(["review", "conflict"]))], columns)
    links = gold.read_table(gold.LINKS, mine, ["record_ref", "entity_id"])
    if waiting is None or links is None or not waiting.num_rows:
        return []
    encoded = links.column("entity_id").combine_chunks().dictionary_encode()
    number, names = np.asarray(encoded.indices), encoded.dictionary
    sides = [number[places(waiting.column(side), links.column("record_ref"))] for side in ("left_ref", "right_ref")]
    size = np.bincount(number)
    value = np.asarray(waiting.column("probability")) * size[sides[0]] * size[sides[1]]
    low, high = np.minimum(*sides), np.maximum(*sides)
    between = low.astype(np.int64) * len(size) + high
    ranked = np.lexsort([-np.asarray(waiting.column("weight")), -value])
    ranked = ranked[low[ranked] != high[ranked]]
    _, first, counts = np.unique(between[ranked], return_index=True, return_counts=True)
    best = np.sort(first)[:limit]
    many = dict(zip(first.tolist(), counts.tolist(), strict=True))
    assert declared.matching is not None
    doubt = f"below the threshold of {declared.matching.threshold:g}"
    return [
        {
            **row, "reason": row["reason"] or f"probability {row['probability']:.2f} is {doubt}", "value": float(value[at]),
            "pairs": many[place], "left_entity": names[int(sides[0][at])].as_py(), "right_entity": names[int(sides[1][at])].as_py(),
        }
        for place, at, row in zip(best.tolist(), ranked[best].tolist(), waiting.take(pa.array(ranked[best])).to_pylist(), strict=True)
    ]  # fmt: skip


def _require(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise ConfigError("An order needs who gives it and why", hint="Name --actor and --reason")


@storage("Gold")
def _carry_out(entity: str, tenant: str, order: Order, run_id: str) -> dict[str, Any]:
    declared = matched_entity(entity)
    last, _ = rolled_forward(None, declared)
    if last is None or last.rules != rules_of(declared):
        raise ConfigError(f"Gold of {entity} is not what its declaration says", hint=f"Run `spine resolve {entity}` first")
    tables = {name: table for name, known in last.inputs.items() if (table := open_table(name, known["version"])) is not None}
    if any(str(table.metadata().id) != last.inputs[name]["id"] for name, table in tables.items()):
        raise LakeError(f"A Silver table of {entity} was made anew", hint=f"Run `spine resolve {entity}` first")
    refs = _reach(declared, tenant, order, overrides_of(entity, tenant))
    scope = Scope(tenant, declared, ResolveRun(last.number + 1, run_id, clock.now()))
    now, former = records(declared, tables, tenant, refs), former_gold(declared, tenant, refs)
    outcome = resolve_tenant(scope, now, former, set(), order=order)
    report = _report(entity, tenant, outcome)
    about = _about(entity, tenant, order, report["changes"])
    before = briefs(declared, tenant, about)
    commit(None, declared, scope.run, last.inputs, [outcome])
    now_golden = briefs(declared, tenant, about | _about(entity, tenant, order, []))
    return {**report, "before": [vars(brief) for brief in before], "now": [vars(brief) for brief in now_golden]}


def _report(entity: str, tenant: str, outcome: Outcome) -> dict[str, Any]:
    found = {name: [] if (rows := getattr(outcome, name)) is None else rows.to_pylist() for name in ("changes", "overrides")}
    return {"entity": entity, "tenant": tenant, "change_id": found["changes"][0]["change_id"], **found}


def _about(entity: str, tenant: str, order: Order, changes: Sequence[dict[str, Any]]) -> set[str]:
    """Ids of the golden records that an order is about: those of the records it names, as Gold is now, and those of its changes."""
    where: Where = [("tenant_id", "=", tenant), ("entity", "=", entity), ("record_ref", "in", _texts(order.records))]
    mine = {row["entity_id"] for row in gold.read_rows(gold.LINKS, where, ["entity_id"])} if order.records else set()
    changed = {row[column] for row in changes for column in ("entity_id", "other_entity_id")}
    return {*mine, *order.entities, *changed} - {None}


def _reach(entity: Entity, tenant: str, order: Order, known: Sequence[Override]) -> set[str]:
    """References of all records that an order can touch: the components and entities of those that it is about."""
    mine: Where = [("tenant_id", "=", tenant), ("entity", "=", entity.entity)]
    links = gold.read_table(gold.LINKS, mine, ["record_ref", "entity_id"])
    matches = gold.read_table(gold.MATCHES, mine, ["left_ref", "right_ref", "weight"])
    if links is None or matches is None:
        return set()
    assert entity.matching is not None
    refs = links.column("record_ref")
    strong = np.asarray(matches.column("weight")) >= threshold_weight(entity.matching.threshold) - 1e-9
    pairs = np.stack([places(matches.column(side), refs) for side in ("left_ref", "right_ref")])[:, strong]
    number = np.asarray(links.column("entity_id").combine_chunks().dictionary_encode().indices)
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    named = pa.array(sorted({ref for item in known for ref in (item.left_ref, item.right_ref)}), pa.string())
    row = {ref: int(at) for ref, at in zip(named.to_pylist(), places(named, refs), strict=True) if at >= 0}
    must = constraints([item for item in known if item.active], row).must.T
    pairs = np.concatenate([pairs[:, (pairs >= 0).all(axis=0)], must, np.stack([first[inverse], np.arange(len(number))])], axis=1)
    component = cluster.components(len(number), *pairs)
    about = places(pa.array(sorted(seeds(order, known)), pa.string()), refs)
    members = np.flatnonzero(places(links.column("entity_id"), _texts({*order.entities, *order.former.values()})) >= 0)
    reached: Any = np.isin(component, component[np.r_[about[about >= 0], members]])
    return set(refs.filter(pa.array(reached)).to_pylist())


def _texts(values: Iterable[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())


def _redirects(entity: str, tenant: str) -> dict[str, str]:
    rows = gold.read_rows(gold.REDIRECTS, [("tenant_id", "=", tenant), ("entity", "=", entity)], ["from_id", "to_id"])
    return {row["from_id"]: row["to_id"] for row in rows}


def current_id(entity: str, tenant: str, entity_id: str) -> str:
    """The id under which an entity goes on: that of the last merge, itself if it was not merged away."""
    return ids.follow(_redirects(entity, tenant), entity_id)


def entity_of_ids(entities: Collection[str]) -> str:
    """The entity whose ids begin as these do. Raises ConfigError."""
    prefixes = {entity_id.partition("_")[0] for entity_id in entities}
    found = [declared.entity for declared in matched_entities() if declared.entity[:3] in prefixes]
    if len(found) != 1 or len(prefixes) != 1:
        raise ConfigError(f"Cannot tell what {', '.join(sorted(entities))} is", hint="Name it: --entity person")
    return found[0]


def _entity_of_records(tenant: str, refs: Sequence[str]) -> str:
    """The entity that these records are linked to. Raises ConfigError."""
    rows = gold.read_rows(gold.LINKS, [("tenant_id", "=", tenant), ("record_ref", "in", _texts(refs))], ["entity", "record_ref"])
    found = {row["entity"] for row in rows}
    if not found:
        hint = "A record is source:stream:record_id; run `spine resolve` first if it is new"
        raise ConfigError(f"No golden record of tenant {tenant} holds {refs[0]}", hint=hint)
    if len(found) > 1:
        raise ConfigError(f"{refs[0]} is {' and '.join(sorted(found))}", hint=f"Name one: --entity {min(found)}")
    return str(found.pop())


def _change(tenant: str, change_id: str) -> dict[str, Any]:
    """The change of that id; where a steward's order brought it about, the order. Raises ConfigError."""
    table = gold.read_table(gold.CHANGES, [("tenant_id", "=", tenant)], ["change_id", "entity"])
    known = [] if table is None else [row for row in table.to_pylist() if row["change_id"].startswith(change_id)]
    if len(known) != 1:
        what = "No change" if not known else f"{len(known)} changes"
        raise ConfigError(
            f"{what} of tenant {tenant} begin with {change_id!r}", hint='`spine query "FROM gold_identity_changes"` lists them'
        )
    where: Where = [("tenant_id", "=", tenant), ("entity", "=", known[0]["entity"])]
    (change,) = gold.read_rows(gold.CHANGES, [*where, ("change_id", "=", known[0]["change_id"])])
    if change["actor"] == "engine" or change["kind"] in ORDERS.values():
        return change
    same = gold.read_rows(gold.CHANGES, [*where, ("run_id", "=", change["run_id"])])
    order_row: dict[str, Any] = next(row for row in same if row["kind"] in ORDERS.values())
    return order_row
