"""Airflow's four components as processes of one home folder, on the embedded PostgreSQL.

They are started one by one instead of by `airflow standalone`, which leaves orphans when it dies and allows no other login than its own.
Settings: https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping

import orjson
import psycopg
from cryptography.fernet import Fernet

from spine.control.embedded import AIRFLOW_ROLE, EmbeddedPostgres
from spine.core.errors import StackFailed
from spine.core.ports import LOOPBACK
from spine.core.settings import PROJECT, settings
from spine.stack import connect, processes
from spine.stack.files import secret, secret_path
from spine.stack.rest import AirflowApi, health

COMPONENTS = ("scheduler", "dag-processor", "triggerer", "api-server")
USERS = {"admin": "admin", "operator": "op", "analyst": "viewer"}
PREFERRED_PORT = 8080
PARALLELISM = 4
_LOGINS = "airflow-passwords.json"


def name_of(component: str) -> str:
    """The name of a component's pid file and log."""
    return f"airflow-{component}"


def port() -> int:
    """The port of the running api-server, else 0."""
    running = processes.alive(name_of("api-server"))
    return running.port if running else 0


def url() -> str:
    """The address of the UI and the REST API, or an empty text if they do not run."""
    return f"http://{LOOPBACK}:{port()}" if port() else ""


def password(user: str = "admin") -> str:
    """A user's password for the UI; made once for each home, kept with mode 600."""
    made = {name: secrets.token_urlsafe(12) for name in USERS}
    kept: dict[str, str] = orjson.loads(secret(_LOGINS, orjson.dumps(made).decode()))
    return kept[user]


def environment(server: EmbeddedPostgres, spine_postgres: str, api_port: int) -> dict[str, str]:
    """The whole environment of Airflow's processes and of the tasks they run. Holds secrets: never log it."""
    home = settings().home / "airflow"
    base = f"http://{LOOPBACK}:{api_port}"
    password()  # the file must be there before the api-server starts, or Airflow makes its own
    dropped = ("AIRFLOW__", "VIRTUAL_ENV", "SPARK_REMOTE", "SPINE_ADMIN_URL", "SPINE_ANALYST_PASSWORD")  # the last two are for set-up alone
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return {
        **kept,
        "PATH": connect.search_path(),
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "include"), *filter(None, [os.environ.get("PYTHONPATH", "")])]),
        "AIRFLOW_HOME": str(home),
        "SPINE_HOME": str(settings().home),
        "SPINE_LAKE": settings().lake,
        "SPINE_SOURCES": str(settings().sources),
        "SPINE_ENTITIES": str(settings().entities),
        "SPINE_POSTGRES": spine_postgres,
        "SPINE_POSTGRES_JOBS": server.uri("spine", user="spine_jobs"),
        "SPINE_ADMINS": "admin",
        "SPARK_LOCAL_IP": LOOPBACK,
        "GX_ANALYTICS_ENABLED": "false",
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": connect.token(),
        **_core(server),
        **_api(base, api_port),
        **_pace(),
    }


def _core(server: EmbeddedPostgres) -> dict[str, str]:
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.uri("airflow", user=AIRFLOW_ROLE, driver="postgresql+psycopg2"),
        "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "false",  # `migrate` has done it; asking again costs each component a second
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "true",  # nothing runs until an operator says so
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",  # what it may reach is checked as in a run
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__FERNET_KEY": secret("airflow-fernet.key", Fernet.generate_key().decode()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(secret_path(_LOGINS)),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings().home / "logs" / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(settings().home / "logs" / "dag-processor"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "false",
    }


def _api(base: str, api_port: int) -> dict[str, str]:
    """Everything that holds the port, in one place: the parts of Airflow find each other by it."""
    return {
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__INSTANCE_NAME": "Connected Data Spine",
        "AIRFLOW__API__SECRET_KEY": secret("airflow-session.key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secret("airflow-jwt.key", secrets.token_urlsafe(64)),
    }


def _pace() -> dict[str, str]:
    return {
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    }


def migrate(server: EmbeddedPostgres, env: Mapping[str, str]) -> bool:
    """Bring Airflow's tables to this version, if a start of this home has not done so; True if it was done. Raises StackFailed."""
    from importlib.metadata import version

    stamp = f"airflow {version('apache-airflow')}"
    with psycopg.connect(server.uri("airflow", user=AIRFLOW_ROLE), autocommit=True) as connection:
        row = connection.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'").fetchone()
        if row and row[0] == stamp:
            return False
        command = [str(connect.bin_folder() / "airflow"), "db", "migrate"]
        log = processes.log_file("airflow-migrate")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            done = subprocess.run(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise StackFailed(f"airflow db migrate failed: {processes.log_end('airflow-migrate')}", hint=f"See {log}")
        connection.execute(f"COMMENT ON DATABASE airflow IS '{stamp}'")
    return True


def start(env: Mapping[str, str]) -> None:
    """Start those of the four components that do not run; `wait` says when they are healthy."""
    airflow = str(connect.bin_folder() / "airflow")
    for component in COMPONENTS:
        name = name_of(component)
        if processes.alive(name):
            continue
        processes.finish(name, timeout=0)
        # Task logs are files on this machine, so no component needs to serve them to the others.
        extra = ["--skip-serve-logs"] if component in ("scheduler", "triggerer") else []
        api_port = int(env["AIRFLOW__API__PORT"]) if component == "api-server" else 0
        processes.spawn(name, [airflow, component, *extra], env, port=api_port)


def api(user: str = "admin") -> AirflowApi:
    """The REST API of the running Airflow as one of its users."""
    return AirflowApi(url(), user, password(user))


def healthy() -> bool:
    """True if all parts of Airflow say so and all four processes live."""
    states = health(url()) if url() else {}
    wanted = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    return all(processes.alive(name_of(component)) for component in COMPONENTS) and all(states.get(part) == "healthy" for part in wanted)


def wait(timeout: float = 180) -> None:
    """Wait until Airflow is healthy. Raises StackFailed, naming the component that died."""
    processes.wait_until(healthy, [name_of(component) for component in COMPONENTS], what="Airflow", timeout=timeout)


def stop() -> None:
    """End the four components and every task they run, within seconds: a killed task is safe to run again."""
    for component in COMPONENTS:
        processes.ask_to_stop(name_of(component))
    for component in COMPONENTS:
        processes.finish(name_of(component), timeout=8)
