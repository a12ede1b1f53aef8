"""Which tables the lake has, and what a table is: columns, versions, sizes. Reads metadata, never a row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from spine.core import clock
from spine.lake.paths import storage_options, table_uri
from spine.lake.reading import table_names

__all__ = ["describe", "table_exists", "table_names"]

_HISTORY = 20


def table_exists(table: str) -> bool:
    """True if the lake has the table."""
    return DeltaTable.is_deltatable(table_uri(table), storage_options=storage_options())


def describe(table: str, sees: Callable[[str], bool]) -> dict[str, Any]:
    """Columns, versions and files per tenant of a table, for the tenants that `sees` admits."""
    delta = DeltaTable(table_uri(table), storage_options=storage_options())
    actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
    tenants: dict[str, dict[str, int]] = {}
    for action in actions:
        tenant = str(action.get("partition.tenant_id"))
        if sees(tenant):
            total = tenants.setdefault(tenant, {"files": 0, "rows": 0, "bytes": 0})
            total["files"] += 1
            total["rows"] += action["num_records"] or 0
            total["bytes"] += action["size_bytes"]
    history = [
        {
            "version": entry["version"],
            "operation": entry.get("operation", ""),
            "time": clock.to_text(datetime.fromtimestamp(int(entry["timestamp"]) / 1000, tz=UTC)),
        }
        for entry in delta.history(_HISTORY)
    ]
    columns = [{"name": field.name, "type": str(field.type)} for field in delta.schema().fields]
    return {"name": table, "version": delta.version(), "columns": columns, "tenants": tenants, "history": history}
