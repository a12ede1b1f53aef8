"""Candidate pairs of spread records: made from blocks, brought to their records, compared and scored in large Arrow batches.

The records are dealt out to `sides` hands; the pairs of two hands meet the records of both in one cell of a triangle. So a pair travels
once, as a few integers, a record `sides` times, and every distinct pair of values of a cell is compared once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity import engine
from spine.identity.blocking.blocks import blocks_of
from spine.identity.blocking.keys import LARGEST_BLOCK
from spine.identity.blocking.pairs import find_pairs
from spine.identity.comparing.comparisons import pattern
from spine.identity.comparing.plan import Plan
from spine.identity.learning.model import Model
from spine.identity.learning.score import hopeful, score
from spine.identity.matching import threshold_weight
from spine.identity.spark.records import BATCH, Batches, Spread, Worker, gathered, keyed_rows, records_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Array: TypeAlias = Any  # numpy arrays of many element types
Cell = Callable[[pa.Table, pa.Table], pa.Table]
# A cell holds the records of two hands, as texts, in one worker's memory.
HAND = 150_000
MOST_SIDES = 64


def candidate_pairs(records: Spread, model: Model, changed: Array | None = None) -> DataFrame:
    """`l, r, mask` (l < r) of the pairs that share a key, of which one record changed if flags are given.

    A pair comes from every partition that one of its keys lies in, with the bits of the rules of these keys.
    """
    across = records.plan.matching.link == "across_sources"
    keyed = keyed_rows(records, model.heavy, model.rarity).repartition(records.pieces, "rule", "key")
    return keyed.mapInArrow(_pairer(records.rows, across, changed), "l long, r long, mask long")


def _pairer(rows: int, across: bool, changed: Array | None) -> Worker:
    def work(batches: Batches) -> Batches:
        every = list(batches)
        if not every:
            return
        table = pa.Table.from_batches(every).sort_by("row")
        rule, key, row = (np.asarray(table.column(name)) for name in ("rule", "key", "row"))
        blocks = []
        for number in range(int(rule.max()) + 1):
            mine = rule == number
            found = blocks_of(key[mine][:, None], row[mine], changed)
            blocks.append(found.where(found.size <= 2 * LARGEST_BLOCK))
        for pairs in find_pairs(blocks, rows, changed):
            keep: Array = np.ones(len(pairs.left), dtype=bool)
            if across:
                source = np.asarray(table.column("source"))
                keep = source[np.searchsorted(row, pairs.left)] != source[np.searchsorted(row, pairs.right)]
            columns = {"l": pairs.left[keep], "r": pairs.right[keep], "mask": pairs.mask[keep]}
            yield from pa.table(columns).to_batches(max_chunksize=BATCH)

    return work


def compared(records: Spread, model: Model, pairs: DataFrame) -> DataFrame:
    """`l, r, mask, pattern, times, within` of distinct pairs, the masks of equal ones put together; pairs with mask 0 are kept one by one.

    `times` is how often a pair counts when weights are learned; a random one, and one of a record with its own copy, once. `within` is
    as many of these as lie inside one source.
    """
    plan = records.plan

    def work(asked: pa.Table, table: pa.Table) -> pa.Table:
        held, left, right, mask = _met(plan, asked, table)
        left, right, mask = _united(left, right, mask)
        found = pattern(plan, held.features, left, right, model.rarity) if len(left) else left
        row, times, source, beside = (np.asarray(table.column(name)) for name in ("row", "times", "source", "beside"))
        counted = np.where((mask == 0) | (left == right), 1, times[left] * times[right])
        within = np.where(left == right, beside[left], counted * (source[left] == source[right]))
        ends = {"l": row[left], "r": row[right], "mask": mask, "pattern": np.asarray(found, dtype=np.int64)}
        return pa.table(ends | {"times": counted, "within": within})

    return _in_cells(records, pairs, work, ("l", "r", "mask"), "l long, r long, mask long, pattern long, times long, within long")


def scored(records: Spread, model: Model, pairs: DataFrame, likely: float) -> DataFrame:
    """Compared pairs with `weight` and `probability`, as far as that is at least `likely`.

    `said0, said1, …` is what each comparison adds to the weight: by its level and by the rarity of the shared value.
    """
    plan = records.plan
    said = [f"said{place}" for place in range(len(plan.comparisons))]

    def work(asked: pa.Table, table: pa.Table) -> pa.Table:
        held, left, right, _ = _met(plan, asked, table)
        found = score(plan, model, held.features, left, right, np.asarray(asked.column("pattern")))
        full = asked.append_column("weight", pa.array(found.weight)).append_column("probability", pa.array(found.probability))
        for name, column in zip(said, found.said.T, strict=True):
            full = full.append_column(name, pa.array(column))
        return full.filter(pa.array(found.probability >= likely))

    names = ("l", "r", "mask", "pattern")
    kinds = [*(f"{name} long" for name in names), *(f"{name} double" for name in ("weight", "probability", *said))]
    return _in_cells(records, pairs, work, names, ", ".join(kinds))


def _met(plan: Plan, asked: pa.Table, table: pa.Table) -> tuple[engine.Records, Array, Array, Array]:
    """The records of a cell, and its pairs as places among them (the records of a cell come in any order)."""
    row = np.asarray(table.column("row"))
    order = np.argsort(row)
    left, right = (order[np.searchsorted(row, np.asarray(asked.column(name)), sorter=order)] for name in ("l", "r"))
    return records_of(table, plan), left, right, np.asarray(asked.column("mask"))


def _united(left: Array, right: Array, mask: Array) -> tuple[Array, Array, Array]:
    order = np.lexsort([right, left])
    left, right, mask = left[order], right[order], mask[order]
    drawn = mask == 0
    one, other, bits = left[~drawn], right[~drawn], mask[~drawn]
    first = np.flatnonzero(np.r_[True, (one[1:] != one[:-1]) | (other[1:] != other[:-1])]) if len(one) else np.zeros(0, dtype=np.int64)
    united = np.bitwise_or.reduceat(bits, first) if len(first) else bits
    return np.r_[one[first], left[drawn]], np.r_[other[first], right[drawn]], np.r_[united, mask[drawn]]


def _in_cells(records: Spread, pairs: DataFrame, work: Cell, columns: Sequence[str], schema: str) -> DataFrame:
    """`work` over the pairs and the records of each cell of the triangle of hands."""
    sides = min(MOST_SIDES, max(2 if records.pieces > 1 else 1, -(-records.rows // HAND)))
    cells = sides * (sides + 1) // 2
    features = [f"f{number}" for number in range(len(records.plan.features))]
    low, high = (f"{name}(l % {sides}, r % {sides})" for name in ("least", "greatest"))
    asked = pairs.selectExpr(f"CAST({low} * {sides} + {high} AS INT) AS cell", *columns).repartition(cells, "cell")
    hands = (
        f"explode(transform(sequence(0, {sides - 1}), h -> CAST(least(h, row % {sides}) * {sides} + greatest(h, row % {sides}) AS INT)))"
    )
    dealt = records.frame.selectExpr(f"{hands} AS cell", "row", "source", "times", "beside", *features).repartition(cells, "cell")

    def cell(asked: pa.Table, dealt: pa.Table) -> pa.Table:
        return work(asked.drop_columns(["cell"]), dealt) if asked.num_rows else empty

    empty = arrow_schema(schema).empty_table()
    return asked.groupBy("cell").cogroup(dealt.groupBy("cell")).applyInArrow(cell, schema)


def arrow_schema(schema: str) -> pa.Schema:
    """The Arrow schema of a Spark one (`name kind, …`) of the kinds used here."""
    kinds = {"long": pa.int64(), "double": pa.float64(), "string": pa.string()}
    return pa.schema([(name, kinds[kind]) for name, kind in (column.split() for column in schema.split(","))])


def promising(plan: Plan, model: Model, likely: float) -> Worker:
    """Leaves out pairs whose pattern cannot reach the probability `likely` whatever values they share."""
    least = threshold_weight(likely)

    def work(batches: Batches) -> Batches:
        for table in gathered(batches):
            keep = hopeful(plan, model, np.asarray(table.column("pattern")), least)
            yield from table.filter(pa.array(keep)).to_batches(max_chunksize=BATCH)

    return work


def candidates_of(left: Array, right: Array, mask: Array, patterns: Array) -> engine.Candidates:
    """Pairs in the order of their rows; the first rule of a mask owns the pair."""
    order = np.lexsort([right, left])
    mask = mask[order]
    rule = np.log2(mask & -mask).astype(np.int64)
    return engine.Candidates(left[order], right[order], patterns[order], rule, mask)
