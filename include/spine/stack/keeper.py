"""Keeps a started stack running: what dies is started again, in the order in which its pieces need each other.

`up` starts it last, `down` stops it first. It says what it does in `logs/keeper.log`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from spine.core import clock, screen
from spine.core.errors import SpineError
from spine.stack import processes

NAME = "keeper"
EVERY = 3.0  # seconds between two looks
PATIENCE = 60.0  # seconds between two attempts at most, where a piece dies again and again


def start(scale: int, tenants: str, *, sandbox: bool) -> None:
    """Start the keeper of this home unless it runs; the options are those of `up`."""
    if processes.alive(NAME):
        return
    processes.finish(NAME, timeout=0)
    command = [sys.executable, "-m", "spine.stack", "keep", "--scale", str(scale), "--tenants", tenants]
    processes.spawn(NAME, [*command, "--sandbox" if sandbox else "--no-sandbox"], os.environ)


def stop() -> None:
    """End the keeper at once; whatever it was starting goes on, since each piece is a process of its own."""
    processes.stop(NAME, timeout=2)


def keep(states: Callable[[], dict[str, str]], mend: Callable[[], object], say: Callable[[str], None]) -> None:
    """Look for ever: where a piece of `states` does not run, `mend` starts it again.

    A piece that dies again and again is tried less and less often, at least every minute.
    """
    pause = EVERY
    while True:
        time.sleep(pause)
        dead = [name for name, state in states().items() if state != "running"]
        if not dead:
            pause = EVERY
            continue
        say(f"{' and '.join(dead)} died: starting again")
        try:
            mend()
            say("all of it runs again")
        except SpineError as error:
            say(error.describe())
        pause = min(pause * 2, PATIENCE)


def say(line: str) -> None:
    """One line with its time into the keeper's log."""
    screen.say(f"{clock.to_text(clock.now())} {line}")
