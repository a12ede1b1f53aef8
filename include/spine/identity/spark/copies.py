"""Copies on Spark: distinct records under numbers of their own, and their pairs spread over all records, as `identity.copies` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spine.identity.blocking import rules as blocking
from spine.identity.comparing.plan import Plan
from spine.identity.copies import SLACK
from spine.identity.engine import identical
from spine.identity.learning import learn
from spine.identity.learning.model import Model
from spine.identity.spark.pairs import scored
from spine.identity.spark.records import Spread, keyed_rows, pieces_for, row_numbers, tallies

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Folded:
    """All `records` and the `distinct` ones, numbered in the order of their first rows; so many of them are `repeated`.

    `groups` has of each distinct record its number `place`, its `row` among all, and the rows of its `copies`. Without copies there is one
    numbering and nothing to spread.
    """

    records: Spread
    distinct: Spread
    repeated: int
    groups: DataFrame

    @property
    def kept(self) -> tuple[DataFrame, ...]:
        """What is persisted."""
        return tuple(dict.fromkeys((*self.records.kept, *self.distinct.kept)))

    def with_twins(self, pairs: DataFrame, start: Model) -> DataFrame:
        """`l, r, mask` of the pairs, and of each repeated record beside itself (its copy has the same keys) under its rules."""
        from pyspark.sql import functions as F

        if not self.repeated:
            return pairs
        plan, frame = self.distinct.plan, self.distinct.frame.where("times > 1")
        keyed = keyed_rows(Spread(plan, frame, self.distinct.rows, self.distinct.pieces), start.heavy, start.rarity)
        seen = keyed.groupBy("row").agg(F.expr("bit_or(CAST(shiftleft(1L, rule) AS LONG))").alias("seen"))
        mask = F.coalesce("seen", F.lit(0).cast("long")).bitwiseOR(F.lit(_bit(plan))).alias("mask")
        twins = frame.select("row").join(seen, "row", "left").select(F.col("row").alias("l"), F.col("row").alias("r"), mask)
        return pairs.union(twins)

    def settle(self, model: Model, pairs: DataFrame, limit: float) -> None:
        """`copies.settled`, given the compared pairs."""
        if not self.repeated:
            return
        twins = scored(self.distinct, model, pairs.where("l = r AND mask <> 0"), 0.0)
        loose = twins.where(f"weight < {limit - SLACK!r}").selectExpr("l AS place")
        others = self.groups.join(loose, "place").selectExpr("explode(copies) AS row").persist()
        if not others.isEmpty():
            counted = self.records.frame.where("row = first").select("row").union(others)
            frame = self.records.frame.join(counted, "row")
            counts = tallies(Spread(self.records.plan, frame, self.records.rows, self.records.pieces))
            model.terms = learn.frequencies(self.records.plan, counts)
        others.unpersist()

    def spread(self, pairs: DataFrame, limit: float) -> DataFrame:
        """Pairs of records from pairs of distinct ones."""
        from pyspark.sql import functions as F

        if not self.repeated:
            return pairs
        told = [name for name in pairs.columns if name not in ("l", "r", "mask")]
        twins, others = pairs.where("l = r"), pairs.where("l <> r")
        many = self.groups.where("size(copies) > 0")
        own = twins.join(many.selectExpr("place AS l", "row AS one", "copies"), "l")
        found = own.select(F.col("one").alias("l"), F.explode("copies").alias("r"), F.lit(_bit(self.records.plan)).alias("mask"), *told)
        loose = many.join(twins.where(f"weight >= {limit - SLACK!r}").selectExpr("l AS place"), "place", "left_anti")
        for side in ("l", "r"):
            others = others.join(self.groups.selectExpr(f"place AS {side}", f"row AS first_{side}"), side)
            others = others.join(loose.selectExpr(f"place AS {side}", f"copies AS copies_{side}"), side, "left")
        ends = F.expr(
            "explode(concat(array(struct(first_l AS a, first_r AS b)),"
            " transform(coalesce(copies_l, array()), x -> struct(x AS a, first_r AS b)),"
            " transform(coalesce(copies_r, array()), x -> struct(first_l AS a, x AS b))))"
        )
        all_pairs = others.select(ends.alias("ends"), "mask", *told)
        return found.union(all_pairs.selectExpr("least(ends.a, ends.b) AS l", "greatest(ends.a, ends.b) AS r", "mask", *told))


def _bit(plan: Plan) -> int:
    return int(identical(len(blocking.make_rules(plan))))


def folded(records: Spread) -> Folded:
    """The distinct records among `records`; all of them where two records of one source are known to be two entities."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if records.plan.matching.link == "across_sources":
        return Folded(records, records, 0, records.frame)
    features = [f"f{number}" for number in range(len(records.plan.features))]
    counted = records.frame.withColumn("first", F.min("row").over(Window.partitionBy(*features))).persist()
    repeated = counted.where("row <> first").select("first").distinct().count()
    if not repeated:
        counted.unpersist()
        return Folded(records, records, 0, records.frame)
    every = Spread(records.plan, counted, records.rows, records.pieces, (*records.kept, counted))
    copy = F.when(F.col("row") != F.col("first"), F.struct("row", "source"))
    copies = F.sort_array(F.collect_list(copy))
    rows = counted.groupBy("first").agg(copies["row"].alias("copies"), copies["source"].alias("sources"))
    firsts = counted.where("row = first").select("first", "source", *features).join(rows, "first").orderBy("first")
    numbered = firsts.withColumn("at", F.monotonically_increasing_id()).persist()
    part = F.shiftright("at", 33).alias("part")
    sizes = numbered.groupBy(part).agg(F.count("*").alias("rows")).orderBy("part").toArrow()
    told = {"row": row_numbers(sizes), "times": "IF(size(copies) > 0, 2L, 1L)", "beside": "CAST(get(sources, 0) <=> source AS LONG)"}
    frame = numbered.withColumns({name: F.expr(value) for name, value in told.items()})
    groups, narrow = frame.selectExpr("row AS place", "first AS row", "copies"), frame.select("row", "source", "times", "beside", *features)
    count = sum(sizes.column("rows").to_pylist())
    return Folded(every, Spread(records.plan, narrow, count, pieces_for(frame, count), (numbered,)), repeated, groups)
