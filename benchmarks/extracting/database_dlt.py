"""The table read by dlt: its SQL source with the Arrow backend and its Delta destination, as its documentation recommends for speed.

Runs in dlt's own environment.
"""

from __future__ import annotations

from typing import Any

from dlt.sources.sql_database import sql_table

from benchmarks.extracting.dlt_run import loaded
from benchmarks.extracting.measured import measured


def read(order: dict[str, Any]) -> int:
    """All rows of the table; how many."""
    credentials = order["url"].replace("postgresql://", "postgresql+psycopg2://")
    table = sql_table(credentials=credentials, table="things", schema="public", backend="pyarrow", chunk_size=50_000)
    table.apply_hints(table_format="delta", primary_key="id", write_disposition="append")
    return loaded(order, table)


if __name__ == "__main__":
    measured(read)
