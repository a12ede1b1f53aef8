"""One profile per tenant of a staged frame, in one Spark aggregation: what became of the rows, and the metrics of the table rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from spine.core.entities import Entity, TableRule

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

OUTCOMES = ("new", "changed", "removed", "unchanged", "quarantined", "superseded", "filtered")
# A record is staged when its newest good version stands in the table after the run.
STAGED = ("new", "changed", "unchanged")


@dataclass(frozen=True)
class Profile:
    """What is known of one tenant's rows; `past_rows` are the staged rows of its past runs."""

    tenant_id: str
    outcomes: dict[str, int]
    deleted: int
    staged: int
    live: int
    distinct_keys: int
    newest: datetime | None
    nulls: dict[str, int]
    distincts: dict[str, int]
    past_rows: tuple[int, ...] = ()

    @property
    def rows_in(self) -> int:
        """All rows, whatever became of them."""
        return sum(self.outcomes.values())

    def metric(self, rule: TableRule, now: datetime) -> float | None:
        """The value that a table rule judges; None where there is nothing to judge or the run is too small for the rule."""
        if self.staged + self.outcomes["quarantined"] < rule.min_rows:
            return None
        value = _METRICS[rule.metric](self, rule, now)
        return None if value is None else round(value, 6)


def _row_count_ratio(profile: Profile, _: TableRule, __: datetime) -> float | None:
    past = [rows for rows in profile.past_rows if rows]
    return profile.staged / median(past) if past else None


def _null_share(profile: Profile, rule: TableRule, _: datetime) -> float | None:
    return profile.nulls[str(rule.field)] / profile.live if profile.live else None


def _distinct_share(profile: Profile, rule: TableRule, _: datetime) -> float | None:
    present = profile.live - profile.nulls[str(rule.field)]
    return profile.distincts[str(rule.field)] / present if present else None


def _quarantined_share(profile: Profile, _: TableRule, __: datetime) -> float | None:
    judged = profile.staged + profile.outcomes["quarantined"]
    return profile.outcomes["quarantined"] / judged if judged else None


def _duplicate_keys(profile: Profile, _: TableRule, __: datetime) -> float | None:
    return profile.staged - profile.distinct_keys


def _freshness_hours(profile: Profile, _: TableRule, now: datetime) -> float | None:
    return None if profile.newest is None else (now - profile.newest).total_seconds() / 3600


_METRICS = {
    "row_count_ratio": _row_count_ratio,
    "null_share": _null_share,
    "distinct_share": _distinct_share,
    "quarantined_share": _quarantined_share,
    "duplicate_keys": _duplicate_keys,
    "freshness_hours": _freshness_hours,
}


def profiles(judged: DataFrame, entity: Entity, past: Sequence[dict[str, int]]) -> list[Profile]:
    """The profile of each tenant in a frame of judged rows; `past` are the staged rows by tenant of past runs."""
    rows = judged.groupBy("tenant_id").agg(*_aggregates(entity)).collect()
    return [_profile(row.asDict(), entity, past) for row in sorted(rows, key=lambda row: str(row["tenant_id"]))]


def _named(entity: Entity, metric: str) -> list[str]:
    return sorted({str(rule.field) for rule in entity.table_rules if rule.metric == metric and rule.field})


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
    columns += [F.count_if(live & F.col(f"fields.{name}").isNull()).alias(f"null_{name}") for name in _nulls(entity)]
    return columns + [
        F.count_distinct(F.when(live, F.col(f"fields.{name}"))).alias(f"distinct_{name}") for name in _named(entity, "distinct_share")
    ]


def _nulls(entity: Entity) -> list[str]:
    return sorted({*_named(entity, "null_share"), *_named(entity, "distinct_share")})


def _profile(row: dict[str, Any], entity: Entity, past: Sequence[dict[str, int]]) -> Profile:
    tenant = str(row["tenant_id"])
    return Profile(
        tenant_id=tenant,
        outcomes={name: row[f"outcome_{name}"] for name in OUTCOMES},
        deleted=row["deleted"],
        staged=row["staged"],
        live=row["live"],
        distinct_keys=row["distinct_keys"],
        newest=None if row["newest"] is None else datetime.fromtimestamp(row["newest"] / 1e6, UTC),
        nulls={name: row[f"null_{name}"] for name in _nulls(entity)},
        distincts={name: row[f"distinct_{name}"] for name in _named(entity, "distinct_share")},
        past_rows=tuple(rows[tenant] for rows in past if tenant in rows),
    )


def reason_counts(judged: DataFrame) -> dict[str, list[dict[str, Any]]]:
    """By tenant: rule, field and count of the reasons for which rows are quarantined, most frequent first. No value of any row."""
    from pyspark.sql import functions as F

    each = judged.where("outcome = 'quarantined'").select("tenant_id", F.explode("reasons").alias("found"))
    rows = each.groupBy("tenant_id", "found.rule", "found.field").count().collect()
    counts: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (-row["count"], row["rule"], row["field"] or "")):
        counts.setdefault(str(row["tenant_id"]), []).append({"rule": row["rule"], "field": row["field"], "count": row["count"]})
    return counts
