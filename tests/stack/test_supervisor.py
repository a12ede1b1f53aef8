"""The whole stack for real: up, up again, mended after a crash, down without orphans."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from spine.core.names import CONNECTOR_POOL
from spine.core.settings import PROJECT
from spine.stack import airflow, connect, processes, supervisor

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]


@pytest.fixture
def stack_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    jars = PROJECT / ".spine" / "jars"
    if not jars.is_dir():
        pytest.skip("Delta's jars are not there: run `make setup`")
    folder = Path(tempfile.mkdtemp(prefix="spine-stack-"))  # short, as a socket's path must be
    monkeypatch.setenv("SPINE_HOME", str(folder))
    monkeypatch.setenv("SPINE_LAKE", str(folder / "lake"))
    (folder / "jars").symlink_to(jars)
    try:
        yield folder
    finally:
        supervisor.down(lambda line: None)
        shutil.rmtree(folder, ignore_errors=True)


def processes_of(home: Path) -> list[psutil.Process]:
    """Everything on this machine whose environment or command line names the home folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if str(home) in " ".join(process.cmdline()) or process.environ().get("SPINE_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_up_mends_what_died_and_down_leaves_nothing(stack_home: Path) -> None:
    before = {process.pid for process in processes_of(stack_home)}
    lines: list[str] = []
    stack = supervisor.up(lines.append, scale=30, tenants="default")
    assert set(supervisor.status().values()) == {"running"}
    assert any("Airflow ready" in line for line in lines)

    api = airflow.api()
    assert {c["connection_id"] for c in api.listed("/connections", "connections")} >= {"spark_default", "spine_postgres", "spine_lake"}
    assert [pool["slots"] for pool in api.listed("/pools", "pools") if pool["name"] == CONNECTOR_POOL] == [10]

    answer = subprocess.run(
        [sys.executable, "-c", "from spine.lake.session import spark_session; print(spark_session('t').range(7).count())"],
        env={**os.environ, **connect.client_environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert answer.stdout.strip() == "7"

    victims = (airflow.name_of("scheduler"), connect.NAME)
    for name in victims:
        os.kill(processes.recorded(name).pid, signal.SIGKILL)
    processes.wait_until(lambda: {supervisor.status()[name] for name in victims} == {"died"}, [], what="death", timeout=30)
    again = supervisor.up(lines.append, scale=30, tenants="default")
    assert set(supervisor.status().values()) == {"running"}
    assert again.airflow_url == stack.airflow_url

    began = time.monotonic()
    supervisor.down(lines.append)
    assert time.monotonic() - began < 45
    assert set(supervisor.status().values()) == {"stopped"}
    assert {process.pid for process in processes_of(stack_home)} <= before
