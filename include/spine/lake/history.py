"""Tables of versions: made from what Silver has when a stream's history begins, and merged version by version.

The plain Silver table knows nothing of them. They are written before it, since its commit says what was read of Bronze: what dies in
between is written again and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spine.lake.delta_sql import table_at
from spine.lake.merging import Merge, from_source
from spine.lake.silver import HISTORY, KEY, TAIL
from spine.lake.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_BEGUN = "spine.historyBegun"


def begun(uri: str) -> bool:
    """Whether a table of versions has what Silver had when it was made."""
    table = table_at(uri)
    return table is not None and (table.metadata().configuration or {}).get(_BEGUN) == "true"


def begin(uri: str) -> None:
    """Note that it has."""
    table = table_at(uri)
    assert table is not None
    table.alter.set_table_properties({_BEGUN: "true"}, raise_if_not_exists=False)


def merge_versions(tables: Tables, uri: str, rows: DataFrame, fields: Sequence[str], *, tenants: Iterable[str]) -> None:
    """MERGE rows of versions, those `removed` out of the table. Raises LakeError on a conflicting writer."""
    columns = [*KEY, *fields, *TAIL, *HISTORY]
    merge = Merge(
        keys=("tenant_id", "record_ref", "_version"),
        deleted="s.removed",
        updated=from_source(columns),
        inserted=columns,
        insert_if="NOT s.removed",
        pruned={"tenant_id": list(tenants)},
    )
    tables.merge(uri, merge, rows)
