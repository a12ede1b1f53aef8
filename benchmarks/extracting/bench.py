"""Where readers run: a folder and a process each, one after the other, beside an embedded PostgreSQL for this package's control plane."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson

PROJECT = Path(__file__).parents[2]
_DLT = ("dlt[deltalake,filesystem,sql_database]==1.31.0", "psycopg2-binary", "pyarrow")
Reading: TypeAlias = dict[str, Any]


@dataclass
class Bench:
    """How much is read, how often, and where. `server` is the administrator's URL of the embedded PostgreSQL."""

    records: int
    rounds: int
    folder: Path
    server: str
    database: str
    dlt: Path | None

    @classmethod
    @contextmanager
    def opened(cls, records: int, rounds: int, tools: Path | None) -> Iterator[Bench]:
        """A bench whose servers are stopped and whose folders are gone in the end."""
        from spine.control import embedded
        from spine.control.bootstrap import bootstrap

        folder = Path(tempfile.mkdtemp(prefix="spine-extract-")).resolve()
        try:
            server = embedded.start(folder / "home", durable=False).uri_admin
            yield cls(records, rounds, folder, server, bootstrap(server), tools and environment_of_dlt(tools))
        finally:
            embedded.stop(folder / "home")
            shutil.rmtree(folder, ignore_errors=True)

    def compared(self, readers: Mapping[str, str], **order: Any) -> dict[str, Reading]:
        """The quickest reading of each module; `dlt` runs in dlt's environment, and is left out where there is none."""
        found: dict[str, Reading] = {}
        for number in range(self.rounds):
            for name, program in readers.items():
                python = self.dlt if name == "dlt" else Path(sys.executable)
                if python is None:
                    continue
                one = self.reading(python, f"benchmarks.extracting.{program}", f"{program}-{number}", order)
                if one["rows"] != self.records:
                    raise SystemExit(f"{name} has read {one['rows']:,} of {self.records:,} records")
                found[name] = min(one, found.get(name, one), key=lambda reading: float(reading["seconds"]))
        return found

    def reading(self, python: Path, program: str, name: str, order: Mapping[str, Any]) -> Reading:
        """What one module took with an order, run by this Python in a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        told = folder / "order.json"
        told.write_bytes(orjson.dumps({**order, "folder": str(folder), "database": self.database}))
        path = os.pathsep.join([str(PROJECT), str(PROJECT / "include")])
        # Nothing is told to anybody: the runs of dlt are measured without its telemetry.
        environment = {**os.environ, "PYTHONPATH": path, "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
        done = subprocess.run([python, "-m", program, told], env=environment, cwd=folder, stdout=subprocess.PIPE, check=True)
        shutil.rmtree(folder)
        found: Reading = orjson.loads(done.stdout.splitlines()[-1])
        return found


def environment_of_dlt(tools: Path) -> Path | None:
    """The Python of an environment that has dlt, made if need be; None, with a word why, if it cannot be made."""
    python = tools / "dlt" / "bin" / "python"
    if python.exists():
        return python
    uv = Path(sys.executable).with_name("uv")
    steps = ([uv, "venv", "-q", "--python", sys.executable, tools / "dlt"], [uv, "pip", "install", "-q", "--python", python, *_DLT])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(tools / "dlt", ignore_errors=True)
            print(f"dlt cannot be installed, and is left out: {done.stderr.strip()[-500:]}", file=sys.stderr)
            return None
    return python
