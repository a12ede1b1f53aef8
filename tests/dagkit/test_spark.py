"""A Spark job's result becomes the task's value, its log line, its links, or our own error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from airflow.models.connection import Connection
from airflow.sdk.exceptions import AirflowSkipException

from spine.core.errors import ConfigError, JobFailed, QualityFailed
from spine.dagkit import spark
from spine.dagkit.links import TablesLink, ValidationLink, tables_of

JOB = """
import argparse, pathlib, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--say"); parser.add_argument("--result")
given = parser.parse_args()
print("at work on", os.environ["SPARK_REMOTE"])
if given.say:
    pathlib.Path(given.result).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(given.result).write_text(given.say)
"""
RESULT = {"ok": True, "result": {"entities": {"person": {"published": 3, "quarantined": 1, "silver_table": "crm_person", "version": 2}}}}


@pytest.fixture
def run_job(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the operator with a job file of ours on a Connection of type spark_connect."""
    job = tmp_path / "job.py"
    job.write_text(JOB)
    server = Connection(conn_id="spark_default", conn_type="spark_connect", host="localhost", port=15002)
    monkeypatch.setattr("spine.dagkit.spark.BaseHook.get_connection", lambda _: server)
    monkeypatch.setattr("spine.dagkit.spark.job_environment", dict)

    def run(say: str, before: Callable[[Any], None] | None = None) -> spark.SpineSparkOperator:
        task = spark.SpineSparkOperator(task_id="normalize", job="normalize", arguments=["--say", say], before=before)
        task.application = str(job)
        ti = SimpleNamespace(run_id="manual__2026-01-01T00:00:00+00:00", dag_id="sync_crm", task_id="normalize", try_number=1)
        task.execute({"ti": ti})
        return task

    return run


def test_the_result_file_is_the_tasks_value(run_job: Any) -> None:
    task = run_job(orjson.dumps(RESULT).decode())
    assert task.result == RESULT["result"]
    assert spark.summary(task.result) == ["person: published 3, quarantined 1, version 2"]


def test_the_jobs_own_error_is_raised(run_job: Any) -> None:
    error = QualityFailed("too many rows quarantined", hint="Open Validation")
    with pytest.raises(QualityFailed, match="too many rows quarantined"):
        run_job(orjson.dumps({"ok": False, "error": error.as_dict()}).decode())


def test_a_job_that_dies_without_a_word_may_be_retried(run_job: Any) -> None:
    with pytest.raises(JobFailed) as caught:
        run_job("")
    assert caught.value.retryable


@pytest.mark.parametrize("host", ["yarn", "k8s://https://kube:6443"])
def test_a_cluster_that_takes_secrets_by_command_line_is_refused(run_job: Any, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Connection(conn_id="spark_default", conn_type="spark", host=host)
    monkeypatch.setattr("spine.dagkit.spark.BaseHook.get_connection", lambda _: cluster)
    with pytest.raises(ConfigError, match="on a command line"):
        run_job("")


def test_a_job_gets_no_secret_that_it_does_not_need(run_job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        "SPINE_FERNET_KEY",
        "SPINE_ADMIN_URL",
        "SPINE_POSTGRES",
        "SPINE_ANALYST_PASSWORD",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW_CONN_X",
    )
    for name in secrets:
        monkeypatch.setenv(name, "kept back")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the lake")
    (tmp_path / "job.py").write_text(
        "import os, sys, pathlib, orjson\n"
        "path = pathlib.Path(sys.argv[-1]); path.parent.mkdir(parents=True, exist_ok=True)\n"
        "path.write_bytes(orjson.dumps({'ok': True, 'result': dict(os.environ)}))\n"
    )
    known = run_job("").result
    assert "kept back" not in known.values()
    assert known["AWS_SECRET_ACCESS_KEY"] == "of the lake"  # pragma: allowlist secret


def test_what_comes_before_may_skip_the_job(run_job: Any) -> None:
    def skip(context: Any) -> None:
        raise AirflowSkipException(context["ti"].dag_id)

    with pytest.raises(AirflowSkipException, match="sync_crm"):
        run_job("", before=skip)


@pytest.mark.parametrize("large", [False, True])
def test_spark_submit_starts_a_jvm_of_the_size_of_the_work(run_job: Any, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    monkeypatch.delenv("SPINE_SPARK_MEMORY", raising=False)
    monkeypatch.delenv("SPINE_SPARK_JAVA_OPTIONS", raising=False)
    monkeypatch.setattr("spine.lake.session.delta_jars", lambda: [Path("delta.jar")])
    monkeypatch.setattr("spine.dagkit.spark.SparkSubmitOperator.execute", lambda self, context: None)
    task = spark.SpineSparkOperator(task_id="normalize", job="normalize", arguments=[], large=lambda context: context["large"])
    task._submit({"large": large})
    assert ("TieredStopAtLevel=1" in task.conf["spark.driver.extraJavaOptions"]) is not large
    assert (task.conf["spark.driver.memory"] == "1g") is not large


def test_links_lead_to_the_runs_validation_and_tables(run_job: Any) -> None:
    task = run_job(orjson.dumps(RESULT).decode())
    key = SimpleNamespace(run_id="manual__2026-01-01T00:00:00+00:00", dag_id="sync_crm")
    assert ValidationLink().get_link(task, ti_key=key) == "/spine/validations/manual__2026-01-01T00%3A00%3A00%2B00%3A00?dag=sync_crm"
    assert TablesLink().get_link(task, ti_key=key) == "/spine/tables?name=crm_person"


@pytest.mark.parametrize(
    ("result", "tables"),
    [({}, []), ({"entities": 5, "versions": {"gold_b": 1, "gold_a": 2}}, ["gold_a", "gold_b"]), ({"entities": {"x": {}}}, [])],
)
def test_tables_are_found_in_any_result(result: dict[str, Any], tables: list[str]) -> None:
    assert tables_of(result) == tables


def test_a_resolvers_counts_are_one_line() -> None:
    assert spark.summary({"records": 5, "entities": 3, "versions": {"a": 1}}) == ["records 5, entities 3"]
