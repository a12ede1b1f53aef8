"""A tap's own virtual environment: made once by uv, used by all workers of this machine, also where no registry can be reached."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spine.core.errors import ConfigError
from spine.core.settings import settings, without_secrets

_INSTALLING = 900.0  # seconds


def program_of(executable: str, requirements: Sequence[str]) -> Path:
    """The whole path of a tap's program, installed if need be. Raises ConfigError if it cannot be, or has no such program."""
    if requirements:
        found: Path | None = _environment(requirements) / "bin" / executable
    else:
        named = shutil.which(executable)
        found = Path(named) if named else None
    if found is None or (requirements and "/" in executable) or not os.access(found, os.X_OK):
        raise ConfigError(f"there is no program {executable!r}", hint="Correct `tap.executable`, or name its package in `tap.requirements`")
    return found


def _environment(requirements: Sequence[str]) -> Path:
    """The environment that has exactly these requirements and what they need."""
    digest = hashlib.sha256("\n".join([sys.version.split()[0], *sorted(requirements)]).encode()).hexdigest()[:16]
    folder = settings().home / "taps" / digest
    ready = folder / "ready"
    if not ready.exists():
        with _locked(folder.with_suffix(".lock")):
            if not ready.exists():  # another worker may have made it meanwhile
                shutil.rmtree(folder, ignore_errors=True)  # what one that died has left
                _install(folder, requirements)
                ready.touch()
    return folder


def _install(folder: Path, requirements: Sequence[str]) -> None:
    from uv import find_uv_bin

    uv = find_uv_bin()
    for step in (
        [uv, "venv", "-q", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "-q", "--python", str(folder / "bin" / "python"), *requirements],
    ):
        try:
            done = subprocess.run(
                step,
                capture_output=True,
                text=True,
                timeout=_INSTALLING,
                env=without_secrets(os.environ),
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"the tap could not be installed within {_INSTALLING:g} s", hint="Look at the package index") from None
        if done.returncode:
            said = " ".join(done.stderr.split())[-400:]
            raise ConfigError(f"the tap could not be installed: {said}", hint="Correct `tap.requirements`, or look at the package index")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; a lock of one that dies is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
