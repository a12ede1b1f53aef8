"""Named places where a test may kill the process: `SPINE_FAILPOINT=<name>[:<n>]` dies by SIGKILL at the n-th passing.

Nothing happens unless the variable is set; it exists so that crash safety is tested on the real code and not on a copy.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

from spine.core.settings import settings

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here by SIGKILL if this place is armed, otherwise do nothing."""
    armed = settings().failpoint
    if not armed:
        return
    wanted, _, count = armed.partition(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
