"""Starts and stops the whole stack in the right order: what costs most starts first, what depends waits for what it needs.

Every piece is looked at by itself, so a second `up`, or one after a crash, starts only what is missing.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from spine.control import embedded
from spine.control.bootstrap import bootstrap
from spine.core.errors import StackFailed
from spine.core.names import CONNECTOR_POOL, DEFAULT_TENANT
from spine.core.ports import LOOPBACK, free_port
from spine.core.settings import settings, without_secrets
from spine.sources.check import matched_entities, readable_sources
from spine.stack import airflow, connect, keeper, processes
from spine.stack.analysts import AnalystLogin, let_in
from spine.stack.vendors import allow_loopback

Progress = Callable[[str], None]
SANDBOX = "sandbox"
SANDBOX_PORT = 8765


@dataclass(frozen=True)
class Stack:
    """Addresses of a running stack, the login for Gold of tenant `default`; `seconds` is what `up` took."""

    airflow_url: str
    sandbox_url: str
    spark_url: str
    gold: AnalystLogin
    seconds: float


def up(progress: Progress = print, *, sandbox: bool = True, scale: int = 1000, tenants: str = "default,acme") -> Stack:
    """Start what does not run yet, wait until all of it is healthy, set up pool and Connections. Raises StackFailed.

    `progress` gets one line for each piece that became ready. `scale` and `tenants` describe the sandbox's world. The keeper starts
    again what dies later.
    """
    began = time.monotonic()

    def ready(what: str) -> None:
        progress(f"{what} is ready")

    with _only_one(), ThreadPoolExecutor(max_workers=3) as pool:
        connect.start()  # the JVM needs longest to warm up and depends on nothing
        if sandbox:
            allow_loopback()
            _start_sandbox(scale, tenants)
        last = processes.recorded(airflow.name_of("api-server"))
        if not embedded.alive(settings().home):
            airflow.stop()  # what was connected to a server that died follows it within seconds
        server = embedded.start(settings().home)
        ready("PostgreSQL")
        control = pool.submit(bootstrap, server.uri_admin)
        env = airflow.environment(server, server.uri("spine", user="spine_app"), _api_port(last))
        if airflow.migrate(server, env):
            ready("Airflow's tables")
        spine_postgres = control.result()
        gold = let_in(server, DEFAULT_TENANT)
        airflow.start({**env, "SPINE_POSTGRES": spine_postgres})
        connect.wait()
        ready("Spark Connect")
        if sandbox:
            processes.wait_until(lambda: bool(sandbox_url(answering=True)), [SANDBOX], what="the sandbox", timeout=120)
            ready("sandbox")
        airflow.wait()
        _furnish(server)
        _wait_for_dags(timeout=120)
        keeper.start(scale, tenants, sandbox=sandbox)
        ready("Airflow")
    return Stack(airflow.url(), sandbox_url(), connect.url(), gold, time.monotonic() - began)


def down(progress: Progress = print) -> None:
    """Stop everything that `up` started in this home, with all children, within seconds; does nothing where nothing runs."""
    keeper.stop()  # before the lock, which it holds while it starts something again
    with _only_one():
        processes.ask_to_stop(SANDBOX)
        airflow.stop()
        progress("Airflow stopped")
        processes.stop(connect.NAME, timeout=10)
        processes.stop(SANDBOX, timeout=5)
        embedded.stop(settings().home)
        progress("Spark, sandbox and PostgreSQL stopped")


def status() -> dict[str, str]:
    """Each piece of the stack with `running`, `stopped`, or `died` where a pid file outlived its process."""
    names = [connect.NAME, SANDBOX, *map(airflow.name_of, airflow.COMPONENTS), keeper.NAME]
    states = {"postgres": "running" if embedded.alive(settings().home) else "stopped"}
    for name in names:
        dead = "died" if processes.recorded(name) else "stopped"
        states[name] = "running" if processes.alive(name) else dead
    return states


def running_environment() -> dict[str, str]:
    """Airflow's environment of the running stack, for `airflow` commands by hand. Raises StackFailed if it does not run."""
    server = embedded.running(settings().home)
    if server is None or not airflow.port():
        raise StackFailed("the stack is not running", hint="Run `make up`")
    return airflow.environment(server, server.uri("spine", user="spine_app"), airflow.port())


def sandbox_url(*, answering: bool = False) -> str:
    """Address of the running sandbox, or an empty text; with `answering`, only once it takes connections."""
    running = processes.alive(SANDBOX)
    if running is None or (answering and not processes.listening(running.port)):
        return ""
    return f"http://{LOOPBACK}:{running.port}"


def _start_sandbox(scale: int, tenants: str) -> None:
    if processes.alive(SANDBOX):
        return
    last = processes.recorded(SANDBOX)
    processes.finish(SANDBOX, timeout=0)
    folder = settings().home / "sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(last.port if last else SANDBOX_PORT)
    command = [sys.executable, "-m", "spine.sandbox", "--port", str(port), "--scale", str(scale), "--tenants", tenants]
    command += ["--drop", str(folder / "drop"), "--state", str(folder / "journal"), "--truth", str(folder / "truth.csv")]
    processes.spawn(SANDBOX, command, without_secrets(os.environ), port=port)


def _api_port(last: processes.Running | None) -> int:
    """The api-server's port, if possible that of the `last` one. If that is taken, the rest of Airflow, which reports to it, stops."""
    if airflow.port():
        return airflow.port()
    wanted = last.port if last else airflow.PREFERRED_PORT
    port = free_port(wanted)
    if last and port != wanted:
        airflow.stop()
    return port


def _furnish(server: embedded.EmbeddedPostgres) -> None:
    """The pool and the three Connections that the DAGs expect; repeated at every start, since addresses may have changed."""
    api = airflow.api()
    api.put_pool(CONNECTOR_POOL, settings().pool_size, "At most this many connector tasks at once (CONNECTOR_POOL_SIZE)")
    spark = processes.recorded(connect.NAME)
    api.put_connection(
        "spark_default",
        "spark_connect",
        host="localhost",
        port=spark.port if spark else connect.PREFERRED_PORT,
        description="Warm Spark Connect server of this stack; type `spark`, host local[2] or spark://… submits each job instead",
    )
    api.put_connection(
        "spine_postgres",
        "postgres",
        host=str(server.socket_dir),
        schema="spine",
        login="spine_app",
        description="Control plane and Gold (embedded server, Unix socket)",
    )
    api.put_connection(
        "spine_lake", "generic", host=settings().lake, description="The lake: a folder, or s3://… with keys in login and password"
    )


def _wait_for_dags(timeout: float) -> None:
    """Wait until Airflow has read every DAG that the declarations make. Raises StackFailed, naming those that are missing."""
    wanted = {f"sync_{source.source}" for source in readable_sources()} | {f"resolve_{entity.entity}" for entity in matched_entities()}
    deadline = time.monotonic() + timeout
    while missing := (wanted | {"maintain_lake"}) - set(airflow.api().dag_ids()):
        if time.monotonic() > deadline:
            raise StackFailed(f"Airflow has not read {', '.join(sorted(missing))}", hint="Look at the import errors in the UI")
        time.sleep(0.5)


@contextmanager
def _only_one() -> Iterator[None]:
    """One `up` or `down` at a time per home; freed by the kernel if its process dies."""
    processes.run_folder().mkdir(parents=True, exist_ok=True)
    with (processes.run_folder() / "stack.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
