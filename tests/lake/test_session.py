"""One set of Spark settings: what it says, where it differs between one machine and a cluster, and that a session obeys it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from spine.core.errors import ConfigError
from spine.lake.session import fit_to, spark_conf


@pytest.fixture
def jars(home: Path) -> Path:
    folder = home / "jars"
    folder.mkdir()
    for name in ("b.jar", "a.jar"):
        (folder / name).touch()
    return folder


def test_one_machine_binds_to_the_loopback_and_copies_no_jar(jars: Path) -> None:
    conf = spark_conf("local[2]")
    assert conf["spark.driver.host"] == conf["spark.driver.bindAddress"] == "127.0.0.1"
    assert conf["spark.driver.extraClassPath"] == f"{jars}/a.jar:{jars}/b.jar"
    assert "spark.jars" not in conf


def test_a_cluster_gets_the_jars_and_reaches_the_driver(jars: Path) -> None:
    conf = spark_conf("spark://master:7077")
    assert conf["spark.jars"] == f"{jars}/a.jar,{jars}/b.jar"
    assert "spark.driver.host" not in conf


def test_a_large_job_gets_a_share_of_the_machine_unless_the_operator_says_how_much(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPINE_SPARK_MEMORY", raising=False)
    monkeypatch.delenv("SPINE_SPARK_JAVA_OPTIONS", raising=False)
    small, large = spark_conf("local[2]"), spark_conf("local[2]", large=True)
    assert small["spark.driver.memory"] == "1g"
    assert int(large["spark.driver.memory"].removesuffix("m")) == psutil.virtual_memory().total // 4 // 2**20
    assert "SerialGC" in small["spark.driver.extraJavaOptions"]
    assert "SerialGC" not in large["spark.driver.extraJavaOptions"]
    monkeypatch.setenv("SPINE_SPARK_MEMORY", "3g")
    monkeypatch.setenv("SPINE_SPARK_JAVA_OPTIONS", "-Xss2m")
    large = spark_conf("local[2]", large=True)
    assert large["spark.driver.memory"] == "3g"
    assert large["spark.driver.extraJavaOptions"].endswith(" -Xss2m")


def test_an_s3_lake_has_an_endpoint_and_no_key(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_LAKE", "s3://lake")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://storage:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-value")
    conf = spark_conf()
    assert conf["spark.hadoop.fs.s3.impl"].endswith("S3AFileSystem")
    assert conf["spark.hadoop.fs.s3a.endpoint"] == "http://storage:9000"
    assert conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert "hidden-value" not in "".join(conf.values())


def test_a_real_s3_needs_no_endpoint(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_LAKE", "s3://lake")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert "spark.hadoop.fs.s3a.endpoint" not in spark_conf()


def test_missing_jars_say_what_to_do(home: Path) -> None:
    with pytest.raises(ConfigError, match="make setup"):
        spark_conf()


@pytest.mark.spark
@pytest.mark.slow
def test_a_session_is_fitted_to_the_number_of_rows(spark) -> None:
    def of(rows: int) -> tuple[str, ...]:
        fit_to(spark, rows)
        return tuple(spark.conf.get(f"spark.sql.{name}") for name in ("codegen.wholeStage", "shuffle.partitions"))

    assert [of(rows) for rows in (100, 50_000, 1_000_000)] == [("false", "1"), ("true", "4"), ("true", "20")]


@pytest.mark.spark
@pytest.mark.slow
def test_a_large_job_leaves_the_warm_server_of_this_machine(spark_server) -> None:
    code = "from spine.lake.session import spark_session; print(type(spark_session('x', alone=True)).__module__)"
    environment = {**os.environ, **spark_server}
    environment.pop("SPARK_CONNECT_MODE_ENABLED", None)  # what pyspark notes in a process that has a session of a server
    small, large = (
        subprocess.run([sys.executable, "-c", code.replace("True", alone)], env=environment, capture_output=True, text=True).stdout.strip()
        for alone in ("False", "True")
    )
    assert (small, large) == ("pyspark.sql.connect.session", "pyspark.sql.session")


@pytest.mark.spark
@pytest.mark.slow
def test_tables_can_be_opened_by_other_readers(spark, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    path = str(tmp_path / "t")
    spark.range(10).write.format("delta").save(path)
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id < 3")
    table = DeltaTable(path)
    assert table.metadata().configuration.get("delta.enableDeletionVectors") == "false"
    assert table.to_pyarrow_table().num_rows == 7
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
