"""A first load of many rows into Silver, beside a plain Spark job over the same Bronze rows in the same JVM.

`python benchmarks/silver.py [--rows N] [--check]` writes N Bronze rows of persons (every tenth is an older version of another,
every thousandth fails a rule), then lets the plain job run, `normalize`, and the plain job once more. The plain job parses the payloads,
types them, takes the newest version of each record, writes those rows and merges them into a Delta table with a change feed; it checks
nothing, keeps nothing unmapped, and knows neither countries nor telephone numbers. Seconds of the clock and of all processors' work are
printed for each. With `--check` the exit code says whether `normalize` stayed below twice the mean of the two plain runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import psutil

LIMIT = 2.0
SOURCE, STREAM, ENTITY, TENANT = "people_files", "people", "person", "bench"
COMMIT_ROWS = 50_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = {
    "first_name": "string", "last_name": "string", "email": "string", "phone": "string", "date_of_birth": "date", "street": "string",
    "city": "string", "postcode": "string", "country": "string", "employer": "string", "updated_at": "timestamp",
}  # fmt: skip


@dataclass(frozen=True)
class Took:
    """Seconds of the clock, and of processors of this process, its JVM and its Python workers."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} s {self.processor:7.1f} s of processors"


def record(number: int, version: int) -> dict[str, Any]:
    """One person as a file drop has it; of every record with an even number in ten there are two versions."""
    moment = BEGIN + timedelta(seconds=number % 86_400, days=version)
    return {
        "employee_id": f"E{number:08d}",
        "first_name": f"{FORENAMES[number % len(FORENAMES)]} {number % 53}",
        "last_name": f" {SURNAMES[number % 97 % len(SURNAMES)]}{number % 7919} ",
        "email": "nobody" if number % 1000 == 7 else f"Person.{number}@Example{number % 400}.org",
        "phone": PHONES[number % len(PHONES)].format(number % 900 + 100, number % 90_000 + 10_000),
        "date_of_birth": f"{1940 + number % 65}-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
        "street": f"{number % 300} {SURNAMES[number % len(SURNAMES)]} Street",
        "city": CITIES[number % len(CITIES)],
        "postcode": f"{number % 90_000 + 10_000}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "employer": f"Company {number % 5000}",
        "cost_centre": f"{number % 70}",
        "updated_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


FORENAMES = ["Ada", "Bertrand", "Cécile", "Dmitri", "Elif", "Fatima", "Giulia", "Hans-Peter", "Ines", "Jürgen", "Kamala"]
SURNAMES = ["Adeyemi", "Brandt", "Castro", "Díaz", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen", "Kowalski"]
CITIES = ["Berlin", "Oslo", "Lyon", "Turin", "Porto", "Leeds", "Utrecht"]
COUNTRIES = ["Germany", "Norway", "FR", "italy", "Portugal", "UK", "Netherlands"]
PHONES = ["+49 30 {}{}", "+47 22{} {}", "01 42 {}{}", "011-{}{}", "+351 21 {}{}", "(0113) {} {}", "020 {} {}"]


def make_bronze(rows: int) -> None:
    """The Bronze table of the stream, in commits as an extraction makes them."""
    import pyarrow as pa
    from deltalake import write_deltalake

    from spine.core.names import bronze_table, connection_id
    from spine.lake.bronze import SCHEMA
    from spine.lake.paths import table_uri

    fixed = {"tenant_id": TENANT, "source": SOURCE, "stream": STREAM, "op": "upsert", "schema_fingerprint": "", "run_id": "load"}
    fixed |= {"connection_id": connection_id(SOURCE, TENANT)}
    for start in range(0, rows, COMMIT_ROWS):
        numbers = range(start, min(start + COMMIT_ROWS, rows))
        found = [record(number - number % 10 // 9, int(number % 10 != 9)) for number in numbers]  # 9 is an older version of 8
        columns = {
            "record_id": [row["employee_id"] for row in found],
            "cursor": [row["updated_at"].replace("Z", ".000000Z") for row in found],
            "payload": [orjson.dumps(row).decode() for row in found],
            "emitted_at": [BEGIN + timedelta(days=30)] * len(found),
            "emitted_date": [(BEGIN + timedelta(days=30)).date()] * len(found),
        }
        arrays = [columns.get(name, [fixed.get(name)] * len(found)) for name in SCHEMA.names]
        table = pa.Table.from_arrays([pa.array(values, field.type) for values, field in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)
        write_deltalake(
            table_uri(bronze_table(SOURCE, STREAM)), table, mode="append", partition_by=["tenant_id", "emitted_date"],
            configuration={"delta.enableChangeDataFeed": "true"},
        )  # fmt: skip


def plain(spark: Any, folder: Path) -> int:
    """What a Spark job does that only moves the rows; the rows that it merged."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from spine.core.names import bronze_table
    from spine.lake.paths import table_uri

    bronze = spark.read.format("delta").load(table_uri(bronze_table(SOURCE, STREAM)))
    rows = bronze.withColumn("found", F.from_json("payload", ", ".join(f"{name} string" for name in PLAIN)))
    typed = [F.col(f"found.{name}").try_cast(kind).alias(name) for name, kind in PLAIN.items()]
    rows = rows.select("tenant_id", "record_id", "cursor", "emitted_at", *typed)
    newest = Window.partitionBy("tenant_id", "record_id").orderBy(F.col("cursor").desc(), F.col("emitted_at").desc())
    rows = rows.withColumn("place", F.row_number().over(newest)).where("place = 1").drop("place")
    rows.write.format("delta").save(f"{folder}/staged")
    staged = spark.read.format("delta").load(f"{folder}/staged")
    spark.createDataFrame([], staged.schema).write.format("delta").option("delta.enableChangeDataFeed", "true").save(f"{folder}/merged")
    staged.createOrReplaceTempView("plain_rows")
    spark.sql(
        f"MERGE INTO delta.`{folder}/merged` AS t USING plain_rows AS s ON t.tenant_id = s.tenant_id AND t.record_id = s.record_id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    ).collect()
    return int(spark.read.format("delta").load(f"{folder}/merged").count())


class Processors(threading.Thread):
    """Seconds of processors' work of this process and of all below it, looked at five times a second, since Spark ends its workers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen: dict[tuple[int, float], float] = {}
        self.start()

    def run(self) -> None:
        while True:
            self.seconds()
            time.sleep(0.2)

    def seconds(self) -> float:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with suppress(psutil.Error):
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
        return sum(self._seen.values())


def timed(name: str, work: Callable[[], Any], processors: Processors) -> tuple[Took, Any]:
    """What `work` took, printed, and what it returned."""
    begin, before = time.monotonic(), processors.seconds()
    result = work()
    took = Took(time.monotonic() - begin, processors.seconds() - before)
    print(f"{name:12} {took}", flush=True)
    return took, result


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Both jobs over the same rows; what each took and did."""
    from spine.lake.session import spark_session
    from spine.pipeline.normalize import normalize

    step = partial(timed, processors=Processors())
    _, spark = step("session", lambda: spark_session("benchmark", large=True))
    os.environ |= {"SPINE_LAKE": str(folder / "lake"), "SPINE_HOME": str(folder / "home")}
    step("make Bronze", lambda: make_bronze(rows))
    first, count = step("plain", lambda: plain(spark, folder / "plain1"))
    ours, done = step("normalize", lambda: normalize(spark, SOURCE, "bench").entities[ENTITY])
    second, _ = step("plain again", lambda: plain(spark, folder / "plain2"))
    spark.stop()
    assert done.rows_in == rows
    assert done.published + done.quarantined + done.superseded == rows
    return {
        "rows": rows, "merged": count, "published": done.published, "quarantined": done.quarantined, "superseded": done.superseded,
        "plain": (first.wall + second.wall) / 2, "normalize": ours.wall, "plain_processor": (first.processor + second.processor) / 2,
        "normalize_processor": ours.processor,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=280_000)
    parser.add_argument("--check", action="store_true", help="end with 1 if normalize takes more than twice as long as the plain job")
    parser.add_argument("--json", action="store_true", help="end with the figures as one line of JSON")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="spine-silver-")).resolve()
    try:
        found = measure(given.rows, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratio, processor = found["normalize"] / found["plain"], found["normalize_processor"] / found["plain_processor"]
    print(f"{given.rows:,} rows: {ratio:.2f} x the plain job, {processor:.2f} x its processor time (limit {LIMIT:g} x)")
    if given.json:
        print(orjson.dumps(found | {"ratio": ratio, "processor_ratio": processor}).decode())
    return 1 if given.check and ratio > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
