"""Quarantined rows: list them, look at one, and replay them through the present mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as pads
from pyarrow.parquet import filters_to_expression

from spine.core.clock import now
from spine.core.errors import ConfigError
from spine.core.names import quarantine_table
from spine.lake import quarantine, silver
from spine.lake.delta_sql import table_at
from spine.lake.paths import table_uri
from spine.lake.reading import dataset, storage
from spine.lake.tables import tables_for
from spine.normalize.staging import Plan
from spine.pipeline.found import with_found
from spine.pipeline.normalize import Job, SilverResult, check_conservation, fitted, publish_rows, result, stage, subject_of
from spine.quality.profiling import profiles

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

SUMMARY = ("quarantine_id", "tenant_id", "record_ref", "status", "quarantined_at", "reasons", "run_id")


def list_rows(
    source: str, entity: str, *, tenant: str | None = None, status: str | None = "open", limit: int = 100
) -> list[dict[str, Any]]:
    """Quarantined rows without their payload, newest first. Needs no Spark. Raises ConfigError for an unknown source or entity."""
    table = _table(source, entity)
    if table is None:
        return []
    wanted = {name: value for name, value in {"tenant_id": tenant, "status": status}.items() if value is not None}
    condition = filters_to_expression([[(name, "=", value) for name, value in wanted.items()]]) if wanted else None
    rows = dataset(table).to_table(columns=list(SUMMARY), filter=condition).sort_by([("quarantined_at", "descending")])
    found: list[dict[str, Any]] = rows.slice(0, limit).to_pylist()
    return found


def show(source: str, entity: str, quarantine_id: str) -> dict[str, Any]:
    """One quarantined row with its payload; the first letters of its id are enough. Raises ConfigError unless it is the only one."""
    table = _table(source, entity)
    ids = [] if table is None else dataset(table).to_table(columns=["quarantine_id"]).column(0).to_pylist()
    found = [known for known in ids if known.startswith(quarantine_id)]
    if table is None or len(found) != 1:
        raise ConfigError(
            f"{len(found)} quarantined rows have an id that starts with {quarantine_id!r}",
            hint=f"`spine quarantine list {source} {entity}` shows the ids",
        )
    row: dict[str, Any] = dataset(table).to_table(filter=pads.field("quarantine_id") == found[0]).to_pylist()[0]
    return row


def _table(source: str, entity: str) -> DeltaTable | None:
    known = with_found(source).silvers
    if entity not in known:
        raise ConfigError(f"source {source!r} does not feed {entity!r}", hint=f"It feeds {list(known)}")
    return table_at(table_uri(quarantine_table(source, entity)))


@dataclass(frozen=True)
class Replayed:
    """What a replay did: how many rows passed, how many stay open, and what the MERGE did to the Silver table."""

    silver: SilverResult

    def to_json(self) -> dict[str, Any]:
        """The result as `--json` holds it; a replay asks no rules for whole tables, so there is no validation."""
        counts = self.silver.to_json()
        del counts["validation"]
        return {"replayed": self.silver.rows_in - self.silver.quarantined, "still_open": self.silver.quarantined, **counts}


@storage("Silver")
def replay(spark: SparkSession, source: str, entity: str, ids: Sequence[str] | None, run_id: str) -> Replayed:
    """Put open rows (all, or those of `ids`) through the present mapping once more; doing it twice changes nothing more.

    A row that passes is MERGEd if it is the newest version of its record, and marked replayed; one that fails stays open with its present
    reasons. Rules for whole tables are not asked. Raises as `normalize` does.
    """
    table, spec = _table(source, entity), with_found(source)
    job = Job(spark, spec, subject_of(spec, entity), run_id, now())
    if table is None:
        return Replayed(result(job, []))
    tables = tables_for(spark, (job.silver, job.quarantine, *job.histories()))
    rows = tables.read(job.quarantine, quarantine.COLUMNS).where(f"status = '{quarantine.OPEN}'")
    if ids is not None:
        rows = rows.where(rows.quarantine_id.isin(*ids))
    only = rows.select("tenant_id", "quarantine_id")
    bronze = {plan.stream: _as_bronze(rows, plan) for plan in job.plans()}
    job = fitted(job, tables, bronze.values())
    staged = stage(job, tables, bronze, only)
    try:
        found = profiles(staged.rows, job.entity, [])
        check_conservation(job, found, staged.rows_in())
        tenants = [profile.tenant_id for profile in found]
        if tenants:
            publish_rows(job, staged, found, silver.note_of(*_carried(job), run_id))
            quarantine.settle(tables, job.quarantine, staged.rows, run_id, job.moment, tenants)
        return Replayed(result(job, found))
    finally:
        staged.release()


def _carried(job: Job) -> tuple[silver.ReadUpTo, dict[str, int]]:
    """The read position as it is: a replay reads no Bronze."""
    return silver.position_of(table_at(job.silver)), {}


def _as_bronze(rows: DataFrame, plan: Plan) -> DataFrame:
    """Quarantined rows of a stream in Bronze's columns; elements of a split array become their whole record again, once."""
    from pyspark.sql import functions as F

    own = rows.where(rows.stream == plan.stream).withColumnRenamed("source_cursor", "cursor")
    if plan.split is None:
        return own
    whole = own.withColumn("record_id", F.regexp_replace("record_id", r"#\d+$", ""))
    return whole.dropDuplicates(["tenant_id", "record_id", "cursor", "op", "payload"])
