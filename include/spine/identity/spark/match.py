"""Matching on Spark, for more records than one process should hold: the kernels of this package over joins on narrow integer columns.

`SparkPairing` makes and compares the pairs of records that the driver holds; `match_on_spark` leaves everything on Spark, from raw
attributes to clusters. The clusters are those of `matching.match`. Runs on Spark Connect and on classic Spark alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity.blocking.keys import log_heavy
from spine.identity.comparing.plan import Plan
from spine.identity.engine import NONE_REPEATED, Candidates, Records, Repeated, Settle, as_learned, begin, repeated_counts
from spine.identity.learning import learn
from spine.identity.learning.counts import Counts
from spine.identity.learning.model import Model
from spine.identity.learning.possible import adapt
from spine.identity.matching import REVIEW, threshold_weight
from spine.identity.spark.clusters import divided
from spine.identity.spark.copies import folded
from spine.identity.spark.pairs import candidate_pairs, candidates_of, compared, promising, scored
from spine.identity.spark.records import Spread, find_heavy, spread, standardise, tallies

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Array: TypeAlias = Any  # numpy arrays of many element types
COMPARED = ("l", "r", "mask", "pattern")


class SparkPairing:
    """Finds and compares pairs on a Spark session; see `engine.LocalPairing` for the same in this process."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def fit(
        self, records: Records, version: int, likely: float, repeated: Repeated = NONE_REPEATED, settle: Settle = as_learned
    ) -> tuple[Model, Candidates]:
        """Learns a model; also gives the pairs whose probability is at least `likely`."""
        start, keys, _ = begin(records)
        held = spread(records, self.spark.createDataFrame, repeated)
        pairs = compared(held, start, candidate_pairs(held, start)).persist()
        seen = _counts(pairs).with_these(repeated_counts(records, start, keys, repeated))
        model = learn.finish(records.plan, records.features, records.source, start, seen, version, len(repeated))
        settle(model)
        found = _collected(_likely(held, model, pairs, likely))
        pairs.unpersist()
        return model, found

    def candidates(self, records: Records, model: Model, changed: Array | None, likely: float) -> Candidates:
        """Pairs (of which one record changed, if `changed` flags are given) whose probability is at least `likely`."""
        held = spread(records, self.spark.createDataFrame)
        return _collected(_likely(held, model, compared(held, model, candidate_pairs(held, model, changed)), likely))


@dataclass(frozen=True)
class SparkMatched:
    """What `match_on_spark` found; `clusters` and `matches` are tables on Spark, `close` frees what they are read from.

    `clusters`: `record_id`, `cluster_id` (the smallest record id of the entity), `confidence`, `weakest` (on the record that names a
    cluster), `conflicts` (rival record ids and reasons). `matches`: `left_id, right_id, rule, mask, weight, probability` of the pairs worth
    keeping, whether they are `together` in a cluster, and what each comparison adds to the weight (`said0, said1, …`). `compared` is the
    number of pairs compared.
    """

    plan: Plan
    model: Model
    rows: int
    compared: int
    clusters: DataFrame
    matches: DataFrame
    kept: tuple[DataFrame, ...]

    def close(self) -> None:
        """Frees what is kept on Spark; the tables cannot be read any more."""
        for frame in self.kept:
            frame.unpersist()


def match_on_spark(
    raw: DataFrame, plan: Plan, threshold: float, *, record_id: str, source: str | None = None, model: Model | None = None, version: int = 1
) -> SparkMatched:
    """Entities of a table of raw attributes, without bringing records or pairs to the driver; see `matching.match`.

    Raises ConfigError if a record has no id or two have the same.
    """
    every = folded(standardise(raw, plan, record_id, source))
    records, limit = every.distinct, threshold_weight(threshold)
    start = _start(records) if model is None else model
    pairs = every.with_twins(candidate_pairs(records, start), start)
    if model is None:
        pairs = pairs.union(_drawn(records))
    pairs = compared(records, start, pairs).persist()
    if model is None:
        counts = _counts(pairs)
        drawn = counts.mask == 0
        model = learn.conclude(plan, records.rows + every.repeated, start, counts.where(~drawn), counts.where(drawn), version)
        every.settle(model, pairs, limit)
    real = pairs.where("mask <> 0")
    distinct = _likely(records, model, real, REVIEW).persist()
    worth = every.spread(distinct, limit).persist()
    clusters = divided(every.records, model, worth, threshold).persist()
    kept = (*every.kept, pairs, distinct, worth, clusters)
    named, told = _named(every.records, clusters), _pairs_named(every.records, clusters, worth)
    return SparkMatched(plan, model, every.records.rows, real.count(), named, told, kept)


def _start(records: Spread) -> Model:
    """`learn.start` on Spark."""
    model = learn.beliefs(records.plan, records.rows)
    tallied = tallies(records)
    model.rarity, model.terms = learn.rarities(tallied), learn.term_tables(tallied)
    adapt(records.plan, model, learn.shapes(tallied))
    model.heavy = find_heavy(records, model.rarity)
    log_heavy(model.heavy)
    return model


def _drawn(records: Spread) -> DataFrame:
    """The random pairs from which chance agreement is learned, as pairs of no rule."""
    left, right = learn.random_pairs(records.rows)
    ends = {"l": np.minimum(left, right), "r": np.maximum(left, right), "mask": np.zeros(len(left), dtype=np.int64)}
    table = pa.table({name: pa.array(values, pa.int64()) for name, values in ends.items()})
    return records.frame.sparkSession.createDataFrame(table, "l long, r long, mask long")  # there may be no pair to infer that from


def _counts(pairs: DataFrame) -> Counts:
    counted = pairs.groupBy("mask", "pattern").sum("times", "within").orderBy("mask", "pattern").toArrow()
    mask, patterns, count, within = (np.asarray(column) for column in counted.columns)
    return Counts(mask, patterns, count.astype(float), within.astype(float))


def _likely(records: Spread, model: Model, pairs: DataFrame, likely: float) -> DataFrame:
    """Scored pairs whose probability is at least `likely`."""
    some = pairs.select(*COMPARED).mapInArrow(promising(records.plan, model, likely), ", ".join(f"{name} long" for name in COMPARED))
    return scored(records, model, some, likely)


def _collected(pairs: DataFrame) -> Candidates:
    table = pairs.select(*COMPARED).toArrow()
    return candidates_of(*(np.asarray(table.column(name), dtype=np.int64) for name in COMPARED))


def _named(records: Spread, clusters: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    ids = records.frame.select("row", "id")
    known = clusters.join(ids.select(F.col("row").alias("label"), F.col("id").alias("cluster_id")), "label")
    rivals = clusters.where("conflicts IS NOT NULL").select("row", F.inline("conflicts"))
    told = rivals.join(ids.select(F.col("row").alias("rival"), F.col("id").alias("record_id")), "rival")
    told = told.groupBy("row").agg(F.sort_array(F.collect_list(F.struct("record_id", "reason"))).alias("conflicts"))
    whole = ids.join(known.drop("conflicts"), "row", "left").join(told, "row", "left")
    one = F.lit(1.0)
    return whole.select(
        F.col("id").alias("record_id"), F.coalesce("cluster_id", "id").alias("cluster_id"),
        F.coalesce("confidence", one).alias("confidence"), "weakest", "conflicts",
    )  # fmt: skip


def _pairs_named(records: Spread, clusters: DataFrame, pairs: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    ids = (
        records.frame.select("row", "id")
        .join(clusters.select("row", "label"), "row", "left")
        .withColumn("label", F.coalesce("label", "row"))
    )
    left = ids.select(F.col("row").alias("l"), F.col("id").alias("left_id"), F.col("label").alias("left_label"))
    right = ids.select(F.col("row").alias("r"), F.col("id").alias("right_id"), F.col("label").alias("right_label"))
    rule = F.expr("CAST(log2(mask & -mask) AS INT)").alias("rule")
    said = [f"said{place}" for place in range(len(records.plan.comparisons))]
    return pairs.join(left, "l").join(right, "r").select(
        "left_id", "right_id", rule, "mask", "pattern", "weight", "probability", F.expr("left_label = right_label").alias("together"), *said
    )  # fmt: skip
