"""Lines for whoever watches: each with the seconds since the start, and never a long silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

SILENCE = 8.0  # seconds


class Voice:
    """Says lines by `put`; where none came for a while, says what goes on (`doing`).

    Used as a context: its thread ends with the block.
    """

    def __init__(self, put: Callable[[float, str], None], *, silence: float = SILENCE) -> None:
        self._put, self._silence = put, silence
        self._began = self._last = time.monotonic()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.doing: Callable[[], str] = lambda: ""

    def __call__(self, line: str) -> None:
        """Say a line now."""
        with self._lock:
            self._last = time.monotonic()
            self._put(self._last - self._began, line)

    def __enter__(self) -> Voice:
        """Begin to listen for silence."""
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End."""
        self._over.set()

    def _listen(self) -> None:
        while not self._over.wait(self._silence / 8):
            if time.monotonic() - self._last >= self._silence and (what := self.doing()):
                self(f"… {what}")
