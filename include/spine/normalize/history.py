"""Every version of a record, from when to when it was the record's (slowly changing dimension 2). Frames in, frames out.

Versions follow one another as in Silver, by cursor, then by emission. One that says the same as the one before it is none. A version is
valid from its cursor's time on; one whose cursor is no time, or that of the version before it, from the moment at which it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spine.lake.delta_sql import row_hash
from spine.lake.silver import HISTORY, cursor_order
from spine.normalize.staging import version_order

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

RECORD = ("tenant_id", "record_ref")
_TIME = "____-__-__T%"


def version_id() -> Column:
    """What tells a version from the others of its record, also when it is read from Bronze once more."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.coalesce("source_cursor", F.lit("")), "emitted_at", "payload_hash")


def changes(incoming: DataFrame, known: DataFrame, fields: Sequence[str], swapped: Column) -> DataFrame:
    """What becomes of a table of versions, whose rows of the same records are `known`: rows to write, `removed` for those that go.

    `incoming` are rows as the table has them without HISTORY, but for `bare` (its values are those of the version before it) and `left`
    (a filter keeps the record out from here on). `swapped` is when the rows of a row's connection were last swapped.
    """
    from pyspark.sql import functions as F

    incoming = incoming.withColumn("_version", version_id())
    keys = [*RECORD, "_version"]
    kept = known.join(incoming.select(*keys), keys, "left_anti")
    flags = {"bare": F.lit(False), "left": F.lit(False)}
    columns = [name for name in known.columns if name not in HISTORY[:3]]
    together = incoming.select(*columns, *flags).unionByName(kept.select(*columns).withColumns(flags)).withColumn("swapped", swapped)
    found = _valid(_apart(_whole(together, fields)))
    before = known.select(*keys, *[F.col(name).alias(f"was_{name}") for name in _TOLD], F.lit(True).alias("was"))
    joined = found.withColumn("is", F.lit(True)).join(before, keys, "full")
    same = F.lit(True)
    for name in _TOLD:
        same = same & F.col(name).eqNullSafe(F.col(f"was_{name}"))
    removed = F.col("is").isNull()
    return joined.where(removed | F.col("was").isNull() | ~same).select(*known.columns, removed.alias("removed"))


# By these a row tells whether it is as it was: values by their hash.
_TOLD = ("row_hash", "mapping_version", "schema_version", *HISTORY[:3])


def _whole(rows: DataFrame, fields: Sequence[str]) -> DataFrame:
    """Each version with its values, those of the one before it where it has none; without what never passed a filter."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy(*RECORD).orderBy(*version_order())
    until = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    names = [*fields, "custom_fields"]
    values = F.last(F.when(~F.col("bare"), F.struct(*[F.col(f"`{name}`") for name in names])), ignorenulls=True).over(until)
    passed = F.max(~F.col("left")).over(until)
    rows = rows.withColumns({"before": values, "passed": passed}).where("passed")
    filled = {name: F.coalesce(F.col("before").getField(name), F.col(f"`{name}`")) for name in names}
    rows = rows.select(*[filled.get(name, F.col(f"`{name}`")).alias(name) for name in rows.columns if name not in _AIDS])
    return rows.withColumn("row_hash", F.expr(row_hash([f"`{name}`" for name in [*names, "is_deleted"]])))


_AIDS = ("before", "passed", "bare", "left")


def _apart(rows: DataFrame) -> DataFrame:
    """Without versions that say the same as the one before."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy(*RECORD).orderBy(*version_order())
    said = F.lag("row_hash").over(order)
    return rows.withColumn("said", said).where(F.col("said").isNull() | (F.col("said") != F.col("row_hash"))).drop("said")


def _valid(rows: DataFrame) -> DataFrame:
    """With HISTORY. No version begins after the one that follows it, and the last one is the record's now."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    cursor = F.expr(cursor_order("coalesce(source_cursor, '')"))
    order = Window.partitionBy(*RECORD).orderBy(*version_order())
    backwards = Window.partitionBy(*RECORD).orderBy(*[column.desc() for column in version_order()])
    time = F.when(cursor.like(_TIME), cursor.try_cast("timestamp"))
    first = ~cursor.eqNullSafe(F.lag(cursor).over(order))
    moment = F.when(first & time.isNotNull(), time).otherwise(F.greatest("emitted_at", time))
    rows = rows.withColumn("moment", moment)
    rows = rows.withColumn("_valid_from", F.min("moment").over(backwards.rowsBetween(Window.unboundedPreceding, Window.currentRow)))
    rows = rows.withColumn("_valid_to", F.lead("_valid_from").over(order))
    return rows.withColumn("_is_current", F.col("_valid_to").isNull()).drop("moment")
