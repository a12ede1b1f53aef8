"""`spine match` on Spark: records are read, matched and counted there; per record its cluster comes to this process, and nothing else.

Values become the texts that `match_files.read_columns` makes of them, so that the clusters are those of one process. Every worker must
see RECORDS under the same path. https://spark.apache.org/docs/latest/sql-data-sources-csv.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.dialect import UTF_8, Dialect
from spine.core.entities import MatchRules
from spine.core.errors import ConfigError, JobFailed
from spine.identity import engine
from spine.identity.comparing.plan import Plan
from spine.identity.matching import threshold_weight
from spine.identity.spark.match import SparkMatched, match_on_spark
from spine.identity.spark.records import quoted
from spine.lake.session import fit_to, spark_session
from spine.matching import checks as match_checks
from spine.matching import csv as match_csv
from spine.matching import files as match_files
from spine.matching.pairs import DECISIONS, Decisions, Found, counted, told_pairs

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

Array: TypeAlias = Any  # numpy arrays of many element types
Stages: TypeAlias = Any  # a context manager per stage, by its name
_BROKEN = "is broken"
_SHOWN = 5


def matched(path: Path, rules: MatchRules, threshold: float, stages: Stages, *, pairs: bool) -> tuple[Found, list[str]]:
    """What Spark found among the records of `path`, and doubts about them; with `pairs`, their table can be had.

    Raises ConfigError as the engine of one process does, and for what Spark cannot read.
    """
    session = spark_session("match", large=True)
    with stages("Read records") as say, _told(path):
        raw = _records(session, path, [rules.record_id, *match_checks.used(rules)]).persist()
        rows, blank, doubts = _looked_over(raw, rules, path)
        say(f"{rows:,} records{match_checks.skipped(blank)}")
    fit_to(session, rows)
    with stages("Learn, compare and cluster") as say, _survived():
        records = raw.dropna(subset=[rules.record_id]).drop(_BROKEN)
        plan = engine.make_plan(rules.matching())
        found = match_on_spark(records, plan, threshold, record_id=rules.record_id, source=rules.source)
        result = _found(found, threshold, pairs)
        say(f"{found.compared:,} pairs compared")
    found.close()
    raw.unpersist()
    return result, doubts


@contextmanager
def _told(path: Path) -> Iterator[None]:
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        raise ConfigError(
            f"Spark cannot read {path}: {match_files.first_line(error)}",
            hint="Each worker must see that path; --engine local needs no Spark",
        ) from None


@contextmanager
def _survived() -> Iterator[None]:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        raise JobFailed(
            f"Spark failed while it matched: {match_files.first_line(error)}",
            hint="Mostly it is memory: give SPINE_SPARK_MEMORY more, such as 8g; --engine local needs none of it",
        ) from error


def _records(session: SparkSession, path: Path, columns: Sequence[str]) -> DataFrame:
    """The named columns as texts (an empty one is null), and whether a row is broken."""
    from pyspark.sql import functions as F

    wanted = list(dict.fromkeys(columns))
    frame = _csv(session, path, wanted) if match_files.kind_of(path) == "csv" else _typed(session, path, wanted)
    return frame.select(*[F.nullif(f"c{place}", F.lit("")).alias(name) for place, name in enumerate(wanted)], F.col(quoted(_BROKEN)))


def _place(path: Path) -> str:
    """The path for Spark, which would take brackets, stars and the like in a name for a pattern."""
    return "file://" + "".join(f"\\{letter}" if letter in "\\{}[]*?," else letter for letter in str(path.resolve()))


def _csv(session: SparkSession, path: Path, wanted: Sequence[str]) -> DataFrame:
    """`c0, c1, …`; columns are known by their places, since names in the file may have spaces around them, or a byte order mark."""
    from pyspark.sql import functions as F

    dialect, quotes = match_csv.shape(path, wanted)
    schema = ", ".join(f"c{place} string" for place in range(len(dialect.names)))
    utf_8 = dialect.encoding.startswith(UTF_8)
    # Without quotes no value holds a line end, and the file can be cut into pieces; so it can if a line end is one byte.
    frame = (
        session.read.schema(f"{schema}, broken string")
        .options(header=True, sep=dialect.delimiter, quote='"', escape='"', multiLine=quotes or not utf_8, mode="PERMISSIVE")
        .options(encoding="UTF-8" if utf_8 else dialect.encoding.upper())
        .options(columnNameOfCorruptRecord="broken", columnPruning=False)
        .csv(_place(path))
    )
    if dialect.stated:  # Spark has taken the line that states the delimiter for the header
        same = [F.coalesce(f"c{place}", F.lit("")) == name for place, name in enumerate(dialect.header)]
        frame = frame.where(~reduce(and_, same))
    chosen = [_plain(dialect, dialect.names.index(name)).alias(f"c{place}") for place, name in enumerate(wanted)]
    return frame.select(*chosen, F.isnotnull("broken").alias(_BROKEN))


def _plain(dialect: Dialect, place: int) -> Column:
    """A column of a CSV, its numbers with decimal points where they have commas."""
    from pyspark.sql import functions as F

    column = F.col(f"c{place}")
    if place not in dialect.commas:
        return column
    points = F.replace(F.replace(F.trim(column), F.lit("."), F.lit("")), F.lit(","), F.lit("."))
    return F.when(F.trim(column).rlike(r"^[+-]?[0-9.]+(,[0-9]+)?$"), points).otherwise(column)


def _typed(session: SparkSession, path: Path, wanted: Sequence[str]) -> DataFrame:
    """`c0, c1, …` of a Parquet or Delta table; Arrow turns them into texts, on the workers as it does here."""
    from pyspark.sql import functions as F

    types = match_files.typed_schema(path, wanted).types
    kinds = {f"c{place}": kind.value_type if pa.types.is_dictionary(kind) else kind for place, kind in enumerate(types)}
    read = session.read
    frame = read.format("delta").load(f"file://{path.resolve()}") if path.is_dir() else read.parquet(_place(path))
    frame = frame.select(*[F.col(quoted(name)).alias(f"c{place}") for place, name in enumerate(wanted)])
    if not all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds.values()):
        whole = _whole(frame, [name for name, kind in kinds.items() if pa.types.is_floating(kind)])
        frame = frame.mapInArrow(_texter(kinds, whole), ", ".join(f"{name} string" for name in kinds))
    return frame.withColumn(_BROKEN, F.lit(False))


def _whole(frame: DataFrame, floats: Sequence[str]) -> set[str]:
    """The columns of floats that hold nothing but whole numbers."""
    from pyspark.sql import functions as F

    if not floats:
        return set()
    fine = [F.isnan(name) | ((F.col(name) == F.rint(name)) & (F.abs(name) < 2.0**63)) for name in floats]
    row = frame.agg(*[F.coalesce(F.bool_and(one), F.lit(True)).alias(name) for name, one in zip(floats, fine, strict=True)]).toArrow()
    return {name for name in floats if row.column(name)[0].as_py()}


def _texter(kinds: Mapping[str, pa.DataType], whole: Collection[str]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def text(batch: pa.RecordBatch, name: str) -> pa.Array:
        column, kind = batch.column(name).cast(kinds[name]), kinds[name]
        if not pa.types.is_floating(kind):
            return match_files.as_text(column)
        return (match_files.whole_numbers(column) if name in whole else column).cast(pa.string())

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([text(batch, name) for name in kinds], list(kinds))

    return work


def _looked_over(raw: DataFrame, rules: MatchRules, path: Path) -> tuple[int, int, list[str]]:
    """How many records there are, how many rows without a value, and what is doubtful. Raises ConfigError for broken rows and bad ids."""
    from pyspark.sql import functions as F

    names = match_checks.attributes(rules)
    blank = reduce(and_, [F.coalesce(F.trim(quoted(name)), F.lit("")) == "" for name in [rules.record_id, *match_checks.used(rules)]])
    asked = [F.count("*"), F.count_if(F.col(quoted(_BROKEN))), F.count(quoted(rules.record_id)), F.count_if(blank)]
    for column in (F.col(quoted(name)) for name in names):
        asked += [F.count(column), F.coalesce(F.min(column) == F.max(column), F.lit(False))]
    told = raw.agg(*[one.alias(f"n{place}") for place, one in enumerate(asked)]).toArrow()
    rows, broken, ids, empty, *rest = [column[0].as_py() for column in told.columns]
    if broken:
        raise ConfigError(
            f"{path.name} is not a whole CSV: {broken:,} rows have more or fewer values than its header",
            hint="Look for a quote that is not closed, or a torn row; --engine local names the first",
        )
    rows -= empty
    match_checks.require_filled(rows - ids, rows, rules.record_id, path)
    match_checks.require_distinct(_duplicates(raw, rules.record_id), rules.record_id, path, rules.source)
    filled, constant = dict(zip(names, rest[::2], strict=True)), {name for name, one in zip(names, rest[1::2], strict=True) if one}
    match_checks.require_values(rules, rows, filled, constant)
    return rows, empty, match_checks.doubts(rows, filled, constant)


def _duplicates(raw: DataFrame, name: str) -> str:
    """`match_files.duplicates`, counted on Spark."""
    from pyspark.sql import functions as F

    filled = raw.dropna(subset=[name])
    counted = filled.groupBy(F.col(quoted(name)).alias("id")).agg(F.count("*").alias("times")).where("times > 1")
    several = counted.count()
    if not several:
        return ""
    return match_files.told_duplicates(counted.orderBy(F.desc("times"), "id").limit(_SHOWN).toArrow(), several)


def _found(found: SparkMatched, threshold: float, pairs: bool) -> Found:
    clusters = found.clusters.select("record_id", "cluster_id", "confidence").toArrow().sort_by("record_id")
    ids = match_files.flat(clusters.column("record_id"))
    label: Array = np.asarray(pc.index_in(match_files.flat(clusters.column("cluster_id")), value_set=ids), dtype=np.int64)
    confidence = np.asarray(clusters.column("confidence"))
    if pairs:
        told, counts = _pairs(found.plan, found.matches, threshold)
        return Found(ids, label, confidence, found.model, found.compared, counts, lambda: told)
    strong = f"weight >= {threshold_weight(threshold) - 1e-9!r}"
    kinds = found.matches.selectExpr(f"IF({strong}, IF(together, 0, 2), 1) AS kind").groupBy("kind").count().toArrow()
    number: Array = np.zeros(len(DECISIONS), dtype=np.int64)
    number[np.asarray(kinds.column("kind"))] = np.asarray(kinds.column("count"))
    return Found(ids, label, confidence, found.model, found.compared, counted(number), pa.table)


def _pairs(plan: Plan, matches: DataFrame, threshold: float) -> tuple[pa.Table, Mapping[str, int]]:
    table = matches.toArrow().sort_by([("left_id", "ascending"), ("right_id", "ascending")])
    weight, probability, together, rule = (np.asarray(table.column(name)) for name in ("weight", "probability", "together", "rule"))
    decisions = Decisions.by_weight(weight, together, threshold)
    said = [np.asarray(table.column(f"said{place}")) for place in range(len(plan.comparisons))]
    ends = [match_files.flat(table.column(name)) for name in ("left_id", "right_id")]
    return told_pairs(plan, ends, weight, probability, decisions.code, rule, said), decisions.counts
