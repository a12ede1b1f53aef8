"""A program for kill tests: all steps of one run of a push. Argument: a JSON file."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.pipeline.services import Services
from spine.push import running
from spine.push.spec import load_push


def main(order: dict) -> None:
    connections = {name: ConnectionInfo(**facts) for name, facts in order["connections"].items()}
    services = Services(Database(order["database"]), MemoryVariables(), connections.__getitem__, lambda _: None)
    work = running.PushWork(order["push"], order["tenant"], order["run_id"])
    running.begin(work, load_push(work.push), services)
    found = running.run_push(work, services, approved_by="test")
    Path(order["told"]).write_bytes(orjson.dumps(found.to_json()))


if __name__ == "__main__":
    main(orjson.loads(Path(sys.argv[1]).read_bytes()))
