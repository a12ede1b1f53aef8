"""Archived days of Bronze, brought back into their table, so that Silver can be built again from everything that was ever read.

A row that the table has already is not written again, so it may be repeated, and a day that was archived in several parts comes back once.
The archive stays; the nightly care archives the days anew once Silver has read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake

from spine.core.errors import LakeError
from spine.core.failpoints import failpoint
from spine.lake.reading import ARCHIVE, dataset, filesystem, open_table, reading


@dataclass(frozen=True)
class Days:
    """Which archived days are meant: from `since` up to and including `until`, of some tenants or of all."""

    since: date | None = None
    until: date | None = None
    tenants: Sequence[str] | None = None

    def holds(self, tenant: str, day: date) -> bool:
        """Whether a tenant's day is meant."""
        late = self.until is not None and day > self.until
        return not late and (self.since is None or day >= self.since) and (self.tenants is None or tenant in self.tenants)


def restore_bronze(name: str, days: Days) -> dict[str, int]:
    """Append what is in the archive of a Bronze table and not in the table, a day of a tenant per commit; returns `rows` and `days`.

    Raises LakeError if there is no such table.
    """
    table = open_table(name)
    if table is None:
        raise LakeError(f"There is no table {name}", hint="Check SPINE_LAKE, and the names of source and stream")
    done = {"rows": 0, "days": 0}
    for tenant, day, files in _archived(name):
        if not days.holds(tenant, day):
            continue
        with reading(name):
            rows = _missing(table, tenant, day, files)
            if rows.num_rows:
                note = CommitProperties(custom_metadata={"spine.restored": f"tenant={tenant}/date={day.isoformat()}"})
                write_deltalake(table, rows, mode="append", commit_properties=note)
                failpoint("restore.day")
        done = {"rows": done["rows"] + rows.num_rows, "days": done["days"] + bool(rows.num_rows)}
    return done


def _archived(name: str) -> Iterator[tuple[str, date, list[str]]]:
    """(tenant, day, files) of a table's archive, oldest day first."""
    with reading(name):
        found = filesystem().get_file_info(pafs.FileSelector(f"{ARCHIVE}/{name}", recursive=True, allow_not_found=True))
    places: dict[tuple[date, str], list[str]] = {}
    for info in found:
        if info.is_file and info.path.endswith(".parquet"):
            tenant, day = (part.partition("=")[2] for part in info.path.split("/")[-3:-1])
            places.setdefault((date.fromisoformat(day), tenant), []).append(info.path)
    for (when, tenant), files in sorted(places.items()):
        yield tenant, when, sorted(files)


def _missing(table: DeltaTable, tenant: str, day: date, files: Sequence[str]) -> pa.Table:
    """Rows of the archived files that the table's day lacks, each once."""
    import duckdb

    system = filesystem()
    parts = []
    for path in files:
        with system.open_input_file(path) as handle:
            parts.append(pq.ParquetFile(handle).read())
    present = dataset(table, [("tenant_id", "=", tenant), ("emitted_date", "=", day.isoformat())]).to_table()
    archived = pa.concat_tables(part.select(present.schema.names) for part in parts)
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("archived", archived)
        engine.register("present", present)
        return engine.sql("SELECT * FROM archived EXCEPT SELECT * FROM present").to_arrow_table().cast(archived.schema)
