"""Lines as they are said, and what breaks a silence."""

from __future__ import annotations

import threading

from spine.stack.voice import Voice


def test_a_line_comes_with_the_seconds_since_the_start() -> None:
    heard: list[tuple[float, str]] = []
    with Voice(lambda seconds, line: heard.append((seconds, line))) as say:
        say("PostgreSQL ready")
    assert [line for _, line in heard] == ["PostgreSQL ready"]
    assert 0 <= heard[0][0] < 1


def test_a_silence_is_broken_by_what_goes_on_and_only_while_there_is_something() -> None:
    heard: list[str] = []
    broken = threading.Event()

    def put(_: float, line: str) -> None:
        heard.append(line)
        broken.set()

    with Voice(put, silence=0.05) as say:
        assert not broken.wait(0.3), "nothing goes on, nothing is said"
        say.doing = lambda: "normalize runs"
        assert broken.wait(10)
    assert set(heard) == {"… normalize runs"}
