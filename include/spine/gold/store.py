"""A tenant's Gold as it is, and what a run changes in it: staged, entered in the journal, then written, so that it may die anywhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.failpoints import failpoint
from spine.identity.golden.former import FormerGold, recalled
from spine.identity.golden.outcome import Outcome
from spine.identity.golden.overrides import Override
from spine.identity.golden.scope import ResolveRun
from spine.identity.learning import model as models
from spine.lake import gold

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_COUNTS = (
    "records", "changed_records", "pairs", "accepted", "review", "conflicts", "entities", "created", "merged", "split", "retired",
    "restored",
)  # fmt: skip
_TOLD = ("relearned", "could_not")  # a tenant's facts each


def matched_entity(entity: str) -> Entity:
    """The declaration of an entity that has matching rules. Raises ConfigError."""
    declared = load_entity(entity)
    if declared.matching is None:
        raise ConfigError(f"entity {entity} has no matching rules", hint="Add a matching block with attribute kinds")
    return declared


def rolled_forward(spark: SparkSession | None, entity: Entity) -> tuple[gold.Entry | None, dict[str, Any] | None]:
    """The newest run, after the tables of one that was killed have been written to their end; then also its counts."""
    last = gold.last_entry(entity.entity)
    if last is None or last.status != "staged":
        return last, None
    gold.ensure_tables(entity)
    gold.apply(spark, entity, last)
    return last, last.counts


def commit(spark: SparkSession | None, entity: Entity, run: ResolveRun, inputs: dict[str, Any], outcomes: Sequence[Outcome]) -> bool:
    """Stage the outcomes, enter them in the journal, write them to Gold; False if there is nothing to write. Raises LakeError."""
    rows = _rows(entity, outcomes)
    if not any(table is not None for table in rows.values()):
        return False
    gold.ensure_tables(entity)
    failpoint("resolve.before_stage")
    staged = gold.stage(entity, rows)
    entry = gold.Entry(run.number, run.run_id, "staged", inputs, rules_of(entity), staged, sum_of(outcomes))
    gold.write_entry(entity.entity, entry)
    failpoint("resolve.staged")
    gold.apply(spark, entity, entry)
    return True


def rules_of(entity: Entity) -> str:
    """A fingerprint of everything but data that decides about Gold: a change of it makes a full run."""
    assert entity.matching is not None
    kept = entity.model_dump_json(include={"entity", "domain", "version", "fields", "matching", "survivorship", "trust"})
    return hashlib.sha256(f"{models.ENGINE}\x1f{kept}".encode()).hexdigest()[:16]


def former_gold(entity: Entity, tenant: str, refs: Collection[str] | None = None) -> FormerGold:
    """A tenant's Gold as it is; with `refs` only the links and matches of those records, and the golden records they belong to."""
    mine: list[tuple[str, str, Any]] = [("tenant_id", "=", tenant), ("entity", "=", entity.entity)]
    only = [] if refs is None else [("record_ref", "in", pa.array(sorted(refs), pa.string()))]
    links = _read(entity, gold.LINKS, [*mine, *only])
    pairs = [] if refs is None else [(name, "in", pa.array(sorted(refs), pa.string())) for name in ("left_ref", "right_ref")]
    ids = [] if refs is None else [("entity_id", "in", links.column("entity_id").combine_chunks())]
    return FormerGold(
        links,
        _read(entity, gold.MATCHES, [*mine, *pairs]).drop_columns(["waterfall"]),
        _read(entity, gold.golden_table(entity), [("tenant_id", "=", tenant), *ids]),
        overrides_of(entity.entity, tenant),
        newest_model(entity, tenant),
        _read(entity, gold.FREQUENCIES, mine),
    )


def newest_model(entity: Entity, tenant: str) -> models.Model | None:
    """The model that a tenant's pairs are scored by, with the counts of values that have risen since it was learned; None before any."""
    mine: list[tuple[str, str, Any]] = [("tenant_id", "=", tenant), ("entity", "=", entity.entity)]
    newest = max(gold.read_rows(gold.MODELS, mine), key=lambda row: row["model_version"], default=None)
    if newest is None:
        return None
    return recalled(models.Model.from_json(newest["parameters"]), _read(entity, gold.FREQUENCIES, mine))


def overrides_of(entity: str, tenant: str) -> list[Override]:
    """All overrides that a tenant's stewards ever made."""
    rows = gold.read_rows(gold.OVERRIDES, [("tenant_id", "=", tenant), ("entity", "=", entity)])
    return sorted((Override.of(row) for row in rows), key=lambda item: (item.made_at, item.override_id))


def _read(entity: Entity, name: str, where: Sequence[tuple[str, str, Any]]) -> pa.Table:
    """Rows of a Gold table with all columns that it should have; none if there is no table yet."""
    schema = gold.schema_of(entity, name)
    found = gold.read_table(name, where)
    if found is None:
        return schema.empty_table()
    columns = [
        found.column(field.name).cast(field.type) if field.name in found.column_names else pa.nulls(found.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _rows(entity: Entity, outcomes: Sequence[Outcome]) -> dict[str, pa.Table | None]:
    """What the tenants' outcomes change, by Gold table."""
    names = {
        gold.LINKS: "links", gold.MATCHES: "matches", gold.CHANGES: "changes", gold.REDIRECTS: "redirects", gold.MODELS: "models",
        gold.OVERRIDES: "overrides",
        gold.FREQUENCIES: "frequencies", gold.golden_table(entity): "golden", gold.history_table(entity): "history",
    }  # fmt: skip
    rows: dict[str, pa.Table | None] = {}
    for table, name in names.items():
        parts = [part for outcome in outcomes if (part := getattr(outcome, name)) is not None and part.num_rows]
        rows[table] = pa.concat_tables(parts, promote_options="permissive") if parts else None
    return rows


def sum_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The counts of all tenants together, and what is told of each."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
    told = {name: [facts for outcome in outcomes if (facts := getattr(outcome, name))] for name in _TOLD}
    return {name: total[name] for name in _COUNTS} | told


def result_of(entity: Entity, counts: dict[str, Any], *, no_op: bool) -> dict[str, Any]:
    """What a run gives back: counts, the versions of the Gold tables, and whether there was nothing to do."""
    return {**dict.fromkeys(_COUNTS, 0), **{name: [] for name in _TOLD}, **counts, "versions": gold.versions(entity), "no_op": no_op}
