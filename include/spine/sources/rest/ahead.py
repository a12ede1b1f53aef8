"""Asks for the next page while the one before it is turned into rows and written: one page at a time, by one thread with its connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Ahead:
    """Does work beside whoever gives it, in the order in which it is given.

    What a work raises is raised where its result is asked for. On leaving, work under way is not waited for: its thread ends behind it, and
    holds up no process that ends.
    """

    def __init__(self) -> None:
        self._orders: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._orders.put(None)

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Have it done; what is called for its result."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._do, name="spine-ahead", daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._orders.put((future, work))
        return future.result

    def _do(self) -> None:
        while (order := self._orders.get()) is not None:
            future, work = order
            try:
                future.set_result(work())
            except BaseException as error:  # whoever waits for it gets it
                future.set_exception(error)
            del order, future, work  # a page is not held until the next one is asked for
