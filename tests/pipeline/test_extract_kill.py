"""The process is killed (SIGKILL) at every joint; after the retry Bronze equals the undisturbed run, row for row."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest
from deltalake import DeltaTable

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("extract_process.py")
STREAMS = [
    ("salesforce", "contacts", "full"),
    ("hubspot", "contacts", "full"),
    ("hubspot", "contacts", "incremental"),
    ("people_files", "people", "full"),
]


class Process:
    """Runs the extraction in a process of its own, with a lake and Variables of its own."""

    def __init__(self, run_program, spine, folder: Path, source: str, stream: str) -> None:
        folder.mkdir()
        self.run_program = run_program
        tenant = spine.tenants[0]
        names = {name: spine.services.connections(name) for name in (f"ipai_connector_{kind}__{tenant}" for kind in (source,))}
        self.folder, self.table = folder, folder / "lake" / f"raw_{source}_{stream}"
        self.order = {
            "folder": str(folder),
            "database": spine.services.database.url.render_as_string(hide_password=False),
            "connections": {name: asdict(info) for name, info in names.items()},
            "source": source, "stream": stream, "tenant": tenant,
        }  # fmt: skip

    def run(self, run_id: str, mode: str, failpoint: str = "") -> int:
        order = self.folder / "order.json"
        order.write_bytes(orjson.dumps({**self.order, "run_id": run_id, "mode": mode}))
        environment = {
            **os.environ, "SPINE_LAKE": str(self.folder / "lake"), "SPINE_FLUSH_BYTES": "1",
            "SPINE_FAILPOINT": failpoint,
        }  # fmt: skip
        done = self.run_program(PROGRAM, str(order), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    def rows(self, run_id: str) -> Counter:
        found = DeltaTable(str(self.table)).to_pyarrow_table(columns=["record_id", "op", "cursor", "payload", "run_id"]).to_pylist()
        return Counter(tuple(row.values()) for row in found if row["run_id"] == run_id)

    @property
    def cursor(self) -> str | None:
        path = self.folder / "variables.json"
        return orjson.loads(next(iter(orjson.loads(path.read_bytes()).values())))["value"] if path.exists() else None

    @property
    def results(self) -> list[dict]:
        found = orjson.loads((self.folder / "results.json").read_bytes())
        return [{key: result[key] for key in ("rows", "deletes", "bytes", "cursor_to", "status")} for result in found]


@pytest.fixture
def spine(make_spine, small_pages):
    return make_spine(scale=700)


@pytest.mark.parametrize(("source", "stream", "mode"), STREAMS)
def test_a_killed_run_ends_as_the_undisturbed_one(run_program, spine, tmp_path, source, stream, mode):
    calm, rough = (Process(run_program, spine, tmp_path / name, source, stream) for name in ("calm", "rough"))
    run_id = "r1"
    if mode == "incremental":
        for process in (calm, rough):
            assert process.run("r0", "full") == 0
        spine.server.sandbox.advance(source=source, stream=stream, tenant=spine.tenants[0], changed=250, created=30, deleted=4)
    assert calm.run(run_id, mode) == 0
    before = rough.cursor
    assert rough.run(run_id, mode, "extract.after_page_commit:1") == -9
    assert rough.run(run_id, mode, "extract.after_page_commit:2") == -9
    assert 0 < sum(rough.rows(run_id).values()) < sum(calm.rows(run_id).values())
    assert rough.cursor == before
    assert rough.run(run_id, mode, "extract.before_cursor") == -9
    assert rough.cursor == before
    assert rough.run(run_id, mode) == 0
    assert rough.rows(run_id) == calm.rows(run_id)
    assert set(rough.rows(run_id).values()) == {1}
    assert rough.results == calm.results
    assert rough.cursor == calm.cursor
