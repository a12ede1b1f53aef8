"""Scored pairs on Spark -> entities: connected components, and the division of each by the code that divides them in one process.

Up to DRIVER_EDGES edges the components are found on the driver by scipy, above that on Spark by alternating stars: Kiveris, Lattanzi,
Mirrokni, Rastogi and Vassilvitskii, Connected Components in MapReduce and Beyond, SoCC 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.core.errors import LakeError
from spine.identity.clustering import cluster
from spine.identity.copies import Copies
from spine.identity.learning.model import Model
from spine.identity.matching import Constraints, Matched, divide, kept, threshold_weight
from spine.identity.spark.pairs import candidates_of
from spine.identity.spark.records import Spread, records_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Array: TypeAlias = Any  # numpy arrays of many element types
# 16 bytes each on the driver, and some copies.
DRIVER_EDGES = 20_000_000
ROUNDS = 50
CLUSTERS = "row long, label long, confidence double, weakest double, conflicts array<struct<rival: long, reason: string>>"
_CONFLICTS = pa.list_(pa.struct([("rival", pa.int64()), ("reason", pa.string())]))


def divided(records: Spread, model: Model, pairs: DataFrame, threshold: float) -> DataFrame:
    """CLUSTERS of the records that have a pair of at least `threshold` (a probability); each of the others is alone.

    `pairs` are those worth keeping (`l, r, mask, pattern, weight, probability`), spread over copies, and should be persisted.
    """
    from pyspark.sql import functions as F

    limit = threshold_weight(threshold) - 1e-9
    member = components(pairs.where(F.col("weight") >= limit).select("l", "r"))
    member = member.select("row", F.expr(f"CAST(pmod(xxhash64(component), {records.pieces}) AS INT)").alias("bucket"), "component")
    features = [f"f{number}" for number in range(len(records.plan.features))]
    held = records.frame.join(member, "row").select(F.col("bucket").alias("home"), "row", "source", *features)
    left = member.select(F.col("row").alias("l"), F.col("component").alias("cl"), F.col("bucket").alias("place"))
    right = member.select(F.col("row").alias("r"), F.col("component").alias("cr"))
    inner = pairs.join(left, "l").join(right, "r").where("cl = cr").select("place", "l", "r", "mask", "pattern")
    plan, pieces = records.plan, records.pieces

    def bucket(table: pa.Table, asked: pa.Table) -> pa.Table:
        table = table.sort_by("row")
        row = np.asarray(table.column("row"))
        places = [np.searchsorted(row, np.asarray(asked.column(name))) for name in ("l", "r")]
        found = candidates_of(*places, *(np.asarray(asked.column(name)) for name in ("mask", "pattern")))
        held = records_of(table, plan)
        return _table(row, divide(held, model, *kept(held, model, found), threshold, Constraints(), len(row), Copies.of(held)))

    groups = held.repartition(pieces, "home").groupBy("home").cogroup(inner.repartition(pieces, "place").groupBy("place"))
    return groups.applyInArrow(bucket, CLUSTERS)


def _table(row: Array, matched: Matched) -> pa.Table:
    conflicts: dict[int, list[dict[str, Any]]] = {}
    for conflict in matched.conflicts:
        named = [{"rival": int(row[rival]), "reason": conflict.reason} for rival in conflict.rivals]
        conflicts.setdefault(conflict.row, []).extend(named)
    weakest: Array = np.full(len(row), np.nan)
    weakest[list(matched.weakest)] = list(matched.weakest.values())
    return pa.table({
        "row": row, "label": row[matched.label], "confidence": matched.confidence,
        "weakest": pa.array(weakest, mask=np.isnan(weakest)),
        "conflicts": pa.array([conflicts.get(place) for place in range(len(row))], _CONFLICTS),
    })  # fmt: skip


def components(edges: DataFrame) -> DataFrame:
    """`row, component` (the smallest row of its component) of every row that an edge (`l, r`) touches."""
    many = edges.count()
    if many > DRIVER_EDGES or not many:
        return star_components(edges)
    table = edges.toArrow()
    ends = [np.asarray(table.column(name)) for name in ("l", "r")]
    rows, places = np.unique(np.concatenate(ends), return_inverse=True)
    first = cluster.components(len(rows), places[: len(ends[0])], places[len(ends[0]) :])
    return edges.sparkSession.createDataFrame(pa.table({"row": pa.array(rows, pa.int64()), "component": pa.array(rows[first], pa.int64())}))


def star_components(edges: DataFrame) -> DataFrame:
    """`components` without the driver. Raises LakeError if the stars have not settled after ROUNDS rounds."""
    from pyspark.sql import functions as F

    now = edges.select(F.greatest("l", "r").alias("u"), F.least("l", "r").alias("v")).distinct().localCheckpoint()
    before = None
    for _ in range(ROUNDS):
        following = _small_star(_large_star(now)).localCheckpoint()
        state = following.agg(F.count("*"), F.expr("bit_xor(xxhash64(u, v))")).collect()[0]
        now, before, settled = following, state, state == before
        if settled:
            ends = now.select(F.col("u").alias("row"), F.col("v").alias("component"))
            return ends.union(now.select("v", "v").distinct())
    raise LakeError("connected components did not settle", hint="Raise the threshold: the pairs form chains of absurd length")


def _large_star(edges: DataFrame) -> DataFrame:
    """Joins the larger neighbours of every row to the smallest of its neighbours and itself."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    both = edges.union(edges.select("v", "u"))
    least = F.least("u", F.min("v").over(Window.partitionBy("u")))
    return both.select("u", "v", least.alias("m")).where("v > u").select(F.col("v").alias("u"), F.col("m").alias("v")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Joins the smaller neighbours of every row, and the row itself, to the smallest of them."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    least = edges.select("u", "v", F.min("v").over(Window.partitionBy("u")).alias("m"))
    return least.where("v <> m").select(F.col("v").alias("u"), F.col("m").alias("v")).union(least.select("u", "m")).distinct()
