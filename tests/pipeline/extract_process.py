"""A program for kill tests: plans once, extracts, and keeps plan, Variables and results in files. Argument: a JSON file."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import StreamWork, Sync


class FileVariables:
    """Variables in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _all(self) -> dict[str, str]:
        return orjson.loads(self.path.read_bytes()) if self.path.exists() else {}

    def get(self, key: str) -> str | None:
        return self._all().get(key)

    def set(self, key: str, value: str) -> None:
        self.path.write_bytes(orjson.dumps({**self._all(), key: value}))

    def delete(self, key: str) -> None:
        self.path.write_bytes(orjson.dumps({name: value for name, value in self._all().items() if name != key}))

    def keys(self, prefix: str) -> list[str]:
        return sorted(name for name in self._all() if name.startswith(prefix))


def main(order: dict) -> None:
    folder = Path(order["folder"])
    connections = {name: ConnectionInfo(**facts) for name, facts in order["connections"].items()}
    services = Services(Database(order["database"]), FileVariables(folder / "variables.json"), connections.__getitem__)
    works_file = folder / f"{order['run_id']}.works.json"
    if not works_file.exists():
        works = extract.plan(Sync(order["source"], order["run_id"], [order["tenant"]], [order["stream"]], order["mode"]), services)
        works_file.write_bytes(orjson.dumps([work.to_json() for work in works]))
    results = [extract.extract(StreamWork.from_json(work), services).to_json() for work in orjson.loads(works_file.read_bytes())]
    closing.finish(order["source"], order["run_id"], [order["tenant"]], services)
    (folder / "results.json").write_bytes(orjson.dumps(results))


if __name__ == "__main__":
    main(orjson.loads(Path(sys.argv[1]).read_bytes()))
