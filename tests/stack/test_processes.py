"""Processes that outlive their starter: found again by pid file, never confused, ended with all their children."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from spine.core.errors import ConfigError, StackFailed
from spine.core.ports import free_port
from spine.stack import processes
from spine.stack.files import secret, secret_path

SLEEPER = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def _home(home: Path):
    yield
    processes.stop("sleeper", timeout=1)


def spawn(code: str = SLEEPER) -> processes.Running:
    return processes.spawn("sleeper", [sys.executable, "-c", code], os.environ, port=4711)


def child_of_sleeper() -> psutil.Process:
    processes.wait_until(lambda: bool(processes.log_end("sleeper").isdigit()), ["sleeper"], what="sleeper", timeout=20)
    return psutil.Process(int(processes.log_end("sleeper")))


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_process_is_found_again_with_its_port() -> None:
    started = spawn()
    assert processes.alive("sleeper") == started
    assert started.port == 4711


def test_stopping_ends_the_children_as_well() -> None:
    spawn()
    child = child_of_sleeper()
    processes.stop("sleeper", timeout=5)
    assert gone(child)
    assert processes.recorded("sleeper") is None


def test_children_of_a_killed_process_are_still_found_and_ended() -> None:
    started = spawn()
    child = child_of_sleeper()
    os.kill(started.pid, signal.SIGKILL)
    processes.wait_until(lambda: processes.alive("sleeper") is None, [], what="death", timeout=5)
    processes.finish("sleeper", timeout=0)
    assert gone(child)


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    started = spawn("import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)")
    processes.wait_until(lambda: processes.log_end("sleeper") == "1", ["sleeper"], what="sleeper", timeout=20)
    processes.stop("sleeper", timeout=0.3)
    assert gone_pid(started.pid)


def gone_pid(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_pid_given_to_another_program_is_left_alone() -> None:
    own = os.getpid()
    processes.run_folder().mkdir(parents=True)
    (processes.run_folder() / "sleeper.pid").write_text(f'{{"pid": {own}, "born": 1.0, "port": 0}}')
    assert processes.alive("sleeper") is None
    assert processes.members(processes.recorded("sleeper")) == []
    processes.stop("sleeper", timeout=0)  # this test would not survive a mistake
    assert processes.recorded("sleeper") is None


@pytest.mark.parametrize("text", ["", "not json", "[1]", '{"pid": 1}'], ids=["empty", "text", "list", "half"])
def test_a_broken_pid_file_counts_as_none(text: str) -> None:
    processes.run_folder().mkdir(parents=True)
    (processes.run_folder() / "sleeper.pid").write_text(text)
    assert processes.recorded("sleeper") is None


def test_waiting_says_who_died_and_why() -> None:
    spawn("raise SystemExit('no such table')")
    with pytest.raises(StackFailed, match=r"sleeper ended while it was starting: no such table"):
        processes.wait_until(lambda: False, ["sleeper"], what="it", timeout=20)


def test_waiting_ends() -> None:
    began = time.monotonic()
    with pytest.raises(StackFailed, match="not ready after 0 s"):
        processes.wait_until(lambda: False, [], what="it", timeout=0.3)
    assert time.monotonic() - began < 5


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ConfigError, match="no-such-program"):
        processes.spawn("sleeper", ["no-such-program"], os.environ)


def test_a_taken_port_is_not_used() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert processes.listening(port)
        assert free_port(port) != port


def test_a_secret_is_made_once_and_private() -> None:
    first = secret("key")
    assert secret("key") == first
    assert secret("other", "given") == "given"
    assert secret("other", "another") == "given"
    assert secret_path("key").stat().st_mode & 0o777 == 0o600
    assert secret_path("key").parent.stat().st_mode & 0o077 == 0
