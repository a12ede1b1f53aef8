"""Rows that are used several times are computed once, also by a MERGE; in a JVM of one's own, as a large job has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.slow]

PROGRAM = """
import sys
from pathlib import Path
from pyspark.sql import Observation
from pyspark.sql import functions as F
from spine.lake.merging import Merge
from spine.lake.session import spark_session
from spine.lake.tables import SparkTables

folder = Path(sys.argv[1])
spark = spark_session("tables")
table = f"{folder}/people"
spark.createDataFrame([(1, "old")], "id bigint, name string").write.format("delta").save(table)

@F.udf("string")
def named(number):
    with (folder / "computed").open("a") as log:
        log.write(f"{number} ")
    return f"name {number}"

counter, tables = Observation(), SparkTables(spark)
seen = tables.read(table, ("id", "name"), 0).select("id", F.col("name").alias("seen"))
rows = spark.range(1, 6).observe(counter, F.count(F.lit(1)).alias("rows")).select("id", named("id").alias("name"))
rows = rows.join(seen, "id", "left")
once = tables.once(rows)
assert once.where("name = 'name 3'").count() == 1
assert counter.get["rows"] == 5
merge = Merge(keys=("id",), pruned={}, updated={"name": "s.name"}, inserted=("id", "name"))
tables.merge(table, merge, once.where("id < 5"))
tables.release(once)
print(sorted((folder / "computed").read_text().split()))
print(sorted(tuple(row) for row in spark.read.format("delta").load(table).collect()))
"""


def test_rows_are_computed_once(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_REMOTE", "SPARK_CONNECT"))}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    computed, merged = done.stdout.splitlines()[-2:]
    assert computed == str(["1", "2", "3", "4", "5"])
    assert merged == str([(number, f"name {number}") for number in range(1, 5)])
