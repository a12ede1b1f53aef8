"""Silver -> Gold: which records are one person or organisation, under which lasting id, with which golden values.

Reads the Silver tables of every declared source that has the entity, tenant by tenant; writes the Gold tables of `spine.lake.gold`, only
what differs. Without a change in Silver nothing is read beyond table versions and nothing is committed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spine.core import clock
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.failpoints import failpoint
from spine.identity import model as models
from spine.identity.distributed import SparkPairing
from spine.identity.engine import LocalPairing
from spine.identity.outcome import Before, Outcome, Run
from spine.identity.overrides import Override
from spine.identity.resolution import resolve_tenant
from spine.lake import gold
from spine.pipeline.records import records, silver_tables

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

# Above this many records of a tenant, Spark makes and compares the pairs; the clusters are the same either way.
LOCAL_RECORDS = 300_000
log = logging.getLogger(__name__)
_COUNTS = (
    "records", "changed_records", "pairs", "accepted", "review", "conflicts", "entities", "created", "merged", "split", "retired",
    "restored",
)  # fmt: skip


def resolve(spark: SparkSession | None, entity: str, run_id: str, *, relearn: bool = False) -> dict[str, Any]:
    """Bring an entity's Gold up to date with Silver; `relearn` learns the weights anew and matches everything again.

    Without `spark` everything happens in this process, however many records there are.

    Returns counts, the versions of the Gold tables, and `no_op`. Raises ConfigError, LakeError, QualityFailed (then Gold is as it was).
    """
    declared = matched_entity(entity)
    last, recovered = rolled_forward(spark, declared)
    tables = silver_tables(entity)
    inputs = {name: {"id": str(table.metadata().id), "version": table.version()} for name, table in sorted(tables.items())}
    fresh = last is None or last.rules != rules_of(declared)
    finished = recovered is not None and last is not None and last.run_id == run_id
    if last is not None and last.inputs == inputs and not fresh and (finished or not relearn):
        return result_of(declared, recovered or {}, no_op=recovered is None)
    changed = _changed(tables, {} if last is None or fresh else last.inputs)
    run = Run(1 if last is None else last.number + 1, run_id, clock.now())
    outcomes = _resolve_tenants(spark, declared, tables, changed, run, relearn)
    counts = sum_of(outcomes)
    if not commit(spark, declared, run, inputs, outcomes):
        return result_of(declared, counts, no_op=recovered is None)
    return result_of(declared, counts, no_op=False)


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


def commit(spark: SparkSession | None, entity: Entity, run: Run, inputs: dict[str, Any], outcomes: Sequence[Outcome]) -> bool:
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


def _changed(tables: dict[str, DeltaTable], before: dict[str, Any]) -> dict[str, set[str]] | None:
    """References of the records that changed since `before`, by tenant; None if that cannot be told, so that all count as changed."""
    changed: dict[str, set[str]] = {}
    for name, table in tables.items():
        known = before.get(name)
        if known is None or known["id"] != str(table.metadata().id):
            if before and known is None:
                continue  # a new table: its records are not linked yet, which is how they are found
            return None
        if known["version"] == table.version():
            continue
        try:
            since = known["version"] + 1
            feed = pa.table(table.load_cdf(starting_version=since, ending_version=table.version(), columns=["tenant_id", "record_ref"]))
        except Exception as error:  # an expired or absent change feed comes as one of several kinds of error
            log.warning(
                "change feed of %s unreadable from version %d (%s): all records count as changed", name, since, type(error).__name__
            )
            return None
        for tenant, ref in zip(feed.column("tenant_id").to_pylist(), feed.column("record_ref").to_pylist(), strict=True):
            changed.setdefault(tenant, set()).add(ref)
    return changed


def _resolve_tenants(
    spark: SparkSession | None, entity: Entity, tables: dict[str, DeltaTable], changed: dict[str, set[str]] | None, run: Run, relearn: bool
) -> list[Outcome]:
    tenants = {tenant for table in tables.values() for tenant in _tenants(table)}
    tenants |= {row["tenant_id"] for row in gold.read_rows(gold.LINKS, [("entity", "=", entity.entity)], ["tenant_id"])}
    outcomes = []
    for tenant in sorted(tenants):
        found = records(entity, tables, tenant)
        pairing = LocalPairing() if spark is None or found.num_rows <= LOCAL_RECORDS else SparkPairing(spark)
        mine = None if changed is None else changed.get(tenant, set())
        outcomes.append(resolve_tenant(tenant, entity, found, before_of(entity, tenant), mine, run, relearn, pairing))
    return outcomes


def _tenants(table: DeltaTable) -> set[str]:
    return {str(partition["tenant_id"]) for partition in table.partitions()}


def before_of(entity: Entity, tenant: str, refs: Collection[str] | None = None) -> Before:
    """A tenant's Gold as it is; with `refs` only the links and matches of those records, and the golden records they belong to."""
    mine: list[tuple[str, str, Any]] = [("tenant_id", "=", tenant), ("entity", "=", entity.entity)]
    newest = max(gold.read_rows(gold.MODELS, mine), key=lambda row: row["model_version"], default=None)
    only = [] if refs is None else [("record_ref", "in", pa.array(sorted(refs), pa.string()))]
    links = _read(entity, gold.LINKS, [*mine, *only])
    pairs = [] if refs is None else [(name, "in", pa.array(sorted(refs), pa.string())) for name in ("left_ref", "right_ref")]
    ids = [] if refs is None else [("entity_id", "in", links.column("entity_id").combine_chunks())]
    return Before(
        links,
        _read(entity, gold.MATCHES, [*mine, *pairs]).drop_columns(["waterfall"]),
        _read(entity, gold.golden_table(entity), [("tenant_id", "=", tenant), *ids]),
        overrides_of(entity.entity, tenant),
        None if newest is None else models.Model.from_json(newest["parameters"]),
    )


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
        gold.OVERRIDES: "overrides", gold.golden_table(entity): "golden", gold.history_table(entity): "history",
    }  # fmt: skip
    rows: dict[str, pa.Table | None] = {}
    for table, name in names.items():
        parts = [part for outcome in outcomes if (part := getattr(outcome, name)) is not None and part.num_rows]
        rows[table] = pa.concat_tables(parts, promote_options="permissive") if parts else None
    return rows


def sum_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The counts of all tenants together."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
    return {name: total[name] for name in _COUNTS}


def result_of(entity: Entity, counts: dict[str, Any], *, no_op: bool) -> dict[str, Any]:
    """What a run gives back: counts, the versions of the Gold tables, and whether there was nothing to do."""
    return {**dict.fromkeys(_COUNTS, 0), **counts, "versions": gold.versions(entity), "no_op": no_op}
