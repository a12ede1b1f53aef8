"""A program for kill tests: does steps of the path as Airflow's tasks do, in a process that may be killed.

Arguments: a JSON file with the deployment, then steps such as `extract:hubspot:r1`. Plans and Variables are kept in files, as Airflow
keeps them in its database, so that a retry has the plan of the first attempt.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.errors import SpineError
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import StreamWork, Sync


class FileVariables(MemoryVariables):
    """Variables that outlive the process."""

    def __init__(self, path: Path) -> None:
        super().__init__(orjson.loads(path.read_bytes()) if path.exists() else {})
        self.path = path

    def set(self, key: str, value: str) -> None:
        super().set(key, value)
        part = self.path.with_suffix(".part")
        part.write_bytes(orjson.dumps(self.values))
        part.replace(self.path)


def run_extract(services: Services, order: dict[str, Any], source: str, run_id: str) -> None:
    plan = Path(order["folder"]) / f"{source}.{run_id}.plan.json"
    if not plan.exists():
        works = extract.plan(Sync(source, run_id, [order["tenant"]], order["streams"][source]), services)
        plan.write_bytes(orjson.dumps([work.to_json() for work in works]))
    for work in orjson.loads(plan.read_bytes()):
        extract.extract(StreamWork.from_json(work), services)
    closing.finish(source, run_id, [order["tenant"]], services)


def run_step(step: str, services: Services, order: dict[str, Any]) -> None:
    from spine.gold.publish import publish
    from spine.lake.session import spark_session
    from spine.pipeline.normalize import normalize
    from spine.pipeline.resolve import resolve

    word, name, run_id = step.split(":")
    if word == "extract":
        run_extract(services, order, name, run_id)
    elif word == "normalize":
        normalize(spark_session("calm"), name, run_id, database=services.database)
    elif word == "resolve":
        resolve(spark_session("calm"), name, run_id, database=services.database)
    elif word == "publish":
        publish(name, run_id, url=order["database"])
    else:
        raise ValueError(step)


def main() -> int:
    order = orjson.loads(Path(sys.argv[1]).read_bytes())
    known = {name: ConnectionInfo(**facts) for name, facts in order["connections"].items()}
    services = Services(Database(order["database"]), FileVariables(Path(order["folder"]) / "variables.json"), known.__getitem__)
    try:
        for step in sys.argv[2:]:
            run_step(step, services, order)
    except SpineError as error:
        print(error.code)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
