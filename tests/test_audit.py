"""`make audit`: locked tools, a list of components, and an exit code that takes no silence for safety. Stubs play the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spine.core.settings import PROJECT

SCRIPT = PROJECT / "scripts" / "audit.py"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose tools are there: the list is written, and the advisories answer as a test says."""
    tools = tmp_path / "audit" / "bin"
    tools.mkdir(parents=True)
    shutil.copy(PROJECT / "scripts" / "audit-requirements.txt", tmp_path / "audit" / "made-from")
    (tools / "cyclonedx-py").write_text("#!/bin/sh\ntrue\n")
    (tools / "pip-audit").write_text('#!/bin/sh\necho "$@" >&2\necho "$ANSWER" >&2\nexit "$CODE"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    return tmp_path


def audit(home: Path, code: int, answer: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPINE_HOME": str(home), "CODE": str(code), "ANSWER": answer}
    return subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "answer", "exit_code", "said"),
    [
        (0, "No known vulnerabilities found", 0, "no known hole"),
        (1, "Found 2 known vulnerabilities in 1 package", 1, "Found 2 known"),
        (1, "ERROR: jinja2: Dependency not found on PyPI", 2, "could not be asked"),
        (1, "ConnectionError", 2, "run it again with network"),
    ],
)
def test_only_an_answer_counts(home: Path, code: int, answer: str, exit_code: int, said: str) -> None:
    done = audit(home, code, answer)
    assert done.returncode == exit_code
    assert said in done.stdout + done.stderr


def test_without_tools_and_network_it_says_so(tmp_path: Path) -> None:
    done = audit(tmp_path, 0, "")
    assert done.returncode == 2
    assert "run it again with network" in done.stderr


def test_the_tools_are_locked_by_hash_and_no_part_of_the_tests() -> None:
    lock = (PROJECT / "scripts" / "audit-requirements.txt").read_text()
    wanted = (PROJECT / "scripts" / "audit-requirements.in").read_text().split()
    assert all(f"{one} \\" in lock for one in wanted)
    assert len(re.findall(r"^\S+==", lock, re.MULTILINE)) <= lock.count("--hash=sha256:")
    assert "--strict" in SCRIPT.read_text()
    test = next(line for line in (PROJECT / "Makefile").read_text().splitlines() if line.startswith("test:"))
    assert "audit" not in test
