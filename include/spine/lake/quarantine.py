"""Quarantine tables: rows that failed, each once, with every reason and the payload to replay."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from spine.lake.delta_sql import table_at
from spine.lake.merging import Merge, from_source
from spine.lake.paths import storage_options
from spine.lake.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

COLUMNS = (
    "tenant_id", "record_ref", "source", "stream", "record_id", "connection_id", "payload", "op", "source_cursor", "emitted_at", "reasons",
    "mapping_version", "run_id", "quarantined_at", "status", "replayed_at", "quarantine_id",
)  # fmt: skip
OPEN, REPLAYED = "open", "replayed"


def quarantine_schema() -> pa.Schema:
    """Columns of `quarantine_<source>_<entity>`; `quarantine_id` is a hash of tenant, record, cursor, operation and payload."""
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    reasons = pa.list_(pa.struct([("rule", pa.string()), ("field", pa.string()), ("reason", pa.string())]))
    types = {"emitted_at": moment, "quarantined_at": moment, "replayed_at": moment, "reasons": reasons, "mapping_version": pa.int32()}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def _ensure(uri: str) -> None:
    from deltalake import DeltaTable

    if table_at(uri) is None:
        properties = {"delta.enableDeletionVectors": "false"}
        DeltaTable.create(
            uri, quarantine_schema(), mode="ignore", partition_by=["tenant_id"], configuration=properties, storage_options=storage_options()
        )


def settle(tables: Tables, uri: str, judged: DataFrame, run_id: str, moment: datetime, tenants: Iterable[str]) -> None:
    """Bring the table up to date with judged rows; writes nothing where it says so already.

    A failing row is added once; one that is there gets its present reasons and is open again; a row that passes now is marked replayed.
    Raises LakeError on a conflicting writer.
    """
    _ensure(uri)
    pending = tables.once(_pending(judged, tables.read(uri, ("tenant_id", "quarantine_id", "status", "reasons"))))
    try:
        _write(tables, uri, pending, run_id, moment, tenants)
    finally:
        tables.release(pending)


def _write(tables: Tables, uri: str, pending: DataFrame, run_id: str, moment: datetime, tenants: Iterable[str]) -> None:
    from pyspark.sql import functions as F

    known = F.col("known_status").isNotNull()
    added, changed = pending.agg(F.count_if(~known), F.count_if(known)).collect()[0]
    own = {
        "run_id": F.lit(run_id),
        "quarantined_at": F.lit(moment),
        "status": F.when(F.col("bad"), OPEN).otherwise(REPLAYED),
        "replayed_at": F.when(~F.col("bad"), F.lit(moment)),
    }
    columns = [own.get(name, F.col(name)).alias(name) for name in COLUMNS]
    if added:  # an append is cheaper than a MERGE, and most runs only have new rows
        tables.append(uri, pending.where(~known).select(*columns))
    if changed:
        passed = {"reasons": f"CASE WHEN s.status = '{REPLAYED}' THEN t.reasons ELSE s.reasons END"}
        merge = Merge(
            keys=("tenant_id", "quarantine_id"),
            updated=from_source(("reasons", "mapping_version", "run_id", "status", "replayed_at"), passed),
            pruned={"tenant_id": list(tenants)},
        )
        tables.merge(uri, merge, pending.where(known).select(*columns))


def _pending(judged: DataFrame, present: DataFrame) -> DataFrame:
    """The judged rows of which the table does not say what it should, with `known_status` (null if it does not have them)."""
    from pyspark.sql import functions as F

    known = present.select(
        "tenant_id", "quarantine_id", F.col("status").alias("known_status"), F.col("reasons").alias("known_reasons")
    )  # fmt: skip
    rows = judged.where("NOT bad OR outcome = 'quarantined'").join(known, ["tenant_id", "quarantine_id"], "left")
    reopened = F.col("known_status").isNull() | (F.col("known_status") != OPEN) | (F.col("known_reasons") != F.col("reasons"))
    pending = rows.where((F.col("bad") & reopened) | (~F.col("bad") & (F.col("known_status") == OPEN)))
    return pending.dropDuplicates(["tenant_id", "quarantine_id"])  # of few rows, not of all that are good
