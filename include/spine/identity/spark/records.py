"""Standardised records as a Spark table, and what is counted on it: words, terms, blocking keys.

Rows are numbered in the order of the record ids, so that nothing depends on partitions or on the order of arrival. Only counts, bounded
tables of terms and the too common keys come to the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.errors import ConfigError
from spine.identity.blocking import keys
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.cuttings import Rule, hashes
from spine.identity.blocking.keys import Heavy
from spine.identity.comparing.comparisons import coded, standardized
from spine.identity.comparing.plan import Plan
from spine.identity.engine import NONE_REPEATED, Records, Repeated
from spine.identity.learning import learn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Array: TypeAlias = Any  # numpy arrays of many element types
Batches = Iterator[pa.RecordBatch]
Worker = Callable[[Batches], Batches]
Rarity = Mapping[str, Mapping[str, float]]
# Values are standardised once per distinct value of a chunk: the larger, the fewer calls; a chunk is held in memory.
CHUNK = 200_000
PIECE = 100_000
BATCH = 100_000


@dataclass(frozen=True)
class Spread:
    """Standardised records on Spark: `row` (0 to rows - 1), `source` (a number), the features `f0, f1, …` as texts, perhaps `id`.

    `times` is how often a record counts when weights are learned: twice if it has copies that are not among the records; `beside` is 1 if
    the first of these is of its own source.
    `pieces` is the number of partitions that work over all records or pairs is cut into; `kept` is what was persisted for it.
    """

    plan: Plan
    frame: DataFrame
    rows: int
    pieces: int
    kept: tuple[DataFrame, ...] = ()


def pieces_for(frame: DataFrame, rows: int) -> int:
    """So many partitions that every core has work and none holds more than about PIECE records."""
    least = int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    return max(least if rows > 1_000 else 1, -(-rows // PIECE))


def spread(records: Records, frame_of: Callable[[pa.Table], DataFrame], repeated: Repeated = NONE_REPEATED) -> Spread:
    """Records that the driver holds; `repeated` tells of which there are copies."""
    times: Array = np.ones(records.rows, dtype=np.int64)
    times[repeated.rows] = 2
    beside: Array = np.zeros(records.rows, dtype=np.int64)
    beside[repeated.rows] = repeated.within
    source = np.asarray(records.source, dtype=np.int64)
    columns: dict[str, Any] = {"row": np.arange(records.rows), "source": source, "times": times, "beside": beside}
    for number, feature in enumerate(records.plan.features):
        codes, values = records.features[feature.name]
        columns[f"f{number}"] = pa.array(values, pa.string()).take(pa.array(codes, mask=codes < 0))
    frame = frame_of(pa.table(columns))
    return Spread(records.plan, frame, records.rows, pieces_for(frame, records.rows))


def standardise(raw: DataFrame, plan: Plan, record_id: str, source: str | None) -> Spread:
    """Records of a table of raw attributes, sorted and numbered by `record_id`; the frame is persisted and has `id`.

    Raises ConfigError if a record has no id or two have the same.
    """
    from pyspark.sql import functions as F

    attributes = sorted({attribute for feature in plan.features for attribute in feature.attributes})
    named = [F.nullif(F.col(quoted(name)).cast("string"), F.lit("")).alias(f"a{place}") for place, name in enumerate(attributes)]
    origin = F.lit("") if source is None else F.coalesce(F.col(quoted(source)).cast("string"), F.lit(""))
    narrow = raw.select(F.col(quoted(record_id)).cast("string").alias("id"), origin.alias("source"), *named)
    ordered = narrow.orderBy("id").withColumn("at", F.monotonically_increasing_id())
    features = "".join(f", f{number} string" for number in range(len(plan.features)))
    frame = ordered.mapInArrow(_standardiser(plan, attributes), f"at long, id string, twice boolean, source long{features}").persist()
    part = F.shiftright("at", 33)
    found = frame.groupBy(part.alias("part")).agg(
        F.count("*").alias("rows"), F.max("twice").alias("twice"), F.count("id").alias("ids")
    )  # fmt: skip
    sizes = found.orderBy("part").toArrow()
    rows = int(pc.sum(sizes.column("rows")).as_py() or 0)
    if rows and (pc.any(sizes.column("twice")).as_py() or pc.sum(sizes.column("ids")).as_py() < rows):
        frame.unpersist()
        raise ConfigError(f"{record_id} is missing or not unique", hint="Every record needs an id of its own")
    numbered = frame.withColumn("row", F.expr(row_numbers(sizes))).withColumns(
        {"times": F.lit(1).cast("long"), "beside": F.lit(0).cast("long")}
    )
    return Spread(plan, numbered, rows, pieces_for(frame, rows), (frame,))


def row_numbers(sizes: pa.Table) -> str:
    """The expression that numbers rows from 0, given `at` (`monotonically_increasing_id`) and the `rows` of each `part` of a frame."""
    starts: Array = np.r_[0, np.cumsum(np.asarray(sizes.column("rows")))]
    ahead = dict(zip(sizes.column("part").to_pylist(), starts.tolist(), strict=False))
    shifts = " ".join(f"WHEN {place} THEN {start - (place << 33)}L" for place, start in ahead.items()) or "WHEN 0 THEN 0L"
    return f"at + CASE at >> 33 {shifts} END"


def quoted(name: str) -> str:
    """A column name as Spark wants to read it: dots and the like mean nothing in it."""
    return "`" + name.replace("`", "``") + "`"


def gathered(batches: Batches, most: int = CHUNK) -> Iterator[pa.Table]:
    """Batches put together to tables of about `most` rows."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= most:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def records_of(table: pa.Table, plan: Plan) -> Records:
    """Records of a table of `source` and features, in its order."""
    features = pa.table({feature.name: table.column(f"f{number}") for number, feature in enumerate(plan.features)})
    return Records(plan, coded(features), np.asarray(table.column("source")), table.num_rows)


def _standardiser(plan: Plan, attributes: Sequence[str]) -> Worker:
    def work(batches: Batches) -> Batches:
        last: str | None = None
        for table in gathered(batches):
            raw = pa.table({name: table.column(f"a{place}") for place, name in enumerate(attributes)})
            found = standardized(raw, plan)
            ids = table.column("id").combine_chunks()
            twice = pc.fill_null(pc.equal(ids, pa.concat_arrays([pa.array([last], ids.type), ids[:-1]])), False)
            last = ids[-1].as_py() if len(ids) else last
            columns = {"at": table.column("at"), "id": ids, "twice": twice, "source": hashes(table.column("source").to_pylist())}
            columns |= {f"f{number}": found.column(feature.name).cast(pa.string()) for number, feature in enumerate(plan.features)}
            yield from pa.table(columns).to_batches(max_chunksize=10_000)

    return work


def tallies(records: Spread) -> learn.Tallies:
    """`learn.tallies` on Spark, without texts (but shapes) that occur once, and of terms the MOST_TERMS most frequent only."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    counted = records.frame.mapInArrow(_tallier(records.plan), "name string, level int, text string, count long")
    total = counted.groupBy("name", "level", "text").agg(F.sum("count").alias("count")).where("count > 1 OR text = '' OR level < 0")
    order = Window.partitionBy("name", "level").orderBy(F.expr("text = ''").desc(), F.col("count").desc(), "text")
    bounded = total.withColumn("place", F.row_number().over(order)).where(f"level = 0 OR place <= {learn.MOST_TERMS + 1}").drop("place")
    told = bounded.toArrow()
    found: learn.Tallies = {}
    for name, level in sorted(set(zip(told.column("name").to_pylist(), told.column("level").to_pylist(), strict=True))):
        mine = told.filter((pc.field("name") == name) & (pc.field("level") == level))
        texts, total = mine.filter(pc.field("text") != ""), mine.filter(pc.field("text") == "").column("count")
        found[name, level] = learn.Tally(total[0].as_py(), texts.column("text"), texts.column("count"))
    return found


def _tallier(plan: Plan) -> Worker:
    def work(batches: Batches) -> Batches:
        for table in gathered(batches):
            for (name, level), tally in learn.tallies(plan, records_of(table, plan).features).items():
                text, count = pa.concat_arrays([pa.array([""]), tally.texts]), pa.concat_arrays([pa.array([tally.total]), tally.count])
                of = [pa.repeat(pa.scalar(name), len(text)), pa.repeat(pa.scalar(level, pa.int32()), len(text))]
                yield pa.RecordBatch.from_arrays([*of, text, count], ["name", "level", "text", "count"])

    return work


def keyed_rows(records: Spread, heavy: Sequence[Heavy] | None, rarity: Rarity, only: Sequence[int] | None = None) -> DataFrame:
    """`rule, key, row, source` of every key of every record (of the rules `only`); with `heavy`, its keys are split and dropped."""
    chosen = list(range(len(blocking.make_rules(records.plan)))) if only is None else list(only)
    return records.frame.mapInArrow(_keyer(records.plan, chosen, heavy, rarity), "rule int, key long, row long, source long")


def _keyer(plan: Plan, chosen: Sequence[int], heavy: Sequence[Heavy] | None, rarity: Rarity) -> Worker:
    def work(batches: Batches) -> Batches:
        rules = blocking.make_rules(plan)
        mine = [rules[number] for number in chosen]
        light = None if heavy is None else [heavy[number] for number in chosen]
        for table in gathered(batches):
            for number, matrix in zip(chosen, keys.rule_keys(mine, records_of(table, plan).features, light, rarity), strict=True):
                place, column = np.nonzero(matrix)
                found = np.unique(np.stack([place, matrix[place, column]]), axis=1)
                at = pa.array(found[0])
                columns = {"rule": pa.array(np.full(len(at), number), pa.int32()), "key": found[1]}
                taken = {name: table.column(name).take(at) for name in ("row", "source")}
                yield from pa.table(columns | taken).to_batches(max_chunksize=BATCH)

    return work


def find_heavy(records: Spread, rarity: Rarity) -> list[Heavy]:
    """Which keys are too many for the budgets of their rules: the blocks are counted there, the too common keys come to the driver."""
    rules = blocking.make_rules(records.plan)
    first = _over_budget(records, rules, keyed_rows(records, None, rarity))
    heavy = [Heavy(split=first[number][0].tolist() if number in first else []) for number in range(len(rules))]
    again = [number for number in first if rules[number].split]
    second = _over_budget(records, rules, keyed_rows(records, heavy, rarity, again)) if again else {}
    for number in second:
        heavy[number].dropped = second[number][0].tolist()
    named = {number: second.get(number) if number in again else first[number] for number in first}
    _name(records, rules, heavy, {number: found for number, found in named.items() if found is not None})
    return heavy


def _over_budget(records: Spread, rules: Sequence[Rule], keyed: DataFrame) -> dict[int, tuple[Array, Array, Array]]:
    """By rule the keys with too many records (rising), how many each has, and its first row."""
    from pyspark.sql import functions as F

    counted = keyed.groupBy("rule", "key").agg(F.count("*").alias("size"), F.min("row").alias("row")).where("size > 1").persist()
    sizes = counted.groupBy("rule", "size").count().orderBy("rule", "size").toArrow()
    rule, size, count = (np.asarray(sizes.column(name)) for name in ("rule", "size", "count"))
    caps: dict[int, int] = {}
    for number in np.unique(rule).tolist():
        mine = rule == number
        caps[number] = keys.largest_allowed(size[mine], count[mine], records.rows, rules[number].budget)
    found: dict[int, tuple[Array, Array, Array]] = {}
    if caps:
        limit = "CASE rule " + " ".join(f"WHEN {number} THEN {cap}" for number, cap in caps.items()) + " END"
        over = counted.where(f"size > {limit}").orderBy("rule", "key").toArrow()
        numbers = np.asarray(over.column("rule"))
        for number in np.unique(numbers).tolist():
            some = over.filter(pa.array(numbers == number))
            found[number] = (np.asarray(some.column("key")), np.asarray(some.column("size")), np.asarray(some.column("row")))
    counted.unpersist()
    return found


def _name(records: Spread, rules: Sequence[Rule], heavy: list[Heavy], found: Mapping[int, tuple[Array, Array, Array]]) -> None:
    """Names the largest of the heavy keys of each rule by one record that has it."""
    largest = {}
    for number, (_, size, row) in found.items():
        worst = np.argsort(-size, kind="stable")[: keys.NAMED]
        largest[number] = list(zip(size[worst].tolist(), row[worst].tolist(), strict=True))
    wanted = sorted({row for named in largest.values() for _, row in named})
    if not wanted:
        return
    shown = records.frame.where(f"row IN ({', '.join(map(str, wanted))})").toArrow().sort_by("row")
    features = records_of(shown, records.plan).features
    for number, named in largest.items():
        heavy[number].names = [keys.block_name(rules[number], size, wanted.index(row), features) for size, row in named]
