"""REST streams of YAML alone, killed (SIGKILL) behind each commit: Bronze is that of the undisturbed run, and no job is ordered twice."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.core.names import connection_id
from tests.http.conftest import Answer, make_vendor

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("extract_process.py")
__all__ = ["make_vendor"]
SPEC = """\
source: toys
label: Toys
domain: revops
variables: {team: {default: blue}}
streams:
  - name: behind
    path: /behind/{team}
    records: items
    key: [id]
    paging: {type: keyset, param: after}
    entity: person
    mapping: {fields: {email: email}}
  - name: spans
    path: /spans
    records: items
    key: [id]
    cursor:
      {field: at, since: from, until: to, start: 2026-01-01, format: date, windows: {step: 10d, granularity: 1d, ceiling: 20, total: total}}
    paging: {type: page, first: 0}
    entity: person
    mapping: {fields: {email: email}}
  - name: ordered
    path: ""
    response: csv
    key: [id]
    paging: {size: 4}
    job: {create: {method: POST, path: /jobs}, poll: {path: "/jobs/{job.id}"}, status: state, done: [done], files: urls, every: 1s}
    entity: person
    mapping: {fields: {email: email}}
"""
ROWS = [{"id": number, "at": f"2026-01-{1 + number // 2:02d}T00:00:00Z"} for number in range(60)]


class Toys:
    """A vendor of all three."""

    def __init__(self) -> None:
        self.orders = 0

    def __call__(self, seen: Any, number: int) -> Answer:
        if seen.path == "/behind/blue":
            after = int(seen.query.get("after", -1))
            return Answer(json={"items": [row for row in ROWS if row["id"] > after][:20]})
        if seen.path == "/spans":
            found = [row for row in ROWS if seen.query["from"] <= str(row["at"])[:10] <= seen.query["to"]]
            page = int(seen.query["page"])
            return Answer(json={"total": len(found), "items": found[:20][page * 8 : page * 8 + 8]})
        if seen.method == "POST":
            self.orders += 1
            return Answer(json={"id": self.orders})
        if seen.path.startswith("/jobs/"):
            urls = [f"http://{seen.headers['host']}/files/{part}" for part in (0, 1)]
            return Answer(json={"state": "done", "urls": urls})
        part = int(seen.path.rpartition("/")[2])
        return Answer(body=b"id,email\n" + b"".join(b"%d,a@b.example\n" % (part * 6 + row) for row in range(6)))


class Process:
    """Runs the extraction in a process of its own, with a lake and Variables of its own."""

    def __init__(self, run_program: Any, database: Any, folder: Path, tenant: str, stream: str, url: str) -> None:
        folder.mkdir()
        name = connection_id("toys", tenant)
        self.run_program, self.folder, self.table = run_program, folder, folder / "lake" / f"raw_toys_{stream}"
        self.order = {
            "folder": str(folder), "database": database.url.render_as_string(hide_password=False),
            "connections": {name: asdict(ConnectionInfo(name, "generic", url))},
            "source": "toys", "stream": stream, "tenant": tenant, "run_id": "r1", "mode": "full",
        }  # fmt: skip

    def run(self, failpoint: str = "") -> int:
        order = self.folder / "order.json"
        order.write_bytes(orjson.dumps(self.order))
        environment = {**os.environ, "SPINE_LAKE": str(self.folder / "lake"), "SPINE_FLUSH_BYTES": "1", "SPINE_FAILPOINT": failpoint}
        done = self.run_program(PROGRAM, str(order), env=environment)
        assert done.returncode in (0, -9), done.stderr
        return int(done.returncode)

    def rows(self) -> Counter[Any]:
        found = DeltaTable(str(self.table)).to_pyarrow_table(columns=["record_id", "op", "cursor", "payload"]).to_pylist()
        return Counter(tuple(row.values()) for row in found)


@pytest.mark.parametrize(("stream", "least"), [("behind", 3), ("spans", 6), ("ordered", 5)])
def test_a_stream_killed_behind_each_commit_ends_as_the_undisturbed_one(
    run_program, database, lake, tmp_path, monkeypatch, make_vendor, stream, least
):  # fmt: skip
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "toys.yaml").write_text(SPEC)
    monkeypatch.setenv("SPINE_SOURCES", str(sources))
    toys = Toys()
    vendor, tenant = make_vendor(toys), f"t{uuid4().hex[:10]}"
    calm, rough = (Process(run_program, database, tmp_path / name, f"{tenant}{name}", stream, vendor.url) for name in ("calm", "rough"))
    assert calm.run() == 0
    ordered, kills = toys.orders, 0
    while rough.run("extract.after_page_commit:1") == -9:
        kills += 1
        assert kills < 40
    assert kills >= least
    assert rough.rows() == calm.rows()
    assert set(rough.rows().values()) == {1}
    assert len(rough.rows()) == (12 if stream == "ordered" else 60)
    assert toys.orders == 2 * ordered == (2 if stream == "ordered" else 0)
