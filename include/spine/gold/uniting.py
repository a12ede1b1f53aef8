"""What changes in a tenant's union of sources: living records of Silver with ids of golden records, less what Gold has. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from spine.core.entities import Entity
from spine.core.names import bronze_table
from spine.gold.records import among, records, rows_of
from spine.lake.gold import LINKS
from spine.lake.reading import dataset, reading
from spine.lake.unions import WRITTEN, union_schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MORE = ("run_id", "mapping_version", "schema_version")


@dataclass(frozen=True)
class Lake:
    """The tables of one run at the versions that it reads: Silver by name, the identity links, and the entity's Gold."""

    silver: dict[str, DeltaTable]
    links: DeltaTable | None
    union: DeltaTable | None


@dataclass(frozen=True)
class Difference:
    """What has to be written of a tenant (`rows` with their `op`), how that came about, and the living records that were looked at.

    `outcomes` counts new, changed, unchanged and removed records; `silver` all rows and the deleted ones; `before` are rows of Gold.
    """

    rows: pa.Table
    living: pa.Table
    outcomes: dict[str, int]
    silver: tuple[int, int]
    before: int

    @property
    def after(self) -> int:
        """Rows that Gold has once this is written."""
        return self.before + self.outcomes["new"] - self.outcomes["removed"]


def difference(entity: Entity, lake: Lake, tenant: str, refs: Collection[str] | None) -> Difference:
    """What changes in a tenant's Gold, looking at `refs` only (None: at everything). Raises LakeError."""
    found = records(entity, lake.silver, tenant, refs, _MORE)
    kept = [name for name in union_schema(entity).names if name not in WRITTEN]
    names = ", ".join(f'"{name}"' for name in kept)  # words of a declaration
    with _engine() as engine:
        living = _linked(engine, entity, found, _links(entity, lake.links, tenant))
        engine.register("living", living.select(kept))
        engine.register("former", _former(entity, lake.union, tenant, refs).select(kept))
        rows = engine.sql(
            f"SELECT *, 'upsert' AS op FROM (SELECT {names} FROM living EXCEPT ALL SELECT {names} FROM former) "  # noqa: S608
            f"UNION ALL SELECT {names}, 'delete' FROM former ANTI JOIN living USING (record_ref)"
        ).to_arrow_table()
        engine.register("rows", rows)
        changed = engine.sql("SELECT count(*) FROM rows SEMI JOIN former USING (record_ref) WHERE op = 'upsert'").fetchall()
    removed, written = _count(rows, "delete"), _count(rows, "upsert")
    again = int(changed[0][0])
    outcomes = {"new": written - again, "changed": again, "unchanged": living.num_rows - written, "removed": removed}
    before = 0 if lake.union is None else dataset(lake.union, [("tenant_id", "=", tenant)]).count_rows()
    return Difference(_as_written(entity, rows), living, outcomes, rows_of(lake.silver, tenant), before)


def relinked(entity: Entity, lake: Lake, tenant: str) -> set[str]:
    """References of the records in Gold that now refer to other golden records than Gold says."""
    if not entity.references:
        return set()
    columns = ["record_ref", "source", *{r.field for r in entity.references}, *(r.column for r in entity.references)]
    former = _former(entity, lake.union, tenant, None, columns)
    bare = former.drop_columns([reference.column for reference in entity.references])
    with _engine() as engine:
        engine.register("former", former)
        engine.register("now", _joined(engine, entity, bare, _links(entity, lake.links, tenant)))
        names = ", ".join(f'"{name}"' for name in columns)
        rows = engine.sql(f"SELECT record_ref FROM (SELECT {names} FROM now EXCEPT ALL SELECT {names} FROM former)").fetchall()  # noqa: S608
    return {row[0] for row in rows}


def _engine() -> DuckDBPyConnection:
    """A DuckDB in memory that reaches nothing but what it is given."""
    import duckdb

    engine = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    engine.execute("SET TimeZone = 'UTC'")
    return engine


def _linked(engine: DuckDBPyConnection, entity: Entity, found: pa.Table, links: pa.Table) -> pa.Table:
    """Living records as rows of Gold, but for what the run adds."""
    places = zip(found.column("source").to_pylist(), found.column("stream").to_pylist(), strict=True)
    bronze = pa.array([bronze_table(source, stream) for source, stream in places], pa.string())
    named = found.rename_columns({"emitted_at": "seen_at", "run_id": "silver_run_id"}).append_column("bronze_table", bronze)
    joined = _joined(engine, entity, named, links)
    wanted = [f for f in union_schema(entity) if f.name not in WRITTEN]
    columns = [joined.column(f.name).cast(f.type) if f.name in joined.column_names else pa.nulls(joined.num_rows, f.type) for f in wanted]
    return pa.table(columns, schema=pa.schema(wanted))


def _joined(engine: DuckDBPyConnection, entity: Entity, rows: pa.Table, links: pa.Table) -> pa.Table:
    """Rows with the ids of the golden records that they refer to; what several golden records could be meant by has none."""
    engine.register("found", rows)
    engine.register("links", links)
    sql, columns = "FROM found AS f", ["f.*"]
    for number, reference in enumerate(entity.references):
        known = (
            "(SELECT source, record_id, CASE WHEN count(DISTINCT entity_id) = 1 THEN min(entity_id) END AS id "  # noqa: S608
            f"FROM links WHERE entity = '{reference.entity}' GROUP BY ALL)"
        )
        sql += f' LEFT JOIN {known} AS l{number} ON l{number}.source = f.source AND l{number}.record_id = f."{reference.field}"'
        columns.append(f'l{number}.id AS "{reference.column}"')
    return engine.sql(f"SELECT {', '.join(columns)} {sql}").to_arrow_table()


def _links(entity: Entity, table: DeltaTable | None, tenant: str) -> pa.Table:
    """Which golden record a tenant's source records belong to, of the kinds that are referred to."""
    columns = ["entity", "source", "record_id", "entity_id"]
    kinds = sorted({reference.entity for reference in entity.references})
    if table is None or not kinds:
        return pa.schema([(name, pa.string()) for name in columns]).empty_table()
    with reading(LINKS):
        parts = [dataset(table, [("tenant_id", "=", tenant), ("entity", "=", kind)]).to_table(columns=columns) for kind in kinds]
    return pa.concat_tables(parts, promote_options="permissive")


def _former(
    entity: Entity, table: DeltaTable | None, tenant: str, refs: Collection[str] | None, columns: list[str] | None = None
) -> pa.Table:
    """A tenant's rows of Gold as they are; columns that it lacks yet are null."""
    schema = union_schema(entity)
    wanted = [schema.field(name) for name in columns or schema.names]
    if table is None:
        return pa.schema(wanted).empty_table()
    data = dataset(table, [("tenant_id", "=", tenant)])
    present = [f.name for f in wanted if f.name in data.schema.names]
    with reading(entity.gold_table):
        found = data.to_table(columns=present, filter=None if refs is None else among("record_ref", refs))
    return pa.table(
        [found.column(f.name).cast(f.type) if f.name in present else pa.nulls(found.num_rows, f.type) for f in wanted],
        schema=pa.schema(wanted),
    )


def _count(rows: pa.Table, op: str) -> int:
    return int(pc.sum(pc.equal(rows.column("op"), op)).as_py() or 0)


def _as_written(entity: Entity, rows: pa.Table) -> pa.Table:
    """With the types of Gold, which DuckDB gives back otherwise."""
    kept = [f for f in union_schema(entity) if f.name not in WRITTEN]
    columns = [rows.column(f.name).cast(f.type) for f in kept]
    return pa.table([*columns, rows.column("op").cast(pa.string())], schema=pa.schema([*kept, ("op", pa.string())]))
