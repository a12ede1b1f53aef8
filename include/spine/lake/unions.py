"""Gold of entities without identity: a table each with the living records of all sources, and how far it has read them.

A table's commits say which versions of Silver and of the identity links they have consumed, so position and rows are one atomic commit:
a run may be killed anywhere, and the next one goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.schema import Schema

from spine.core.entities import Entity
from spine.core.failpoints import failpoint
from spine.lake.delta_sql import notes
from spine.lake.merging import Merge, from_source, merge_here
from spine.lake.paths import storage_options, table_uri
from spine.lake.reading import open_table
from spine.lake.silver import arrow_type

NOTE = "spine_unite"
RECORD = ("tenant_id", "record_ref", "source", "stream", "record_id", "connection_id")
# What was written by a run is no difference to another one.
WRITTEN = ("run_id", "updated_at")
_MOMENT = pa.timestamp("us", "UTC")
_PROPERTIES = {"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "false"}
_RECENT_COMMITS = 30
# Rows of one MERGE, which delta-rs holds in memory.
_MERGED_AT_ONCE = 200_000


@dataclass(frozen=True)
class Consumed:
    """What a table has read, by table the id and version, with the tenants whose rows were refused; and by which declaration."""

    inputs: dict[str, Any] = field(default_factory=dict)
    rules: str = ""

    @property
    def behind(self) -> set[str]:
        """Tenants whose rows were refused."""
        return {tenant for known in self.inputs.values() for tenant in known.get("behind", ())}


def union_schema(entity: Entity) -> pa.Schema:
    """Columns of `gold_<domain>_<plural>`: the record, the entity's fields, ids of golden records, then where it all came from."""
    return pa.schema([
        *((name, pa.string()) for name in RECORD),
        *((name, arrow_type(field.type)) for name, field in entity.fields.items()),
        *((reference.column, pa.string()) for reference in entity.references),
        ("bronze_table", pa.string()), ("source_cursor", pa.string()), ("seen_at", _MOMENT), ("silver_run_id", pa.string()),
        ("mapping_version", pa.int32()), ("schema_version", pa.int32()), ("updated_at", _MOMENT), ("run_id", pa.string()),
    ])  # fmt: skip


def ensure_union(entity: Entity) -> DeltaTable:
    """The table, made if it is absent; one of an older declaration gets the new columns."""
    table, schema = open_table(entity.gold_table), union_schema(entity)
    if table is None:
        return DeltaTable.create(
            table_uri(entity.gold_table), schema, mode="ignore", partition_by=["tenant_id"],
            configuration=_PROPERTIES, storage_options=storage_options(),
        )  # fmt: skip
    present = {column.name for column in table.schema().fields}
    if missing := [column for column in Schema.from_arrow(schema).fields if column.name not in present]:
        table.alter.add_columns(missing)
    return table


def consumed_by(table: DeltaTable | None) -> Consumed:
    """What the table has read, as its commits say."""
    if table is None:
        return Consumed()
    found = [note[NOTE] for note in notes(table, _RECENT_COMMITS) if NOTE in note]
    if not found:
        found = [note[NOTE] for note in notes(table) if NOTE in note]
    if not found:
        return Consumed()
    return Consumed(found[0]["inputs"], found[0]["rules"])


def write_union(entity: Entity, rows: pa.Table, consumed: Consumed) -> None:
    """MERGE `rows`, whose column `op` is `upsert` or `delete`; the last commit says what is now `consumed`. Raises LakeError on a rival.

    A run that dies between two commits of many rows has written what the next one finds equal.
    """
    names = union_schema(entity).names
    note = {NOTE: {"inputs": consumed.inputs, "rules": consumed.rules}}
    parts = [rows.slice(start, _MERGED_AT_ONCE) for start in range(0, rows.num_rows, _MERGED_AT_ONCE)]
    failpoint("unite.before_merge")
    for number, part in enumerate(parts, 1):
        keys = ("tenant_id", "record_ref")
        merge = Merge(
            keys=keys,
            deleted="s.op = 'delete'",
            updated=from_source([name for name in names if name not in keys]),
            inserted=names,
            insert_if="s.op = 'upsert'",
            pruned={"tenant_id": part.column("tenant_id").unique().to_pylist()},
            note=note if number == len(parts) else None,
        )
        merge_here(table_uri(entity.gold_table), merge, part)
        failpoint("unite.merged")
