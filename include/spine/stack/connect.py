"""The warm Spark Connect server: one JVM that small jobs share, on this machine only, open only to who knows its token.

https://spark.apache.org/docs/latest/spark-connect-overview.html
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spine.core.ports import LOOPBACK, free_port
from spine.core.settings import settings, without_secrets
from spine.lake.session import spark_conf
from spine.stack import processes
from spine.stack.files import secret

NAME = "spark-connect"
PREFERRED_PORT = 15002
MEMORY = "2g"
_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


def start() -> None:
    """Start the server unless it runs; returns at once, `wait` says when it accepts."""
    if processes.alive(NAME):
        return
    last = processes.recorded(NAME)
    processes.finish(NAME, timeout=0)
    port = free_port(last.port if last else PREFERRED_PORT)  # after a death where its clients know it
    conf = {
        **spark_conf(),
        "spark.driver.memory": MEMORY,
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(port),
    }
    command = [str(bin_folder() / "spark-submit"), "--master", settings().spark_master, "--name", NAME, "--class", _CLASS]
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    environment = {**without_secrets(os.environ), "PATH": search_path(), "SPARK_CONNECT_AUTHENTICATE_TOKEN": token()}
    environment.pop("SPARK_REMOTE", None)
    processes.spawn(NAME, [*command, "spark-internal"], environment, port=port)


def wait(timeout: float = 120) -> None:
    """Wait until the server accepts connections. Raises StackFailed."""
    processes.wait_until(accepts, [NAME], what="Spark Connect", timeout=timeout)


def accepts() -> bool:
    """True if the server is there and takes connections."""
    running = processes.alive(NAME)
    return running is not None and processes.listening(running.port)


def url() -> str:
    """`sc://localhost:<port>` of the running server, or an empty text. The name matters: Spark sends its token unencrypted only there."""
    running = processes.alive(NAME)
    return f"sc://localhost:{running.port}" if running else ""


def client_environment() -> dict[str, str]:
    """What a process needs in its environment so that `spark_session` uses the server; empty if none runs."""
    return {"SPARK_REMOTE": url(), "SPARK_CONNECT_AUTHENTICATE_TOKEN": token()} if url() else {}


def token() -> str:
    """The secret that the server asks of its clients; made once, readable by this user only."""
    return secret("spark-connect.token")


def bin_folder() -> Path:
    """Where this environment's programs are (`airflow`, `spark-submit`)."""
    return Path(sys.executable).parent


def search_path() -> str:
    """PATH with this environment first: spark-submit finds Spark, and jobs find their Python, through it."""
    return f"{bin_folder()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
