"""The next batch is fetched while the one before is worked on, and a server that falls silent is not waited for without an end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from spine.core.errors import SourceUnavailable

T = TypeVar("T")
_AHEAD = 2  # batches that wait
_LOOK = 0.5  # seconds after which the thread sees that nobody wants more
_ENDING = 5.0  # seconds for a statement that was cancelled
_END = object()


def ahead(
    begin: Callable[[], Iterator[T]], patience: float, cancel: Callable[[], Any], abandon: Callable[[], None]
) -> Iterator[T]:  # fmt: skip
    """What an iterator gives, which runs in a thread of its own. Raises what it raises, and SourceUnavailable after `patience` seconds.

    `cancel` ends what the thread waits for; it is called when nobody wants more, too. `abandon` is called where the thread waits for ever:
    what it uses must not be closed under it.
    """
    fetching = _Fetching(begin)
    thread = threading.Thread(target=fetching.run, daemon=True, name="spine-ahead")
    thread.start()
    try:
        yield from fetching.items(patience)
    finally:
        fetching.over.set()
        if not fetching.done:
            threading.Thread(target=_quietly, args=(cancel,), daemon=True, name="spine-cancel").start()
        thread.join(timeout=_ENDING)
        if thread.is_alive():
            abandon()


def _quietly(cancel: Callable[[], Any]) -> None:
    with suppress(Exception):  # what is over already cannot be ended
        cancel()


class _Fetching(Generic[T]):
    """What passes between the thread that fetches and the one that works."""

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin = begin
        self._waiting: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self.over = threading.Event()
        self.done = False

    def run(self) -> None:
        """Fetch until the end, or until nobody wants more."""
        try:
            for item in self._begin():
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        self._put(_END)

    def _put(self, item: Any) -> bool:
        while not self.over.is_set():
            with suppress(queue.Full):
                self._waiting.put(item, timeout=_LOOK)
                return True
        return False

    def items(self, patience: float) -> Iterator[T]:
        """What was fetched. Raises as `ahead` says."""
        while True:
            try:
                item = self._waiting.get(timeout=patience)
            except queue.Empty:
                hint = "If it really takes so long, raise `timeouts.total`"
                raise SourceUnavailable(f"the source sent nothing for {patience:g} s", hint=hint) from None
            if item is _END:
                self.done = True
                if self._error is not None:
                    raise self._error
                return
            yield item
