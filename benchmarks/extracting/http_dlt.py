"""The same vendor read by dlt: its REST source and its Delta destination, as its documentation sets them up.

Runs in dlt's own environment.
"""

from __future__ import annotations

from typing import Any

from dlt.sources.rest_api import rest_api_source

from benchmarks.extracting.dlt_run import loaded
from benchmarks.extracting.measured import measured


def read(order: dict[str, Any]) -> int:
    """All pages of the vendor; how many records."""
    source = rest_api_source({
        "client": {
            "base_url": order["url"],
            "paginator": {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "cursor"},
        },
        "resource_defaults": {"primary_key": "id", "write_disposition": "append"},
        "resources": [{"name": "things", "table_format": "delta", "endpoint": {"path": "things", "data_selector": "data"}}],
    })  # fmt: skip
    return loaded(order, source)


if __name__ == "__main__":
    measured(read)
