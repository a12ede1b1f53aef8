"""Silver -> Gold: which records are one person or organisation, under which lasting id, with which golden values.

Reads the Silver tables of every declared source that has the entity, tenant by tenant; writes the Gold tables of `spine.lake.gold`, only
what differs. Without a change in Silver nothing is read beyond table versions and nothing is committed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from spine.core import clock
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.failpoints import failpoint
from spine.core.names import silver_table
from spine.identity import model as models
from spine.identity.distributed import SparkPairing
from spine.identity.engine import LocalPairing
from spine.identity.resolution import Before, Outcome, Run, resolve_tenant
from spine.lake import gold
from spine.lake.reading import open_table, reading
from spine.sources.spec import source_names

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

# Above this many records of a tenant, Spark makes and compares the pairs; the clusters are the same either way.
LOCAL_RECORDS = 300_000
log = logging.getLogger(__name__)
_KEY = ("tenant_id", "record_ref", "source", "stream", "record_id", "connection_id", "emitted_at", "source_cursor")
_COUNTS = ("records", "changed_records", "pairs", "accepted", "review", "conflicts", "entities", "created", "merged", "split", "retired")


def resolve(spark: SparkSession, entity: str, run_id: str, *, relearn: bool = False) -> dict[str, Any]:
    """Bring an entity's Gold up to date with Silver; `relearn` learns the weights anew and matches everything again.

    Returns counts, the versions of the Gold tables, and `no_op`. Raises ConfigError, LakeError, QualityFailed (then Gold is as it was).
    """
    declared = load_entity(entity)
    if declared.matching is None:
        raise ConfigError(f"entity {entity} has no matching rules", hint="Add a matching block with attribute kinds")
    last = gold.last_entry(entity)
    recovered: dict[str, Any] | None = None
    if last is not None and last.status == "staged":
        gold.ensure_tables(declared)
        gold.apply(spark, declared, last)
        recovered = last.counts
    tables = _silver(entity)
    inputs = {name: {"id": str(table.metadata().id), "version": table.version()} for name, table in sorted(tables.items())}
    rules = _rules(declared)
    fresh = last is None or last.rules != rules
    finished = recovered is not None and last is not None and last.run_id == run_id
    if last is not None and last.inputs == inputs and not fresh and (finished or not relearn):
        return _result(declared, recovered or {}, no_op=recovered is None)
    changed = _changed(tables, {} if last is None or fresh else last.inputs)
    run = Run(1 if last is None else last.number + 1, run_id, clock.now())
    outcomes = _resolve_tenants(spark, declared, tables, changed, run, relearn)
    counts = _sum(outcomes)
    if not any(_rows(declared, outcomes).values()):
        return _result(declared, counts, no_op=recovered is None)
    gold.ensure_tables(declared)
    failpoint("resolve.before_stage")
    staged = gold.stage(declared, _rows(declared, outcomes))
    entry = gold.Entry(run.number, run_id, "staged", inputs, rules, staged, counts)
    gold.write_entry(entity, entry)
    failpoint("resolve.staged")
    gold.apply(spark, declared, entry)
    return _result(declared, counts, no_op=False)


def _silver(entity: str) -> dict[str, DeltaTable]:
    """The Silver tables of the entity that exist already, also of a source whose spec is broken at the moment."""
    found = {}
    for source in source_names():
        name = silver_table(source, entity)
        if (table := open_table(name)) is not None:
            found[name] = table
    return found


def _rules(entity: Entity) -> str:
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
    spark: SparkSession, entity: Entity, tables: dict[str, DeltaTable], changed: dict[str, set[str]] | None, run: Run, relearn: bool
) -> list[Outcome]:
    tenants = {tenant for table in tables.values() for tenant in _tenants(table)}
    tenants |= {row["tenant_id"] for row in gold.read_rows(gold.LINKS, [("entity", "=", entity.entity)], without=_ALL_BUT_TENANT)}
    outcomes = []
    for tenant in sorted(tenants):
        records = _records(entity, tables, tenant)
        pairing = LocalPairing() if records.num_rows <= LOCAL_RECORDS else SparkPairing(spark)
        mine = None if changed is None else changed.get(tenant, set())
        outcomes.append(resolve_tenant(tenant, entity, records, _before(entity, tenant), mine, run, relearn, pairing))
    return outcomes


_ALL_BUT_TENANT = [name for name in gold.SCHEMAS[gold.LINKS].names if name not in ("tenant_id", "entity")]


def _tenants(table: DeltaTable) -> set[str]:
    return {str(partition["tenant_id"]) for partition in table.partitions()}


def _records(entity: Entity, tables: dict[str, DeltaTable], tenant: str) -> pa.Table:
    """A tenant's live records of all sources."""
    parts = []
    wanted = gold.golden_schema(entity)
    for name, table in tables.items():
        data = table.to_pyarrow_dataset(file_pruning_predicate=[("tenant_id", "=", tenant)])
        present = [column for column in (*_KEY, *entity.fields) if column in data.schema.names]
        with reading(name):
            # Kleene logic: a null `is_deleted` must not hide a record, so deleted ones are named and all others kept.
            deleted = pads.field("is_deleted").is_valid() & pads.field("is_deleted")
            found = data.to_table(columns=present, filter=(pads.field("tenant_id") == tenant) & ~deleted)
        for field in entity.fields:
            if field in present:
                place = found.schema.get_field_index(field)
                found = found.set_column(place, field, pc.cast(found.column(field), wanted.field(field).type))
        parts.append(found)
    if parts:
        return pa.concat_tables(parts, promote_options="permissive")
    return pa.table({name: pa.array([], pa.string()) for name in _KEY})


def _before(entity: Entity, tenant: str) -> Before:
    mine = [("tenant_id", "=", tenant), ("entity", "=", entity.entity)]
    newest = max(gold.read_rows(gold.MODELS, mine), key=lambda row: row["model_version"], default=None)
    golden = gold.read_rows(gold.golden_table(entity), [("tenant_id", "=", tenant)])
    return Before(
        gold.read_rows(gold.LINKS, mine),
        gold.read_rows(gold.MATCHES, mine, without=["waterfall"]),
        {row["entity_id"]: row for row in golden},
        None if newest is None else models.Model.from_json(newest["parameters"]),
    )


def _rows(entity: Entity, outcomes: list[Outcome]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {
        gold.LINKS: [], gold.MATCHES: [], gold.CHANGES: [], gold.REDIRECTS: [], gold.MODELS: [], gold.golden_table(entity): []
    }  # fmt: skip
    for outcome in outcomes:
        rows[gold.LINKS] += outcome.links
        rows[gold.MATCHES] += outcome.matches
        rows[gold.CHANGES] += outcome.changes
        rows[gold.REDIRECTS] += outcome.redirects
        rows[gold.MODELS] += outcome.models
        rows[gold.golden_table(entity)] += outcome.golden
    return rows


def _sum(outcomes: list[Outcome]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
    return {name: total[name] for name in _COUNTS}


def _result(entity: Entity, counts: dict[str, Any], *, no_op: bool) -> dict[str, Any]:
    return {**dict.fromkeys(_COUNTS, 0), **counts, "versions": gold.versions(entity), "no_op": no_op}
