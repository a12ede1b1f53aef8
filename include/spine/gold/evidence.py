"""Why two records are one or not, and how an entity came together: read from the lake, scored now with the tenant's newest weights.

Reads Gold, and Silver for the records in question only. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.names import DEFAULT_TENANT, require_tenant
from spine.gold import records as silver
from spine.gold.store import newest_model
from spine.identity import engine, matching
from spine.identity.blocking import postings
from spine.identity.explaining import narrate
from spine.identity.learning.possible import fits
from spine.identity.learning.score import probability
from spine.lake import gold
from spine.lake.reading import dataset, open_table, reading

Array: TypeAlias = Any  # numpy arrays of many element types
OVERRIDES = "gold_identity_overrides"
MUST, NEVER = "must_link", "never_link"
MOST_RECORDS = 300
_FACTS = ("confidence", "method", "linked_at")


def why(left: str, right: str, *, entity: str = "person", tenant: str = DEFAULT_TENANT) -> dict[str, Any]:
    """Everything that speaks for and against two record references being one entity, stored as a pair or not, and what decided.

    Raises ConfigError for unknown references or where nothing was resolved, LakeError.
    """
    if left == right:
        raise ConfigError(f"{left} is one record, not two", hint="Name two different records")
    look = _Look(entity, tenant)
    links = look.links([left, right])
    story = look.load({left, right})
    for ref in (left, right):
        if ref not in story.row:
            raise ConfigError(
                f"Tenant {tenant} has no live {entity} record {ref}",
                hint='A reference reads source:stream:id; `spine query "SELECT record_ref FROM gold_identity_links"` lists them',
            )
    one, other = sorted((story.row[left], story.row[right]))
    judged = postings.judged(story.records, look.model, np.asarray([one]), np.asarray([other]))
    scored, weight = judged.scored, float(judged.scored.weight[0])
    apart = narrate.excluding(story.records, judged, 0, one, other)
    found = {
        "entity": entity, "tenant": tenant, "left_ref": story.refs[one], "right_ref": story.refs[other], "model_version": look.version,
        "weight": weight, "probability": float(scored.probability[0]), "threshold": look.rules.threshold,
        "steps": narrate.steps(story.records, look.model, scored, 0, one, other), "excluded_by": apart,
        "blocking_rules": narrate.blocking_rules(story.records, look.model, one, other),
        "entities": [links.get(story.refs[row], {}).get("entity_id") for row in (one, other)],
        "override": look.override(story.refs[one], story.refs[other]), "stored": look.stored(story.refs[one], story.refs[other]),
    }  # fmt: skip
    return {**found, **_decided(look, found)}


def _decided(look: _Look, found: dict[str, Any]) -> dict[str, Any]:
    """What became of a pair, what decided it, and why, in words."""
    one, other = found["entities"]
    together, strong = one is not None and one == other, found["weight"] >= look.limit - 1e-9
    outcome = "one entity" if together else "not resolved yet" if None in (one, other) else "two entities"
    override, share = found["override"], f"{found['probability']:.2%}".replace("%", " %")
    limit = f"the threshold of {look.rules.threshold:.0%}".replace("%", " %")
    clash = f"their values of {' and '.join(found['excluded_by'])} exclude each other" if found["excluded_by"] else ""
    if override:
        word = "are one" if override["kind"] == MUST else "are not one"
        return {"outcome": outcome, "decided_by": "steward", "because": f"{override['actor']} said that they {word}: {override['reason']}"}
    if together and strong:
        return {"outcome": outcome, "decided_by": "threshold", "because": f"{share} reaches {limit}"}
    if together:
        return {"outcome": outcome, "decided_by": "average linkage", "because": _path(look, one, found["left_ref"], found["right_ref"])}
    if not strong:
        doubtful = "; a person should look" if found["probability"] >= matching.REVIEW and not clash else ""
        because = f"{share} stays below {limit}{doubtful}" + (f", and {clash}" if clash else "")
        return {"outcome": outcome, "decided_by": "threshold", "because": because}
    if clash:
        return {"outcome": outcome, "decided_by": "exclusion", "because": clash}
    if None in (one, other):
        return {"outcome": outcome, "decided_by": "nothing yet", "because": f"{share}, but `spine resolve` has not seen them together"}
    return {"outcome": outcome, "decided_by": "average linkage", "because": _apart(look, one, other, found["stored"])}


def _path(look: _Look, entity_id: str, left: str, right: str) -> str:
    story = look.load(set(look.members(entity_id)))
    weight, _ = look.square(story)
    way = narrate.way(narrate.joins(len(story.refs), weight), story.row[left], story.row[right])
    return "weak by themselves, held together by " + ", ".join(story.refs[row] for row in way[1:-1])


def _apart(look: _Look, one: str, other: str, stored: dict[str, Any] | None) -> str:
    if stored and stored.get("reason"):
        return str(stored["reason"])
    left, right = look.members(one), look.members(other)
    story = look.load(set(left) | set(right))
    weight, excluded = look.square(story)
    block: Any = np.ix_([story.row[ref] for ref in left if ref in story.row], [story.row[ref] for ref in right if ref in story.row])
    if excluded[block].any():
        return f"records of {one} and of {other} exclude each other"
    return f"all links between {one} and {other} say {narrate.between(weight[block]):+.1f} bits on average: not enough to join them"


def how(entity_id: str, *, entity: str = "person", tenant: str = DEFAULT_TENANT) -> dict[str, Any]:
    """How an entity came together: its records, the order in which they joined, the weakest link, overrides, rivals, and its past.

    Redirects are followed. Raises ConfigError for an id that never was, LakeError.
    """
    look = _Look(entity, tenant)
    way = look.redirects(entity_id)
    now = way[-1]
    changes = look.changes(way)
    refs = look.members(now)
    if not refs and not changes:
        raise ConfigError(f"Tenant {tenant} has no {entity} {entity_id}", hint="`spine lookup` finds the ids of people by their values")
    found: dict[str, Any] = {
        "entity": entity, "tenant": tenant, "asked": entity_id, "entity_id": now, "redirects": way[1:], "alive": bool(refs),
        "model_version": look.version, "threshold": look.rules.threshold, "record_count": len(refs), "records": [], "joins": [],
        "weakest": None, "overrides": [], "rivals": [], "changes": changes,
    }  # fmt: skip
    return {**found, **_together(look, refs)} if refs else found


def _together(look: _Look, refs: Sequence[str]) -> dict[str, Any]:
    """The records of an entity and how they joined; of a very large entity the first MOST_RECORDS."""
    links, story = look.links(refs), look.load(set(refs[:MOST_RECORDS]))
    weight, _ = look.square(story)
    overrides = [row for row in look.overrides() if row["left_ref"] in links or row["right_ref"] in links]
    tied = [(story.row[row["left_ref"]], story.row[row["right_ref"]]) for row in overrides
            if row["kind"] == MUST and row["left_ref"] in story.row and row["right_ref"] in story.row]  # fmt: skip
    joined = narrate.joins(len(story.refs), weight, tied)
    told = [_join(look, story, join) for join in joined]
    return {
        "records": [
            {"number": number + 1, "record_ref": ref, "summary": story.summary(number), **{n: links[ref].get(n) for n in _FACTS}}
            for number, ref in enumerate(story.refs)
        ],
        "joins": told, "weakest": min(told, key=lambda join: join["weight"], default=None),
        "overrides": overrides, "rivals": look.rivals(refs),
    }  # fmt: skip


def _join(look: _Look, story: _Story, join: narrate.Join) -> dict[str, Any]:
    one, other = join.link
    scored = postings.judged(story.records, look.model, np.asarray([one]), np.asarray([other])).scored
    found = narrate.steps(story.records, look.model, scored, 0, one, other)
    return {
        "left": [row + 1 for row in join.left], "right": [row + 1 for row in join.right], "link": [one + 1, other + 1],
        "left_ref": story.refs[one], "right_ref": story.refs[other], "weight": join.weight,
        "probability": float(probability(np.asarray([join.weight]))[0]), "mean": join.mean, "by": join.by,
        "strongest": narrate.strongest(found), "steps": found,
    }  # fmt: skip


@dataclass(frozen=True)
class _Story:
    """Some records, standardised: references in their order, row by reference, raw values."""

    refs: list[str]
    row: dict[str, int]
    records: engine.Records
    table: pa.Table

    def summary(self, number: int) -> str:
        """The record's compared values in one line."""
        values = [self.table.column(name)[number].as_py() for name in self.records.plan.matching.attributes]
        return " · ".join(str(value) for value in values if value is not None)


class _Look:
    """One tenant's entity as the lake has it now."""

    def __init__(self, entity: str, tenant: str) -> None:
        self.entity: Entity = load_entity(entity)
        if self.entity.matching is None:
            raise ConfigError(f"entity {entity} has no matching rules", hint="Add a matching block with attribute kinds")
        self.tenant, self.rules = require_tenant(tenant), self.entity.matching
        self.plan = engine.make_plan(self.rules)
        self.limit = matching.threshold_weight(self.rules.threshold)
        self.tables = silver.silver_tables(entity)
        newest = newest_model(self.entity, tenant)
        if newest is None:
            raise ConfigError(f"No {entity} of tenant {tenant} was resolved yet", hint=f"Run `spine resolve {entity}` first")
        self.model, self.version = newest, newest.version
        if not fits(self.plan, self.model):
            raise ConfigError(
                f"The weights of {entity} are not of these rules and this version", hint=f"Run `spine resolve {entity}` first"
            )

    def _rows(self, name: str, where: pads.Expression | None = None, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        table = open_table(name)
        if table is None:
            return []
        mine = [("tenant_id", "=", self.tenant), ("entity", "=", self.entity.entity)]
        condition = (pads.field("tenant_id") == self.tenant) & (pads.field("entity") == self.entity.entity)
        with reading(name):
            found = dataset(table, mine).to_table(columns=columns, filter=condition if where is None else condition & where)
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    def load(self, refs: Collection[str]) -> _Story:
        """The live records among `refs`, standardised, by reference."""
        table = silver.records(self.entity, self.tables, self.tenant, refs)
        found: list[str] = table.column("record_ref").to_pylist()
        return _Story(found, {ref: number for number, ref in enumerate(found)}, engine.prepare(table, self.plan, "source"), table)

    def square(self, story: _Story) -> tuple[Array, Array]:
        """Weights of all pairs of records, and which pairs exclude each other, as symmetric squares."""
        size = len(story.refs)
        left, right = np.triu_indices(size, 1)
        judged = postings.judged(story.records, self.model, left, right)
        weight: Array = np.zeros((size, size))
        apart: Array = np.zeros((size, size), dtype=bool)
        weight[left, right] = weight[right, left] = judged.scored.weight
        apart[left, right] = apart[right, left] = judged.apart
        return weight, apart

    def links(self, refs: Collection[str]) -> dict[str, dict[str, Any]]:
        """Gold's links of these records, by reference."""
        rows = self._rows(gold.LINKS, silver.among("record_ref", refs))
        return {row["record_ref"]: row for row in rows}

    def members(self, entity_id: str) -> list[str]:
        """References of an entity's records."""
        return sorted(row["record_ref"] for row in self._rows(gold.LINKS, silver.among("entity_id", [entity_id]), ["record_ref"]))

    def stored(self, left: str, right: str) -> dict[str, Any] | None:
        """What Gold holds of the pair, without its waterfall."""
        wanted = ["probability", "weight", "decision", "blocking_rule", "model_version", "matched_at", "reason"]
        table = open_table(gold.MATCHES)
        present = {field.name for field in table.schema().fields} if table is not None else set()
        where = silver.among("left_ref", [min(left, right)]) & silver.among("right_ref", [max(left, right)])
        return next(iter(self._rows(gold.MATCHES, where, [name for name in wanted if name in present])), None)

    def overrides(self) -> list[dict[str, Any]]:
        """A steward's words that are in force."""
        rows = [row for row in self._rows(OVERRIDES) if row["active"]]
        return sorted(rows, key=lambda row: (row["made_at"], row["override_id"]))

    def override(self, left: str, right: str) -> dict[str, Any] | None:
        """What a steward said of this very pair."""
        pair = {left, right}
        return next((row for row in reversed(self.overrides()) if {row["left_ref"], row["right_ref"]} == pair), None)

    def rivals(self, refs: Collection[str]) -> list[dict[str, Any]]:
        """Stored pairs of these records with records outside: doubtful, or strong and yet apart; the strongest first."""
        where = silver.among("left_ref", refs) | silver.among("right_ref", refs)
        inside = set(refs)
        rows = [row for row in self._rows(gold.MATCHES, where) if not {row["left_ref"], row["right_ref"]} <= inside]
        rows.sort(key=lambda row: (-row["probability"], row["left_ref"], row["right_ref"]))
        found = []
        for row in rows:
            own, other = (row["left_ref"], row["right_ref"]) if row["left_ref"] in inside else (row["right_ref"], row["left_ref"])
            found.append({"record_ref": own, "other_ref": other, "probability": row["probability"], "weight": row["weight"],
                          "decision": row["decision"], "reason": row.get("reason")})  # fmt: skip
        return found

    def redirects(self, entity_id: str) -> list[str]:
        """The id and those it leads to, the last of which stands now."""
        leads = {row["from_id"]: row["to_id"] for row in self._rows(gold.REDIRECTS)}
        way = [entity_id]
        while (following := leads.get(way[-1])) is not None and following not in way:
            way.append(following)
        return way

    def changes(self, ids: Collection[str]) -> list[dict[str, Any]]:
        """What happened to these ids, in order."""
        rows = self._rows(gold.CHANGES, silver.among("entity_id", ids) | silver.among("other_entity_id", ids))
        wanted = ("changed_at", "kind", "entity_id", "other_entity_id", "record_ref", "actor", "reason", "change_id")
        return [{name: row[name] for name in wanted} for row in sorted(rows, key=lambda row: (row["changed_at"], row["change_id"]))]
