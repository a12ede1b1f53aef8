"""Runs a tap and reads its lines: within bounds of length and silence, without a full pipe in which both would wait for each other.

Secrets reach it in a file that only its user reads, in a folder that is gone with it; what a killed worker has left is removed by the next.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from spine.core.errors import SchemaMismatch, SourceUnavailable
from spine.core.foreign import told

_PREFIX = "spine-tap-"
_CHUNK = 1 << 16
_LONGEST = 64 << 20  # bytes of one message
_KEPT = 20  # lines of what it says of itself
_LETTERS = 2000
_GRACE = 5.0  # seconds between the order to end and the end
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "NO_PROXY")


@contextmanager
def folder_for(files: Mapping[str, Any]) -> Iterator[Path]:
    """A folder with these files as JSON, which only we may read, and which goes."""
    _sweep_up()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        for name, content in files.items():
            written = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(written, "wb") as file:
                file.write(orjson.dumps(content))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep_up() -> None:
    """Remove what processes have left that are no more."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


class Running:
    """A tap that runs: `lines` are what it writes. `secrets` are hidden in what is told of it; `patience` is seconds without a byte."""

    def __init__(self, command: list[str], folder: Path, patience: float, secrets: tuple[str, ...] = ()) -> None:
        self._patience, self._secrets = patience, secrets
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        self._said: deque[str] = deque(maxlen=_KEPT)
        self._listener = threading.Thread(target=self._listen, daemon=True, name="spine-tap")
        self._listener.start()

    def _listen(self) -> None:
        """Empty the pipe of what it says of itself, however much that is."""
        pipe = self._process.stderr
        assert pipe is not None
        with suppress(OSError, ValueError):
            while text := pipe.readline(_LETTERS):
                if text.strip():
                    self._said.append(text.decode(errors="replace"))

    def whole(self) -> bytes:
        """All that it writes, once it has ended well. Raises SourceUnavailable, SchemaMismatch."""
        return b"\n".join(self.lines())

    def lines(self) -> Iterator[bytes]:
        """Its lines until it ends. Raises SourceUnavailable if it falls silent or fails, SchemaMismatch for an endless line."""
        assert self._process.stdout is not None
        pipe, size = self._process.stdout.fileno(), 0
        parts: list[bytes] = []
        while True:
            ready, _, _ = select.select([pipe], [], [], self._patience)
            if not ready:
                raise SourceUnavailable(
                    f"the tap wrote nothing for {self._patience:g} s{self._last()}", hint="Raise `timeouts.total` if need be"
                )
            data = os.read(pipe, _CHUNK)
            if not data:
                break
            *whole, rest = data.split(b"\n")
            for line in whole:
                yield b"".join((*parts, line))
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > _LONGEST:
                raise SchemaMismatch(f"the tap wrote a line of more than {_LONGEST:,} bytes", hint="That is no Singer message")
        if size:
            yield b"".join(parts)
        self._require_good_end()

    def _require_good_end(self) -> None:
        try:
            code = self._process.wait(timeout=self._patience)
        except subprocess.TimeoutExpired:
            raise SourceUnavailable("the tap closed its output and did not end", hint="Look at the tap") from None
        if code:
            self._listener.join(_GRACE)  # its last words may still be in the pipe
            why = f"ended with code {code}" if code > 0 else f"was ended by signal {-code}"
            raise SourceUnavailable(f"the tap {why}{self._last()}", hint="What came before is kept; a retry goes on from the last STATE")

    def _last(self) -> str:
        """The last thing that it said of itself, without secrets and what may be a value."""
        if not self._said:
            return ""
        text = self._said[-1]
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return f"; it said: {told(text)}"

    def end(self) -> None:
        """End it and all that it has started."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_GRACE)
        self._signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@contextmanager
def running(command: list[str], folder: Path, patience: float, secrets: tuple[str, ...] = ()) -> Iterator[Running]:
    """A tap that runs, and has ended after that."""
    tap = Running(command, folder, patience, secrets)
    try:
        yield tap
    finally:
        tap.end()
