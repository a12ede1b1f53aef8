"""Every DAG file imports, every DAG obeys the house rules, and a broken declaration takes down nothing but itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.serialization.serialized_objects import DagSerialization

from spine.core.errors import ConfigError
from spine.core.settings import PROJECT, settings
from spine.dagkit.policies import TIERS
from spine.push.spec import Push, load_push, push_names
from spine.sources.check import matched_entities, sources_of, united_entities
from spine.sources.spec import Source, load_source, source_names

Importer = Callable[[str], ModuleType]


def dags_of(module: ModuleType) -> dict[str, DAG]:
    return {value.dag_id: value for value in vars(module).values() if isinstance(value, DAG)}


@pytest.fixture
def all_dags(import_dag_file: Importer) -> dict[str, DAG]:
    files = ("sync", "resolve", "unite", "push", "maintenance", "watch")
    return {key: dag for name in files for key, dag in dags_of(import_dag_file(name)).items()}


def test_there_is_one_dag_per_declaration(all_dags: dict[str, DAG]) -> None:
    syncs, resolves = {f"sync_{name}" for name in source_names()}, {f"resolve_{entity.entity}" for entity in matched_entities()}
    unites = {f"unite_{entity.domain}" for entity in united_entities()}
    pushes = {f"push_{name}" for name in push_names()}
    assert set(all_dags) == {*syncs, *resolves, *unites, *pushes, "maintain_lake", "watch_runs"}
    ours = {"sync_salesforce", "sync_hubspot", "sync_people_files", "resolve_person", "resolve_organization"}
    assert ours <= set(all_dags)


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


def test_a_page_says_which_connection_its_source_needs_and_what_that_holds(all_dags: dict[str, DAG]) -> None:
    for name in source_names():
        assert f"**Needs the Connection** `ipai_connector_{name}`" in str(all_dags[f"sync_{name}"].doc_md)
    told = str(all_dags["sync_zendesk"].doc_md)
    assert all(words in told for words in ("E-mail address of an agent", "API token", "extra.subdomain", "oauth", "paused until"))


def test_every_task_has_a_time_out_of_its_tier(all_dags: dict[str, DAG]) -> None:
    tiers = {f"sync_{name}": load_source(name).tier for name in source_names()} | dict.fromkeys(
        ("maintain_lake", "watch_runs"), "best_effort"
    )
    for dag in all_dags.values():
        longest = TIERS[tiers.get(dag.dag_id, "standard")].longest
        for task in dag.tasks:
            assert task.execution_timeout is not None, f"{dag.dag_id}.{task.task_id} may hang for ever"
            assert timedelta(minutes=5) <= task.execution_timeout <= longest, f"{dag.dag_id}.{task.task_id}"


def test_a_stream_ends_itself_before_airflow_ends_its_task_and_before_its_run_is_late(all_dags: dict[str, DAG]) -> None:
    for name in source_names():
        source, extract = load_source(name), all_dags[f"sync_{name}"].get_task("extract")
        assert source.stream_time < extract.execution_timeout
        assert source.stream_time < TIERS[source.tier].deadline


def test_a_source_may_state_its_own_time(import_dag_file: Importer, declarations: Path) -> None:
    spec = declarations / "sources" / "hubspot.yaml"
    spec.write_text(spec.read_text().replace("tier: critical", "tier: critical\ntimeouts: {stream: 3h}"))
    extract = dags_of(import_dag_file("sync"))["sync_hubspot"].get_task("extract")
    assert extract.execution_timeout > load_source("hubspot").stream_time == timedelta(hours=3)


def test_one_source_leaves_slots_to_the_others(all_dags: dict[str, DAG]) -> None:
    for name in source_names():
        extract = all_dags[f"sync_{name}"].get_task("extract")
        assert 0 < extract.partial_kwargs["max_active_tis_per_dagrun"] < settings().pool_size


def test_airflow_finds_every_dag_file() -> None:
    """Airflow looks into a file only if its text names both; https://airflow.apache.org/docs, `core.dag_discovery_safe_mode`."""
    for path in (PROJECT / "dags").glob("*.py"):
        text = path.read_text().lower()
        assert "dag" in text
        assert "airflow" in text, path.name


def test_every_dag_survives_serialization(all_dags: dict[str, DAG]) -> None:
    for dag in all_dags.values():
        assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == dag.dag_id


def test_schedules_give_real_intervals(all_dags: dict[str, DAG]) -> None:
    for name in source_names():
        timetable = all_dags[f"sync_{name}"].timetable
        assert type(timetable).__name__ == "CronDataIntervalTimetable"
        assert timetable.expression == CronDataIntervalTimetable(load_source(name).cron, timezone="UTC").expression
    assert [all_dags[f"sync_{name}"].timetable.expression for name in ("hubspot", "people_files")] == ["0 * * * *", "0 2 * * *"]


def test_resolve_is_woken_by_every_silver_table_of_its_entity(all_dags: dict[str, DAG]) -> None:
    condition = all_dags["resolve_person"].timetable.asset_condition
    found = {asset.name for asset in condition.objects}
    assert found == {f"silver.{name}_person" for name in sources_of("person")}
    assert {"silver.hubspot_person", "silver.people_files_person", "silver.salesforce_person"} <= found


def test_only_the_task_after_the_mapping_announces_assets(all_dags: dict[str, DAG]) -> None:
    dag = all_dags["sync_hubspot"]
    assert {task.task_id for task in dag.tasks if task.outlets} == {"report"}


def test_the_trigger_form_is_a_real_form(all_dags: dict[str, DAG]) -> None:
    params = all_dags["sync_hubspot"].params
    assert params.get_param("mode").schema["enum"] == ["incremental", "full", "resync", "renormalize"]
    assert set(params) == {"mode", "streams", "tenants", "dry_run"}


def test_the_extract_tasks_share_the_connector_pool(all_dags: dict[str, DAG]) -> None:
    assert all_dags["sync_hubspot"].get_task("extract").pool == "spine_connectors"


def test_a_worker_builds_only_the_dag_that_it_runs(import_dag_file: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "sync_hubspot")  # how a worker tells its DAG file what it wants
    assert set(dags_of(import_dag_file("sync"))) == {"sync_hubspot"}
    assert set(dags_of(import_dag_file("resolve"))) == set()


BROKEN = [
    pytest.param("tier: critical", "tier: urgent", "tier", id="tier"),
    pytest.param("tier: critical", 'schedule: "0 25 * * *"', "schedule", id="cron"),
    pytest.param("tier: critical", "timeouts: {connect: 1.e999}", "timeouts.connect", id="number that is none"),
    pytest.param("lookback: 10m}", "lookback: 99999999999999d}", "streams.0.cursor.lookback", id="time beyond all times"),
    pytest.param("paging: {size: 200}", 'paging: {type: next_token, next: "a..b"}', "streams.0.paging.next", id="JMESPath"),
    pytest.param("firstname, transform: trim", "firstname, script: nobodys", "streams.0.mapping.fields.given_name.script", id="script"),
    pytest.param("deletes: {detect: archived}", "deletes: {detect: flag}", "streams.0.deletes.detect", id="detect kind"),
    pytest.param("cursor: {field: lastmodifieddate, lookback: 10m}", "cursor: null", "streams.0.cursor", id="no cursor"),
    pytest.param("label: HubSpot", "label: HubSpot\nlabel: Hubspot", "label", id="key twice"),
    pytest.param("kind: custom", "kind: custom\nreader: nobodys", "reader", id="no module"),
    pytest.param("entity: person", "entity: persons", "streams.0.entity", id="entity"),
    pytest.param("given_name: {from", "first_nme: {from", "streams.0.mapping.fields.first_nme", id="field"),
]


def _connectors(push: Push) -> set[str | None]:
    return {push.destination.connector, push.source.connector}


@pytest.mark.parametrize(("before", "after", "field"), BROKEN)
def test_a_broken_spec_breaks_one_dag_only(
    import_dag_file: Importer, all_dags: dict[str, DAG], declarations: Path, before: str, after: str, field: str
) -> None:
    # These go by the file of the source, too: they are left out where nothing of it can be read.
    pushes_of_it = {f"push_{name}" for name in push_names() if "hubspot" in _connectors(load_push(name))}
    broken = declarations / "sources" / "hubspot.yaml"
    assert before in broken.read_text()
    broken.write_text(broken.read_text().replace(before, after, 1))

    others = {*all_dags} - {"sync_hubspot", "maintain_lake", "watch_runs"}
    there = {key for name in ("sync", "resolve", "unite", "push") for key in dags_of(import_dag_file(name))}
    assert there | pushes_of_it == others
    with pytest.raises(ConfigError) as caught:
        import_dag_file("broken_sources")
    told = caught.value.message.splitlines()[1:]
    assert len(told) == 1, "one mistake, told once"
    assert re.match(rf"{re.escape(str(broken))}:\d+: {re.escape(field)}: ", told[0]), "the message names file, line and field"


def test_a_broken_entity_breaks_its_own_dag_only(import_dag_file: Importer, all_dags: dict[str, DAG], declarations: Path) -> None:
    broken = declarations / "entities" / "organization.yaml"
    broken.write_text(broken.read_text().replace("    field: annual_revenue\n", "", 1))
    assert {key for name in ("sync", "resolve", "unite", "push") for key in dags_of(import_dag_file(name))} == {*all_dags} - {
        "resolve_organization",
        "maintain_lake",
        "watch_runs",
    }
    with pytest.raises(ConfigError, match=r"organization\.yaml:\d+: row_rules\.1\.field: check 'between' needs it") as caught:
        import_dag_file("broken_sources")
    assert len(caught.value.message.splitlines()) == 2


def test_what_airflow_alone_refuses_breaks_one_dag_only(import_dag_file: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake that nothing knows of but Airflow, when the DAG is made."""
    from spine.dagkit import sync

    build = sync.sync_doc

    def refuse(source: Source) -> str:
        if source.source == "hubspot":
            raise ValueError("not in this Airflow")
        return build(source)

    monkeypatch.setattr(sync, "sync_doc", refuse)
    assert set(dags_of(import_dag_file("sync"))) == {f"sync_{name}" for name in source_names()} - {"sync_hubspot"}
    with pytest.raises(ConfigError, match=r"hubspot\.yaml makes no DAG: ValueError: not in this Airflow"):
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
        text = spec.replace("source: salesforce", f"source: crm_{number}\nreader: salesforce")
        (declarations / "sources" / f"crm_{number}.yaml").write_text(text)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", _PARSE]
    runs = [subprocess.run(command, env=plain, cwd=PROJECT, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    found = [(int(count), float(spent)) for count, spent in (run.splitlines()[-1].split() for run in runs)]
    assert {count for count, _ in found} == {len(source_names()) + len(matched_entities())}
    assert min(spent for _, spent in found) < 2.0


def test_parsing_reads_no_variable_and_no_connection(import_dag_file: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("parsing must not read Variables or Connections")

    monkeypatch.setattr("airflow.sdk.Variable.get", refuse)
    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", refuse)
    for name in ("sync", "resolve", "unite", "push", "maintenance", "watch", "broken_sources"):
        import_dag_file(name)
    assert settings().sources.is_dir()
