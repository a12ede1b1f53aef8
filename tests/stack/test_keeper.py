"""The keeper's judgement: when it mends, and how often it tries where mending does not help. Real deaths: `e2e/test_scheduler`."""

from __future__ import annotations

from typing import Any

import pytest

from spine.core.errors import StackFailed
from spine.stack import keeper


class Stack:
    """Pieces that die when told to; the clock is the sum of the pauses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends_after: float) -> None:
        self.now, self.said, self.mended, self.dead = 0.0, list[str](), list[float](), set[str]()
        self.helpless = False

        def sleep(seconds: float) -> None:
            self.now += seconds
            if self.now > ends_after:
                raise TimeoutError

        monkeypatch.setattr(keeper.time, "sleep", sleep)

    def states(self) -> dict[str, str]:
        return {name: "died" if name in self.dead else "running" for name in ("postgres", "spark-connect")}

    def mend(self) -> Any:
        self.mended.append(self.now)
        if self.helpless:
            raise StackFailed("no free port", hint="Close programs")
        self.dead.clear()

    def keep(self) -> None:
        with pytest.raises(TimeoutError):
            keeper.keep(self.states, self.mend, self.said.append)


def test_where_nothing_died_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(monkeypatch, ends_after=30)
    stack.keep()
    assert stack.mended == []
    assert stack.said == []


def test_what_died_is_started_again_once_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(monkeypatch, ends_after=60)
    stack.dead = {"postgres", "spark-connect"}
    stack.keep()
    assert stack.mended == [keeper.EVERY]
    assert stack.said == ["postgres and spark-connect died: starting again", "all of it runs again"]


def test_a_piece_that_cannot_be_mended_is_tried_less_often_but_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(monkeypatch, ends_after=1000)
    stack.dead, stack.helpless = {"spark-connect"}, True
    stack.keep()
    pauses = [later - earlier for earlier, later in zip(stack.mended, stack.mended[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 2 * keeper.EVERY
    assert pauses[-1] == keeper.PATIENCE
    assert "no free port" in stack.said[1]
