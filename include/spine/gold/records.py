"""The source records behind golden records, as Silver has them now: read by delta-rs, all of a tenant's or a few by reference. No Spark."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable

from spine.core.entities import Entity
from spine.core.names import silver_table
from spine.core.screen import logger
from spine.lake import gold
from spine.lake.reading import dataset, open_table, reading
from spine.sources.spec import source_names

log = logger(__name__)
KEY = ("tenant_id", "record_ref", "source", "stream", "record_id", "connection_id", "emitted_at", "source_cursor")
# Kleene logic: a null `is_deleted` must not hide a record, so deleted ones are named and all others kept.
_DEAD = pads.field("is_deleted").is_valid() & pads.field("is_deleted")


def among(column: str, values: Collection[str]) -> pads.Expression:
    """The condition that a text column holds one of `values`.

    The cast keeps Arrow from comparing them with the file's statistics, which delta-rs may give as another kind of text.
    """
    return pads.field(column).cast(pa.string()).isin(pa.array(sorted(values), pa.string()))


def silver_tables(entity: str) -> dict[str, DeltaTable]:
    """The Silver tables of the entity that exist already, also of a source whose spec is broken at the moment."""
    found = {silver_table(source, entity): open_table(silver_table(source, entity)) for source in source_names()}
    return {name: table for name, table in found.items() if table is not None}


def rows_of(tables: dict[str, DeltaTable], tenant: str) -> tuple[int, int]:
    """How many rows of a tenant the Silver tables have, and how many of these are deleted in the source. Raises LakeError."""
    every = dead = 0
    for name, table in tables.items():
        with reading(name):
            mine = dataset(table, [("tenant_id", "=", tenant)])
            every += mine.count_rows()
            dead += mine.count_rows(filter=_DEAD)
    return every, dead


def changed_refs(tables: dict[str, DeltaTable], former: Mapping[str, Any]) -> dict[str, set[str]] | None:
    """References of the records that changed since the `former` versions, by tenant; None if that cannot be told: all count as changed."""
    changed: dict[str, set[str]] = {}
    for name, table in tables.items():
        known = former.get(name)
        if known is None or known["id"] != str(table.metadata().id):
            if former and known is None:
                continue  # a new table: its records are not in Gold yet, which is how they are found
            return None
        if known["version"] == table.version():
            continue
        try:
            since = known["version"] + 1
            feed = pa.table(table.load_cdf(starting_version=since, ending_version=table.version(), columns=["tenant_id", "record_ref"]))
        except Exception as error:  # an expired or absent change feed comes as one of several kinds of error
            log.warning(
                "change feed of %s unreadable from version %d (%s): all records count as changed", name, since, type(error).__name__
            )
            return None
        for tenant, ref in zip(feed.column("tenant_id").to_pylist(), feed.column("record_ref").to_pylist(), strict=True):
            changed.setdefault(tenant, set()).add(ref)
    return changed


def tenants_of(table: DeltaTable) -> set[str]:
    """Who has rows in a table, or had some."""
    return {str(partition["tenant_id"]) for partition in table.partitions()}


def records(
    entity: Entity, tables: dict[str, DeltaTable], tenant: str, refs: Collection[str] | None = None, more: Sequence[str] = ()
) -> pa.Table:
    """A tenant's live records of all sources, or those of `refs` only, sorted by reference; fields that a source lacks are null.

    `more` are columns of Silver that are wanted besides.
    """
    parts = [_of_table(entity, name, table, tenant, refs, more) for name, table in tables.items()]
    if parts:
        return pa.concat_tables(parts, promote_options="permissive").sort_by("record_ref")
    return pa.table({name: pa.array([], pa.string()) for name in (*KEY, *more, *entity.fields)})


def _of_table(entity: Entity, name: str, table: DeltaTable, tenant: str, refs: Collection[str] | None, more: Sequence[str]) -> pa.Table:
    wanted = gold.golden_schema(entity)
    data = dataset(table, [("tenant_id", "=", tenant)])
    present = [column for column in (*KEY, *more, *entity.fields) if column in data.schema.names]
    where = (pads.field("tenant_id") == tenant) & ~_DEAD
    if refs is not None:
        where &= among("record_ref", refs)
    with reading(name):
        found = data.to_table(columns=present, filter=where)
    columns = [
        pc.cast(found.column(name), field.type) if name in present else pa.nulls(found.num_rows, field.type)
        for name, field in ((name, wanted.field(name)) for name in entity.fields)
    ]
    keys = [name for name in (*KEY, *more) if name in present]
    return pa.table([*(found.column(name) for name in keys), *columns], names=[*keys, *entity.fields])
