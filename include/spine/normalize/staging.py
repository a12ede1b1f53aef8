"""From Bronze rows to judged rows: canonical values, outcome of each row, newest version of each record. Frames in, frames out.

Versions of a record are ordered by cursor, then time of emission, then payload hash. Rows of one cursor value reach Bronze in the order of
their emission (a connection has one writer), so any batching and any order of cursors lead to the same Silver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spine.core.entities import Entity
from spine.core.mapping import Mapping
from spine.lake.delta_sql import row_hash
from spine.normalize.compile import REASON_TYPE, cast_problems, compile_mapping, reason, typed_values

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Columns are named rather than asked for: on a Connect client each question is a round trip to the server.
ENVELOPE = ("tenant_id", "source", "stream", "record_id", "connection_id", "emitted_at", "cursor", "op", "payload")
_CANONICAL = (
    "tenant_id", "source", "stream", "record_id", "connection_id", "emitted_at", "op", "payload", "source_cursor", "record_ref",
    "custom_fields", "is_deleted", "empty_delete", "fields",
)  # fmt: skip
_JUDGED = (
    "tenant_id", "source", "stream", "record_id", "connection_id", "emitted_at", "op", "payload", "source_cursor", "record_ref",
    "is_deleted", "empty_delete", "quarantine_id", "reasons", "filtered", "hard_delete", "mapping_version", "bad", "payload_hash", "key",
    "place",
)  # fmt: skip
UNREADABLE, NO_KEY = "readable", "key"
UNREADABLE_TEXT = "the record could not be read"
NOT_JSON_TEXT = "the payload is not a JSON object"
NO_KEY_TEXT = "the record has no id"


@dataclass(frozen=True)
class Plan:
    """What a stream's rows become: its entity by its mapping; `deletes` says what a delete does."""

    source: str
    stream: str
    entity: Entity
    mapping: Mapping
    deletes: Literal["soft_delete", "hard_delete", "ignore"] = "soft_delete"


def parts(bronze: DataFrame, mapping: Mapping) -> DataFrame:
    """Bronze rows with the parsed payload in `document`; a mapping with `split` yields one row per element, in `part`."""
    from pyspark.sql import functions as F

    rows = bronze.select(*ENVELOPE).withColumn("document", F.try_parse_json("payload"))
    if mapping.split is None:
        return rows.withColumn("part", F.lit(None).cast("variant"))
    elements = F.try_variant_get("document", f"$['{mapping.split}']", "array<variant>")
    rows = rows.select("*", F.posexplode_outer(elements).alias("number", "part"))
    numbered = F.concat(F.col("record_id"), F.lit("#"), (F.col("number") + 1).cast("string"))
    return rows.withColumn("record_id", F.coalesce(numbered, F.col("record_id"))).drop("number")


def canonical(rows: DataFrame, plan: Plan, rules: Callable[[Callable[[str], Column]], Sequence[Column]]) -> DataFrame:
    """`parts` of one stream as canonical rows: `fields`, `custom_fields`, `reasons` (empty if good), `filtered`.

    `rules` gives the entity's row rules as reason-or-null columns over its fields.
    """
    from pyspark.sql import functions as F

    split = plan.mapping.split is not None
    reading = compile_mapping(plan.mapping, F.col("document"), F.col("part") if split else None)
    texts = F.struct(*[text.alias(name) for name, text in reading.texts.items()])
    kept = reading.kept & (F.col("part").isNotNull() if split else F.lit(True))
    staged = rows.select(
        *[F.col(name) for name in ENVELOPE if name != "cursor"],
        F.col("cursor").alias("source_cursor"),
        F.concat_ws(":", F.lit(plan.source), F.lit(plan.stream), F.col("record_id")).alias("record_ref"),
        F.col("document"),
        texts.alias("texts"),
        F.coalesce(reading.custom_fields, F.lit("{}")).alias("custom_fields"),
        kept.alias("kept"),
        (F.col("op") == "delete").alias("is_deleted"),
        ((F.col("op") == "delete") & ~F.coalesce(reading.present, F.lit(False))).alias("empty_delete"),
    )
    identity = [F.coalesce(name, F.lit("")) for name in ("tenant_id", "record_ref", "source_cursor", "op", "payload")]
    staged = staged.withColumn("fields", typed_values(plan.entity, plan.mapping, lambda name: F.col(f"texts.{name}")))
    readable = _unreadable(F.col("document"))
    problems = [
        *cast_problems(plan.entity, plan.mapping, lambda name: F.col(f"texts.{name}")),
        *rules(lambda name: F.col(f"fields.{name}")),
    ]
    found = F.when(F.col("is_deleted"), F.array().cast(f"array<{REASON_TYPE}>"))
    found = found.when(readable.isNotNull(), F.array(readable)).otherwise(F.array_compact(F.array(*problems)))
    no_key = F.when(F.col("record_id").isNull() | (F.trim("record_id") == ""), F.array(reason(NO_KEY, None, NO_KEY_TEXT)))
    filtered = F.when(F.col("is_deleted"), F.lit(plan.deletes == "ignore")).otherwise(readable.isNull() & ~F.col("kept"))
    return staged.select(
        *_CANONICAL,
        F.sha2(F.concat_ws("\x1f", *identity), 256).alias("quarantine_id"),
        F.coalesce(no_key, found).alias("reasons"),
        filtered.alias("filtered"),
        F.lit(plan.deletes == "hard_delete").alias("hard_delete"),
        F.lit(plan.mapping.version).alias("mapping_version"),
    )


def _unreadable(document: Column) -> Column:
    from pyspark.sql import functions as F

    error = F.try_variant_get(document, "$._error", "string")
    message = F.concat(F.lit(f"{UNREADABLE_TEXT}: "), F.substring(error, 1, 300))
    marked = F.struct(F.lit(UNREADABLE).alias("rule"), F.lit(None).cast("string").alias("field"), message.alias("reason"))
    is_object = F.coalesce(F.schema_of_variant(document).startswith("OBJECT"), F.lit(False))
    return F.when(~is_object, reason(UNREADABLE, None, NOT_JSON_TEXT)).when(error.isNotNull(), marked)


def newest(rows: DataFrame, entity: Entity) -> DataFrame:
    """Canonical rows with `place` (1 is the newest version of a record, or one of equal quarantined rows) and the hashes.

    A delete without values of its own keeps the newest values known before it; `bare` marks those that know none yet.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    bad = ~F.col("filtered") & (F.size("reasons") > 0)
    rows = rows.select("*", bad.alias("bad"), F.xxhash64("op", F.coalesce("payload", F.lit(""))).alias("payload_hash"))
    key = (
        F.when(F.col("filtered"), F.concat(F.lit("filtered "), F.col("quarantine_id")))
        .when(F.col("bad"), F.col("quarantine_id"))
        .otherwise(F.col("record_ref"))
    )
    rows = rows.withColumn("key", key)
    by_version = Window.partitionBy("tenant_id", "key").orderBy(
        F.coalesce("source_cursor", F.lit("")).desc(), F.col("emitted_at").desc(), F.col("payload_hash").desc()
    )
    whole = by_version.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    known = F.first(F.when(~F.col("empty_delete"), F.struct("fields", "custom_fields")), ignorenulls=True).over(whole)
    rows = rows.select("*", F.row_number().over(by_version).alias("place"), known.alias("known"))
    content = F.expr(row_hash([f"fields.`{name}`" for name in entity.fields] + ["custom_fields", "is_deleted"]))
    emptied = F.xxhash64(F.lit("deleted"), F.col("payload_hash"), F.col("mapping_version"))
    return rows.select(
        *_JUDGED,
        F.when(F.col("empty_delete"), emptied).otherwise(content).alias("row_hash"),
        (F.col("empty_delete") & F.col("known").isNull()).alias("bare"),
        F.coalesce("known.fields", "fields").alias("fields"),
        F.coalesce("known.custom_fields", "custom_fields").alias("custom_fields"),
    )


def judged(rows: DataFrame, silver: DataFrame | None) -> DataFrame:
    """`newest` rows with `outcome`: filtered, quarantined, superseded, unchanged, new, changed or removed."""
    from pyspark.sql import functions as F

    if silver is None:
        seen = rows.select("*", F.lit(None).cast("bigint").alias("seen_hash"), F.lit(None).cast("boolean").alias("seen_newer"))
    else:
        present = silver.select(
            F.col("tenant_id"), F.col("record_ref").alias("key"), F.col("row_hash").alias("seen_hash"), _version().alias("seen")
        )
        joined = rows.join(present, ["tenant_id", "key"], "left")
        seen = joined.withColumn("seen_newer", _version() < F.col("seen")).drop("seen")
    removes = F.col("hard_delete") & F.col("is_deleted")
    outcome = (
        F.when(F.col("filtered"), "filtered")
        .when(F.col("bad"), F.when(F.col("place") == 1, "quarantined").otherwise("superseded"))
        .when((F.col("place") > 1) | F.coalesce(F.col("seen_newer"), F.lit(False)), "superseded")
        .when(removes, F.when(F.col("seen_hash").isNull(), "unchanged").otherwise("removed"))
        .when(F.col("seen_hash").isNull(), "new")
        .when(F.col("seen_hash") == F.col("row_hash"), "unchanged")
        .otherwise("changed")
    )
    return seen.withColumn("outcome", outcome).drop("seen_hash", "seen_newer", "place", "empty_delete", "key", "filtered")


def _version() -> Column:
    from pyspark.sql import functions as F

    return F.struct(F.coalesce("source_cursor", F.lit("")).alias("c"), F.col("emitted_at").alias("e"), F.col("payload_hash").alias("h"))
