"""Golden records in brief, as people speak of them: id, name, number of source records."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from spine.core.entities import Entity
from spine.lake import gold

_NAMING = ("full_name", "organization", "title", "forename", "surname")  # kinds of attributes that name somebody or something


@dataclass(frozen=True)
class Brief:
    """A golden record; `name` is empty where it has none, `records` counts its source records."""

    entity_id: str
    name: str
    records: int


def briefs(entity: Entity, tenant: str, ids: Collection[str]) -> list[Brief]:
    """Those of the ids that are golden records now, the one of most records first."""
    kinds = entity.matching.attributes if entity.matching else {}
    naming = [field for field, kind in kinds.items() if kind in _NAMING]
    rows = gold.read_rows(
        gold.golden_table(entity),
        [("tenant_id", "=", tenant), ("entity_id", "in", pa.array(sorted(ids), pa.string()))],
        ["entity_id", "record_count", *naming],
    )
    found = [Brief(row["entity_id"], " ".join(str(row[name]) for name in naming if row[name]), row["record_count"]) for row in rows]
    return sorted(found, key=lambda brief: (-brief.records, brief.entity_id))
