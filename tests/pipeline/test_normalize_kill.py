"""The Spark job is killed at its weakest places; run again, it leaves every table as an undisturbed run does, row for row."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.core.errors import QualityFailed
from spine.core.settings import PROJECT
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


JOB = PROJECT / "spark_jobs" / "normalize.py"
OPTIONS = ("--source", "salesforce", "--run-id", "run2")


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


@dataclass(frozen=True)
class Prepared:
    """A lake before the run, and every table as an undisturbed run leaves it."""

    lake: Path
    undisturbed: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def prepared(spark: Any, append_to_bronze: Any, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINE_HOME", str(folder / "home"))
        patch.setenv("SPINE_LAKE", str(folder / "lake"))
        fill(append_to_bronze)
        normalize(spark, "salesforce", "run1")
        change(append_to_bronze)
        patch.setenv("SPINE_LAKE", str(shutil.copytree(folder / "lake", folder / "calm")))
        normalize(spark, "salesforce", "run2")
        undisturbed = tables()
    return Prepared(folder / "lake", undisturbed)


@pytest.mark.parametrize("failpoint", ["normalize.after_quarantine", "normalize.before_merge", "normalize.after_merge"])
def test_killed_and_run_again_it_is_as_if_nothing_had_happened(
    spark: Any, run_program: Any, prepared: Prepared, lake: str, home: Path, failpoint: str
) -> None:
    shutil.copytree(prepared.lake, lake, dirs_exist_ok=True)
    assert run_program(JOB, *OPTIONS, env=os.environ | {"SPINE_FAILPOINT": failpoint}).returncode == -signal.SIGKILL
    normalize(spark, "salesforce", "run2")
    assert tables() == prepared.undisturbed
    before = DeltaTable(table_uri("salesforce_person")).version()
    normalize(spark, "salesforce", "run2")
    assert DeltaTable(table_uri("salesforce_person")).version() == before


def test_the_job_leaves_its_result_or_its_error(spark_server: Any, run_program: Any, bronze: Any, home: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    fill(bronze)
    done = run_program(JOB, *OPTIONS, "--result", str(result), "--tenants", "acme,north", env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    found = read_result(result, "normalize")["entities"]["person"]
    assert (found["published"], found["quarantined"], found["validation"]["passed"]) == (2, 1, True)

    bronze("salesforce", "contacts", [contact(number, 2, Email="nobody") for number in range(100)])
    assert run_program(JOB, *OPTIONS, "--result", str(result), "--renormalize", env=os.environ).returncode == 1
    with pytest.raises(QualityFailed, match="few_rows_quarantined"):
        read_result(result, "normalize")
