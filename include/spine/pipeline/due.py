"""How much there is to normalize, which decides what JVM does it: without one, by the tables' logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spine.core.names import bronze_table, silver_table
from spine.lake import amounts, silver
from spine.lake.delta_sql import table_at
from spine.lake.paths import table_uri
from spine.lake.tables import size_of
from spine.pipeline.found import with_found

if TYPE_CHECKING:
    from deltalake import DeltaTable


def is_large(source: str, *, renormalize: bool = False) -> bool:
    """True if so many Bronze rows of a source wait for Silver that a large JVM is worth its start (see `spark_session`)."""
    return rows_due(source, renormalize=renormalize) >= amounts.LARGE_ROWS


def rows_due(source: str, *, renormalize: bool = False) -> int:
    """Rows of a source that Silver has not read, or all rows that `renormalize` reads again; a little more where logs have been cleaned."""
    spec, total = with_found(source), 0
    for stream in spec.streams:
        table = table_at(table_uri(bronze_table(source, stream.name)))
        if table is None:
            continue
        read = silver.position_of(table_at(table_uri(silver_table(source, stream.silver))))
        positions = [] if renormalize else [found for found in read.everywhere(stream.name) if found is not None]
        known = [found.version for found in positions if found.table_id == str(table.metadata().id)]
        rows, _ = size_of(table)
        total += max(0, rows - _rows_at(table, min(known)) if known else rows)
    return total


def _rows_at(table: DeltaTable, version: int) -> int:
    from deltalake.exceptions import DeltaError

    try:
        table.load_as_version(version)
    except DeltaError:  # its log is gone
        return 0
    return size_of(table)[0]
