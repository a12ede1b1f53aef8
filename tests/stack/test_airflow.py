"""Airflow's environment: everything from one home, ports changed together, secrets private, nothing runs by itself."""

from pathlib import Path

import pytest

from spine.control.embedded import EmbeddedPostgres
from spine.core.errors import StackFailed
from spine.core.settings import settings
from spine.stack import airflow, connect, supervisor


@pytest.fixture
def env(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("SPARK_REMOTE", "sc://elsewhere")
    return airflow.environment(EmbeddedPostgres("postgresql://x", Path("/pg")), "postgresql://app", 4711)


def test_all_addresses_have_the_same_port(env: dict[str, str]) -> None:
    assert env["AIRFLOW__API__PORT"] == "4711"
    assert env["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:4711"
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:4711/execution/"
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_nothing_runs_before_an_operator_says_so(env: dict[str, str]) -> None:
    assert env["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "true"
    assert env["AIRFLOW__CORE__LOAD_EXAMPLES"] == "false"


def test_the_callers_airflow_and_spark_do_not_leak_in(env: dict[str, str]) -> None:
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "SPARK_REMOTE" not in env


def test_tasks_know_home_lake_and_control_plane(env: dict[str, str]) -> None:
    assert env["SPINE_HOME"] == str(settings().home)
    assert env["SPINE_LAKE"] == settings().lake
    assert env["SPINE_POSTGRES"] == "postgresql://app"
    assert env["PATH"].startswith(str(connect.bin_folder()))


def test_no_process_of_airflow_has_an_administrators_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_ADMIN_URL", "postgresql://postgres:word@db/spine")  # pragma: allowlist secret
    monkeypatch.setenv("SPINE_ANALYST_PASSWORD", "word")
    server = EmbeddedPostgres("postgresql://postgres@/spine?host=/pg", Path("/pg"))
    env = airflow.environment(server, server.uri("spine", user="spine_app"), 4711)
    assert not [name for name, value in env.items() if "postgres@" in value or "postgres:word" in value or value == "word"]
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "postgresql+psycopg2://spine_airflow@/airflow?host=/pg"
    assert env["SPINE_POSTGRES_JOBS"] == "postgresql://spine_jobs@/spine?host=/pg"


def test_keys_and_passwords_survive_a_restart(env: dict[str, str]) -> None:
    again = airflow.environment(EmbeddedPostgres("postgresql://x", Path("/pg")), "postgresql://app", 4711)
    assert {k: v for k, v in again.items() if "KEY" in k or "SECRET" in k} == {k: v for k, v in env.items() if "KEY" in k or "SECRET" in k}
    assert airflow.password("analyst") == airflow.password("analyst") != airflow.password("admin")
    assert Path(env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).stat().st_mode & 0o777 == 0o600


def test_a_stack_that_never_ran_is_stopped_and_says_so(home: Path) -> None:
    assert set(supervisor.status().values()) == {"stopped"}
    assert airflow.url() == "" == connect.url()
    assert connect.client_environment() == {}
    supervisor.down(lambda line: None)
    with pytest.raises(StackFailed, match="make up"):
        supervisor.running_environment()
