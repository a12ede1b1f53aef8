"""From Bronze rows to judged rows: canonical values, outcome of each row, newest version of each record. Frames in, frames out.

Versions of a record are ordered by cursor, then time of emission, then payload hash. Rows of one cursor value reach Bronze in the order of
their emission (a connection has one writer), so any batching and any order of cursors lead to the same Silver.

A version that a filter keeps out, or an array that has lost an element, withdraws the row that is in Silver: it goes as a deleted one goes.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from spine.core.entities import Entity
from spine.core.mapping import Mapping
from spine.core.settings import settings
from spine.lake.delta_sql import row_hash
from spine.lake.flat import FlatColumn
from spine.lake.generations import swapped
from spine.lake.silver import cursor_order
from spine.normalize.compile import REASON_TYPE, cast_problems, compile_mapping, reason, typed_values, with_texts
from spine.normalize.flat import others_of, values_of
from spine.normalize.payload import ENTRIES, without_nul

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Columns are named rather than asked for: on a Connect client each question is a round trip to the server.
ENVELOPE = ("tenant_id", "source", "stream", "record_id", "connection_id", "emitted_at", "cursor", "op", "payload")
_CANONICAL = (
    "tenant_id", "source", "stream", "record_id", "connection_id", "emitted_at", "op", "payload", "source_cursor", "record_ref",
    "custom_fields", "swapped",
)  # fmt: skip
_JUDGED = (
    "tenant_id", "source", "stream", "record_id", "connection_id", "emitted_at", "op", "payload", "source_cursor", "record_ref",
    "is_deleted", "empty_delete", "quarantine_id", "reasons", "filtered", "withdrawn", "hard_delete", "mapping_version", "bad",
    "payload_hash", "key", "place", "swapped",
)  # fmt: skip
_OBJECT = r"^[ \t\n\r\uFEFF]*\{"
UNREADABLE, NO_KEY, CROWDED = "readable", "key", "elements"
UNREADABLE_TEXT = "the record could not be read"
NOT_JSON_TEXT = "the payload is not a JSON object"
NO_KEY_TEXT = "the record has no id"
LONGEST_REF = 1000  # bytes: an index of PostgreSQL holds 2,704 a row, and a match has two references and its tenant
_NUMBERED = r"#(\d{1,6})$"  # an element's place, behind its record's id; a vendor's own ids may end with any number
_HIGHEST = 999_999
LONG_KEY_TEXT = "the record's reference (source, stream and id) is longer than 1,000 bytes"


@dataclass(frozen=True)
class Plan:
    """What a stream's rows become: its entity by its mapping, without one a row with its fields in `columns`.

    `deletes` says what a delete does, `history` whether each version of a record is kept, `swaps` since when rows of connections are of
    another generation.
    """

    source: str
    stream: str
    entity: Entity
    mapping: Mapping | None
    deletes: Literal["soft_delete", "hard_delete", "ignore"] = "soft_delete"
    columns: tuple[FlatColumn, ...] = ()
    history: bool = False
    swaps: typing.Mapping[str, datetime] = field(default_factory=dict)

    @property
    def split(self) -> str | None:
        """The array of which each element becomes a row, if there is one."""
        return self.mapping.split if self.mapping else None


def parts(
    bronze: DataFrame, split: str | None, known: DataFrame | None = None, swaps: typing.Mapping[str, datetime] | None = None
) -> DataFrame:
    """Bronze rows with the parsed payload in `document`; a mapping with `split` yields one row per element of that array, in `part`.

    A record with more elements than the bound is one row, with the reason in `crowded`. Elements that an array had before, in another row
    or by `known` (see `elements_of`), yield a row without `part`: they are gone.
    """
    from pyspark.sql import functions as F

    most = settings().bounds.record
    large = f'{{"_error": "it has more than {most:,} bytes (`record` of SPINE_BOUNDS)", "_line": null, "_raw": ""}}'
    fitting = F.when(F.octet_length("payload") > most, F.lit(large)).otherwise(F.col("payload"))
    cleaned = {"record_id": without_nul(F.col("record_id")).alias("record_id"), "payload": fitting.alias("payload")}
    rows = bronze.select(*[cleaned.get(name, F.col(name)) for name in ENVELOPE]).withColumn("document", F.try_parse_json("payload"))
    if split is None:
        return rows.withColumns({"part": F.lit(None).cast("variant"), "crowded": F.lit(None).cast(REASON_TYPE)})
    rows = _counted(rows.withColumn("swapped", swapped(swaps or {})), split, known)
    last = F.when(F.col("whole"), F.greatest("most", "alive")).otherwise(F.col("count"))
    rows = rows.select("*", F.explode_outer(F.when(last > 0, F.sequence(F.lit(1), last))).alias("number"))
    late = F.coalesce(F.col("late"), F.lit(False)) & (F.col("number") > F.col("alive"))
    part = F.when((F.col("number") <= F.col("count")) & ~late, F.get("elements", F.col("number") - 1))
    numbered = F.concat("record_id", F.lit("#"), F.col("number").cast("string"))
    own = {"record_id": F.coalesce(numbered, F.col("record_id")).alias("record_id")}
    return rows.select(*[own.get(name, F.col(name)) for name in ENVELOPE], "document", part.alias("part"), "crowded")


def _counted(rows: DataFrame, split: str, known: DataFrame | None) -> DataFrame:
    """Rows with their `elements`: `count` in this row, `most` in any row of the record, `alive` in Silver; `late` if that is newer.

    Where there are too many there are none of them, and `crowded` says why. `whole` tells that the row says which elements there are: it is
    a delete, or readable with an array or nothing in the array's place.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    path = f"$['{split}']"
    rows = rows.withColumn("found", F.try_variant_get("document", path, "array<variant>"))
    most, size = min(settings().bounds.elements, _HIGHEST), F.array_size("found")
    said = F.concat(
        F.lit(f"`{split}` has "), F.format_number(size, 0), F.lit(f" elements, more than {most:,} (`elements` of SPINE_BOUNDS)")
    )
    why = F.struct(F.lit(CROWDED).alias("rule"), F.lit(None).cast("string").alias("field"), said.alias("reason"))
    rows = rows.withColumns({"elements": F.when(size <= most, F.col("found")), "crowded": F.when(size > most, why)})
    value = F.try_variant_get("document", path, "variant")
    nothing = value.isNull() | F.is_variant_null(value)
    whole = (F.col("op") == "delete") | (
        _unreadable(F.col("document"), F.col("payload")).isNull() & (F.col("elements").isNotNull() | nothing)
    )
    rows = rows.withColumns({"count": F.coalesce(F.array_size("elements"), F.lit(0)), "whole": F.coalesce(whole, F.lit(False))})
    rows = rows.withColumn("most", F.max("count").over(Window.partitionBy("tenant_id", "record_id")))
    if known is None:
        return rows.withColumns({"alive": F.lit(0), "late": F.lit(False)})
    rows = rows.join(known, ["tenant_id", "record_id"], "left")
    version = F.struct(_generation().alias("g"), F.expr(cursor_order("coalesce(cursor, '')")).alias("c"), F.col("emitted_at").alias("e"))
    return rows.withColumns({"alive": F.coalesce("alive", F.lit(0)), "late": version < F.col("latest")})


def elements_of(silver: DataFrame, stream: str, swaps: typing.Mapping[str, datetime] | None = None) -> DataFrame:
    """What Silver knows of the arrays that a stream's records were split from: the highest `alive` element, and the `latest` version."""
    from pyspark.sql import functions as F

    numbered = silver.where((F.col("stream") == stream) & F.col("record_id").rlike(_NUMBERED)).withColumn("swapped", swapped(swaps or {}))
    number = F.regexp_extract("record_id", _NUMBERED, 1).cast("int")
    version = F.struct(
        _generation().alias("g"), F.expr(cursor_order("coalesce(source_cursor, '')")).alias("c"), F.col("emitted_at").alias("e")
    )
    return numbered.groupBy("tenant_id", F.regexp_replace("record_id", _NUMBERED, "").alias("record_id")).agg(
        F.max(F.when(~F.col("is_deleted"), number)).alias("alive"), F.max(version).alias("latest")
    )


def canonical(rows: DataFrame, plan: Plan, rules: Callable[[Callable[[str], Column]], Sequence[Column]]) -> DataFrame:
    """`parts` of one stream as canonical rows: `fields`, `custom_fields`, `reasons` (empty if good), `filtered`.

    `rules` gives the entity's row rules as reason-or-null columns over its fields.
    """
    from pyspark.sql import functions as F

    if plan.mapping is None:
        return _concluded(_flat(rows, plan), plan, [])
    mapping, split = plan.mapping, plan.split is not None
    reading = compile_mapping(mapping)
    kept = reading.kept & (F.col("part").isNotNull() if split else F.lit(True))
    staged = with_texts(rows, mapping).select(
        *_envelope(plan),
        *[text.alias(_text(name)) for name, text in reading.texts.items()],
        F.coalesce(reading.custom_fields, F.lit("{}")).alias("custom_fields"),
        kept.alias("kept"),
        (reading.present & F.col("part").isNotNull() if split else reading.present).alias("present"),
    )
    values = typed_values(plan.entity, mapping, lambda name: F.col(_text(name)))
    # Columns of their own, not of a struct: Spark would take a struct apart and compute a value anew wherever it is used.
    staged = staged.select("*", *[value.alias(_value(name)) for name, value in values.items()])
    problems = [
        *cast_problems(plan.entity, mapping, lambda name: F.col(_text(name)), lambda name: F.col(_value(name))),
        *rules(lambda name: F.col(_value(name))),
    ]
    return _concluded(staged, plan, problems)


def _envelope(plan: Plan) -> list[Column]:
    from pyspark.sql import functions as F

    return [
        *[F.col(name) for name in ENVELOPE if name != "cursor"],
        F.col("cursor").alias("source_cursor"),
        F.concat_ws(":", F.lit(plan.source), F.lit(plan.stream), F.col("record_id")).alias("record_ref"),
        swapped(plan.swaps).alias("swapped"),
        F.col("document"),
        F.col("crowded"),
    ]


def _flat(rows: DataFrame, plan: Plan) -> DataFrame:
    """Rows of a stream without an entity, each field in its column; a delete without fields leaves the values that are known."""
    from pyspark.sql import functions as F

    return rows.select(
        *_envelope(plan),
        F.coalesce(others_of(plan.columns), F.lit("{}")).alias("custom_fields"),
        F.lit(True).alias("kept"),
        (F.size(F.try_variant_get("document", "$", ENTRIES)) > 0).alias("present"),
        *[value.alias(_value(name)) for name, value in values_of(plan.columns).items()],
    )


def _concluded(staged: DataFrame, plan: Plan, problems: Sequence[Column]) -> DataFrame:
    """Rows with their values, each with the reasons for which it is bad and what its version does to the record."""
    from pyspark.sql import functions as F

    identity = [F.coalesce(name, F.lit("")) for name in ("tenant_id", "record_ref", "source_cursor", "op", "payload")]
    staged = staged.withColumn("unreadable", F.coalesce(_unreadable(F.col("document"), F.col("payload")), F.col("crowded")))
    readable, none = F.col("unreadable"), F.array().cast(f"array<{REASON_TYPE}>")
    deleted = F.col("op") == "delete"
    found = F.when(deleted, none).when(readable.isNotNull(), F.array(readable))
    found = found.otherwise(F.array_compact(F.array(*problems)) if problems else none)
    no_key = F.when(F.col("record_id").isNull() | (F.trim("record_id") == ""), F.array(reason(NO_KEY, None, NO_KEY_TEXT)))
    no_key = no_key.when(F.octet_length("record_ref") > LONGEST_REF, F.array(reason(NO_KEY, None, LONG_KEY_TEXT)))
    withdrawn = ~deleted & readable.isNull() & ~F.col("kept")
    filtered = F.when(deleted, F.lit(plan.deletes == "ignore")).otherwise(withdrawn)
    fields = F.struct(*[F.col(_value(name)).alias(name) for name in plan.entity.fields])
    return staged.select(
        *_CANONICAL,
        fields.alias("fields"),
        F.sha2(F.concat_ws("\x1f", *identity), 256).alias("quarantine_id"),
        F.coalesce(no_key, found).alias("reasons"),
        (deleted | withdrawn).alias("is_deleted"),
        ((deleted & ~F.coalesce("present", F.lit(False))) | withdrawn).alias("empty_delete"),
        filtered.alias("filtered"),
        withdrawn.alias("withdrawn"),
        F.lit(plan.deletes == "hard_delete").alias("hard_delete"),
        F.lit(plan.mapping.version if plan.mapping else 1).alias("mapping_version"),
    )


def _text(name: str) -> str:
    return f"text_{name}"


def _value(name: str) -> str:
    return f"value_{name}"


def _unreadable(document: Column, payload: Column) -> Column:
    from pyspark.sql import functions as F

    error = F.try_variant_get(document, "$._error", "string")
    message = F.concat(F.lit(f"{UNREADABLE_TEXT}: "), F.substring(error, 1, 300))
    marked = F.struct(F.lit(UNREADABLE).alias("rule"), F.lit(None).cast("string").alias("field"), message.alias("reason"))
    is_object = document.isNotNull() & payload.rlike(_OBJECT)  # asking for the document's schema takes many times longer
    return F.when(~is_object, reason(UNREADABLE, None, NOT_JSON_TEXT)).when(error.isNotNull(), marked)


def newest(rows: DataFrame, entity: Entity, *, every: bool = False) -> DataFrame:
    """Canonical rows with `place` (1 is the newest version of a record, or one of equal quarantined rows) and the hashes.

    A delete without values of its own keeps the newest values known before it; `bare` marks those that know none yet. Where `every`
    version is wanted, that holds for all of them, and `versioned` marks those that are a version of their record.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    bad = ~F.col("filtered") & (F.size("reasons") > 0)
    rows = rows.select("*", bad.alias("bad"), F.xxhash64("op", F.coalesce("payload", F.lit(""))).alias("payload_hash"))
    key = (
        F.when(F.col("filtered") & ~F.col("withdrawn"), F.concat(F.lit("filtered "), F.col("quarantine_id")))
        .when(F.col("bad"), F.col("quarantine_id"))
        .otherwise(F.col("record_ref"))
    )
    rows = rows.withColumn("key", key)
    by_version = Window.partitionBy("tenant_id", "key").orderBy(*[column.desc() for column in version_order()])
    own = F.when(~F.col("empty_delete"), F.struct("fields", "custom_fields"))
    known = F.first(own, ignorenulls=True).over(by_version.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing))
    if every:
        in_order = Window.partitionBy("tenant_id", "key").orderBy(*version_order())
        known = F.last(own, ignorenulls=True).over(in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    rows = rows.select("*", F.row_number().over(by_version).alias("place"), known.alias("known"))
    content = F.expr(row_hash([f"fields.`{name}`" for name in entity.fields] + ["custom_fields", "is_deleted"]))
    emptied = F.xxhash64(F.lit("deleted"), F.col("payload_hash"), F.col("mapping_version"))
    return rows.select(
        *_JUDGED,
        F.when(F.col("empty_delete"), emptied).otherwise(content).alias("row_hash"),
        (F.col("empty_delete") & F.col("known").isNull()).alias("bare"),
        F.coalesce("known.fields", "fields").alias("fields"),
        F.coalesce("known.custom_fields", "custom_fields").alias("custom_fields"),
        *(
            [(~F.col("bad") & (~F.col("filtered") | F.col("withdrawn"))).alias("versioned"), F.col("withdrawn").alias("left")]
            if every
            else ()
        ),
    )


def version_order() -> list[Column]:
    """What the versions of a record are ordered by, the oldest first."""
    from pyspark.sql import functions as F

    return [_generation(), F.expr(cursor_order("coalesce(source_cursor, '')")), F.col("emitted_at"), F.col("payload_hash")]


def _generation(emitted: str = "emitted_at") -> Column:
    """Whether a row was emitted at the last swap of its connection's rows or later."""
    from pyspark.sql import functions as F

    return F.when(F.col(emitted) >= F.col("swapped"), 1).otherwise(0)


def judged(rows: DataFrame, silver: DataFrame | None) -> DataFrame:
    """`newest` rows with `outcome`: filtered, quarantined, superseded, unchanged, new, changed or removed."""
    from pyspark.sql import functions as F

    if silver is None:
        types = {"seen_hash": "bigint", "seen_newer": "boolean", "seen_older": "boolean", "seen_deleted": "boolean"}
        seen = rows.select("*", *[F.lit(None).cast(kind).alias(name) for name, kind in types.items()])
    else:
        present = silver.select(
            F.col("tenant_id"),
            F.col("record_ref").alias("key"),
            F.col("row_hash").alias("seen_hash"),
            F.col("is_deleted").alias("seen_deleted"),
            *[column.alias(f"seen_{name}") for name, column in _version().items()],
        )
        joined = rows.join(present, ["tenant_id", "key"], "left")
        former = [_generation("seen_e"), *[F.col(f"seen_{name}") for name in _version()]]
        newer = F.lit(False)
        for own, other in reversed(list(zip([_generation(), *_version().values()], former, strict=True))):
            newer = (own < other) | ((own == other) & newer)
        told = {"seen_newer": newer, "seen_older": F.col("seen_c") < _version()["c"]}
        seen = joined.withColumns(told).drop(*[f"seen_{name}" for name in _version()])
    removes = F.col("hard_delete") & F.col("is_deleted")
    superseded = (F.col("place") > 1) | F.coalesce(F.col("seen_newer"), F.lit(False))
    withdraws = F.col("withdrawn") & ~superseded & ~F.coalesce(F.col("seen_deleted"), F.lit(True))
    outcome = (
        F.when(F.col("filtered") & ~withdraws, "filtered")
        .when(F.col("bad"), F.when(F.col("place") == 1, "quarantined").otherwise("superseded"))
        .when(superseded, "superseded")
        .when(removes, F.when(F.col("seen_hash").isNull(), "unchanged").otherwise("removed"))
        .when(F.col("seen_hash").isNull(), "new")
        # Of a newer cursor it is written, although it says the same: a late version between the two cursors would win otherwise.
        .when((F.col("seen_hash") == F.col("row_hash")) & ~F.coalesce(F.col("seen_older"), F.lit(False)), "unchanged")
        .otherwise("changed")
    )
    used = ("seen_hash", "seen_newer", "seen_older", "seen_deleted", "place", "empty_delete", "key", "filtered", "withdrawn")
    return seen.withColumn("outcome", outcome).drop(*used)


def _version() -> dict[str, Column]:
    from pyspark.sql import functions as F

    cursor = F.expr(cursor_order("coalesce(source_cursor, '')"))
    return {"c": cursor, "e": F.col("emitted_at"), "h": F.col("payload_hash")}
