"""The sandbox as a process: starts, writes the truth, answers, ends when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

INCLUDE = Path(__file__).parents[2] / "include"


def test_the_process_serves_until_it_is_ended(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        f"--port={port}",
        "--scale=300",
        "--tenants=default,acme:100",
        f"--drop={tmp_path / 'drop'}",
        f"--truth={tmp_path / 'truth.csv'}",
    ]
    arguments += [f"--state={tmp_path / 'journal'}", "--now=2026-01-31T12:00:00Z"]
    environment = {**os.environ, "PYTHONPATH": str(INCLUDE)}
    process = subprocess.Popen([sys.executable, "-m", "spine.sandbox", *arguments], env=environment)
    try:
        status = None
        for _ in range(600):  # it imports much, and other tests may keep the cores busy
            try:
                status = requests.get(f"http://127.0.0.1:{port}/_sandbox", timeout=5).json()
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        assert status is not None
        assert {name: tenant["scale"] for name, tenant in status["tenants"].items()} == {"default": 300, "acme": 100}
        assert status["now"] == "2026-01-31T12:00:00.000000Z"
        assert (tmp_path / "truth.csv").read_text().startswith("tenant,source,stream,record_id,entity,true_id\n")
        assert len(list((tmp_path / "drop" / "acme").iterdir())) > 20
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in (0, -signal.SIGTERM)
