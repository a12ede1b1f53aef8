"""In the real scheduler: a scheduled run, a triggered run, a backfill over three days, and what they leave behind.

One stack for the module, the only one of the suite: PostgreSQL, Spark Connect, the sandbox and Airflow's four components in a home of
their own. The last test kills parts of it, mends it and stops it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import psutil
import pyarrow.compute as pc
import pytest
import requests
from deltalake import DeltaTable

from spine.core import clock
from spine.core.names import CONNECTOR_POOL, connection_id, cursor_variable
from spine.core.settings import PROJECT, settings
from spine.lake.catalog import table_exists
from spine.sandbox.accounts import credentials
from spine.sources.spec import load_source
from spine.stack import airflow, connect, keeper, processes, supervisor
from spine.stack.follow import Follower
from spine.stack.rest import FINISHED, AirflowApi
from spine.stack.supervisor import Stack
from spine.stack.vendors import introduce
from spine.ui.app import views

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.airflow, pytest.mark.timeout(900)]
DAG = "sync_salesforce"
SCALE = 120
TENANTS = ("default", "north", "south")
ONE = {"streams": ["contacts"], "tenants": ["default"]}
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
POLL = 1.0  # seconds between two looks at the API: each costs it a tenth of a second


@dataclass(frozen=True)
class Running:
    """A running stack and its API."""

    stack: Stack
    api: AirflowApi
    lines: list[str]

    def cursor(self, tenant: str = "default") -> str:
        return str(self.api.call("GET", f"/variables/{cursor_variable(connection_id('salesforce', tenant), 'contacts')}")["value"])

    def bronze(self, run_id: str, tenant: str = "default") -> list[dict[str, object]]:
        table = DeltaTable(f"{settings().lake}/raw_salesforce_contacts").to_pyarrow_table()
        return table.filter((pc.field("run_id") == run_id) & (pc.field("tenant_id") == tenant)).to_pylist()

    def follow(self, dag_id: str, run_id: str) -> None:
        Follower(self.api, print, poll=POLL).syncs({dag_id: run_id}, time.monotonic() + 420)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    home = Path(tempfile.mkdtemp(prefix="spine-e2e-"))  # pytest's own folder is closed to PostgreSQL's user, who is not root
    with pytest.MonkeyPatch.context() as patch:
        jars = settings().jars
        for name in ("SPARK_REMOTE", "SPARK_CONNECT_AUTHENTICATE_TOKEN", "SPARK_CONNECT_MODE_ENABLED"):
            patch.delenv(name, raising=False)  # the stack has a server of its own
        patch.setenv("SPINE_HOME", str(home))
        patch.setenv("SPINE_LAKE", str(home / "lake"))
        patch.setenv("SPINE_SOURCES", str(daily_salesforce(home)))
        for module, name in ((airflow, "PREFERRED_PORT"), (connect, "PREFERRED_PORT"), (supervisor, "SANDBOX_PORT")):
            patch.setattr(module, name, 0)  # any: test runs beside each other would all find the usual ones free
        (home / "jars").symlink_to(jars)
        measure_tasks_only(home, patch)
        lines: list[str] = []
        try:
            stack = supervisor.up(lines.append, scale=SCALE, tenants=",".join(TENANTS))
            api = airflow.api()
            introduce(api, stack.sandbox_url, home / "sandbox" / "drop", TENANTS)
            yield Running(stack, api, lines)
        finally:
            supervisor.down(print)
            shutil.rmtree(home, ignore_errors=True)


def measure_tasks_only(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Coverage in the processes that Airflow forks for tasks and DAG files: measured, its own loops take thrice as long."""
    measured = os.environ.get("COVERAGE_PROCESS_CONFIG")
    if measured is None:
        return
    patch.delenv("COVERAGE_PROCESS_CONFIG")
    settings_module = home / "airflow" / "config" / "airflow_local_settings.py"  # Airflow imports it wherever it starts
    settings_module.parent.mkdir(parents=True)
    settings_module.write_text(
        "import os\n"
        "import coverage\n"
        "def measure():\n"
        f"    os.environ['COVERAGE_PROCESS_CONFIG'] = {measured!r}\n"
        "    coverage.process_startup()\n"
        "os.register_at_fork(after_in_child=measure)\n"
    )


def daily_salesforce(home: Path) -> Path:
    """The project's sources, with a day as Salesforce's interval so that three intervals are three days."""
    folder = home / "sources"
    folder.mkdir()
    for path in (PROJECT / "include" / "sources").glob("*.yaml"):
        text = path.read_text()
        if path.stem == "salesforce":
            text = text.replace("tier: critical", 'tier: critical\nschedule: "0 0 * * *"')
        (folder / path.name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def scheduled(running: Running) -> str:
    """The run that the scheduler starts by itself as soon as the DAG is unpaused. Three runs of a backfill want a connection of it too."""
    first, last = (TODAY - timedelta(days=days) for days in (6, 4))
    days = f"--dag-id {DAG} --from-date {first:%Y-%m-%d} --to-date {last:%Y-%m-%d}".split()
    order = [*days, "--dag-run-conf", orjson.dumps(ONE).decode()]
    command = [str(connect.bin_folder() / "airflow"), "backfill", "create", *order]  # ten at once, of which all but one wait
    done = subprocess.run(command, env=supervisor.running_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    running.api.pause("resolve_person", paused=False)
    running.api.pause(DAG, paused=False)
    run_id = scheduled_run(running, DAG)
    running.follow(DAG, run_id)
    return run_id


def test_airflow_reads_every_dag_file_without_an_error(running: Running) -> None:
    assert running.api.import_errors() == []
    assert {"sync_salesforce", "sync_hubspot", "sync_people_files", "resolve_person", "resolve_organization", "maintain_lake"} <= set(
        running.api.dag_ids()
    )


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_scheduled_run_reads_everything_of_each_tenant_and_sets_its_cursor(running: Running, scheduled: str, tenant: str) -> None:
    assert running.api.run(DAG, scheduled)["state"] == "success"
    rows = running.bronze(scheduled, tenant)
    assert len(rows) == len({row["record_id"] for row in rows}) == SCALE
    assert orjson.loads(running.cursor(tenant))["value"] == max(str(row["cursor"]) for row in rows)


def test_mapped_tasks_are_labelled_by_tenant_and_stream(running: Running, scheduled: str) -> None:
    labels = {task["rendered_map_index"] for task in running.api.task_instances(DAG, scheduled) if task["task_id"] == "extract"}
    streams = [stream.name for stream in load_source("salesforce").streams if stream.found is None]
    assert labels == {f"{tenant} · {stream}" for tenant in TENANTS for stream in streams}


def test_silver_wakes_the_resolver_and_gold_follows(running: Running, scheduled: str) -> None:
    quiet(running)
    run = running.api.runs("resolve_person")[0]
    assert run["run_type"] == "asset_triggered"
    assert run["state"] == "success"
    assert table_exists("gold_party_person")


def test_a_task_links_to_its_validation_and_its_tables(running: Running, scheduled: str) -> None:
    links = running.api.call("GET", f"/dags/{DAG}/dagRuns/{scheduled.replace('+', '%2B')}/taskInstances/normalize/links")["extra_links"]
    tables = links["Tables"].removeprefix("/spine/tables?").split("&")
    assert {f"name=salesforce_{entity}" for entity in load_source("salesforce").entities} <= set(tables)
    page = requests.get(running.stack.airflow_url + links["Validation"], headers=login(running), timeout=30)
    assert page.status_code == 200
    assert "salesforce_person" in page.text
    assert "passed" in page.text


def test_pages_need_a_login(running: Running) -> None:
    assert requests.get(f"{running.stack.airflow_url}/spine/tables", timeout=30).status_code == 401
    assert requests.get(f"{running.stack.airflow_url}/spine/tables", headers=login(running), timeout=30).status_code == 200


def test_the_plugin_is_whole(running: Running) -> None:
    plugins = {plugin["name"]: plugin for plugin in running.api.call("GET", "/plugins")["plugins"]}
    assert len(plugins["spine"]["external_views"]) == len(views())
    assert running.api.call("GET", "/plugins/importErrors")["import_errors"] == []


def test_the_form_of_a_connection_names_its_fields_and_tests_them(running: Running) -> None:
    kinds = requests.get(f"{running.stack.airflow_url}/ui/connections/hook_meta", headers=login(running), timeout=60).json()
    form = next(kind for kind in kinds if kind["connection_type"] == "spine")
    assert form["standard_fields"]["password"]["title"] == "Token, key or secret"
    assert {"source", "refresh_token", "token_url"} <= set(form["extra_fields"])
    given = running.api.call("GET", "/connections/ipai_connector_hubspot")
    body = {name: given[name] for name in ("connection_id", "conn_type", "host")}
    body |= {"password": credentials("default").hubspot_token, "extra": '{"source": "hubspot"}'}
    found = running.api.call("POST", "/connections/test", body)
    assert found["status"] is True, found["message"]
    assert re.search(r"contacts: \d+ records", found["message"])
    refused = running.api.call("POST", "/connections/test", body | {"password": "wrong"})
    assert refused["status"] is False
    assert "CONNECTOR_AUTH_FAILED" in refused["message"]


def test_a_backfill_beside_the_scheduled_run_reads_exactly_its_days_and_leaves_the_cursor(running: Running, scheduled: str) -> None:
    runs = finished_backfill(running, 3)
    everything = {str(row["record_id"]): str(row["cursor"]) for row in running.bronze(scheduled)}
    for run in runs:
        start, end = (clock.to_text(clock.parse(run[f"data_interval_{side}"])) for side in ("start", "end"))
        assert clock.parse(end) - clock.parse(start) == timedelta(days=1)
        expected = {record for record, cursor in everything.items() if start <= cursor < end}
        assert {str(row["record_id"]) for row in running.bronze(run["dag_run_id"])} == expected
        assert run["state"] == "success"
    assert any(running.bronze(run["dag_run_id"]) for run in runs), "the days held records"
    assert orjson.loads(running.cursor())["value"] == max(everything.values())


def test_sources_that_finish_together_wake_one_resolve(running: Running, scheduled: str) -> None:
    quiet(running)
    before = {str(run["dag_run_id"]) for run in running.api.runs("resolve_person")}
    others = ("sync_hubspot", "sync_people_files")
    for dag_id in others:
        running.api.pause(dag_id, paused=False)
    for dag_id in others:
        running.follow(dag_id, scheduled_run(running, dag_id))
    quiet(running)
    woken = {str(run["dag_run_id"]) for run in running.api.runs("resolve_person")} - before
    results = [running.api.xcom("resolve_person", run_id, "resolve") for run_id in woken]
    assert [result["no_op"] for result in results].count(False) == 1


def test_a_triggered_run_reads_only_what_changed(running: Running, scheduled: str) -> None:
    sandbox = running.stack.sandbox_url
    body = {"source": "salesforce", "stream": "contacts", "tenant": "default", "changed": 5, "created": 2, "deleted": 0}
    assert requests.post(f"{sandbox}/_sandbox/advance", json=body, timeout=30).ok
    before = running.cursor()
    run_id = running.api.trigger(DAG, {"mode": "incremental", **ONE})
    running.follow(DAG, run_id)
    lookback = clock.parse(orjson.loads(before)["value"]) - timedelta(minutes=10)
    assert all(clock.parse(str(row["cursor"])) >= lookback for row in running.bronze(run_id))
    assert 7 <= len(running.bronze(run_id)) < 60
    assert running.cursor() > before


def test_a_wrong_parameter_is_refused_by_the_form(running: Running) -> None:
    answer = requests.post(
        f"{running.stack.airflow_url}/api/v2/dags/{DAG}/dagRuns",
        json={"logical_date": None, "conf": {"mode": "everything"}},
        headers=login(running),
        timeout=30,
    )
    assert answer.status_code == 400
    assert "mode" in answer.text


def test_a_dry_run_writes_nothing(running: Running, scheduled: str) -> None:
    before = running.cursor()
    run_id = running.api.trigger(DAG, {"mode": "full", "dry_run": True, **ONE})
    running.follow(DAG, run_id)
    states = {task["task_id"]: task["state"] for task in running.api.task_instances(DAG, run_id)}
    assert states["normalize"] == "skipped"
    assert states["close"] == "success"
    assert running.bronze(run_id) == []
    assert running.cursor() == before


def test_the_connections_type_sends_the_same_job_through_spark_submit(running: Running, scheduled: str) -> None:
    server = running.api.call("GET", "/connections/spark_default")
    running.api.put_connection("spark_default", "spark", host="local[2]", port=None, extra='{"deploy-mode": "client"}')
    try:
        run_id = running.api.trigger(DAG, {"mode": "renormalize"})
        running.follow(DAG, run_id)
        result = running.api.xcom(DAG, run_id, "normalize")
    finally:
        running.api.put_connection("spark_default", server["conn_type"], host=server["host"], port=server["port"])
    person = result["entities"]["person"]
    assert person["rows_in"] > 0
    assert person["published"] == 0, "nothing has changed since the warm server wrote Silver"
    assert person["unchanged"] >= SCALE * len(TENANTS)


def test_what_has_ended_can_be_cleared_and_runs_again_without_waking_anybody(running: Running, scheduled: str) -> None:
    def events() -> int:
        found = running.api.listed("/assets/events", "asset_events")
        return sum((event["source_dag_id"], event["source_run_id"]) == (DAG, scheduled) for event in found)

    before = events()
    assert before == 4, "the first run changed the tables of three entities and that of campaigns"
    body = {"dry_run": False, "dag_run_id": scheduled, "task_ids": ["normalize"], "include_downstream": True, "only_failed": False}
    cleared = running.api.call("POST", f"/dags/{DAG}/clearTaskInstances", body | {"reset_dag_runs": True})["task_instances"]
    assert {task["task_id"] for task in cleared} == {"normalize", "report", "close"}
    running.follow(DAG, scheduled)
    tries = {task["task_id"]: task["try_number"] for task in running.api.task_instances(DAG, scheduled)}
    assert (tries["normalize"], tries["plan"]) == (2, 1)
    assert running.api.run(DAG, scheduled)["state"] == "success"
    assert events() == before, "nothing changed in Silver"


def test_late_runs_and_events_reach_the_notifiers(running: Running, scheduled: str) -> None:
    running.api.pause("watch_runs", paused=False)
    run_id = running.api.trigger("watch_runs")
    running.follow("watch_runs", run_id)
    assert running.api.run("watch_runs", run_id)["state"] == "success"


def scheduled_run(running: Running, dag_id: str) -> str:
    """The first run that the scheduler starts of an unpaused DAG."""
    deadline = time.monotonic() + 60
    while not (runs := [run for run in running.api.runs(dag_id) if run["run_type"] == "scheduled"]):
        assert time.monotonic() < deadline, "the scheduler started no run"
        time.sleep(POLL)
    return str(runs[0]["dag_run_id"])


def quiet(running: Running) -> None:
    """Wait until no news wait for a resolve, and none runs: in this order, since news that wait no more have become a run."""
    deadline = time.monotonic() + 300
    while running.api.call("GET", "/dags/resolve_person/assets/queuedEvents")["total_entries"] or any(
        run["state"] not in FINISHED for run in running.api.runs("resolve_person")
    ):
        assert time.monotonic() < deadline, running.api.runs("resolve_person")
        time.sleep(POLL)


def finished_backfill(running: Running, count: int) -> list[dict[str, str]]:
    deadline = time.monotonic() + 420
    while True:
        runs = [run for run in running.api.runs(DAG) if run["run_type"] == "backfill"]
        if len(runs) >= count and all(run["state"] in FINISHED for run in runs):
            assert len(runs) == count
            return runs
        assert time.monotonic() < deadline, [run["state"] for run in runs]
        time.sleep(POLL)


def login(running: Running) -> dict[str, str]:
    answer = requests.post(
        f"{running.stack.airflow_url}/auth/token", json={"username": "admin", "password": airflow.password()}, timeout=30
    )
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


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


def test_up_leaves_everything_running_and_furnished(running: Running) -> None:
    assert set(supervisor.status().values()) == {"running"}
    assert any("Airflow is ready" in line for line in running.lines)
    connections = {c["connection_id"] for c in running.api.listed("/connections", "connections")}
    assert connections >= {"spark_default", "spine_postgres", "spine_lake"}
    assert [pool["slots"] for pool in running.api.listed("/pools", "pools") if pool["name"] == CONNECTOR_POOL] == [10]

    answer = subprocess.run(
        [sys.executable, "-c", "from spine.lake.session import spark_session; print(spark_session('t').range(7).count())"],
        env={**os.environ, **connect.client_environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert answer.stdout.strip() == "7"


def test_no_secret_is_on_a_command_line_or_in_a_file_that_others_may_read(running: Running) -> None:
    home = settings().home
    texts = [path.read_text() for path in (home / "secrets").iterdir()]
    words = [*texts, *orjson.loads((home / "secrets" / "airflow-passwords.json").read_bytes()).values()]
    secrets = [word.strip().rpartition(":")[2] for word in words]
    assert len(secrets) > 6
    names = [connect.NAME, supervisor.SANDBOX, keeper.NAME, *map(airflow.name_of, airflow.COMPONENTS)]
    members = [one for name in names for one in processes.members(processes.recorded(name))]
    assert len(members) > len(names)
    for member in members:
        with suppress(psutil.Error):
            line = " ".join(member.cmdline())
            assert not [secret for secret in secrets if secret in line], line.split()[0]
    assert stat.S_IMODE((home / "secrets").stat().st_mode) == 0o700
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.relative_to(home).parts[0] not in ("lake", "postgres", "jars"):
            content = path.read_bytes()
            if any(secret.encode() in content for secret in secrets):
                assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_what_dies_is_started_again_in_the_right_order_and_with_its_connections(running: Running) -> None:
    """PostgreSQL takes what hangs on it along; whoever uses the stack does nothing."""
    connection = running.api.call("GET", "/connections/spark_default")
    os.kill(int((settings().home / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    os.kill(processes.recorded(connect.NAME).pid, signal.SIGKILL)
    log = processes.log_file(keeper.NAME)
    processes.wait_until(lambda: "all of it runs again" in log.read_text(), [keeper.NAME], what="the stack", timeout=180)
    assert set(supervisor.status().values()) == {"running"}
    assert "postgres" in log.read_text()
    assert running.api.call("GET", "/connections/spark_default")["port"] == connection["port"]
    assert airflow.healthy()


def test_up_mends_what_died_and_down_leaves_nothing(running: Running) -> None:
    """Comes last, as it stops the stack."""
    victims = (airflow.name_of("scheduler"), connect.NAME)
    for name in (keeper.NAME, *victims):
        os.kill(processes.recorded(name).pid, signal.SIGKILL)
    processes.wait_until(lambda: {supervisor.status()[name] for name in victims} == {"died"}, [], what="death", timeout=30)
    again = supervisor.up(running.lines.append, scale=SCALE, tenants=",".join(TENANTS))
    assert set(supervisor.status().values()) == {"running"}
    assert again.airflow_url == running.stack.airflow_url

    began = time.monotonic()
    supervisor.down(running.lines.append)
    assert time.monotonic() - began < 45
    assert set(supervisor.status().values()) == {"stopped"}
    assert processes_of(settings().home) == []
