"""One profile per tenant of a staged frame, in one Spark aggregation: what became of the rows, and the metrics of the table rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from spine.core.entities import Entity
from spine.quality.metrics import VOCABULARY, Measure
from spine.quality.profile import OUTCOMES, STAGED, Profile

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def profiles(judged: DataFrame, entity: Entity, past: Sequence[dict[str, int]]) -> list[Profile]:
    """The profile of each tenant in a frame of judged rows; `past` are the staged rows by tenant of past runs."""
    rows = judged.groupBy("tenant_id").agg(*_aggregates(entity)).collect()
    return [_profile(row.asDict(), entity, past) for row in sorted(rows, key=lambda row: str(row["tenant_id"]))]


def _counted(entity: Entity, count: str) -> list[str]:
    """The fields of which some rule's metric needs that count."""
    return sorted({rule.field for rule in entity.table_rules if rule.field and count in VOCABULARY[rule.metric].counts})


def _measures(entity: Entity) -> dict[tuple[str, str], Measure]:
    """What metrics of the rules measure themselves, by metric and field."""
    named = {(rule.metric, rule.field): VOCABULARY[rule.metric].measure for rule in entity.table_rules if rule.field}
    return {place: measure for place, measure in sorted(named.items()) if measure is not None}


def _aggregates(entity: Entity) -> list[Column]:
    from pyspark.sql import functions as F

    outcome, staged = F.col("outcome"), F.col("outcome").isin(*STAGED)
    live = staged & ~F.col("is_deleted")
    cursor = F.when(F.col("source_cursor").rlike(r"^\d{4}-\d{2}-\d{2}T"), F.col("source_cursor").try_cast("timestamp"))
    columns = [F.count_if(outcome == name).alias(f"outcome_{name}") for name in OUTCOMES]
    columns += [
        F.count_if((outcome.isin("new", "changed") & F.col("is_deleted")) | (outcome == "removed")).alias("deleted"),
        F.count_if(staged).alias("staged"),
        F.count_if(live).alias("live"),
        F.count_distinct(F.when(staged, F.col("record_ref"))).alias("distinct_keys"),
        F.unix_micros(F.max(F.when(staged, F.coalesce(cursor, F.col("emitted_at"))))).alias("newest"),
    ]
    columns += [F.count_if(live & F.col(f"fields.{name}").isNull()).alias(f"null_{name}") for name in _counted(entity, "nulls")]
    columns += [F.count_distinct(F.when(live, F.col(f"fields.{name}"))).alias(f"distinct_{name}") for name in _counted(entity, "distincts")]
    columns += [measure(live, F.col(f"fields.{of}")).alias(f"{name}_of_{of}") for (name, of), measure in _measures(entity).items()]
    return columns


def _profile(row: dict[str, Any], entity: Entity, past: Sequence[dict[str, int]]) -> Profile:
    tenant = str(row["tenant_id"])
    return Profile(
        tenant_id=tenant,
        outcomes={name: row[f"outcome_{name}"] for name in OUTCOMES},
        deleted=row["deleted"],
        staged=row["staged"],
        live=row["live"],
        distinct_keys=row["distinct_keys"],
        newest=None if row["newest"] is None else _moment(row["newest"]),
        nulls={name: row[f"null_{name}"] for name in _counted(entity, "nulls")},
        distincts={name: row[f"distinct_{name}"] for name in _counted(entity, "distincts")},
        past_rows=tuple(rows[tenant] for rows in past if tenant in rows),
        measured={(name, of): row[f"{name}_of_{of}"] for name, of in _measures(entity)},
    )


def _moment(micros: int) -> datetime:
    """A time of Spark's, whose years go far beyond ours; what does not fit is the last moment that does."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def reason_counts(judged: DataFrame) -> dict[str, list[dict[str, Any]]]:
    """By tenant: rule, field and count of the reasons for which rows are quarantined, most frequent first. No value of any row."""
    from pyspark.sql import functions as F

    each = judged.where("outcome = 'quarantined'").select("tenant_id", F.explode("reasons").alias("found"))
    rows = each.groupBy("tenant_id", "found.rule", "found.field").count().collect()
    counts: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (-row["count"], row["rule"], row["field"] or "")):
        counts.setdefault(str(row["tenant_id"]), []).append({"rule": row["rule"], "field": row["field"], "count": row["count"]})
    return counts
