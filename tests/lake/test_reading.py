"""Rows of tables as Arrow, also of tables that an earlier version wrote."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from spine.lake.reading import dataset


def test_far_times_of_tables_that_were_written_with_int96(tmp_path: Path) -> None:
    moments = [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC)]
    rows = pa.table({"tenant_id": ["acme", "acme"], "at": pa.array(moments, pa.timestamp("us", "UTC"))})
    write_deltalake(tmp_path, rows, partition_by=["tenant_id"])
    (file,) = tmp_path.rglob("*.parquet")
    pq.write_table(rows.select(["at"]), file, use_deprecated_int96_timestamps=True)
    (log,) = tmp_path.glob("_delta_log/*.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"] |= {"size": file.stat().st_size, "stats": "{}"}
    log.write_text("\n".join(json.dumps(action) for action in actions))
    assert dataset(DeltaTable(tmp_path)).to_table()["at"].to_pylist() == moments
