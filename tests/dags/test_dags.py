"""Every DAG file imports, every DAG obeys the house rules, and a broken declaration takes down nothing but itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from spine.core.errors import ConfigError
from spine.core.settings import PROJECT, settings

Importer = Callable[[str], ModuleType]


def dags_of(module: ModuleType) -> dict[str, DAG]:
    return {value.dag_id: value for value in vars(module).values() if isinstance(value, DAG)}


@pytest.fixture
def all_dags(import_dag_file: Importer) -> dict[str, DAG]:
    return {key: dag for name in ("sync", "resolve", "maintenance") for key, dag in dags_of(import_dag_file(name)).items()}


def test_there_is_one_dag_per_declaration(all_dags: dict[str, DAG]) -> None:
    assert set(all_dags) == {
        "sync_salesforce",
        "sync_hubspot",
        "sync_people_files",
        "resolve_person",
        "resolve_organization",
        "maintain_lake",
    }


def test_every_dag_obeys_the_house_rules(all_dags: dict[str, DAG]) -> None:
    for dag in all_dags.values():
        assert dag.max_active_runs == 1, "one run at a time: the lake has one writer per table"
        assert dag.catchup is False
        assert dag.doc_md
        assert "When it fails" in dag.doc_md
        assert "spine" in dag.tags
        for task in dag.tasks:
            assert task.owner == "spine"
            assert task.retries >= 2
            assert task.retry_policy is not None


def test_airflow_finds_every_dag_file() -> None:
    """Airflow looks into a file only if its text names both; https://airflow.apache.org/docs, `core.dag_discovery_safe_mode`."""
    for path in (PROJECT / "dags").glob("*.py"):
        text = path.read_text().lower()
        assert "dag" in text
        assert "airflow" in text, path.name


def test_every_dag_survives_serialization(all_dags: dict[str, DAG]) -> None:
    for dag in all_dags.values():
        assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == dag.dag_id


@pytest.mark.parametrize(
    ("dag_id", "cron"), [("sync_salesforce", "0 * * * *"), ("sync_hubspot", "0 * * * *"), ("sync_people_files", "0 2 * * *")]
)
def test_tiers_give_schedules_with_real_intervals(all_dags: dict[str, DAG], dag_id: str, cron: str) -> None:
    timetable = all_dags[dag_id].timetable
    assert type(timetable).__name__ == "CronDataIntervalTimetable"
    assert timetable.expression == cron


def test_resolve_is_woken_by_every_silver_table_of_its_entity(all_dags: dict[str, DAG]) -> None:
    condition = all_dags["resolve_person"].timetable.asset_condition
    assert {asset.name for asset in condition.objects} == {
        "silver.hubspot_person",
        "silver.people_files_person",
        "silver.salesforce_person",
    }


def test_only_the_task_after_the_mapping_announces_assets(all_dags: dict[str, DAG]) -> None:
    dag = all_dags["sync_hubspot"]
    assert {task.task_id for task in dag.tasks if task.outlets} == {"report"}


def test_the_trigger_form_is_a_real_form(all_dags: dict[str, DAG]) -> None:
    params = all_dags["sync_hubspot"].params
    assert params.get_param("mode").schema["enum"] == ["incremental", "full", "renormalize"]
    assert set(params) == {"mode", "streams", "tenants", "dry_run"}


def test_the_extract_tasks_share_the_connector_pool(all_dags: dict[str, DAG]) -> None:
    assert all_dags["sync_hubspot"].get_task("extract").pool == "spine_connectors"


def test_a_worker_builds_only_the_dag_that_it_runs(import_dag_file: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "sync_hubspot")  # how a worker tells its DAG file what it wants
    assert set(dags_of(import_dag_file("sync"))) == {"sync_hubspot"}
    assert set(dags_of(import_dag_file("resolve"))) == set()


def test_a_broken_spec_breaks_one_dag_only(import_dag_file: Importer, declarations: Path) -> None:
    broken = declarations / "sources" / "hubspot.yaml"
    text = broken.read_text().replace("tier: critical", "tier: urgent")
    broken.write_text(text)
    line = text.splitlines().index("tier: urgent") + 1

    assert set(dags_of(import_dag_file("sync"))) == {"sync_salesforce", "sync_people_files"}
    assert set(dags_of(import_dag_file("resolve"))) == {"resolve_person", "resolve_organization"}
    with pytest.raises(ConfigError) as caught:
        import_dag_file("broken_sources")
    assert f"{broken}:{line}: tier: " in str(caught.value), "the message names file, line and field"


def test_a_mapping_to_an_unknown_field_is_reported(import_dag_file: Importer, declarations: Path) -> None:
    spec = declarations / "sources" / "people_files.yaml"
    spec.write_text(spec.read_text().replace("given_name:", "first_nme:"))
    with pytest.raises(ConfigError, match=r"first_nme.*not fields of 'person'"):
        import_dag_file("broken_sources")


def test_correct_declarations_report_nothing(import_dag_file: Importer) -> None:
    assert dags_of(import_dag_file("broken_sources")) == {}


_PARSE = """
import runpy, time
from airflow.sdk import DAG
runpy.run_path("dags/maintenance.py")  # Airflow's own imports are not ours to count
started = time.process_time()
dags = [value for name in ("sync", "resolve", "broken_sources") for value in runpy.run_path(f"dags/{name}.py").values()]
print(sum(isinstance(value, DAG) for value in dags), time.process_time() - started)
"""


@pytest.mark.slow
def test_a_hundred_specs_parse_in_under_two_seconds(declarations: Path) -> None:
    """Processor time, in a process that no coverage slows down, as the DAG processor's is; the better of two, beside other tests."""
    spec = (declarations / "sources" / "salesforce.yaml").read_text()
    for number in range(97):
        (declarations / "sources" / f"crm_{number}.yaml").write_text(spec.replace("source: salesforce", f"source: crm_{number}"))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", _PARSE]
    runs = [subprocess.run(command, env=plain, cwd=PROJECT, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    found = [(int(count), float(spent)) for count, spent in (run.splitlines()[-1].split() for run in runs)]
    assert {count for count, _ in found} == {102}
    assert min(spent for _, spent in found) < 2.0


def test_parsing_reads_no_variable_and_no_connection(import_dag_file: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("parsing must not read Variables or Connections")

    monkeypatch.setattr("airflow.sdk.Variable.get", refuse)
    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", refuse)
    for name in ("sync", "resolve", "maintenance", "broken_sources"):
        import_dag_file(name)
    assert settings().sources.is_dir()
