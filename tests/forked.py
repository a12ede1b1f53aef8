"""Runs a program of ours as `python PROGRAM ARGUMENTS` does, in a process that was forked with our libraries imported.

Started by the fixture `run_program`, which fills in `ORDER`. To import PySpark and Great Expectations takes longer than most jobs do.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

import psutil


def main(order: dict[str, Any]) -> None:
    assert psutil.Process(os.getppid()).num_threads() == 1, "a library started a thread when it was imported: forking is not safe"
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{order['folder']}/{name}", os.O_WRONLY | os.O_CREAT), number)
    sys.argv = [order["program"], *order["arguments"]]
    sys.path[:0] = [os.path.dirname(order["program"])]
    runpy.run_path(order["program"], run_name="__main__")


main(globals()["ORDER"])
