"""The one adapter to Airflow: its Variables and Connections, inside a task (execution API) and outside (metadata database).

In both places Airflow answers "not found" when its store could not be reached, and a cursor that seems absent means reading
everything again; so whatever seems absent is asked for once more at the store itself, where failure shows.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import URL

from spine.control import embedded
from spine.control.database import Database
from spine.control.variables import Variables
from spine.core import clock
from spine.core.errors import ConfigError, ControlPlaneUnavailable
from spine.core.masking import forms
from spine.core.names import DEFAULT_TENANT, require_tenant
from spine.core.settings import settings

POSTGRES_CONNECTION = "spine_postgres"
LAKE_CONNECTION = "spine_lake"
TENANTS_VARIABLE = "spine.tenants"
_PUBLIC = frozenset({  # words of an extra that hold no secret and would only make logs unreadable
    "source", "tenant", "token_url", "scope", "auth", "rate_account",
    "path", "settle_seconds", "expires", "allow_private", "region", "endpoint_override", "scheme", "host_key",
    "AWS_REGION", "AWS_ALLOW_HTTP", "AWS_CONDITIONAL_PUT", "AWS_ENDPOINT_URL",
})  # fmt: skip


@dataclass(frozen=True)
class ConnectionInfo:
    """An Airflow Connection. Its text shows no password and no extra."""

    conn_id: str
    conn_type: str = ""
    host: str = ""
    port: int | None = None
    schema: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def secrets(self) -> list[str]:
        """What of it nobody may read: the password, alone and as Basic credentials, and what its extra has under no public name."""
        pair = b64encode(f"{self.login}:{self.password}".encode()).decode() if self.password else ""
        return [text for text in (self.password, pair, *_texts(self.extra)) if text]

    def content(self) -> bytes:
        """All that it says, the same whatever the order of its extra. Holds the secrets: for a keyed fingerprint only."""
        return orjson.dumps(vars(self), default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def _texts(extra: Mapping[str, Any]) -> Iterator[str]:
    for name, value in extra.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str) and name not in _PUBLIC:
            yield value


@dataclass(frozen=True)
class DagRunFacts:
    """A DAG run as Airflow shows it; `cleared` counts how often somebody had it run again."""

    dag_id: str
    run_id: str
    run_type: str
    state: str
    due_at: datetime
    ended_at: datetime | None
    cleared: int = 0


class AirflowVariables:
    """Airflow's Variables."""

    def get(self, key: str) -> str | None:
        """The text, None if there surely is none. Raises ControlPlaneUnavailable."""
        with _answering():
            if in_task():
                from airflow.sdk import Variable as TaskVariable

                value = TaskVariable.get(key, default=None)
            else:
                from airflow.models import Variable

                value = Variable.get(key, default_var=None)
            if value is None:
                _require_absent(variable=key)
            return value if value is None else str(value)

    def set(self, key: str, value: str) -> None:
        """Write the text into the metadata database."""
        with _answering():
            _variable_class().set(key, value)

    def delete(self, key: str) -> None:
        """Remove the text from the metadata database."""
        with _answering():
            _variable_class().delete(key)

    def keys(self, prefix: str) -> Sequence[str]:
        """Names in the metadata database; Variables of the environment or a secrets backend cannot be listed."""
        with _answering():
            if in_task():
                from airflow.sdk import Variable as TaskVariable

                return sorted(TaskVariable.keys(prefix=prefix))
            from airflow.models import Variable
            from airflow.utils.session import create_session
            from sqlalchemy import select

            with create_session() as session:
                names = session.scalars(select(Variable.key).where(Variable.key.startswith(prefix, autoescape=True)))
                return sorted(names)


def mask(secrets: Iterable[str]) -> None:
    """Have Airflow hide these secrets in all logs that it writes, in every form that they may take; does nothing where it is not loaded.

    Airflow by itself knows a Connection's password and what its extra has under a telling name, each as it is written there.
    """
    found = sorted({form for secret in secrets for form in forms(secret)})
    if found and "airflow" in sys.modules:
        from airflow.sdk.log import mask_secret

        mask_secret(found)


def in_task() -> bool:
    """True in a process that Airflow runs a task in, where only the execution API may be asked."""
    return getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", None) is not None


def get_connection(conn_id: str) -> ConnectionInfo:
    """The Connection from any of Airflow's backends. Raises ConfigError if there is none, ControlPlaneUnavailable."""
    from airflow.exceptions import AirflowNotFoundException

    with _answering():
        try:
            if in_task():
                from airflow.sdk import Connection as TaskConnection

                return _known(_info(TaskConnection.get(conn_id)))
            from airflow.models import Connection

            return _known(_info(Connection.get_connection_from_secrets(conn_id)))
        except AirflowNotFoundException:
            _require_absent(connection=conn_id)
    raise ConfigError(
        f"There is no Airflow Connection {conn_id}",
        hint="Add it in the UI (Admin, Connections), by `spine airflow connections add`, or as an environment variable",
        connection=conn_id,
    )


def put_into_connection(conn_id: str, extra: Mapping[str, str]) -> bool:
    """Put these into the extra of a Connection that is in Airflow's own database; False if it is kept elsewhere, or nowhere.

    Not in a task, which cannot write Connections. Raises ControlPlaneUnavailable.
    """
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    mask(extra.values())
    with _answering(), create_session() as session:
        found = session.scalar(select(Connection).where(Connection.conn_id == conn_id).with_for_update())
        if found is None:
            return False
        found.set_extra(orjson.dumps({**found.extra_dejson, **extra}).decode())
        return True


def tenants(source: str, variables: Variables) -> list[str]:
    """Tenants that have a source: Variable `spine.tenants`, as {"<source>": ["default", …]}; otherwise only `default`.

    The execution API cannot list Connections, so the list is kept by set-up. Raises ConfigError if it is malformed.
    """
    raw = variables.get(TENANTS_VARIABLE)
    if raw is None:
        return [DEFAULT_TENANT]
    try:
        listed = orjson.loads(raw).get(source, [DEFAULT_TENANT])
    except (orjson.JSONDecodeError, AttributeError):
        listed = None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigError(
            f"Variable {TENANTS_VARIABLE} is not a JSON object of lists", hint='Write {"salesforce": ["default"]}', source=source
        )
    return [require_tenant(name) for name in dict.fromkeys(listed)]


def latest_scheduled_run(dag_id: str) -> DagRunFacts | None:
    """The newest run of a DAG that has a logical date; None if there is none. Only in a task. Raises ControlPlaneUnavailable."""
    from datetime import timedelta

    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetPreviousDagRun

    with _answering():
        answer: Any = task_runner.SUPERVISOR_COMMS.send(GetPreviousDagRun(dag_id=dag_id, logical_date=clock.now() + timedelta(days=1)))
        run = getattr(answer, "dag_run", None)
    if run is None:
        return None
    kind, state = (str(getattr(word, "value", word)) for word in (run.run_type, run.state))
    return DagRunFacts(run.dag_id, run.run_id, kind, state, run.run_after, run.end_date, run.clear_number or 0)


def postgres_url() -> str:
    """URL of the control plane as `spine_app`: SPINE_POSTGRES, Connection `spine_postgres`, or the embedded server.

    Outside a task the embedded server comes before the Connection, since asking Airflow costs seconds of imports and, where
    it was never set up, makes its folder. Raises ConfigError if there is none of them.
    """
    if settings().postgres:
        return settings().postgres
    local = (settings().home / "postgres" / "PG_VERSION").exists()
    if in_task() or not local:
        try:
            return _url(get_connection(POSTGRES_CONNECTION))
        except ConfigError:
            if not local:
                raise
    return embedded.start(settings().home).uri("spine", user="spine_app")


def jobs_url() -> str:
    """URL of the control plane for Spark jobs, which keep the ledger and add events: SPINE_POSTGRES_JOBS, else `postgres_url()`."""
    return settings().postgres_jobs or postgres_url()


def lake_options() -> str:
    """Storage options of the lake as a JSON object from Connection `spine_lake`; empty for a local lake."""
    if "://" not in settings().lake:
        return ""
    found = get_connection(LAKE_CONNECTION)
    options = {key: str(value) for key, value in found.extra.items()}
    options |= {"AWS_ACCESS_KEY_ID": found.login} if found.login else {}
    options |= {"AWS_SECRET_ACCESS_KEY": found.password} if found.password else {}
    options |= {"AWS_ENDPOINT_URL": found.host} if found.host else {}
    return orjson.dumps(options).decode()


def open_database() -> Database:
    """The control plane at `postgres_url()`."""
    return Database(postgres_url())


def _variable_class() -> Any:
    if in_task():
        from airflow.sdk import Variable as TaskVariable

        return TaskVariable
    from airflow.models import Variable

    return Variable


def _info(found: Any) -> ConnectionInfo:
    extra = found.extra_dejson
    if not isinstance(extra, dict):
        raise ConfigError(
            f"the extra of Connection {found.conn_id} is no JSON object", hint='Write {"name": "value"}', connection=found.conn_id
        )
    return ConnectionInfo(
        conn_id=found.conn_id,
        conn_type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        schema=found.schema or "",
        login=found.login or "",
        password=found.password or "",
        extra=dict(extra),
    )


def _known(info: ConnectionInfo) -> ConnectionInfo:
    mask(info.secrets())
    return info


def _url(found: ConnectionInfo) -> str:
    """SQLAlchemy's URL of a Connection; a host that starts with `/` is the folder of a Unix socket."""
    socket = found.host.startswith("/")
    url = URL.create(
        "postgresql+psycopg",
        username=found.login or None,
        password=found.password or None,
        host=None if socket else found.host or None,
        port=found.port,
        database=found.schema or None,
        query={"host": found.host} if socket else {},
    )
    return url.render_as_string(hide_password=False)


def _require_absent(*, variable: str = "", connection: str = "") -> None:
    """Return if Airflow's own store says that there is no such thing; raise ControlPlaneUnavailable if it says anything else."""
    absent = _absent_by_api(variable, connection) if in_task() else _absent_by_database(variable, connection)
    if not absent:
        raise ControlPlaneUnavailable(
            f"Airflow could not read {variable or connection}", hint="Look at the API server's log; a retry is safe"
        )


def _absent_by_api(variable: str, connection: str) -> bool:
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, GetVariable

    question = GetVariable(key=variable) if variable else GetConnection(conn_id=connection)
    missing = ErrorType.VARIABLE_NOT_FOUND if variable else ErrorType.CONNECTION_NOT_FOUND
    answer = task_runner.SUPERVISOR_COMMS.send(question)
    return isinstance(answer, ErrorResponse) and answer.error == missing


def _absent_by_database(variable: str, connection: str) -> bool:
    from airflow.models import Connection, Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(Variable.id).where(Variable.key == variable) if variable else select(Connection.id).where(Connection.conn_id == connection)
    )
    with create_session() as session:
        return session.scalar(query) is None


@contextmanager
def _answering() -> Iterator[None]:
    """Turn failures of Airflow's API or database into ControlPlaneUnavailable."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (AirflowRuntimeError, SQLAlchemyError, OSError) as error:
        raise ControlPlaneUnavailable(
            f"Airflow's store did not answer: {type(error).__name__}", hint="Check Airflow's API server and metadata database"
        ) from error
