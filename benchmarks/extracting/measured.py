"""What one reading took, measured by the process that reads. The standard library alone, since other tools' environments run it too."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def measured(read: Callable[[dict[str, Any]], int]) -> None:
    """Run `read` on the order that the command line names; print its rows, seconds, processor seconds and peak memory as a line of JSON.

    Imports are done before: what is measured is the reading. Processes that it starts count as its own.
    """
    order = json.loads(Path(sys.argv[1]).read_text())
    began, worked = time.monotonic(), _processor()
    rows = read(order)
    found = {"rows": rows, "seconds": time.monotonic() - began, "cpu": _processor() - worked, "peak_mb": _peak()}
    print(json.dumps(found), flush=True)


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak() -> float:
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit
