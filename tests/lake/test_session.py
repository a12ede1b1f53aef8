"""One set of Spark settings: what it says, where it differs between one machine and a cluster, and that a session obeys it."""

import os
import socket
import struct
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


def _asked(port: int) -> bytes:
    """What a driver answers to somebody who sends it an object of Java and knows no secret (Spark's own protocol, one frame)."""
    packed, name = b"\xac\xed\x00\x05t\x00\x02hi", b"nosuch"
    body = b"\0\0" + struct.pack(">H", len(name)) + name + packed
    request = struct.pack(">BqI", 3, 7, len(body)) + body
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.settimeout(10)
        client.sendall(struct.pack(">q", len(request) + 8) + request)
        return client.recv(4096)


def test_a_driver_unpacks_nothing_from_a_stranger_on_this_machine(spark) -> None:
    answer = _asked(int(spark.conf.get("spark.driver.port")))
    assert b"Could not find nosuch" not in answer, "it has unpacked the object and looked for whom it is"
    assert b"Expected SaslMessage" in answer


@pytest.mark.parametrize("token", [None, "guessed"])
def test_the_warm_server_serves_nobody_without_its_token(spark_server, token: str | None) -> None:
    code = "from pyspark.sql import SparkSession; print(SparkSession.builder.getOrCreate().range(1).count())"
    known = {name: value for name, value in os.environ.items() if name != "SPARK_CONNECT_AUTHENTICATE_TOKEN"}
    environment = {**known, "SPARK_REMOTE": spark_server["SPARK_REMOTE"]} | ({"SPARK_CONNECT_AUTHENTICATE_TOKEN": token} if token else {})
    refused = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert refused.returncode != 0
    assert "UNAUTHENTICATED" in refused.stderr
    served = subprocess.run([sys.executable, "-c", code], env={**environment, **spark_server}, capture_output=True, text=True, check=True)
    assert served.stdout.strip() == "1"


def test_no_command_line_of_the_warm_server_holds_its_token(spark_server) -> None:
    port = int(spark_server["SPARK_REMOTE"].rpartition(":")[2])
    server = next(one.pid for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr.port == port)
    family = [psutil.Process(server), *psutil.Process(server).parents()]
    assert not [one for one in family if spark_server["SPARK_CONNECT_AUTHENTICATE_TOKEN"] in " ".join(one.cmdline())]
    hidden = {"SPINE_FERNET_KEY", "SPINE_POSTGRES", "SPINE_ADMIN_URL", "SPINE_ANALYST_PASSWORD"}
    assert not hidden & set(psutil.Process(server).environ())


def test_the_warm_servers_log_shows_no_value(spark) -> None:
    with pytest.raises(Exception, match="CAST_INVALID_INPUT"):
        spark.sql("SELECT CAST(concat('anna.marker', id, '@person.example') AS DATE) AS born FROM range(3)").collect()
    log = Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:")).with_name("logs") / "spark-connect.log"
    text = log.read_text()
    assert "CAST_INVALID_INPUT" in text, "what went wrong is still told"
    assert "@person.example" not in text
