"""The door to Airflow, tried against a real metadata database: outside a task by its ORM, inside by the execution API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url

from spine.control import airflow_state, embedded
from spine.control.airflow_state import ConnectionInfo, tenants
from spine.control.variables import MemoryVariables
from spine.core.errors import ConfigError

INCLUDE = Path(__file__).parents[2] / "include"

# One script per side: Airflow reads its configuration at import, so each runs in a process of its own.
OUTSIDE = """
import json
from airflow.models import Connection
from airflow.utils.session import create_session
from spine.control.airflow_state import AirflowVariables, get_connection, in_task, postgres_url, put_into_connection
from spine.core.errors import ConfigError, SpineError

seen = {"in_task": in_task()}
variables = AirflowVariables()
for key in ("spine.cursor.c.a", "spine.cursor.c.b", "spineXcursor"):
    variables.set(key, "v1")
variables.set("spine.cursor.c.a", "v2")
variables.delete("spine.cursor.c.b")
variables.delete("never there")
seen["value"], seen["absent"] = variables.get("spine.cursor.c.a"), variables.get("spine.cursor.c.b")
seen["environment"] = variables.get("from_env")
seen["keys"] = list(variables.keys("spine.cursor."))
with create_session() as session:
    session.add(Connection(conn_id="spine_postgres", conn_type="postgres", host="/run/pg", login="spine_app", schema="spine",
                           password="p@ss", extra='{"client_secret": "hidden"}'))
found = get_connection("spine_postgres")
seen["connection"], seen["password"], seen["extra"] = repr(found), found.password, found.extra
seen["url"] = postgres_url()
with create_session() as session:
    session.add(Connection(conn_id="granted", conn_type="spine", extra='{"kept": 1}'))
seen["put"] = [put_into_connection(name, {"refresh_token": "r"}) for name in ("granted", "nowhere")]
seen["extra after"] = get_connection("granted").extra
try:
    get_connection("nowhere")
except ConfigError as error:
    seen["missing"] = str(error)
print("SEEN" + json.dumps(seen))
"""

UNREACHABLE = """
import json
from spine.control.airflow_state import AirflowVariables, get_connection
from spine.core.errors import SpineError

variables, seen = AirflowVariables(), {}
for name, call in {"get": lambda: variables.get("a"), "set": lambda: variables.set("a", "b"), "keys": lambda: variables.keys("a"),
                   "delete": lambda: variables.delete("a"), "connection": lambda: get_connection("a")}.items():
    try:
        call()
    except SpineError as error:
        seen[name] = error.code
print("SEEN" + json.dumps(seen))
"""

INSIDE = """
import json
from airflow.sdk import DAG, task

with DAG("t", schedule=None) as dag:
    @task
    def look():
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import ErrorResponse
        from airflow.sdk.exceptions import ErrorType
        from spine.control.airflow_state import AirflowVariables, get_connection, in_task, postgres_url
        from spine.core.errors import SpineError

        seen = {"in_task": in_task()}
        variables = AirflowVariables()
        variables.set("spine.cursor.c.in", "v1")
        variables.set("spine.cursor.c.gone", "v1")
        variables.delete("spine.cursor.c.gone")
        variables.delete("never there")
        seen["value"], seen["absent"] = variables.get("spine.cursor.c.in"), variables.get("spine.cursor.c.gone")
        seen["environment"] = variables.get("from_env")
        seen["keys"] = list(variables.keys("spine.cursor."))
        found = get_connection("spine_postgres")
        seen["connection"], seen["password"], seen["extra"] = repr(found), found.password, found.extra
        seen["url"] = postgres_url()
        try:
            get_connection("nowhere")
        except SpineError as error:
            seen["missing"] = str(error)
        comms = task_runner.SUPERVISOR_COMMS
        class Broken:
            def send(self, message):
                return ErrorResponse(error=ErrorType.API_SERVER_ERROR)
        task_runner.SUPERVISOR_COMMS = Broken()
        calls = {"variable": lambda: variables.get("spine.cursor.c.in"), "connection": lambda: get_connection("spine_postgres"),
                 "keys": lambda: variables.keys("spine.")}
        for name, call in calls.items():
            try:
                call()
            except SpineError as error:
                seen["unreachable " + name] = error.code
        task_runner.SUPERVISOR_COMMS = comms
        with open(__file__ + ".json", "w") as out:
            json.dump(seen, out)
    look()

if __name__ == "__main__":
    print(dag.test().state)
"""


@pytest.fixture(scope="module")
def airflow_env(postgres_server: embedded.EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an Airflow with a migrated metadata database."""
    name, home = f"airflow_{uuid4().hex[:8]}", tmp_path_factory.mktemp("airflow")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "SPINE"))}
    env |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres_server.uri(name, driver="postgresql+psycopg2"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home),
        "AIRFLOW__OPENLINEAGE__DISABLED": "true",
        "AIRFLOW_VAR_FROM_ENV": "e",
        "SPINE_HOME": str(home / "spine"),
        "PYTHONPATH": str(INCLUDE),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        subprocess.run(["airflow", "db", "migrate"], env=env, check=True, capture_output=True, timeout=300)
        yield env
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(script: str, env: dict[str, str]) -> dict[str, Any]:
    """What the script saw: its line that starts with SEEN, or the file that its task wrote."""
    path = Path(env["AIRFLOW_HOME"]) / f"script_{uuid4().hex[:8]}.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    written = Path(f"{path}.json")
    lines = [line.removeprefix("SEEN") for line in done.stdout.splitlines() if line.startswith("SEEN")]
    return dict(json.loads(written.read_text() if written.exists() else lines[0]))


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.postgres
def test_it_behaves_alike_outside_and_inside_a_task(airflow_env: dict[str, str]) -> None:
    outside = run(OUTSIDE, airflow_env)
    inside = run(INSIDE, airflow_env)
    for seen, mine, keys in (
        (outside, False, ["spine.cursor.c.a"]),
        (inside, True, ["spine.cursor.c.a", "spine.cursor.c.in"]),
    ):
        assert seen["in_task"] is mine
        assert (seen["value"], seen["absent"], seen["environment"]) == ("v1" if mine else "v2", None, "e")
        assert seen["keys"] == keys
        assert (seen["password"], seen["extra"]) == ("p@ss", {"client_secret": "hidden"})
        assert "p@ss" not in seen["connection"]
        assert "hidden" not in seen["connection"]
        assert make_url(seen["url"]).query["host"] == "/run/pg"
        assert "nowhere" in seen["missing"]
    assert (outside["put"], outside["extra after"]) == ([True, False], {"kept": 1, "refresh_token": "r"})
    broken = {key: value for key, value in inside.items() if key.startswith("unreachable")}
    assert broken == dict.fromkeys(("unreachable variable", "unreachable connection", "unreachable keys"), "CONTROL_UNAVAILABLE")


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.postgres
def test_a_metadata_database_that_cannot_be_reached_is_not_taken_for_an_empty_one(airflow_env: dict[str, str]) -> None:
    seen = run(UNREACHABLE, airflow_env | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:1/none"})
    assert seen == dict.fromkeys(("get", "set", "keys", "delete", "connection"), "CONTROL_UNAVAILABLE")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, ["default"]),
        ("{}", ["default"]),
        ('{"hubspot": ["acme"]}', ["default"]),
        ('{"salesforce": ["default", "acme"]}', ["default", "acme"]),
        ('{"salesforce": []}', []),
    ],
)
def test_tenants_of_a_source_are_listed_in_a_variable(raw: str | None, expected: list[str]) -> None:
    assert tenants("salesforce", MemoryVariables({} if raw is None else {"spine.tenants": raw})) == expected


@pytest.mark.parametrize("raw", ["[]", "nonsense", '{"salesforce": "acme"}', '{"salesforce": ["Not A Slug"]}', '{"salesforce": 1}'])
def test_a_spoilt_list_of_tenants_is_refused(raw: str) -> None:
    with pytest.raises(ConfigError):
        tenants("salesforce", MemoryVariables({"spine.tenants": raw}))


@pytest.mark.parametrize(
    ("found", "url"),
    [
        (
            ConnectionInfo("c", host="db", port=5433, schema="spine", login="spine_app", password="p@/x"),
            "postgresql+psycopg://spine_app:p%40%2Fx@db:5433/spine",
        ),
        (ConnectionInfo("c", host="/run/pg", schema="spine", login="spine_app"), "postgresql+psycopg://spine_app@/spine?host=%2Frun%2Fpg"),
    ],
    ids=["network", "socket"],
)
def test_a_connection_becomes_a_url(found: ConnectionInfo, url: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("SPINE_POSTGRES", raising=False)
    monkeypatch.setattr(airflow_state, "get_connection", lambda _: found)
    assert airflow_state.postgres_url() == url


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_POSTGRES", "postgresql://spine_app@db/spine")
    assert airflow_state.postgres_url() == "postgresql://spine_app@db/spine"


@pytest.mark.postgres
@pytest.mark.slow
def test_without_either_the_embedded_server_is_started(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("SPINE_POSTGRES", raising=False)
    server = embedded.start(home, durable=False)
    embedded.stop(home)
    try:
        assert airflow_state.postgres_url() == server.uri("spine", user="spine_app")
        assert embedded.running(home) == server
    finally:
        embedded.stop(home)


def test_options_of_a_remote_lake_come_from_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_LAKE", "/tmp/lake")
    assert airflow_state.lake_options() == ""
    found = ConnectionInfo("spine_lake", host="http://minio:9000", login="key", password="secret", extra={"AWS_REGION": "eu-1"})
    monkeypatch.setattr(airflow_state, "get_connection", lambda _: found)
    monkeypatch.setenv("SPINE_LAKE", "s3://bucket/lake")
    assert json.loads(airflow_state.lake_options()) == {
        "AWS_REGION": "eu-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": "http://minio:9000",
    }
