"""Silver -> Gold: which records are one person or organisation, under which lasting id, with which golden values.

Reads the Silver tables of every declared source that has the entity, tenant by tenant; writes the Gold tables of `spine.lake.gold`, only
what differs. Without a change in Silver nothing is read beyond table versions and nothing is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from spine.control import events, ledger
from spine.control.ledger import Line
from spine.core import clock
from spine.core.entities import Entity
from spine.core.errors import ControlPlaneUnavailable, SpineError, as_ours, error_from_dict, together
from spine.core.events import Event, IdentityOutOfReach, WeightsRelearned
from spine.core.screen import logger
from spine.gold.records import changed_refs, records, rows_of, silver_tables, tenants_of
from spine.gold.store import commit, former_gold, matched_entity, result_of, rolled_forward, rules_of, sum_of
from spine.identity.engine import LocalPairing
from spine.identity.golden.outcome import Outcome
from spine.identity.golden.resolution import resolve_tenant
from spine.identity.golden.scope import ResolveRun, Scope
from spine.identity.learning.growth import Relearn
from spine.identity.spark.match import SparkPairing
from spine.lake import gold
from spine.lake.reading import storage

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

    from spine.control.database import Database

# Above this many records of a tenant, Spark makes and compares the pairs; the clusters are the same either way.
LOCAL_RECORDS = 300_000
log = logger(__name__)


def resolve(
    spark: SparkSession | None, entity: str, run_id: str, *, relearn: Relearn = "auto", database: Database | None = None
) -> dict[str, Any]:
    """Bring an entity's Gold up to date with Silver as `resolve_each` does, and raise at the end what failed.

    Raises ConfigError, LakeError, QualityFailed and ConservationFailed (then the Gold of the tenants that it names is as it was).
    """
    result = resolve_each(spark, entity, run_id, relearn=relearn, database=database)
    if result.get("failures"):
        raise together([error_from_dict(found) for found in result["failures"]])
    return result


@storage("Gold")
def resolve_each(
    spark: SparkSession | None, entity: str, run_id: str, *, relearn: Relearn = "auto", database: Database | None = None
) -> dict[str, Any]:
    """Bring an entity's Gold up to date with Silver.

    Weights are learned anew, and everything is matched again, once a tenant's records have outgrown them, or as `relearn` says. Without
    `spark` everything happens in this process, however many records there are. The ledger and events are kept in `database`.

    Returns counts, what was `relearned`, what new weights `could_not` do, the versions of the Gold tables, `no_op`, and `failures` of
    tenants whose outcome was beyond the limits, lost a record or could not be made: their Gold stays as it was, and the next run takes all
    their records for changed. Raises ConfigError, LakeError.
    """
    declared = matched_entity(entity)
    last, recovered = rolled_forward(spark, declared)
    tables = silver_tables(entity)
    inputs = {name: {"id": str(table.metadata().id), "version": table.version()} for name, table in sorted(tables.items())}
    fresh = last is None or last.rules != rules_of(declared)
    finished = recovered is not None and last is not None and last.run_id == run_id
    if last is not None and last.inputs == inputs and not fresh and (finished or relearn != "always"):
        _tell(database, recovered or {})
        return result_of(declared, recovered or {}, no_op=recovered is None)
    changed = changed_refs(tables, {} if last is None or fresh else last.inputs)
    run = ResolveRun(1 if last is None else last.number + 1, run_id, clock.now())
    behind = {tenant for known in (last.inputs if last else {}).values() for tenant in known.get("behind", ())}
    outcomes, failures = _resolve_tenants(spark, declared, tables, run, _Changes(changed, behind, relearn), database)
    if failures:
        inputs = {name: {**known, "behind": sorted(failures)} for name, known in inputs.items()}
    counts = sum_of(outcomes)
    written = commit(spark, declared, run, inputs, outcomes)
    for told in (recovered or {}, counts):
        _tell(database, told)
    result = result_of(declared, counts, no_op=not written and recovered is None)
    return result | ({"failures": [error.as_dict() for error in failures.values()]} if failures else {})


def _tell(database: Database | None, counts: Mapping[str, Any]) -> None:
    """Say where weights are new and where they suffice for nothing, and record it; an event that is known already stays one."""
    for facts in counts.get("relearned", ()):
        _record(database, facts["tenant"], WeightsRelearned(**{name: value for name, value in facts.items() if name != "tenant"}))
    for facts in counts.get("could_not", ()):
        if facts["out_of_reach"]:
            event = IdentityOutOfReach(facts["entity"], facts["run_id"], facts["records"], facts["out_of_reach"])
            _record(database, facts["tenant"], event)


def _record(database: Database | None, tenant: str, event: Event) -> None:
    log.warning("tenant %s: %s", tenant, event.describe())
    if database is not None:
        events.record(database.of(tenant), event)


@dataclass(frozen=True)
class _Changes:
    """References of changed records by tenant (None: all may have changed), tenants whose Gold is behind, and when to learn anew."""

    changed: dict[str, set[str]] | None
    behind: set[str]
    relearn: Relearn

    def of(self, tenant: str) -> set[str] | None:
        """The changed records of a tenant; None if all may have."""
        return None if self.changed is None or tenant in self.behind else self.changed.get(tenant, set())


def _resolve_tenants(
    spark: SparkSession | None,
    entity: Entity,
    tables: dict[str, DeltaTable],
    run: ResolveRun,
    changes: _Changes,
    database: Database | None,
) -> tuple[list[Outcome], dict[str, SpineError]]:
    """What each tenant's Gold must become, and why it must not."""
    tenants = {tenant for table in tables.values() for tenant in tenants_of(table)}
    tenants |= {row["tenant_id"] for row in gold.read_rows(gold.LINKS, [("entity", "=", entity.entity)], ["tenant_id"])}
    outcomes: list[Outcome] = []
    failures: dict[str, SpineError] = {}
    for tenant in sorted(tenants):
        try:
            outcome, line = _resolve_tenant(spark, Scope(tenant, entity, run), tables, changes)
            if database is not None:
                ledger.record(database.of(tenant), run.run_id, line)
            outcomes.append(outcome)
        except ControlPlaneUnavailable:
            raise
        except Exception as error:  # a file, a model, an order or a record of this tenant alone
            log.warning("%s of %s was not resolved", entity.entity, tenant, exc_info=not isinstance(error, SpineError))
            failures[tenant] = as_ours(error, tenant=tenant, entity=entity.entity)
    return outcomes, failures


def _resolve_tenant(spark: SparkSession | None, scope: Scope, tables: dict[str, DeltaTable], changes: _Changes) -> tuple[Outcome, Line]:
    found, former = records(scope.entity, tables, scope.tenant), former_gold(scope.entity, scope.tenant)
    pairing = LocalPairing() if spark is None or found.num_rows <= LOCAL_RECORDS else SparkPairing(spark)
    outcome = resolve_tenant(scope, found, former, changes.of(scope.tenant), relearn=changes.relearn, pairing=pairing)
    line = _line(scope.entity, rows_of(tables, scope.tenant), found, former.links_after(outcome.links))
    line.require_balance(scope.run.run_id, tenant=scope.tenant)
    return outcome, line


def _line(entity: Entity, silver: tuple[int, int], found: pa.Table, linked: pa.Array) -> Line:
    """A tenant's rows in the ledger: all (and the deleted ones) that Silver has, the records that were `found`, and those with a link."""
    published = pc.sum(pc.is_in(found.column("record_ref"), value_set=linked)).as_py() or 0
    return Line("gold", gold.golden_table(entity), rows_in=silver[0], published=published, filtered=silver[1])
