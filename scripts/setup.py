"""Makes `.venv` and `.spine/jars` as the lock file says; a step whose input has not changed is skipped.

Runs on the system's Python with the standard library alone. Safe to interrupt and to run twice at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("SPINE_HOME", ROOT / ".spine")).expanduser().resolve()
VENV = ROOT / ".venv"
UV = HOME / "bootstrap" / "bin" / "uv"
JARS = HOME / "jars"
UV_VERSION = "0.13.8"
DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"
NEEDED = ("io.delta_*.jar", "io.unitycatalog_*.jar")
JAR_COUNT = 7
# Spark brings these itself, newer; leaving them out spares 60 MB of download.
SPARK_HAS = ("com.fasterxml.*", "com.github.luben", "com.google.*", "commons-*", "io.airlift", "javax.*", "org.*")


def main() -> None:
    """Take every step that is due, in order, while holding the lock of this home."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = f"{sys.version_info.major}.{sys.version_info.minor} {ROOT}"
        lock_text = (ROOT / "requirements.txt").read_text()
        step("uv", UV_VERSION, UV.is_file(), "uv", install_uv)
        renewed = step("packages", python + lock_text, (VENV / "bin" / "python").exists(), "locked packages", install_packages)
        project = python + (ROOT / "pyproject.toml").read_text()
        step("project", project, (VENV / "bin" / "spine").exists() and not renewed, "the spine itself", install_project)
        step("jars", DELTA, len(list(JARS.glob("*.jar"))) == JAR_COUNT, "Delta's jars", resolve_jars)


def step(name: str, key: str, present: bool, label: str, work: Callable[[], None]) -> bool:
    """Do `work` unless its result is there and was made from the same `key`; True if it was done."""
    stamp = HOME / "stamps" / name
    digest = hashlib.sha256(key.encode()).hexdigest()
    if present and stamp.exists() and stamp.read_text() == digest:
        return False
    print(f"setup: {label} …", flush=True)
    stamp.unlink(missing_ok=True)
    work()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)
    return True


def install_uv() -> None:
    """A tiny environment of its own, so that uv need not be installed by hand."""
    folder = UV.parents[1]
    run(sys.executable, "-m", "venv", "--clear", str(folder))
    run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={UV_VERSION}")


def install_packages() -> None:
    """Exactly the locked packages, each checked against its hash."""
    if not works(VENV / "bin" / "python"):
        run(str(UV), "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV))
    run(str(UV), "pip", "sync", "--quiet", "--require-hashes", "--python", str(VENV), "requirements.txt")


def works(python: Path) -> bool:
    """True if this environment was made with the Python that runs now."""
    asked = [str(python), "-c", "import sys; print(sys.version_info[:2])"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer.strip() == str(sys.version_info[:2])


def install_project() -> None:
    """Editable, so that the `spine` command runs what is in the folder."""
    run(str(UV), "pip", "install", "--quiet", "--no-deps", "--python", str(VENV), "-e", ".")


def resolve_jars() -> None:
    """Let Spark's own resolver fetch and check Delta once; afterwards no start needs the network."""
    ivy, fresh = HOME / "ivy", HOME / "jars.new"
    noop = HOME / "noop.py"
    noop.write_text("")
    log = HOME / "jars.log"
    command = [str(VENV / "bin" / "spark-submit"), "--master", "local[1]", "--packages", DELTA]
    command += ["--exclude-packages", ",".join(f"{group}:*" for group in SPARK_HAS), "--conf", f"spark.jars.ivy={ivy}", str(noop)]
    # spark-submit finds Spark through the first python on PATH.
    environment = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}", "SPARK_LOCAL_IP": "127.0.0.1"}
    environment.pop("SPARK_REMOTE", None)
    with log.open("w") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    found = [path for pattern in NEEDED for path in (ivy / "jars").glob(pattern)]
    if done.returncode != 0 or len(found) != JAR_COUNT:
        sys.exit(f"setup: Delta's jars could not be resolved ({len(found)} of {JAR_COUNT}); see {log} and run it again with network")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for path in found:
        shutil.copy2(path, fresh)
    shutil.rmtree(JARS, ignore_errors=True)
    fresh.rename(JARS)
    shutil.rmtree(ivy, ignore_errors=True)
    noop.unlink()
    log.unlink()


def run(*command: str) -> None:
    """A command in the project's folder; its failure ends the set-up with its own message."""
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"setup: `{' '.join(command[:4])} …` failed with exit code {done.returncode}; mend that and run it again")


if __name__ == "__main__":
    main()
