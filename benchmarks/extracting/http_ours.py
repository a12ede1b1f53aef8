"""The same vendor read by this package: plan, extract into Bronze with exactly-once commits, move the cursor, close the run."""

from __future__ import annotations

from typing import Any

from benchmarks.extracting.measured import measured
from benchmarks.extracting.ours import extracted
from spine.control.airflow_state import ConnectionInfo

SPEC = """
source: bench
label: Bench
domain: revops
auth: {type: bearer}
tier: standard
rate_limit: {requests: 1000000, per: 1s, burst: 1000000}
streams:
  - name: things
    path: /things
    records: data
    key: [id]
    cursor: {field: updated_at, since: updated_since}
    paging: {type: next_token, next: next_cursor, param: cursor}
    entity: person
    mapping:
      fields: {given_name: first_name, family_name: last_name, email: {from: email, transform: email}, phone: phone}
"""


def read(order: dict[str, Any]) -> int:
    """All pages of the vendor; how many records."""
    return extracted(order, SPEC, ConnectionInfo("bench", host=order["url"], password="x"))


if __name__ == "__main__":
    measured(read)
