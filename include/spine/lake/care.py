"""Care of Delta tables without Spark: joins small files, archives and retires old Bronze, prunes old tombstones, removes dead files.

Every step may die anywhere and be repeated: rows leave a table only after their archive was read back and counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties

from spine.core import clock
from spine.core.errors import LakeError
from spine.core.failpoints import failpoint
from spine.lake.delta_sql import literal
from spine.lake.merging import Merge, merge_here
from spine.lake.paths import table_uri
from spine.lake.reading import ARCHIVE, batches, dataset, filesystem, open_table, reading
from spine.lake.silver import Position

SMALL_FILE = 32 * 1024 * 1024  # bytes
FEW_FILES = 4
SAFE_VACUUM_HOURS = 7 * 24  # a writer or reader that takes longer than this loses its files


@dataclass(frozen=True)
class Partition:
    """One day of one tenant in a Bronze table, with its rows by the log."""

    tenant: str
    day: date
    rows: int


def compact(name: str, *, dry_run: bool = False) -> dict[str, int]:
    """Join the files of each partition that has several small ones; rows and readers notice nothing. Raises LakeError."""
    table = _required(name)
    crowded = _crowded(table)
    done = {"partitions": len(crowded), "files_removed": sum(crowded.values()), "files_added": 0}
    if dry_run or not crowded:
        return done
    done["files_removed"] = 0
    for partition in crowded:
        with reading(name):
            metrics = table.optimize.compact(
                partition_filters=[(column, "=", value) for column, value in partition],
                max_concurrent_tasks=1,
                writer_properties=WriterProperties(compression="ZSTD"),
            )
            table.update_incremental()
        done["files_removed"] += int(metrics["numFilesRemoved"])
        done["files_added"] += int(metrics["numFilesAdded"])
    return done


def _crowded(table: DeltaTable) -> dict[tuple[tuple[str, str], ...], int]:
    """Partitions with several small files, and how many."""
    columns = table.metadata().partition_columns
    small: dict[tuple[tuple[str, str], ...], int] = defaultdict(int)
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        values = [action[f"partition.{column}"] for column in columns]
        if action["size_bytes"] < SMALL_FILE and None not in values:
            small[tuple((column, str(value)) for column, value in zip(columns, values, strict=True))] += 1
    return {partition: files for partition, files in small.items() if files >= FEW_FILES}


def vacuum(name: str, hours: int, *, dry_run: bool = False) -> int:
    """Remove files that no version of the last `hours` needs, orphans of killed writers included; returns their number.

    Raises LakeError, also where `hours` is shorter than a running writer may take.
    """
    if hours < SAFE_VACUUM_HOURS:
        raise LakeError(f"Vacuum of {name} after {hours} h is not safe", hint=f"Keep at least {SAFE_VACUUM_HOURS} h")
    table = _required(name)
    with reading(name):
        found = table.vacuum(retention_hours=hours, dry_run=True, full=True)
        if found and not dry_run:  # an empty vacuum would commit twice for nothing
            table.vacuum(retention_hours=hours, dry_run=False, full=True)
    return len(found)


def retire_bronze(name: str, before: date, consumed: Position | None, *, dry_run: bool = False) -> dict[str, int]:
    """Move Bronze days older than `before` to Parquet files under `_archive`, then delete them from the table.

    A day stays (`held_rows`) while it has rows that Silver, which has read the table up to `consumed`, did not see. Raises LakeError.
    """
    table = _required(name)
    old = [partition for partition in _partitions(table) if partition.day < before]
    read = _consumed(name, table, consumed) if old else {}
    ready = [p for p in old if read.get((p.tenant, p.day), -1) == p.rows]
    done = {
        "archived_rows": sum(p.rows for p in ready),
        "archived_days": len(ready),
        "held_rows": sum(p.rows for p in old) - sum(p.rows for p in ready),
    }
    if dry_run:
        return done
    for day in sorted({p.day for p in ready}):
        tenants = [p for p in ready if p.day == day]
        for partition in tenants:
            _archive(name, table, partition)
        failpoint("maintain.archived")
        _delete(name, table, day, [p.tenant for p in tenants])
    return done


def _partitions(table: DeltaTable) -> list[Partition]:
    found: dict[tuple[str, date], int] = defaultdict(int)
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        found[str(action["partition.tenant_id"]), action["partition.emitted_date"]] += action["num_records"] or 0
    return [Partition(tenant, day, rows) for (tenant, day), rows in sorted(found.items())]


def _consumed(name: str, table: DeltaTable, position: Position | None) -> dict[tuple[str, date], int]:
    """Rows per day that Silver has read; nothing where that is not known.

    Bronze is append only, so a day with as many rows then as now has no row that came later; compaction does not disturb that.
    """
    if position is None or position.table_id != str(table.metadata().id):
        return {}
    try:
        then = open_table(name, position.version)
    except LakeError:  # that version's log is gone
        return {}
    return {(p.tenant, p.day): p.rows for p in _partitions(then)} if then else {}


def _archive(name: str, table: DeltaTable, partition: Partition) -> None:
    """Write the day's rows to a file of its own; an attempt that died before the delete left the same file, which is replaced."""
    system = filesystem()
    folder = f"{ARCHIVE}/{name}/tenant={partition.tenant}/date={partition.day.isoformat()}"
    with reading(name):
        source = dataset(table, [("tenant_id", "=", partition.tenant), ("emitted_date", "=", partition.day.isoformat())])
        partial = f"{folder}/{uuid4().hex}.partial"
        with system.open_output_stream(partial) as sink, pq.ParquetWriter(sink, source.schema, compression="zstd") as writer:
            for batch in batches(source, source.schema):
                writer.write_batch(batch)
        written = _rows(system, partial)
        if written != partition.rows:
            system.delete_file(partial)
            raise LakeError(f"The archive of {name} has {written} of {partition.rows} rows", hint="Nothing was deleted; run it again")
        system.move(partial, _free_name(system, folder, partition.rows))
        for info in system.get_file_info(pafs.FileSelector(folder)):
            if info.base_name.endswith(".partial"):
                system.delete_file(info.path)  # of an attempt that died


def _free_name(system: pafs.FileSystem, folder: str, rows: int) -> str:
    """The first name that is free or holds an attempt of ours; another number of rows is another generation and is kept."""
    number = 1
    while True:
        path = f"{folder}/rows-{number}.parquet"
        if system.get_file_info(path).type == pafs.FileType.NotFound or _rows(system, path) == rows:
            return path
        number += 1


def _rows(system: pafs.FileSystem, path: str) -> int:
    with system.open_input_file(path) as handle:
        return int(pq.ParquetFile(handle).metadata.num_rows)


def _delete(name: str, table: DeltaTable, day: date, tenants: list[str]) -> None:
    listed = ", ".join(literal(tenant) for tenant in tenants)
    note = CommitProperties(custom_metadata={"spine.archive": f"{ARCHIVE}/{name}/tenant=*/date={day.isoformat()}"})
    with reading(name):
        table.delete(f"emitted_date = {literal(day.isoformat())} AND tenant_id IN ({listed})", commit_properties=note)
        table.update_incremental()


def prune_tombstones(name: str, before: datetime, linked: str, *, dry_run: bool = False) -> dict[str, int]:
    """Delete Silver rows that are marked deleted since `before`; a row that is alive is never touched.

    `linked` names the identity links: while any of those rows is still linked to a golden record, all stay (`held_rows`). Raises LakeError.
    """
    table = _required(name)
    moment = pa.scalar(before, pa.timestamp("us", "UTC"))
    dead = (pads.field("is_deleted") == True) & (pads.field("updated_at") < moment)  # noqa: E712
    with reading(name):
        keys = dataset(table).to_table(columns=["tenant_id", "record_ref"], filter=dead)
        if keys.num_rows == 0:
            return {"pruned_rows": 0, "held_rows": 0}
        if _still_linked(linked, keys):
            return {"pruned_rows": 0, "held_rows": keys.num_rows}
        if not dry_run:
            long_dead = f"t.is_deleted AND t.updated_at < {literal(clock.to_text(before))}"
            tenants = pc.unique(keys["tenant_id"]).to_pylist()
            merge_here(table_uri(name), Merge(("tenant_id", "record_ref"), {"tenant_id": tenants}, deleted=long_dead), keys)
    return {"pruned_rows": keys.num_rows, "held_rows": 0}


def _still_linked(linked: str, keys: pa.Table) -> bool:
    links = open_table(linked)
    if links is None:
        return False
    for tenant in pc.unique(keys["tenant_id"]).to_pylist():
        refs = keys.filter(pc.field("tenant_id") == tenant)["record_ref"].combine_chunks()
        mine = dataset(links, [("tenant_id", "=", tenant)])
        if mine.count_rows(filter=pads.field("record_ref").isin(refs)):
            return True
    return False


def _required(name: str) -> DeltaTable:
    table = open_table(name)
    if table is None:
        raise LakeError(f"There is no table {name}", hint="Check SPINE_LAKE")
    return table
