"""Gold tables: their schemas, a tenant's state as it is, and writing a run so that a kill between two tables does no harm.

A run is first staged whole; then one commit to the journal says what is staged and which Silver versions it consumed. From there on it
only rolls forward: the tables are written by idempotent MERGEs, again after a crash, before any new run begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from spine.core import clock
from spine.core.entities import Entity
from spine.core.errors import LakeError
from spine.core.failpoints import failpoint
from spine.lake import amounts
from spine.lake.merging import Merge, from_source, merge_by_spark, merge_here
from spine.lake.paths import storage_options, table_uri
from spine.lake.reading import dataset, open_table, reading
from spine.lake.silver import arrow_type

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MOMENT = pa.timestamp("us", "UTC")
_IDENTITY = [("tenant_id", pa.string()), ("entity", pa.string())]
LINKS, MATCHES, CHANGES = "gold_identity_links", "gold_identity_matches", "gold_identity_changes"
REDIRECTS, MODELS, JOURNAL = "gold_identity_redirects", "gold_identity_models", "_identity_journal"
OVERRIDES, FREQUENCIES = "gold_identity_overrides", "gold_identity_frequencies"
SCHEMAS: dict[str, pa.Schema] = {
    LINKS: pa.schema([
        *_IDENTITY, ("entity_id", pa.string()), ("record_ref", pa.string()), ("source", pa.string()), ("stream", pa.string()),
        ("record_id", pa.string()), ("connection_id", pa.string()), ("confidence", pa.float64()), ("method", pa.string()),
        ("linked_at", _MOMENT), ("run_id", pa.string()),
    ]),
    MATCHES: pa.schema([
        *_IDENTITY, ("left_ref", pa.string()), ("right_ref", pa.string()), ("entity_id", pa.string()), ("probability", pa.float64()),
        ("weight", pa.float64()), ("decision", pa.string()), ("waterfall", pa.string()), ("blocking_rule", pa.string()),
        ("model_version", pa.int32()), ("matched_at", _MOMENT), ("run_id", pa.string()), ("reason", pa.string()),
    ]),
    CHANGES: pa.schema([
        *_IDENTITY, ("change_id", pa.string()), ("kind", pa.string()), ("entity_id", pa.string()), ("other_entity_id", pa.string()),
        ("record_ref", pa.string()), ("actor", pa.string()), ("reason", pa.string()), ("changed_at", _MOMENT), ("run_id", pa.string()),
    ]),
    REDIRECTS: pa.schema([
        *_IDENTITY, ("from_id", pa.string()), ("to_id", pa.string()), ("run_id", pa.string()), ("created_at", _MOMENT),
    ]),
    MODELS: pa.schema([
        *_IDENTITY, ("model_version", pa.int32()), ("learned_at", _MOMENT), ("parameters", pa.string()), ("run_id", pa.string()),
    ]),
    FREQUENCIES: pa.schema([
        *_IDENTITY, ("model_version", pa.int32()), ("comparison", pa.string()), ("level", pa.int32()), ("value", pa.string()),
        ("records", pa.float64()), ("run_id", pa.string()),
    ]),
    OVERRIDES: pa.schema([
        *_IDENTITY, ("override_id", pa.string()), ("kind", pa.string()), ("left_ref", pa.string()), ("right_ref", pa.string()),
        ("actor", pa.string()), ("reason", pa.string()), ("weight", pa.float64()), ("active", pa.bool_()), ("made_at", _MOMENT),
        ("change_id", pa.string()), ("undone_at", _MOMENT), ("undone_by", pa.string()), ("run_id", pa.string()),
    ]),
}  # fmt: skip
_KEYS = {
    LINKS: ("record_ref",), MATCHES: ("left_ref", "right_ref"), REDIRECTS: ("from_id",), OVERRIDES: ("override_id",),
    FREQUENCIES: ("model_version", "comparison", "level", "value"),
}  # fmt: skip
_JOURNAL_SCHEMA = pa.schema([
    ("entity", pa.string()), ("run", pa.int64()), ("run_id", pa.string()), ("status", pa.string()), ("inputs", pa.string()),
    ("rules", pa.string()), ("staged", pa.string()), ("counts", pa.string()), ("written_at", _MOMENT),
])  # fmt: skip
_PARTITIONS = ("tenant_id", "entity")
_PROPERTIES = {"delta.enableDeletionVectors": "false"}


def golden_table(entity: Entity) -> str:
    """Name of an entity's table of golden records."""
    return entity.gold_table


def golden_schema(entity: Entity) -> pa.Schema:
    """Columns of the golden records: ids, the entity's fields in their order, then what is known about the record."""
    return pa.schema([
        ("tenant_id", pa.string()), ("entity_id", pa.string()), *[(name, arrow_type(field.type)) for name, field in entity.fields.items()],
        ("record_count", pa.int32()), ("source_count", pa.int32()), ("confidence", pa.float64()), ("provenance", pa.string()),
        ("schema_version", pa.int32()), ("first_seen_at", _MOMENT), ("updated_at", _MOMENT), ("run_id", pa.string()),
    ])  # fmt: skip


def history_table(entity: Entity) -> str:
    """Name of an entity's table of former golden records."""
    return f"{golden_table(entity)}_history"


def history_schema(entity: Entity) -> pa.Schema:
    """Columns of the history: a golden record with its records from `valid_from` on, until the next row of its id.

    Where the record came to an end (`ended`), only `redirect_to` says more. Rows are only ever added, so that the past can be told however
    often files of old table versions are removed.
    """
    more = [("records", pa.list_(pa.string())), ("valid_from", _MOMENT), ("ended", pa.bool_()), ("redirect_to", pa.string())]
    return pa.schema([*golden_schema(entity), *more])


def schema_of(entity: Entity, name: str) -> pa.Schema:
    """Columns of one of the entity's Gold tables."""
    own = {golden_table(entity): golden_schema, history_table(entity): history_schema}
    return own[name](entity) if name in own else SCHEMAS[name]


def _key(entity: Entity, name: str) -> tuple[str, ...] | None:
    """The columns by which a table's rows are merged, None for tables that rows are only added to."""
    if name == golden_table(entity):
        return ("tenant_id", "entity_id")
    return ("tenant_id", "entity", *_KEYS[name]) if name in _KEYS else None


def ensure_tables(entity: Entity) -> None:
    """Makes the Gold tables that are missing; a table of golden records gets the fields of a newer entity version."""
    from deltalake import DeltaTable
    from deltalake.schema import Schema

    wanted = {name: (schema, ["tenant_id", "entity"]) for name, schema in SCHEMAS.items()}
    wanted |= {name: (schema_of(entity, name), ["tenant_id"]) for name in (golden_table(entity), history_table(entity))}
    wanted[JOURNAL] = (_JOURNAL_SCHEMA, ["entity"])
    for name, (schema, partitions) in wanted.items():
        table = open_table(name)
        if table is None:
            DeltaTable.create(
                table_uri(name),
                schema,
                mode="ignore",
                partition_by=partitions,
                configuration=_properties(entity, name),
                storage_options=storage_options(),
            )
            continue
        if wanted_properties := _properties(entity, name).items() - (table.metadata().configuration or {}).items():
            table.alter.set_table_properties(dict(wanted_properties))
        present = {field.name for field in table.schema().fields}
        if missing := [field for field in Schema.from_arrow(schema).fields if field.name not in present]:
            table.alter.add_columns(missing)


def _properties(entity: Entity, name: str) -> dict[str, str]:
    """Golden records tell what has changed of them, so that others may read that only."""
    return _PROPERTIES | ({"delta.enableChangeDataFeed": "true"} if name == golden_table(entity) else {})


@dataclass(frozen=True)
class Entry:
    """The newest run in the journal: `status` is `staged` (may be partly written) or `applied`."""

    number: int
    run_id: str
    status: str
    inputs: dict[str, Any]
    rules: str
    staged: dict[str, int]
    counts: dict[str, Any]


def last_entry(entity: str) -> Entry | None:
    """The newest journal entry of an entity, None before its first run."""
    rows = read_rows(JOURNAL, [("entity", "=", entity)])
    if not rows:
        return None
    last = max(rows, key=lambda row: (row["run"], row["status"] == "applied"))
    newest = [row for row in rows if row["run"] == last["run"]]
    status = "applied" if any(row["status"] == "applied" for row in newest) else "staged"
    parsed = {name: orjson.loads(last[name]) for name in ("inputs", "staged", "counts")}
    return Entry(last["run"], last["run_id"], status, rules=last["rules"], **parsed)


def read_table(name: str, where: Sequence[tuple[str, str, Any]], columns: Sequence[str] | None = None) -> pa.Table | None:
    """Rows of the partitions that `where` names (those of `columns` that there are, default all); None if there is no table."""
    table = open_table(name)
    if table is None:
        return None
    data = dataset(table, [term for term in where if term[1] == "="])
    condition: pads.Expression | None = None
    for column, sign, value in where:
        # Files of delta-rs carry bounds as string views, against which Arrow cannot check plain strings: a cast keeps them apart.
        found = pads.field(column) if column in _PARTITIONS else pads.field(column).cast(pa.string())
        term = found == value if sign == "=" else found.isin(value)
        condition = term if condition is None else condition & term
    present = None if columns is None else [column for column in columns if column in data.schema.names]
    with reading(name):
        return data.to_table(columns=present, filter=condition)


def read_rows(name: str, where: Sequence[tuple[str, str, Any]], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The same as dicts; empty if there is no table. A term of `where` is (column, "=", value) or (column, "in", values)."""
    found = read_table(name, where, columns)
    return [] if found is None else found.to_pylist()


def stage(entity: Entity, tables: Mapping[str, pa.Table | None]) -> dict[str, int]:
    """Writes what a run wants to change beside Gold; the version of each staged table that has rows.

    Columns that a table lacks are null. Tables that are merged have a column `op`, `upsert` or `delete`.
    """
    from deltalake import DeltaTable, write_deltalake

    versions = {}
    for name, found in tables.items():
        if found is None or not found.num_rows:
            continue
        schema = schema_of(entity, name)
        if _key(entity, name):
            schema = schema.append(pa.field("op", pa.string()))
        columns = [
            found.column(field.name).cast(field.type) if field.name in found.column_names else pa.nulls(found.num_rows, field.type)
            for field in schema
        ]
        uri = _staging(entity.entity, name)
        write_deltalake(uri, pa.table(columns, schema=schema), mode="overwrite", schema_mode="overwrite", storage_options=storage_options())
        versions[name] = DeltaTable(uri, storage_options=storage_options()).version()
    return versions


def _staging(entity: str, name: str) -> str:
    return table_uri(f"_staging/{entity}/{name}")


def write_entry(entity: str, entry: Entry) -> None:
    """One atomic journal commit; refused with a retryable LakeError if another run of the entity got in first."""
    from deltalake import CommitProperties, Transaction, write_deltalake
    from deltalake.exceptions import CommitFailedError

    table = open_table(JOURNAL)
    assert table is not None
    app, version = f"resolve.{entity}", entry.number * 2 + (entry.status == "applied")
    if (table.transaction_version(app) or -1) >= version:
        raise LakeError("another run of this entity was quicker", hint="Run it again; nothing was written", entity=entity)
    row = {
        "entity": entity, "run": entry.number, "run_id": entry.run_id, "status": entry.status,
        "inputs": orjson.dumps(entry.inputs).decode(),
        "rules": entry.rules, "staged": orjson.dumps(entry.staged).decode(), "counts": orjson.dumps(entry.counts, default=str).decode(),
        "written_at": clock.now(),
    }  # fmt: skip
    try:
        write_deltalake(
            table, pa.Table.from_pylist([row], _JOURNAL_SCHEMA), mode="append",
            commit_properties=CommitProperties(app_transactions=[Transaction(app, version)]),
        )  # fmt: skip
    except CommitFailedError as error:
        raise LakeError("another run wrote its journal at the same moment", hint="Run it again", entity=entity) from error


def apply(spark: SparkSession | None, entity: Entity, entry: Entry) -> None:
    """Writes what `entry` staged into Gold and marks it applied; any number of times with the same result.

    Large changes are merged by `spark` if it is given.
    """
    golden = golden_table(entity)
    for name in (MODELS, FREQUENCIES, OVERRIDES, MATCHES, LINKS, golden, history_table(entity), CHANGES, REDIRECTS):
        if name in entry.staged:
            with _points({golden: "golden", history_table(entity): "history"}.get(name, name.removeprefix("gold_identity_"))):
                if _key(entity, name):
                    _merge(spark, entity, name, entry.staged[name])
                else:
                    append(entity, name, entry)
    failpoint("resolve.before_applied")
    write_entry(entity.entity, Entry(**{**entry.__dict__, "status": "applied"}))
    _sweep(entity.entity, entry.staged)


@contextmanager
def _points(word: str) -> Iterator[None]:
    failpoint(f"resolve.before_{word}")
    yield
    failpoint(f"resolve.after_{word}")


def _merge(spark: SparkSession | None, entity: Entity, name: str, version: int) -> None:
    from deltalake import DeltaTable

    keys = _key(entity, name) or ()
    names = schema_of(entity, name).names
    own = {"waterfall": "coalesce(s.`waterfall`, t.`waterfall`)"} if name == MATCHES else {}
    merge = Merge(
        keys=keys,
        deleted="s.op = 'delete'",
        updated=from_source([column for column in names if column not in keys], own),
        inserted=names,
        insert_if="s.op = 'upsert'",
        pruned={"entity": [entity.entity]} if "entity" in keys else {},
    )
    staged = DeltaTable(_staging(entity.entity, name), version=version, storage_options=storage_options())
    if spark is None or sum(pa.table(staged.get_add_actions()).column("num_records").to_pylist()) <= amounts.MERGED_ROWS:
        rows = staged.to_pyarrow_table()
        tenants = pc.unique(rows.column("tenant_id")).to_pylist()
        merge_here(table_uri(name), replace(merge, pruned={**merge.pruned, "tenant_id": tenants}), rows)
        return
    source = spark.read.format("delta").option("versionAsOf", version).load(_staging(entity.entity, name))
    merge_by_spark(spark, table_uri(name), merge, source)


def append(entity: Entity, name: str, entry: Entry) -> None:
    """Rows that are only ever added: the run's number is the transaction, so a second time writes nothing."""
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    target = open_table(name)
    app = f"resolve.{entity.entity}"
    if target is None or (target.transaction_version(app) or -1) >= entry.number:
        return
    staged = DeltaTable(_staging(entity.entity, name), version=entry.staged[name], storage_options=storage_options())
    write_deltalake(
        target, staged.to_pyarrow_table(), mode="append",
        commit_properties=CommitProperties(app_transactions=[Transaction(app, entry.number)]),
    )  # fmt: skip


def _sweep(entity: str, staged: Mapping[str, int]) -> None:
    """Removes staged files of former runs."""
    from deltalake import DeltaTable

    for name in staged:
        table = DeltaTable(_staging(entity, name), storage_options=storage_options())
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


def versions(entity: Entity) -> dict[str, int]:
    """The version of each Gold table that exists."""
    names = [golden_table(entity), history_table(entity), *SCHEMAS]
    return {name: table.version() for name in names if (table := open_table(name)) is not None}
