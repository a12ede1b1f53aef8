"""Runs commands of `spine`, each in a fork of this process, and prints what libraries each had imported: at its first line and at its end.

Usage: python imported.py '[["status"], …]'. What is cheap or everywhere is imported before the forks, so that they are quick.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

import numpy
import psycopg
import pyarrow
import pydantic
import rich.console
import sqlalchemy
import typer

WATCHED = ("airflow", "pyspark", "great_expectations", "pandas", "deltalake", "duckdb", "scipy")
UNWATCHED = (numpy, psycopg, pyarrow, pydantic, rich.console, sqlalchemy, typer)


def imported() -> list[str]:
    return [name for name in WATCHED if name in sys.modules]


class Ear:
    """A stderr that notes what is imported when the first line comes; with `stop` the process ends there."""

    def __init__(self, told: TextIO, *, stop: bool) -> None:
        self.told, self.stop, self.first = told, stop, None

    def write(self, text: str) -> int:
        if self.first is None:
            self.first = imported()
            if self.stop:
                os._exit(_tell({"code": 0, "first": self.first, "end": self.first}))
        return self.told.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.told, name)


def _tell(found: dict[str, Any]) -> int:
    os.write(ANSWERS, json.dumps(found).encode() + b"\n")
    return 0


def run(words: list[str]) -> None:
    """Run one command; the word `…` at its end stops it at its first line."""
    from spine.cli import main

    sys.stderr = ear = Ear(sys.stderr, stop=words[-1] == "…")
    sys.argv = ["spine", *(word for word in words if word != "…")]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    _tell({"code": code or 0, "first": ear.first or [], "end": imported()})


ANSWERS = os.dup(1)
os.dup2(2, 1)
for asked in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        try:
            run(asked)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
