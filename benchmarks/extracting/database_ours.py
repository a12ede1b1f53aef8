"""The table read by this package: plan, extract into Bronze with exactly-once commits, move the cursor, close the run."""

from __future__ import annotations

from typing import Any

from benchmarks.extracting.measured import measured
from benchmarks.extracting.ours import extracted
from spine.control.airflow_state import ConnectionInfo

SPEC = """
source: bench_db
label: Bench
domain: revops
kind: database
reader: postgresql
auth: {type: database}
streams:
  - name: things
    table: {schema: public}
    key: [id]
    cursor: {field: updated_at}
"""


def read(order: dict[str, Any]) -> int:
    """All rows of the table."""
    info = ConnectionInfo("bench", host="127.0.0.1", port=order["port"], schema="spine", login="analyst_bench", password="bench")
    return extracted(order, SPEC, info)


if __name__ == "__main__":
    measured(read)
