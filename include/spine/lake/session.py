"""The one way by which jobs and tests get a Spark session, and the one set of Spark settings behind it.

The environment decides: `SPARK_REMOTE` (`sc://host:port`) gives a client of a warm Spark Connect server; a process started by spark-submit
gets the session that spark-submit configured; anything else starts a local JVM. Never touches the SparkContext or the JVM itself.
Settings: https://spark.apache.org/docs/latest/configuration.html and https://docs.delta.io/latest/delta-batch.html.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from spine.core.errors import ConfigError
from spine.core.ports import LOOPBACK
from spine.core.settings import settings
from spine.lake import amounts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_HERE = (LOOPBACK, "localhost")
_LOG4J = Path(__file__).with_name("log4j2.properties")

# What a session may set after its JVM has started; sent by Connect clients too, so that both ways compute alike.
SESSION_CONF = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Values may have megabytes, and ten thousand rows of them (the default) are more than any worker or JVM here has.
    "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
    # Reading a table's log is one Spark job per snapshot: with 50 partitions (the default) it outlasts a small MERGE.
    "spark.databricks.delta.snapshotPartitions": "2",
    # Spark's default, INT96, counts nanoseconds where others read it, and the years 1 and 9999 do not fit.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # delta-rs, DuckDB and Polars must be able to open what Spark writes.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
}

# Small jobs on few cores spend their time compiling: one compiler tier and one GC thread make them a third quicker.
_SMALL_JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
# Few rows are sooner read than planned: no code made for them, one partition, no new plan between two stages.
_INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
}
_COMPILED = {
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
    # The JVM never compiles a method beyond 8,000 bytes, and the fused code of a mapping is a multiple of that. Not fused, it is cut
    # into small methods.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    "spark.sql.adaptive.enabled": "true",
}
_ROWS_PER_TASK = 50_000  # of a shuffle; payloads make rows large, and a sort that fits into memory spills nothing


def fit_to(session: SparkSession, rows: int) -> None:
    """Set the session up for queries over about `rows` rows; the results are the same either way."""
    partitions = max(int(SESSION_CONF["spark.sql.shuffle.partitions"]), rows // _ROWS_PER_TASK)
    fitting = _INTERPRETED if rows < amounts.INTERPRETED_ROWS else _COMPILED | {"spark.sql.shuffle.partitions": str(partitions)}
    for key, value in fitting.items():
        session.conf.set(key, value)


def delta_jars() -> list[Path]:
    """Delta's jars as `make setup` left them. Raises ConfigError if there are none."""
    found = sorted(settings().jars.glob("*.jar"))
    if not found:
        raise ConfigError(f"No Delta jars in {settings().jars}", hint="Run `make setup` once, with network")
    return found


def spark_conf(master: str | None = None, *, large: bool = False) -> dict[str, str]:
    """Every Spark setting of the spine for a driver on `master` (default: `SPINE_SPARK_MASTER`), without the master itself.

    Shared by the session builder, spark-submit and the Connect server. A `large` job gets a quarter of this machine's memory and a JVM
    as it comes, unless `SPINE_SPARK_MEMORY` and `SPINE_SPARK_JAVA_OPTIONS` say otherwise. Holds no secret: S3 keys stay in the environment.
    Raises ConfigError if Delta's jars are missing.
    """
    chosen = settings().spark_master if master is None else master
    conf = {
        **SESSION_CONF,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(settings().home / "warehouse"),
        "spark.driver.memory": settings().spark_memory or (f"{psutil.virtual_memory().total // (4 << 20)}m" if large else "1g"),
        "spark.driver.maxResultSize": "0",  # a cluster id per record may be more than the 1 GiB that is allowed by default
        "spark.driver.extraJavaOptions": _java_options(large),
        "spark.python.daemon.module": "spine.normalize.python_daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **_jars_conf(chosen),
        **_storage_conf(),
    }
    if chosen.startswith("local"):
        # Any user of this machine could otherwise speak to the driver, which unpacks what it is sent; here Spark makes the secret itself.
        conf |= {"spark.driver.bindAddress": LOOPBACK, "spark.driver.host": LOOPBACK, "spark.authenticate": "true"}
    return conf


def _java_options(large: bool) -> str:
    log4j, chosen = f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}", settings().spark_java_options
    if chosen is None:
        chosen = "" if large else _SMALL_JVM
    return " ".join([log4j, f"-Dderby.system.home={settings().home / 'derby'}", chosen]).strip()


def _jars_conf(master: str) -> dict[str, str]:
    paths = [str(path) for path in delta_jars()]
    if master.startswith("local"):
        return {"spark.driver.extraClassPath": os.pathsep.join(paths)}  # no copy into every session, as `spark.jars` makes
    return {"spark.jars": ",".join(paths)}


def _storage_conf() -> dict[str, str]:
    """How Spark reads an `s3://` lake; the keys come from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of each process."""
    if not settings().lake.startswith("s3://"):
        return {}
    conf = {"spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}
    if endpoint := settings().s3_endpoint:
        conf |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https")).lower(),
        }
    return conf


def spark_session(app_name: str, *, large: bool = False, alone: bool = False) -> SparkSession:
    """A Spark session with the spine's settings, or the one this process already has. `large` (see `spark_conf`) matters to a new JVM only.

    `alone` gives a JVM of its own where there is a warm server on this machine, which is made for small jobs; a server elsewhere is as
    large as its operator made it. Raises ConfigError if a local JVM would have to start without Delta's jars.
    """
    from pyspark.sql import SparkSession

    if alone and urlsplit(settings().spark_remote).hostname in _HERE and "SPARK_CONNECT_MODE_ENABLED" not in os.environ:
        del os.environ["SPARK_REMOTE"]  # pyspark looks there too
    if settings().spark_remote:
        session = SparkSession.builder.remote(settings().spark_remote).getOrCreate()
        for key, value in SESSION_CONF.items():
            session.conf.set(key, value)
        return session
    builder = SparkSession.builder.appName(app_name)
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # set by spark-submit alone: its JVM is up and configured
        return builder.config(map=dict(SESSION_CONF)).getOrCreate()
    if settings().spark_master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers find our packages, whatever is first on PATH
    return builder.master(settings().spark_master).config(map=dict(spark_conf(large=large))).getOrCreate()
