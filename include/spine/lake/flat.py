"""Silver tables of streams without an entity: which column holds which field, and how a table gets new columns and wider types.

A column knows its field's own name by its metadata, so that adding it and knowing it is one commit. A type is widened by writing the
table anew, in one commit too: Delta's own widening would keep readers of other engines out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spine.core.errors import LakeError
from spine.lake.delta_sql import quoted, table_at
from spine.lake.merging import conflicts
from spine.lake.paths import storage_options
from spine.lake.reading import dataset
from spine.lake.silver import HISTORY, KEY, PROPERTIES, SCHEMA_VERSION, TAIL, silver_schema

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import Column, SparkSession

    from spine.core.entities import Entity

PATH, UNKNOWN = "spine.path", "spine.unknown"
EXACT = 2**53  # the greatest whole number up to which a double holds all of them
_TYPES = {"string": "string", "long": "integer", "double": "double", "boolean": "boolean", "date": "date", "timestamp": "timestamp"}
_SQL = {"integer": "bigint"}
_OURS = frozenset({*KEY, *TAIL})


@dataclass(frozen=True)
class FlatColumn:
    """The column `name` of the field `path` of a record. `unknown`: only nulls were seen, so that it may still become any type."""

    name: str
    path: str
    type: str = "string"
    unknown: bool = False

    @property
    def metadata(self) -> dict[str, str]:
        """What the table keeps of it beside its type."""
        return ({PATH: self.path} if self.path != self.name else {}) | ({UNKNOWN: "true"} if self.unknown else {})


def columns_of(table: DeltaTable | None, *, history: bool = False) -> list[FlatColumn]:
    """The columns of a table (of versions: `history`) that hold fields of records, in its order."""
    found, ours = [], _OURS | (frozenset(HISTORY) if history else frozenset())
    for field in table.schema().fields if table is not None else ():
        if field.name not in ours:
            kind = _TYPES[str(getattr(field.type, "type", "string"))]
            found.append(FlatColumn(field.name, str(field.metadata.get(PATH, field.name)), kind, field.metadata.get(UNKNOWN) == "true"))
    return found


def beyond_exact(table: DeltaTable, name: str) -> bool:
    """Whether a column of whole numbers has one that a double would not hold."""
    import pyarrow.compute as pc

    found = dataset(table).scanner(columns=[name], filter=(pc.field(name) > EXACT) | (pc.field(name) < -EXACT))
    return bool(found.head(1).num_rows)


def ensure_flat(spark: SparkSession, uri: str, entity: Entity, columns: Sequence[FlatColumn], *, history: bool = False) -> None:
    """Make the table of `entity`, whose fields are `columns`; or give the one that is there what it lacks of them."""
    from deltalake import DeltaTable

    table = table_at(uri)
    if table is None:
        DeltaTable.create(
            uri, _schema(entity, columns, history), mode="ignore", partition_by=["tenant_id"],
            configuration=PROPERTIES | {SCHEMA_VERSION: "1"}, raise_if_key_not_exists=False, storage_options=storage_options(),
        )  # fmt: skip
        table = table_at(uri)
        if table is None:
            raise LakeError("the table was not made", hint="Run it again", table=uri)
    present = {column.name: column for column in columns_of(table, history=history)}
    wider = {column.name: column for column in columns if column.name in present and column.type != present[column.name].type}
    if wider:
        _write_anew(spark, uri, [wider.get(name, column) for name, column in present.items()], present)
        table.update_incremental()
    added = [column.name for column in columns if column.name not in present]
    if added:
        from deltalake.schema import Schema

        table.alter.add_columns([field for field in Schema.from_arrow(_schema(entity, columns, history)).fields if field.name in added])
    for column in columns:
        if column.name in present and present[column.name].unknown and not column.unknown and column.name not in wider:
            table.alter.set_column_metadata(column.name, {PATH: column.path, UNKNOWN: ""})


def _schema(entity: Entity, columns: Sequence[FlatColumn], history: bool) -> Any:
    import pyarrow as pa

    metadata = {column.name: column.metadata for column in columns}
    return pa.schema([field.with_metadata(metadata.get(field.name) or None) for field in silver_schema(entity, history=history)])


def _write_anew(spark: SparkSession, uri: str, columns: Sequence[FlatColumn], present: Mapping[str, FlatColumn]) -> None:
    """The whole table with wider types, in one commit. Raises LakeError if another writer was quicker."""
    from pyspark.sql import functions as F

    rows = spark.read.format("delta").load(uri)
    own = {column.name: column for column in columns}
    cast: list[Column] = []
    for name in rows.columns:
        if name not in own:
            cast.append(F.col(quoted(name)))
            continue
        column = replace(own[name], unknown=False) if own[name].type != present[name].type else own[name]
        cast.append(_widened(name, present[name].type, column.type).alias(name, metadata=column.metadata))
    writer = rows.select(*cast).write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    with conflicts(uri):
        writer.partitionBy("tenant_id").save(uri)


def _widened(name: str, before: str, after: str) -> Column:
    """A column's values in a wider type. As texts, times are written as sources do, and whole numbers without a point."""
    from pyspark.sql import functions as F

    value = F.col(quoted(name))
    if after != "string" or before == "string":
        return value.cast(_SQL.get(after, after))
    if before == "timestamp":
        whole = F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss'Z'")
        return F.when(F.date_trunc("second", value) == value, whole).otherwise(F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"))
    if before == "double":
        whole_number = (value == F.floor(value)) & (F.abs(value) <= EXACT)
        return F.when(whole_number, value.cast("bigint").cast("string")).otherwise(value.cast("string"))
    return value.cast("string")
