"""The whole path by commands alone, in processes of their own: a folder of files to golden records, on a home that starts from nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spine.control import embedded
from spine.core.settings import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]
ROWS = [
    "employee_id,first_name,last_name,email,phone,updated_at",
    "1,Ada,Lovelace,ada@example.org,,2026-01-05T00:00:00Z",
    "2,Alan,Turing,alan@example.org,,2026-01-06T00:00:00Z",
    "3,,,,,2026-01-06T00:00:00Z",
]
Spine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def spine(tmp_path: Path) -> Iterator[Spine]:
    """Run a command as a shell does, with a home, a lake and a drop folder of its own."""
    home = Path(tempfile.mkdtemp(prefix="spine-cli-"))  # short, for the socket's path
    jars = PROJECT / ".spine" / "jars"
    (home / "jars").symlink_to(jars, target_is_directory=True)
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "people-1.csv").write_text("\n".join(ROWS) + "\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "SPINE_", "SPARK_REMOTE", "SPARK_CONNECT"))}
    environment = {
        **kept,
        "SPINE_HOME": str(home),
        "SPINE_LAKE": str(tmp_path / "lake"),
        "AIRFLOW_CONN_IPAI_CONNECTOR_PEOPLE_FILES": json.dumps({"conn_type": "fs", "host": str(drop)}),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*words: str, server: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`server`: a warm Spark server to use, as after `make up`."""
        command = [sys.executable, "-m", "spine.cli", *words]
        return subprocess.run(command, env=environment | (server or {}), text=True, capture_output=True, check=False, timeout=300)

    try:
        yield run
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def test_files_to_golden_records(spine: Spine, spark_server: dict[str, str]) -> None:
    synced = spine("sync", "people_files", "--json")
    assert synced.returncode == 0, synced.stderr
    result = json.loads(synced.stdout)
    assert [row["rows"] for row in result["streams"]] == [3]
    person = result["entities"]["person"]
    assert (person["published"], person["quarantined"]) == (2, 1)
    waiting = json.loads(spine("quarantine", "list", "people_files", "person", "--json").stdout)
    assert "identifies the person" in waiting[0]["reasons"][0]["reason"]
    shown = spine("quarantine", "show", "people_files", "person", waiting[0]["quarantine_id"][:10], "--json")
    assert json.loads(json.loads(shown.stdout)["payload"])["employee_id"] == "3"
    resolved = spine("resolve", "person", "--json", server=spark_server)
    assert resolved.returncode == 0, resolved.stderr
    published = spine("publish", "person", "--json")
    assert json.loads(published.stdout)[0]["published"] is True
    found = json.loads(spine("query", "SELECT family_name FROM gold_party_person ORDER BY 1", "--json").stdout)
    assert found == [{"family_name": "Lovelace"}, {"family_name": "Turing"}]
    status = json.loads(spine("status", "people_files", "--json").stdout)
    assert status["sources"][0]["last_run"]["status"] == "success"
    assert status["sources"][0]["streams"][0]["cursor"]
    assert next(item for item in status["gold"] if item["entity"] == "person")["published_rows"] == 2
    again = json.loads(spine("sync", "people_files", "--json", server=spark_server).stdout)
    assert (again["streams"][0]["rows"], again["entities"]["person"]["published"]) == (0, 0)
    for words in (("audit", "verify"), ("keys", "rotate"), ("keys", "drop"), ("audit", "verify")):
        done = spine(*words)
        assert done.returncode == 0, (words, done.stderr)
