"""A small client of Airflow's REST API, for what the stack sets up and the demo follows. A call takes 0.1 s; an `airflow` command takes 5.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html. Uses `requests` directly: the connectors' transport is about
vendors (limits, retries, redirects) and refuses addresses of this machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import requests

from spine.core.errors import StackFailed

FINISHED = frozenset({"success", "failed"})
_PAGE = 100


def health(url: str) -> dict[str, str]:
    """State of each part of Airflow as it says it (`healthy`, `unhealthy`); empty while the api-server does not answer."""
    try:
        answer = requests.get(f"{url}/api/v2/monitor/health", timeout=5)
        parts: dict[str, dict[str, str | None]] = answer.json() if answer.ok else {}
    except requests.RequestException:
        return {}
    return {part: str(facts.get("status")) for part, facts in parts.items()}


class AirflowApi:
    """One logged-in user. Every method raises StackFailed with Airflow's own words when Airflow refuses or does not answer."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()

    def call(self, method: str, path: str, body: Any = None, *, missing_ok: bool = False, **query: Any) -> Any:
        """Answer of `/api/v2<path>` as JSON values; None if it has no body, or if it is 404 and `missing_ok`."""
        if "Authorization" not in self._session.headers:
            self._authenticate()
        answer = self._send(method, f"/api/v2{path}", body, query)
        if answer.status_code == 401:  # the token lives a day; the stack may run longer
            self._authenticate()
            answer = self._send(method, f"/api/v2{path}", body, query)
        if answer.status_code == 404 and missing_ok:
            return None
        if not answer.ok:
            raise StackFailed(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def _authenticate(self) -> None:
        self._session.headers.pop("Authorization", None)
        answer = self._send("POST", "/auth/token", self._login, {})
        if not answer.ok:
            raise StackFailed(
                f"Airflow refused the login of {self._login['username']} ({answer.status_code})", hint="Restart with `make down up`"
            )
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _send(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> requests.Response:
        try:
            return self._session.request(method, self._url + path, json=body, params=dict(query), timeout=30)
        except requests.RequestException as error:
            raise StackFailed(f"Airflow at {self._url} does not answer: {type(error).__name__}", hint="Run `make up`") from error

    def listed(self, path: str, key: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All entries of a listing, page by page; `key` is the name of the list in the answer."""
        offset = 0
        while True:
            page = self.call("GET", path, limit=_PAGE, offset=offset, **query)
            yield from page[key]
            offset += len(page[key])
            if not page[key] or offset >= page["total_entries"]:
                return

    def _put(self, collection: str, key: str, body: dict[str, Any]) -> None:
        """Create or change one thing of a collection that has POST on the list and PATCH on the entry."""
        path = f"/{collection}/{quote(key, safe='')}"
        if self.call("GET", path, missing_ok=True) is None:
            self.call("POST", f"/{collection}", body)
        else:
            self.call("PATCH", path, body)

    def put_connection(self, connection_id: str, conn_type: str, **fields: Any) -> None:
        """Create or change a Connection; `extra` must be JSON text."""
        self._put("connections", connection_id, {"connection_id": connection_id, "conn_type": conn_type, **fields})

    def put_variable(self, key: str, value: str, description: str = "") -> None:
        """Create or change a Variable."""
        self._put("variables", key, {"key": key, "value": value, "description": description})

    def put_pool(self, name: str, slots: int, description: str = "") -> None:
        """Create or change a pool; a task whose pool is missing waits for ever."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        self._put("pools", name, body)

    def dag_ids(self) -> list[str]:
        """The DAGs that Airflow has read so far."""
        return [str(dag["dag_id"]) for dag in self.listed("/dags", "dags", exclude_stale="true")]

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that Airflow could not read, each with `filename` and `stack_trace`."""
        return list(self.listed("/importErrors", "import_errors"))

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused}, update_mask="is_paused")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run now; returns its run id."""
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run: `state`, `start_date`, `end_date`, `run_type` and more."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))

    def runs(self, dag_id: str, **query: Any) -> list[dict[str, Any]]:
        """Runs of a DAG; filters as in Airflow's documentation, such as `run_type` or `start_date_gte`."""
        return list(self.listed(f"/dags/{dag_id}/dagRuns", "dag_runs", **query))

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Tasks of a run: `task_id`, `map_index`, `rendered_map_index`, `state`, `try_number` and more."""
        return list(self.listed(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances", "task_instances"))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """A value that a task left; None if it left none."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries/{key}"
        entry = self.call("GET", path, missing_ok=True, map_index=map_index)
        return None if entry is None else entry["value"]

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float = 600, interval: float = 1.0) -> str:
        """`success` or `failed`, as soon as the run has ended. Raises StackFailed after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (state := str(self.run(dag_id, run_id)["state"])) not in FINISHED:
            if time.monotonic() > deadline:
                raise StackFailed(f"the run is still {state} after {timeout:.0f} s", dag=dag_id, run=run_id)
            time.sleep(interval)
        return state
