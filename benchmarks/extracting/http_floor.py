"""The floor: what a reading over HTTP into Delta costs with no feature at all. No retry, no limit, no state, no drift, one thread.

A pooled client, orjson, pyarrow and delta-rs, in commits of about the size that the package makes. Bronze's columns, so that as much is
written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import requests
from deltalake import write_deltalake

from benchmarks.extracting.measured import measured

_FLUSH = 8 * 1024 * 1024


def read(order: dict[str, Any]) -> int:
    """All pages of the vendor; how many records."""
    session, cursor, count = requests.Session(), None, 0
    batches: list[pa.RecordBatch] = []
    while True:
        answer = session.get(f"{order['url']}/things", params={"cursor": cursor} if cursor else None, timeout=60)
        body = orjson.loads(answer.content)
        found = body["data"]
        batches.append(_batch(found))
        count, cursor = count + len(found), body["next_cursor"]
        if cursor is None or sum(batch.nbytes for batch in batches) >= _FLUSH:
            table = pa.Table.from_batches(batches)
            write_deltalake(f"{order['folder']}/lake", table, mode="append", partition_by=["tenant_id", "emitted_date"])
            batches = []
        if cursor is None:
            return count


def _batch(found: list[dict[str, Any]]) -> pa.RecordBatch:
    count, now = len(found), datetime.now(UTC)
    shared = {name: pa.repeat(f"a {name}", count) for name in ("source", "stream", "connection_id", "run_id", "schema_fingerprint", "op")}
    return pa.RecordBatch.from_pydict({
        "tenant_id": pa.repeat("t", count),
        "record_id": [record["id"] for record in found],
        "cursor": [record["updated_at"] for record in found],
        "payload": pa.array([orjson.dumps(record) for record in found], pa.string()),
        "emitted_at": pa.repeat(pa.scalar(now, pa.timestamp("us", tz="UTC")), count),
        "emitted_date": pa.repeat(pa.scalar(now.date(), pa.date32()), count),
        **shared,
    })  # fmt: skip


if __name__ == "__main__":
    measured(read)
