"""Processes that outlive the command that started them: one pid file and one log per name, stopped with all their children.

Each process leads a session of its own; whatever it forks stays findable by that session even after the leader has died.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil  # type: ignore[import-untyped]

from spine.core.errors import ConfigError, StackFailed
from spine.core.ports import LOOPBACK
from spine.core.settings import settings


@dataclass(frozen=True)
class Running:
    """A process that a pid file names: its pid, when it was born (seconds since 1970), and its port if it has one."""

    pid: int
    born: float
    port: int = 0


def run_folder() -> Path:
    """Where pid files are."""
    return settings().home / "run"


def log_file(name: str) -> Path:
    """The log of a process."""
    return settings().home / "logs" / f"{name}.log"


def spawn(name: str, command: Sequence[str], env: Mapping[str, str], *, port: int = 0) -> Running:
    """Start `command` as `name`, detached from this terminal; what it writes is this user's alone. Raises ConfigError if there is none."""
    for folder in (log_file(name).parent, run_folder()):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(log_file(name), "ab", opener=_private) as log:
        try:
            process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,  # Airflow writes keys into its configuration, tasks their results
            )
        except OSError as error:
            raise ConfigError(f"{command[0]} cannot be started: {error}", hint="Run `make setup`") from error
    return remember(name, process.pid, port)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def remember(name: str, pid: int, port: int = 0) -> Running:
    """Write the pid file of a process that leads its own session."""
    running = Running(pid, psutil.Process(pid).create_time(), port)
    partial = run_folder() / f"{name}.partial"
    partial.write_bytes(orjson.dumps(running))
    partial.replace(run_folder() / f"{name}.pid")
    return running


def recorded(name: str) -> Running | None:
    """What the pid file says, whether or not the process lives."""
    try:
        return Running(**orjson.loads((run_folder() / f"{name}.pid").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def alive(name: str) -> Running | None:
    """The process of that name if it lives; never another one that was given its pid."""
    running = recorded(name)
    return running if running and _is(running) else None


def _is(running: Running) -> bool:
    try:
        process = psutil.Process(running.pid)
        return bool(abs(process.create_time() - running.born) < 1 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def members(running: Running) -> list[psutil.Process]:
    """The process and all that it started, also after its own death: a session's number is not given away while one member lives."""
    if not _is(running) and psutil.pid_exists(running.pid) and not _zombie(running.pid):
        return []  # the number now belongs to somebody else
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == running.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def ask_to_stop(name: str) -> None:
    """Send the leader alone SIGTERM, so that it may end its children in its own order."""
    running = alive(name)
    if running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)


def finish(name: str, *, timeout: float) -> None:
    """Wait until the process and all its children are gone, kill those left after `timeout` seconds, forget the pid file."""
    running = recorded(name)
    if running is None:
        return
    deadline = time.monotonic() + timeout
    while _is(running) and time.monotonic() < deadline:
        _reap(running.pid)
        time.sleep(0.05)
    left = members(running)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    _reap(running.pid)
    (run_folder() / f"{name}.pid").unlink(missing_ok=True)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def stop(name: str, *, timeout: float = 20) -> None:
    """End a process and its children; does nothing if there is none."""
    ask_to_stop(name)
    finish(name, timeout=timeout)


def wait_until(ready: Callable[[], bool], names: Sequence[str], *, what: str, timeout: float) -> None:
    """Wait for `ready`. Raises StackFailed with the log's end if one of the processes dies or the time is up."""
    deadline = time.monotonic() + timeout
    while not ready():
        for name in names:
            if not alive(name):
                raise StackFailed(f"{name} ended while {what} was starting: {log_end(name)}", hint=f"See {log_file(name)}")
        if time.monotonic() > deadline:
            raise StackFailed(f"{what} is not ready after {timeout:.0f} s", hint=f"See {', '.join(str(log_file(name)) for name in names)}")
        time.sleep(0.2)


def log_end(name: str, size: int = 1500) -> str:
    """The last lines of a log, for messages."""
    try:
        return log_file(name).read_text(errors="replace")[-size:].strip()
    except OSError:
        return "(no log)"


def listening(port: int) -> bool:
    """True if something on this machine accepts connections at that port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
