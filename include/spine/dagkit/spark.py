"""Runs a Spark job where the Connection says: type `spark` by spark-submit, type `spark_connect` on a warm server.

Either way the job file is the same, runs in a process of its own, and leaves a result file that becomes our error, XCom and asset metadata.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from spine.core.errors import ConfigError
from spine.core.screen import clean
from spine.core.settings import PROJECT, secrets_of, settings, without_secrets
from spine.dagkit.links import TablesLink, ValidationLink
from spine.dagkit.quiet import quiet
from spine.pipeline.job import read_outcome

_STOP_SECONDS = 10
_BY_COMMAND_LINE = ("yarn", "k8s")  # there spark-submit takes a job's environment from `--conf`


class SpineSparkOperator(SparkSubmitOperator):
    """One job of `spark_jobs/`. `job` is the file's stem, `arguments` its command line (templated).

    `before` sees the task's context first, and may raise Airflow's exceptions that skip the task or put it off. `large` sees it too: true
    has spark-submit start a large JVM (see `spark_conf`); a job on a warm server finds out itself.
    """

    template_fields = (*SparkSubmitOperator.template_fields, "arguments")
    operator_extra_links = (ValidationLink(), TablesLink())

    def __init__(
        self,
        *,
        job: str,
        arguments: list[str],
        before: Callable[[Any], None] | None = None,
        large: Callable[[Any], bool] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(application=str(PROJECT / "spark_jobs" / f"{job}.py"), conn_id="spark_default", name=f"spine-{job}", **kwargs)
        self.job = job
        self.arguments = arguments
        self.before = before
        self.large = large
        self.result: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None

    @quiet
    def execute(self, context: Any) -> dict[str, Any]:
        """Run the job; returns its result. Raises the job's own SpineError."""
        if self.before is not None:
            self.before(context)
        result_file = _result_file(context["ti"])
        result_file.unlink(missing_ok=True)
        self.application_args = [*self.arguments, "--result", str(result_file)]
        connection = BaseHook.get_connection("spark_default")
        if connection.conn_type == "spark_connect":
            self._run_on_server(f"sc://{connection.host}:{connection.port or 15002}")
        elif str(connection.host).startswith(_BY_COMMAND_LINE):
            raise ConfigError(
                f"Spark on {connection.host} would be told our secrets on a command line",
                hint="Let Connection spark_default name local[…], spark://…, or a Spark Connect server",
            )
        else:
            self._submit(context)
        self.result, error = read_outcome(result_file, self.job)
        for line in summary(self.result):
            self.log.info(clean(line))
        if error is not None:
            if self.result:  # done for some tenants: the tasks after this one go on with theirs
                context["ti"].xcom_push(key="return_value", value=self.result)
            raise error
        return self.result

    def _run_on_server(self, remote: str) -> None:
        environment = {**without_secrets(os.environ), **job_environment(), "SPARK_REMOTE": remote}
        command = [sys.executable, self.application, *map(str, self.application_args or [])]
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.info(clean(line.rstrip()))
        self.log.info("%s ended with exit code %s", self.job, self._process.wait())

    def _submit(self, context: Any) -> None:
        from spine.lake.session import spark_conf

        self.env_vars = {**dict.fromkeys(secrets_of(os.environ), ""), **job_environment()}
        self.conf = spark_conf(large=self.large is not None and self.large(context))
        try:
            super().execute(context)
        except AirflowException as error:  # says only that spark-submit failed; the result file says why
            self.log.info("spark-submit ended with an error: %s", type(error).__name__)

    def on_kill(self) -> None:
        """Stop the job's process when the task is stopped."""
        if self._process is None:
            super().on_kill()
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()


def summary(result: dict[str, Any]) -> list[str]:
    """A job's counts, one line per entity where it has several."""
    parts = result["entities"] if isinstance(result.get("entities"), dict) else {"": result}
    return [
        f"{name}: {counts}".removeprefix(": ")
        for name, facts in parts.items()
        if (counts := ", ".join(f"{key} {value}" for key, value in facts.items() if isinstance(value, int)))
    ]


def job_environment() -> dict[str, str]:
    """What a job's process needs beyond the worker's environment: the control plane's URL and the lake's options, from Connections.

    They go by environment and never by command line, which Airflow logs.
    """
    from spine.control.airflow_state import jobs_url, lake_options

    found = {"PYTHONPATH": str(PROJECT / "include"), "SPINE_POSTGRES": jobs_url(), "SPINE_LAKE_OPTIONS": lake_options()}
    return {key: value for key, value in found.items() if value}


def _result_file(ti: Any) -> Path:
    run = re.sub(r"[^A-Za-z0-9_.-]", "_", ti.run_id)
    return settings().home / "results" / ti.dag_id / run / f"{ti.task_id}.{ti.try_number}.json"
