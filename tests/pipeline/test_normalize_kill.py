"""The Spark job is killed at its weakest places; run again, it leaves every table as an undisturbed run does, row for row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core.errors import QualityFailed
from spine.core.settings import PROJECT, settings
from spine.lake.paths import table_uri
from spine.pipeline.job import read_result
from spine.pipeline.normalize import normalize

pytestmark = [pytest.mark.spark, pytest.mark.slow]


def contact(number: int, version: int = 0, **fields: Any) -> dict[str, Any]:
    body = {"Id": str(number), "LastName": f"Lee {version}", "Email": f"a{number}@b.org"} | fields
    return {"record_id": str(number), "cursor": f"2026-01-31T0{version}:00:00.000000Z", "payload": body}


def fill(bronze: Any) -> None:
    bronze("salesforce", "contacts", [contact(1), contact(2), contact(3, Email="nobody")])


def change(bronze: Any) -> None:
    bronze("salesforce", "contacts", [contact(1, 1), contact(2, 1, Email="nobody"), contact(4), contact(4, 1) | {"op": "delete"}])


def job(home: Path, jars: Path, failpoint: str | None, *options: str) -> subprocess.CompletedProcess[bytes]:
    """The job in a process of its own, as spark-submit would start it."""
    (home / "jars").exists() or (home / "jars").symlink_to(jars)
    command = [sys.executable, str(PROJECT / "spark_jobs" / "normalize.py"), "--source", "salesforce", "--run-id", "run2", *options]
    environment = os.environ | {"SPINE_HOME": str(home), "PYTHONPATH": str(PROJECT / "include")}
    environment |= {"SPINE_FAILPOINT": failpoint} if failpoint else {}
    return subprocess.run(command, env=environment, capture_output=True, timeout=400, check=False)


def tables() -> dict[str, list[dict[str, Any]]]:
    """Everything in Silver and quarantine but the times of writing."""
    found = {}
    for name in ("salesforce_person", "quarantine_salesforce_person"):
        rows = (
            DeltaTable(table_uri(name))
            .to_pyarrow_table()
            .sort_by([("record_ref", "ascending"), ("source_cursor", "ascending")])
            .to_pylist()
        )
        found[name] = [{key: value for key, value in row.items() if key not in ("updated_at", "quarantined_at")} for row in rows]
    return found


@pytest.fixture(scope="module")
def jars() -> Path:
    return settings().jars


@pytest.mark.parametrize("failpoint", ["normalize.after_quarantine", "normalize.before_merge", "normalize.after_merge"])
def test_killed_and_run_again_it_is_as_if_nothing_had_happened(
    spark: Any, jars: Path, bronze: Any, lake: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failpoint: str
) -> None:
    monkeypatch.setenv("SPINE_LAKE", str(tmp_path / "undisturbed"))
    fill(bronze)
    normalize(spark, "salesforce", "run1")
    change(bronze)
    normalize(spark, "salesforce", "run2")
    undisturbed = tables()

    monkeypatch.setenv("SPINE_LAKE", lake)
    fill(bronze)
    normalize(spark, "salesforce", "run1")
    change(bronze)
    assert job(home, jars, failpoint).returncode == -signal.SIGKILL
    normalize(spark, "salesforce", "run2")
    assert tables() == undisturbed
    before = DeltaTable(table_uri("salesforce_person")).version()
    normalize(spark, "salesforce", "run2")
    assert DeltaTable(table_uri("salesforce_person")).version() == before


def test_the_job_leaves_its_result_or_its_error(bronze: Any, jars: Path, home: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    fill(bronze)
    done = job(home, jars, None, "--result", str(result), "--tenants", "acme,north")
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = read_result(result, "normalize")["entities"]["person"]
    assert (found["published"], found["quarantined"], found["validation"]["passed"]) == (2, 1, True)

    bronze("salesforce", "contacts", [contact(number, 2, Email="nobody") for number in range(100)])
    assert job(home, jars, None, "--result", str(result), "--renormalize").returncode == 1
    with pytest.raises(QualityFailed, match="few_rows_quarantined"):
        read_result(result, "normalize")
