"""The same blocking, comparing and scoring by Spark's joins, for more records than one process should hold pairs of.

Keys and features are linear in the records and come from the driver; the pairs, of which there are many more, never reach it: joins on
integer keys make them, Arrow batches compare them with the kernels of this package, and only counts or the few likely pairs return.
Runs on Spark Connect and on classic Spark alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.core.entities import Matching
from spine.identity import blocking, learn
from spine.identity.comparisons import coded, pattern
from spine.identity.engine import Candidates, Records
from spine.identity.keys import rule_keys
from spine.identity.model import Model
from spine.identity.planning import make_plan
from spine.identity.score import score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Array: TypeAlias = Any  # numpy arrays of many element types
Batches = Iterator[pa.RecordBatch]


class SparkPairing:
    """Finds and compares pairs on a Spark session; see `engine.LocalPairing` for the same in this process."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def fit(self, records: Records, version: int, likely: float) -> tuple[Model, Candidates]:
        """Learns a model; also gives the pairs whose probability is at least `likely`."""
        start = learn.start(records.plan, records.features, records.rows)
        compared = self._compared(records, start, None).persist()
        counted = compared.groupBy("mask", "pattern").count().orderBy("mask", "pattern").toArrow()
        mask, patterns, count = (np.asarray(counted.column(name)) for name in ("mask", "pattern", "count"))
        counts = learn.Counts(mask, patterns, count.astype(float))
        model = learn.finish(records.plan, records.features, records.rows, start, counts, version)
        found = self._likely(records, model, compared, likely)
        compared.unpersist()
        return model, found

    def candidates(self, records: Records, model: Model, changed: Array | None, likely: float) -> Candidates:
        """Pairs (of which one record changed, if `changed` flags are given) whose probability is at least `likely`."""
        return self._likely(records, model, self._compared(records, model, changed), likely)

    def _likely(self, records: Records, model: Model, compared: DataFrame, likely: float) -> Candidates:
        chosen = compared.mapInArrow(
            _scorer(records.plan.matching.model_dump_json(), model.to_json(), likely), "l long, r long, rule int, mask long, pattern long"
        )
        table = chosen.toArrow()
        left, right, rule, mask, patterns = (
            np.asarray(table.column(name), dtype=np.int64) for name in ("l", "r", "rule", "mask", "pattern")
        )
        order = np.lexsort([right, left])
        return Candidates(left[order], right[order], patterns[order], rule[order], mask[order])

    def _compared(self, records: Records, model: Model, changed: Array | None) -> DataFrame:
        """Owned candidate pairs with their features and pattern."""
        from pyspark.sql import functions as F

        rules = blocking.make_rules(records.plan)
        keys = rule_keys(rules, records.features, model.heavy)
        record = self.spark.createDataFrame(_record_table(records, keys))
        key = self.spark.createDataFrame(_key_table(keys, changed))
        same = "one.rule = other.rule AND one.key = other.key AND one.row < other.row AND (one.changed OR other.changed)"
        pairs = (
            key.alias("one")
            .join(key.alias("other"), F.expr(same))
            .selectExpr("one.row AS l", "other.row AS r", "one.rule AS rule", "one.key AS key")
        )
        both = pairs.alias("p").join(record.alias("l"), F.expr("p.l = l.row")).join(record.alias("r"), F.expr("p.r = r.row"))
        if records.plan.matching.link == "across_sources":
            both = both.where("l.source <> r.source")
        bits = " | ".join(f"shiftleft(CAST(arrays_overlap(l.k{bit}, r.k{bit}) AS BIGINT), {bit})" for bit in range(len(rules)))
        mine = " ".join(f"WHEN {bit} THEN array_min(array_intersect(l.k{bit}, r.k{bit}))" for bit in range(len(rules)))
        features = range(len(records.plan.features))
        sides = [f"{side}.f{number} AS {side}{number}" for number in features for side in "lr"]
        masked = both.selectExpr("l.row AS l", "r.row AS r", "rule", "key", f"{bits} AS mask", f"CASE rule {mine} END AS own", *sides)
        owned = masked.where("own = key AND mask & (shiftleft(CAST(1 AS BIGINT), rule) - 1) = 0").drop("key", "own")
        texts = "".join(f", l{number} string, r{number} string" for number in features)
        function = _comparer(records.plan.matching.model_dump_json(), model.to_json())
        return owned.mapInArrow(function, f"l long, r long, rule int, mask long{texts}, pattern long")


def _record_table(records: Records, keys: list[Array]) -> pa.Table:
    columns: dict[str, Any] = {"row": np.arange(records.rows), "source": records.source}
    for bit, matrix in enumerate(keys):
        counts = (matrix != 0).sum(axis=1)
        columns[f"k{bit}"] = pa.ListArray.from_arrays(pa.array(np.r_[0, np.cumsum(counts)], pa.int32()), pa.array(matrix[matrix != 0]))
    for number, feature in enumerate(records.plan.features):
        codes, values = records.features[feature.name]
        columns[f"f{number}"] = pa.array(values, pa.string()).take(pa.array(codes, mask=codes < 0))
    return pa.table(columns)


def _key_table(keys: list[Array], changed: Array | None) -> pa.Table:
    rows, columns = zip(*(np.nonzero(matrix) for matrix in keys), strict=True)
    row = np.concatenate(rows)
    found = np.stack([
        np.repeat(np.arange(len(keys)), [len(part) for part in rows]),
        np.concatenate([matrix[one, other] for matrix, one, other in zip(keys, rows, columns, strict=True)]), row,
    ], axis=1)  # fmt: skip
    rule, key, row = np.unique(found, axis=0).T
    flags = np.ones(len(row), dtype=bool) if changed is None else changed[row]
    return pa.table({"rule": pa.array(rule, pa.int32()), "key": key, "row": row, "changed": flags})


def _sides(batch: pa.RecordBatch, matching: str) -> tuple[Any, Any, Array, Array]:
    """Plan, coded features and row numbers of a batch of pairs: its left sides first, then its right sides."""
    plan = make_plan(Matching.model_validate_json(matching))
    rows = batch.num_rows
    columns = {
        feature.name: pa.chunked_array([batch.column(f"l{number}"), batch.column(f"r{number}")]).dictionary_encode()
        for number, feature in enumerate(plan.features)
    }
    return plan, coded(pa.table(columns)), np.arange(rows), np.arange(rows, 2 * rows)


def _comparer(matching: str, model_json: str) -> Callable[[Batches], Batches]:
    def compare(batches: Batches) -> Batches:
        model = Model.from_json(model_json)
        for batch in batches:
            plan, columns, left, right = _sides(batch, matching)
            found = pattern(plan, columns, left, right, model.rarity) if batch.num_rows else np.zeros(0, dtype=np.int64)
            names = [*batch.schema.names, "pattern"]
            yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(found, pa.int64())], names)

    return compare


def _scorer(matching: str, model_json: str, likely: float) -> Callable[[Batches], Batches]:
    def keep(batches: Batches) -> Batches:
        model = Model.from_json(model_json)
        for batch in batches:
            plan, columns, left, right = _sides(batch, matching)
            narrow = batch.select(["l", "r", "rule", "mask", "pattern"])
            if batch.num_rows:
                found = score(plan, model, columns, left, right, np.asarray(batch.column("pattern")))
                narrow = narrow.filter(pa.array(found.probability >= likely))
            yield narrow

    return keep
