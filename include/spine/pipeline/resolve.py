"""Silver -> Gold: which records are one person or organisation, under which lasting id, with which golden values.

Reads the Silver tables of every declared source that has the entity, tenant by tenant; writes the Gold tables of `spine.lake.gold`, only
what differs. Without a change in Silver nothing is read beyond table versions and nothing is committed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spine.core import clock
from spine.core.entities import Entity
from spine.gold.records import records, silver_tables
from spine.gold.store import commit, former_gold, matched_entity, result_of, rolled_forward, rules_of, sum_of
from spine.identity.engine import LocalPairing
from spine.identity.golden.outcome import Outcome
from spine.identity.golden.resolution import resolve_tenant
from spine.identity.golden.scope import ResolveRun, Scope
from spine.identity.spark.match import SparkPairing
from spine.lake import gold

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

# Above this many records of a tenant, Spark makes and compares the pairs; the clusters are the same either way.
LOCAL_RECORDS = 300_000
log = logging.getLogger(__name__)


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
    run = ResolveRun(1 if last is None else last.number + 1, run_id, clock.now())
    outcomes = _resolve_tenants(spark, declared, tables, changed, run, relearn)
    counts = sum_of(outcomes)
    if not commit(spark, declared, run, inputs, outcomes):
        return result_of(declared, counts, no_op=recovered is None)
    return result_of(declared, counts, no_op=False)


def _changed(tables: dict[str, DeltaTable], former: dict[str, Any]) -> dict[str, set[str]] | None:
    """References of the records that changed since the `former` versions, by tenant; None if that cannot be told: all count as changed."""
    changed: dict[str, set[str]] = {}
    for name, table in tables.items():
        known = former.get(name)
        if known is None or known["id"] != str(table.metadata().id):
            if former and known is None:
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
    spark: SparkSession | None,
    entity: Entity,
    tables: dict[str, DeltaTable],
    changed: dict[str, set[str]] | None,
    run: ResolveRun,
    relearn: bool,
) -> list[Outcome]:
    tenants = {tenant for table in tables.values() for tenant in _tenants(table)}
    tenants |= {row["tenant_id"] for row in gold.read_rows(gold.LINKS, [("entity", "=", entity.entity)], ["tenant_id"])}
    outcomes = []
    for tenant in sorted(tenants):
        found = records(entity, tables, tenant)
        pairing = LocalPairing() if spark is None or found.num_rows <= LOCAL_RECORDS else SparkPairing(spark)
        mine = None if changed is None else changed.get(tenant, set())
        scope, former = Scope(tenant, entity, run), former_gold(entity, tenant)
        outcomes.append(resolve_tenant(scope, found, former, mine, relearn=relearn, pairing=pairing))
    return outcomes


def _tenants(table: DeltaTable) -> set[str]:
    return {str(partition["tenant_id"]) for partition in table.partitions()}
