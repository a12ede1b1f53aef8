"""A tap that sends a new version of a whole table in an incremental run: what it has not sent is marked as deleted, within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.errors import DeleteSweepRefused
from spine.core.names import connection_id
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.services import Services
from spine.pipeline.work import Sync

pytestmark = pytest.mark.slow
TAP = Path(__file__).parents[1] / "sources" / "singer" / "tap.py"
SPEC = f"""\
source: taps
label: Taps
domain: revops
kind: singer
tap: {{executable: {TAP}, config: {{token: "{{password}}", mode: "{{mode}}", count: "{{count}}"}}}}
streams:
  - {{name: people, key: [id], cursor: {{field: at}}, deletes: {{detect: sweep, max_share: 0.5}}}}
"""


@pytest.fixture
def run(tmp_path: Path, lake: str, home: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "taps.yaml").write_text(SPEC)
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    variables, name = MemoryVariables(), connection_id("taps", "acme")

    def sync(run_id: str, mode: str, count: int) -> dict[str, int]:
        info = ConnectionInfo(name, "spine", password="sesame-of-the-tap", extra={"mode": mode, "count": count})  # pragma: allowlist secret
        services = Services(database, variables, {name: info}.__getitem__, lambda seconds: None)
        (work,) = extract.plan(Sync("taps", run_id, ["acme"]), services)
        try:
            extract.extract(work, services)
        finally:
            closing.finish("taps", run_id, ["acme"], services)
        rows = DeltaTable(table_uri("raw_taps_people")).to_pyarrow_table(columns=["op", "run_id"]).to_pylist()
        ops = [row["op"] for row in rows if row["run_id"] == run_id]
        return {op: ops.count(op) for op in ("upsert", "delete")}

    return sync


def test_what_a_new_version_lacks_is_deleted_and_too_much_is_not_believed(run: Any) -> None:
    assert run("r1", "versions", 40) == {"upsert": 40, "delete": 0}
    assert run("r2", "versions", 42) == {"upsert": 3, "delete": 0}
    assert run("r3", "replaced", 30) == {"upsert": 30, "delete": 12}
    assert run("r4", "replaced", 30)["delete"] == 0
    with pytest.raises(DeleteSweepRefused):
        run("r5", "versions", 0)
