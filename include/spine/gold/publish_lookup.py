"""Keeps what `spine lookup` reads beside the published Gold: standardised records, their blocking keys, the learned weights.

Part of a publication's transaction. Only records whose values or golden record differ are standardised and written, and only buckets that
hold a key of theirs; new weights or new rules make everything anew. A record is here as Silver has it now, if Gold knows its entity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable
from psycopg import sql

from spine.core.entities import Entity
from spine.gold import records as silver
from spine.gold.lookup_stamp import stamp_of
from spine.gold.schema import LOOKUP, LOOKUP_KEYS, LOOKUP_MODELS, LOOKUP_RECORDS, Table
from spine.gold.store import newest_model
from spine.identity import engine
from spine.identity.blocking import postings
from spine.identity.comparing.plan import Plan
from spine.lake import gold
from spine.lake.reading import dataset, reading

Array: TypeAlias = Any  # numpy arrays of many element types
BATCH = 50_000
ANEW = 0.2  # above this share of changed records, everything is made anew, which is quicker then


def publish_lookup(
    execute: Any, entity: Entity, run_id: str, links: DeltaTable, tables: dict[str, DeltaTable], tenant: str | None = None
) -> dict[str, dict[str, int]]:
    """Bring the lookup of every tenant, or of one, up to date with `links` and the Silver `tables`; rows written and deleted by table."""
    counts = {table.name: {"inserted": 0, "updated": 0, "deleted": 0} for table in (LOOKUP_RECORDS, LOOKUP_KEYS)}
    if entity.matching is None:
        return counts
    for row in _newest_models(entity):
        if tenant is None or row["tenant_id"] == tenant:
            _Tenant(execute, entity, row, run_id, counts).bring_up_to_date(links, tables)
    return counts


def _newest_models(entity: Entity) -> list[dict[str, Any]]:
    newest: dict[str, dict[str, Any]] = {}
    for row in gold.read_rows(gold.MODELS, [("entity", "=", entity.entity)]):
        if row["model_version"] > newest.get(row["tenant_id"], {"model_version": -1})["model_version"]:
            newest[row["tenant_id"]] = row
    return [newest[tenant] for tenant in sorted(newest)]


@dataclass
class _Tenant:
    """One tenant's part of the work."""

    execute: Any
    entity: Entity
    row: dict[str, Any]
    run_id: str
    counts: dict[str, dict[str, int]]

    def bring_up_to_date(self, links: DeltaTable, tables: dict[str, DeltaTable]) -> None:
        """Write what differs between the records as they are now and as they were published."""
        assert self.entity.matching is not None
        self.plan: Plan = engine.make_plan(self.entity.matching)
        model = newest_model(self.entity, self.row["tenant_id"])
        assert model is not None  # its row is at hand
        self.model = model
        self.stamp = stamp_of(self.entity, self.row["model_version"])
        current = self._current(links, tables)
        known = self.execute(sql.SQL("SELECT stamp, buckets FROM gold.lookup_models AS t WHERE {}").format(self._mine()))
        if not known or known[0][0] != self.stamp:
            self._anew(current)
        else:
            self.buckets = int(known[0][1])
            self._update(current)

    def _update(self, current: pa.Table) -> None:
        former = self._arrow(sql.SQL("SELECT number, record_ref, digest FROM gold.lookup_records AS t WHERE {}").format(self._mine()))
        place = _places(current.column("record_ref"), former.column("record_ref"))
        stored = np.asarray(former.column("digest"), dtype=np.int64)
        numbers = np.asarray(former.column("number"), dtype=np.int64)
        digests = np.asarray(current.column("digest"), dtype=np.int64)
        same: Array = np.zeros(len(place), dtype=bool)
        same[place >= 0] = stored[place[place >= 0]] == digests[place >= 0]
        changed = np.flatnonzero(~same)
        stays: Array = np.zeros(len(numbers), dtype=bool)
        stays[place[same]] = True
        if len(changed) + (~stays).sum() > max(1_000, ANEW * len(place)):
            self._anew(current)
        elif len(changed) or not stays.all():
            first = int(numbers.max(initial=-1)) + 1
            fresh = np.where(place[changed] >= 0, numbers[place[changed]], 0)
            fresh[place[changed] < 0] = first + np.arange(int((place[changed] < 0).sum()))
            self._exchange(numbers[~stays], current.take(pa.array(changed)), fresh)
            self.execute(sql.SQL("DELETE FROM gold.lookup_models AS t WHERE {}").format(self._mine()))
            self._remember(current.num_rows)  # values may be more frequent than they were

    def _mine(self) -> sql.Composed:
        return sql.SQL("t.tenant_id = {} AND t.entity = {}").format(sql.Literal(self.row["tenant_id"]), sql.Literal(self.entity.entity))

    def _arrow(self, query: sql.Composed) -> pa.Table:
        self.execute.cursor.execute(query.as_string(None))
        return self.execute.cursor.fetch_arrow_table()

    def _current(self, links: DeltaTable, tables: dict[str, DeltaTable]) -> pa.Table:
        """Reference, golden record, raw attributes and digest of every record that Gold knows, by reference."""
        assert self.entity.matching is not None
        tenant, name = self.row["tenant_id"], self.entity.entity
        found = silver.records(self.entity, tables, tenant)
        with reading(gold.LINKS):
            where = (pads.field("tenant_id") == tenant) & (pads.field("entity") == name)
            mine = [("tenant_id", "=", tenant), ("entity", "=", name)]
            linked = dataset(links, mine).to_table(columns=["record_ref", "entity_id"], filter=where)
        place = _places(found.column("record_ref"), linked.column("record_ref"))
        known = np.flatnonzero(place >= 0)
        kept = found.select(["record_ref", *self.entity.matching.attributes]).take(pa.array(known))
        kept = kept.append_column("entity_id", linked.column("entity_id").take(pa.array(place[known])))
        return kept.append_column("digest", pa.array(_digests(kept.drop_columns(["record_ref"]))))

    def _anew(self, current: pa.Table) -> None:
        """Everything of the tenant: away with what was, then records and keys by COPY, batch by batch."""
        for table in LOOKUP:
            gone = sql.SQL("DELETE FROM {} AS t WHERE {}").format(sql.Identifier("gold", table.name), self._mine())
            deleted = self.execute.count(gone)
            if table is not LOOKUP_MODELS:
                self.counts[table.name]["deleted"] += deleted
        keys: list[Array] = [np.zeros(0, dtype=np.uint64)]
        numbers: list[Array] = [np.zeros(0, dtype=np.int64)]
        self._copy(LOOKUP_RECORDS, self._records(current, np.arange(current.num_rows), keys, numbers))
        key, number = np.concatenate(keys), np.concatenate(numbers)
        self.buckets = postings.bucket_count(len(key))
        self._copy(LOOKUP_KEYS, self._packed(key, number))
        self._remember(current.num_rows)
        for table in (LOOKUP_RECORDS, LOOKUP_KEYS):
            self.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("gold", table.name)))

    def _records(self, rows: pa.Table, number: Array, keys: list[Array], numbers: list[Array]) -> Iterator[pa.RecordBatch]:
        """Rows of `lookup_records`; their keys are put into `keys` and `numbers` on the way."""
        for start in range(0, rows.num_rows, BATCH):
            part, own = rows.slice(start, BATCH), number[start : start + BATCH]
            prepared = engine.prepare(part, self.plan)
            row, key = postings.keys(prepared, self.model)
            keys.append(key)
            numbers.append(own[row])
            columns = {
                "number": pa.array(own), "record_ref": part.column("record_ref"), "entity_id": part.column("entity_id"),
                "digest": part.column("digest"), "features": postings.texts(prepared),
            }  # fmt: skip
            yield self._batch(LOOKUP_RECORDS, columns, len(own))

    def _packed(self, key: Array, number: Array) -> Iterator[pa.RecordBatch]:
        for bucket, packed in postings.pack(key, number, self.buckets):
            yield self._batch(LOOKUP_KEYS, {"bucket": pa.array(bucket), "postings": packed}, len(bucket))

    def _batch(self, table: Table, columns: dict[str, Any], rows: int) -> pa.RecordBatch:
        own = {"tenant_id": pa.repeat(self.row["tenant_id"], rows), "entity": pa.repeat(self.entity.entity, rows)}
        arrays = [(own | columns)[name] for name in table.schema.names]
        flat = [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in arrays]
        return pa.RecordBatch.from_arrays([pc.cast(a, f.type) for a, f in zip(flat, table.schema, strict=True)], schema=table.schema)

    def _copy(self, table: Table, batches: Iterator[pa.RecordBatch]) -> None:
        reader = pa.RecordBatchReader.from_batches(table.schema, batches)
        written = self.execute.cursor.adbc_ingest(table.name, reader, mode="append", db_schema_name="gold")
        self.counts[table.name]["inserted"] += max(0, int(written))

    def _exchange(self, gone: Array, rows: pa.Table, fresh: Array) -> None:
        """Take the records `gone` out, put `rows` in under the numbers `fresh`: only buckets that hold a key of theirs are written."""
        self._temporary("lookup_gone", {"number": pa.array(gone, pa.int64())})
        away = "DELETE FROM gold.lookup_records AS t USING lookup_gone AS g WHERE {} AND t.number = g.number RETURNING t.features"
        former = [row[0] for row in self.execute(sql.SQL(away).format(self._mine()))]
        keys: list[Array] = [postings.keys(postings.records_of(former, self.plan), self.model)[1]] if former else []
        numbers: list[Array] = []
        self._copy(LOOKUP_RECORDS, self._records(rows, fresh, keys, numbers))
        key, number = (np.concatenate(keys[len(former) > 0 :]), np.concatenate(numbers)) if numbers else (keys[0][:0], gone[:0])
        touched = np.unique(postings.bucket_of(np.concatenate(keys), self.buckets))
        self._temporary("lookup_touched", {"bucket": pa.array(touched, pa.int64())})
        away = "DELETE FROM gold.lookup_keys AS t USING lookup_touched AS g WHERE {} AND t.bucket = g.bucket RETURNING t.postings"
        taken = [row[0] for row in self.execute(sql.SQL(away).format(self._mine()))]
        old = postings.unpack(taken)
        old = old[~np.isin(old["record"], gone)]
        self._copy(LOOKUP_KEYS, self._packed(np.concatenate([old["key"], key]), np.concatenate([old["record"].astype(np.int64), number])))
        self.counts[LOOKUP_RECORDS.name]["deleted"] += len(former)
        self.counts[LOOKUP_KEYS.name]["deleted"] += len(taken)
        count = sql.SQL("UPDATE gold.lookup_models AS t SET records = records + {}, run_id = {} WHERE {}")
        self.execute(count.format(sql.Literal(rows.num_rows - len(former)), sql.Literal(self.run_id), self._mine()))

    def _temporary(self, name: str, columns: dict[str, pa.Array]) -> None:
        self.execute(sql.SQL("DROP TABLE IF EXISTS pg_temp.{}").format(sql.Identifier(name)))
        column = next(iter(columns))
        self.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({} bigint) ON COMMIT DROP").format(sql.Identifier(name), sql.Identifier(column)))
        self.execute.cursor.adbc_ingest(name, pa.table(columns), mode="append", temporary=True)
        self.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))

    def _remember(self, rows: int) -> None:
        columns = {
            "stamp": pa.array([self.stamp]), "model_version": pa.array([self.row["model_version"]]), "buckets": pa.array([self.buckets]),
            "records": pa.array([rows]), "parameters": pa.array([self.model.to_json()]), "run_id": pa.array([self.run_id]),
        }  # fmt: skip
        reader = pa.RecordBatchReader.from_batches(LOOKUP_MODELS.schema, [self._batch(LOOKUP_MODELS, columns, 1)])
        self.execute.cursor.adbc_ingest(LOOKUP_MODELS.name, reader, mode="append", db_schema_name="gold")


def _places(values: pa.ChunkedArray, among: pa.ChunkedArray) -> Array:
    """Where each value is in `among`, -1 if nowhere."""
    return np.asarray(pc.fill_null(pc.index_in(values.combine_chunks(), value_set=among.combine_chunks()), -1), dtype=np.int64)


def _digests(table: pa.Table) -> Array:
    """One number per row that changes with any of its values."""
    import pandas as pd

    result: Array = np.zeros(table.num_rows, dtype=np.uint64)
    for column in table.columns:
        values = pc.fill_null(pc.cast(column, pa.string()), "\x00").to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            result = result * np.uint64(0x9E3779B97F4A7C15) + pd.util.hash_array(values, categorize=False)
    return result.view(np.int64)
