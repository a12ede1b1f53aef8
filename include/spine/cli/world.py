"""What commands need around them: control plane, Airflow's Variables and Connections, a Spark session. Starts the embedded PostgreSQL."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from spine.cli import show
from spine.core.settings import settings

if TYPE_CHECKING:
    from spine.control.variables import Variables
    from spine.pipeline.services import Services


def control_url() -> str:
    """URL of the control plane; the embedded server is started and its schema made where no other is named.

    Raises ControlPlaneUnavailable, ConfigError.
    """
    arrow_alone()
    if settings().postgres:
        return settings().postgres
    from spine.control import embedded
    from spine.control.bootstrap import ensure

    url = ensure(embedded.start(settings().home).uri_admin)
    os.environ["SPINE_POSTGRES"] = url
    return url


def services() -> Services:
    """The pipeline's services outside a task. Raises ControlPlaneUnavailable, ConfigError."""
    with show.working("Open the control plane and Airflow's store"):  # also: Airflow logs to what is stdout at its import
        variables(control_url())
        from spine.pipeline.services import services_from_environment

        return services_from_environment()


def variables(url: str) -> Variables:
    """Airflow's Variables alone, of the deployment whose control plane is at `url`. Raises ControlPlaneUnavailable."""
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in os.environ:
        _use_embedded_airflow(url)
    from spine.control.airflow_state import TENANTS_VARIABLE, AirflowVariables

    made = AirflowVariables()
    made.get(TENANTS_VARIABLE)  # a first question, so that Airflow is imported here and now
    return made


def _use_embedded_airflow(url: str) -> None:
    """Airflow's metadata database of this home, made if this is its first use, so that Variables and Connections are those of its UI."""
    from spine.control import embedded
    from spine.stack import airflow

    server = embedded.start(settings().home)
    environment = airflow.environment(server, url, airflow.port() or airflow.PREFERRED_PORT)
    os.environ.update({key: value for key, value in environment.items() if key.startswith(("AIRFLOW", "SPINE_"))})
    airflow.migrate(server, environment)


def lake() -> None:
    """Make the lake readable: storage options of an object store come from Airflow's Connection, a folder needs nothing."""
    arrow_alone()
    if "://" in settings().lake and settings().lake_options is None:
        services()


def arrow_alone() -> None:
    """Have pyarrow do without pandas, which it imports once, if only to ask whether a list is one of its columns; Spark still gets it."""
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        import pyarrow as pa

        pa.array([0])  # the question
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """Answers for Python's importer that there is no pandas."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def spark(name: str, *, large: bool = False) -> Any:
    """A Spark session: on the warm server if it runs; else, and for `large` work, in a JVM of its own, which takes some ten seconds."""
    from spine.lake.session import spark_session
    from spine.stack import connect

    if not large and not settings().spark_remote and connect.accepts():
        os.environ.update(connect.client_environment())
        os.environ["SPARK_REMOTE"] = connect.url()
    return spark_session(name, large=large, alone=large)
