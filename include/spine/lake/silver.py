"""Silver and quarantine tables: their schemas, the read position kept in Silver's own commits, new Bronze rows, the MERGE.

Silver's commits say up to which version of each Bronze table they have read, so position and data are one atomic commit. A lost
position (expired log) only means that Bronze is read again from its start: every step is idempotent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from spine.core.entities import Entity, FieldType
from spine.lake.delta_sql import literal, notes, quoted, row_hash, table_at, table_path
from spine.lake.merging import Merge, from_source, run
from spine.lake.paths import storage_options
from spine.lake.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyspark.sql import Column, DataFrame, SparkSession

NOTE = "spine_normalize"
KEY = ("tenant_id", "record_ref", "source", "stream", "record_id", "connection_id")
VERSION = ("source_cursor", "emitted_at", "payload_hash")
TAIL = ("custom_fields", "is_deleted", *VERSION, "row_hash", "schema_version", "mapping_version", "run_id", "updated_at")
HISTORY = ("_valid_from", "_valid_to", "_is_current", "_version")  # what a table of versions has besides; no field of a source is named so
SCHEMA_VERSION = "spine.schemaVersion"
PROPERTIES = {"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "false"}
# Files that compaction replaced may be vacuumed after a week; older changes are read from the table as it is.
_CHANGES_KEPT = timedelta(days=6)
_RECENT_COMMITS = 30


def cursor_order(column: str) -> str:
    """SQL of a cursor as versions are ordered by it. A name of a file, the cursor of earlier file drops, tells nothing of its rows' age."""
    return f"CASE WHEN {column} LIKE '____-__-__T%' OR {column} NOT LIKE '%.%' THEN {column} ELSE '' END"


# The order of versions; written out, since two structs are only comparable if their fields are nullable alike.
_S, _T = cursor_order("s.source_cursor"), cursor_order("t.source_cursor")
_SWAP, _TWAP = (f"CASE WHEN s.swapped IS NOT NULL AND {row}.emitted_at >= s.swapped THEN 1 ELSE 0 END" for row in "st")
_NOT_OLDER = (
    f"({_SWAP} > {_TWAP} OR ({_SWAP} = {_TWAP} AND ({_S} > {_T} OR ({_S} = {_T} AND (s.emitted_at > t.emitted_at"
    " OR (s.emitted_at = t.emitted_at AND s.payload_hash >= t.payload_hash))))))"
)
_SQL_TYPES = {"integer": "bigint", "decimal": "decimal(28,6)"}


@dataclass(frozen=True)
class Position:
    """A version of one Bronze table; `table_id` tells a table that was made anew."""

    table_id: str
    version: int


@dataclass(frozen=True)
class ReadUpTo:
    """How far Silver has read Bronze: positions by stream, those of tenants who stand elsewhere, and rows by tenant of past runs.

    A tenant stands elsewhere while its rows fail the gate, which the others' do not wait for, or after a run of its own.
    """

    common: dict[str, Position] = field(default_factory=dict)
    own: dict[str, dict[str, Position]] = field(default_factory=dict)
    past: list[dict[str, int]] = field(default_factory=list)

    def of(self, tenant: str) -> dict[str, Position]:
        """A tenant's position in each stream."""
        return self.own.get(tenant, self.common)

    def everywhere(self, stream: str) -> list[Position | None]:
        """Where tenants stand in a stream: the common position first."""
        return [self.common.get(stream), *(found.get(stream) for found in self.own.values())]

    def moved(self, due: Mapping[str, Position], failed: Collection[str], tenants: Collection[str] | None) -> ReadUpTo:
        """After a run has read up to `due` for `tenants` (None: all), of whom `failed` keep what they had."""
        if tenants is None:
            return ReadUpTo({**self.common, **due}, {tenant: self.of(tenant) for tenant in failed})
        passed = {tenant: {**self.of(tenant), **due} for tenant in tenants if tenant not in failed}
        return ReadUpTo(self.common, {**self.own, **passed})


def silver_schema(entity: Entity, *, history: bool = False) -> pa.Schema:
    """Columns of `<source>_<entity>`: key, the entity's fields in their order, then what is known about the record's version.

    A table of versions (`history`) has besides from when to when each was the record's.
    """
    import pyarrow as pa

    tail = {
        "is_deleted": pa.bool_(), "emitted_at": pa.timestamp("us", "UTC"), "payload_hash": pa.int64(), "row_hash": pa.int64(),
        "schema_version": pa.int32(), "mapping_version": pa.int32(), "updated_at": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    columns = [(name, pa.string()) for name in KEY]
    columns += [(name, arrow_type(field.type)) for name, field in entity.fields.items()]
    columns += [(name, tail.get(name, pa.string())) for name in TAIL]
    moment = pa.timestamp("us", "UTC")
    columns += zip(HISTORY, (moment, moment, pa.bool_(), pa.int64()), strict=True) if history else ()
    return pa.schema(columns)


def arrow_type(field_type: FieldType | Literal["double"]) -> pa.DataType:
    """The Arrow type of a field; decimals have 28 digits, 6 of them behind the point. Only streams without an entity have doubles."""
    import pyarrow as pa

    types = {
        "string": pa.string(), "integer": pa.int64(), "decimal": pa.decimal128(28, 6), "boolean": pa.bool_(), "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"), "double": pa.float64(),
    }  # fmt: skip
    return types[field_type]


def ensure_silver(spark: SparkSession, uri: str, entity: Entity, *, history: bool = False) -> DeltaTable:
    """The Silver table, made if it is absent; a table of an older entity version gets the new columns and their defaults."""
    table = table_at(uri)
    if table is None:
        return _create(uri, entity, history)
    present = {field.name for field in table.schema().fields}
    missing = [name for name in entity.fields if name not in present]
    if missing:
        from deltalake.schema import Schema

        wanted = Schema.from_arrow(silver_schema(entity))
        table.alter.add_columns([field for field in wanted.fields if field.name in missing])
    return _upgraded(spark, uri, entity, table)


def _create(uri: str, entity: Entity, history: bool) -> DeltaTable:
    from deltalake import DeltaTable

    return DeltaTable.create(
        uri,
        silver_schema(entity, history=history),
        mode="ignore",
        partition_by=["tenant_id"],
        configuration=PROPERTIES | {SCHEMA_VERSION: str(entity.version)},
        raise_if_key_not_exists=False,
        storage_options=storage_options(),
    )


def _upgraded(spark: SparkSession, uri: str, entity: Entity, table: DeltaTable) -> DeltaTable:
    """Older rows with the defaults of the fields that came after them. Runs once per version; after a crash the next run does it."""
    if (table.metadata().configuration or {}).get(SCHEMA_VERSION) == str(entity.version):
        return table
    for version in range(1, entity.version):
        _upgrade_rows(spark, uri, entity, version)
    table.update_incremental()
    table.alter.set_table_properties({SCHEMA_VERSION: str(entity.version)}, raise_if_not_exists=False)
    return table


def _upgrade_rows(spark: SparkSession, uri: str, entity: Entity, version: int) -> None:
    defaults = {
        name: _default(entity.fields[name].type, default) for name, default in entity.upgrade({}, version).items() if default is not None
    }
    hashed = [defaults.get(name, quoted(name)) for name in entity.fields] + ["custom_fields", "is_deleted"]
    changes = defaults | {"schema_version": str(entity.version), "row_hash": row_hash(hashed)}
    assignments = ", ".join(f"{quoted(name)} = {value}" for name, value in changes.items())
    run(spark, uri, " ".join(["UPDATE", table_path(uri), "SET", assignments, f"WHERE schema_version = {version}"]))


def _default(field_type: FieldType, value: Any) -> str:
    word = str(value).lower() if isinstance(value, bool) else str(value)
    return f"CAST({literal(word)} AS {_SQL_TYPES.get(field_type, field_type)})"


def position_of(table: DeltaTable | None) -> ReadUpTo:
    """How far the table has read Bronze, as its commits say."""
    if table is None:
        return ReadUpTo()
    found = [note[NOTE] for note in notes(table, _RECENT_COMMITS) if NOTE in note]
    if not found:
        found = [note[NOTE] for note in notes(table) if NOTE in note]
    newest = found[0] if found else {"positions": {}}
    own = {tenant: _positions(entry) for tenant, entry in newest.get("own", {}).items()}
    return ReadUpTo(_positions(newest["positions"]), own, [note["rows"] for note in found])


def _positions(entry: Mapping[str, Any]) -> dict[str, Position]:
    return {stream: Position(**position) for stream, position in entry.items()}


def note_of(read: ReadUpTo, rows: Mapping[str, int], run_id: str) -> dict[str, Any]:
    """What a Silver commit says about itself."""
    common = {stream: asdict(position) for stream, position in read.common.items()}
    own = {tenant: {stream: asdict(position) for stream, position in found.items()} for tenant, found in read.own.items()}
    return {NOTE: {"positions": common, "own": own, "rows": dict(rows), "run_id": run_id}}


def bronze_position(uri: str) -> Position | None:
    """The newest version of a Bronze table, None if it does not exist yet."""
    table = table_at(uri)
    return None if table is None else Position(str(table.metadata().id), table.version())


def read_bronze_for(
    tables: Tables, uri: str, columns: Sequence[str], stream: str, read: ReadUpTo, until: Position, tenants: Collection[str] | None = None
) -> DataFrame:
    """Each tenant's Bronze rows (of all, or of `tenants`) appended after its own position up to `until`; one reading per position."""
    apart: dict[Position | None, list[str]] = {}
    for tenant, own in read.own.items():
        if tenants is None or tenant in tenants:
            apart.setdefault(own.get(stream), []).append(tenant)
    parts = []
    if read.common.get(stream) != until or not read.own:
        rows = read_bronze(tables, uri, columns, read.common.get(stream), until)
        rows = rows if tenants is None else rows.where(rows.tenant_id.isin(*tenants))
        parts.append(rows.where(~rows.tenant_id.isin(*read.own)) if read.own else rows)
    for position, names in apart.items():
        if position != until:
            rows = read_bronze(tables, uri, columns, position, until)
            parts.append(rows.where(rows.tenant_id.isin(*names)))
    if not parts:  # nobody of whom is asked has anything new
        return tables.read(uri, columns, until.version).limit(0)
    union = parts[0]
    for other in parts[1:]:
        union = union.unionByName(other)
    return union


def read_bronze(tables: Tables, uri: str, columns: Sequence[str], since: Position | None, until: Position) -> DataFrame:
    """Bronze rows appended after `since` up to `until`; all rows where the changes are not known any more, or `since` is None."""
    if since is not None and since.table_id == until.table_id and _changes_known(uri, since, until):
        return tables.appended(uri, columns, since.version + 1, until.version)
    return tables.read(uri, columns, until.version)


def _changes_known(uri: str, since: Position, until: Position) -> bool:
    table = table_at(uri)
    wanted = until.version - since.version
    if table is None or wanted < 1 or (table.metadata().configuration or {}).get("delta.enableChangeDataFeed") != "true":
        return False
    commits = [commit for commit in table.history(table.version() - since.version) if commit["version"] <= until.version]
    oldest = min((commit.get("timestamp", 0) for commit in commits), default=0)
    return len(commits) == wanted and datetime.fromtimestamp(oldest / 1000, UTC) > datetime.now(UTC) - _CHANGES_KEPT


def silver_rows(rows: DataFrame, entity: Entity, run_id: str, moment: datetime) -> DataFrame:
    """Judged rows as Silver rows, with `bare` (keep the values that are there), `removed` (delete the row) and `swapped`."""
    from pyspark.sql import functions as F

    return rows.select(*silver_columns(entity, run_id, moment), "bare", "swapped", (F.col("outcome") == "removed").alias("removed"))


def silver_columns(entity: Entity, run_id: str, moment: datetime) -> list[Column]:
    """The columns of a Silver table over judged rows."""
    from pyspark.sql import functions as F

    own: dict[str, Column] = {"schema_version": F.lit(entity.version), "run_id": F.lit(run_id), "updated_at": F.lit(moment)}
    columns = [F.col(name) for name in KEY] + [F.col(f"fields.{name}").alias(name) for name in entity.fields]
    return columns + [own.get(name, F.col(name)).alias(name) for name in TAIL]


def merge_silver(tables: Tables, uri: str, rows: DataFrame, entity: Entity, *, tenants: Iterable[str], note: Mapping[str, Any]) -> None:
    """MERGE Silver rows on tenant and record in one commit; a row that is older than the one there loses, whatever happened between.

    Raises LakeError on a conflicting writer.
    """
    columns = [*KEY, *entity.fields, *TAIL]
    kept = {name: f"CASE WHEN s.bare THEN t.{quoted(name)} ELSE s.{quoted(name)} END" for name in [*entity.fields, "custom_fields"]}
    merge = Merge(
        keys=("tenant_id", "record_ref"),
        deleted=f"s.removed AND {_NOT_OLDER}",
        updated=from_source(columns, kept),
        update_if=_NOT_OLDER,
        inserted=columns,
        insert_if="NOT s.removed",
        pruned={"tenant_id": list(tenants)},
        note=note,
    )
    tables.merge(uri, merge, rows)
