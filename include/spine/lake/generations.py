"""A stream that is read anew beside its Bronze table, whose rows then take the place of the former ones in one commit.

Until then nobody sees them. From then on a version that was emitted since the new reading began is newer than any from before, whatever its
cursor says: the moment is a property of the Bronze table, for each connection one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from spine.core import clock
from spine.core.errors import LakeError
from spine.core.failpoints import failpoint
from spine.lake.bronze import NOTE, SCHEMA, BronzeWriter, Envelope, Progress, create_bronze, lake_errors, living_unseen
from spine.lake.delta_sql import table_at
from spine.lake.paths import storage_options, table_uri
from spine.lake.reading import dataset, filesystem

if TYPE_CHECKING:
    from pyspark.sql import Column

_FOLDER = "_next"
_SWAPPED = "spine.swapped."
_ATTEMPTS = 8


def swaps(uri: str) -> dict[str, datetime]:
    """Since when the rows of connections in a Bronze table are those of a new reading."""
    table = table_at(uri)
    properties = (table.metadata().configuration or {}) if table is not None else {}
    return {name.removeprefix(_SWAPPED): clock.parse(str(at)) for name, at in properties.items() if name.startswith(_SWAPPED) and at}


def swapped(found: Mapping[str, datetime]) -> Column:
    """Since when the rows of a row's connection are those of a new reading, null where there was none."""
    from pyspark.sql import functions as F

    column = F.lit(None).cast("timestamp")
    for connection, moment in found.items():
        column = F.when(F.col("connection_id") == connection, F.lit(moment)).otherwise(column)
    return column


class Generation:
    """The new rows of one stream of one connection, in a table of their own until `swap`."""

    def __init__(self, table: str, envelope: Envelope) -> None:
        self._main, self._envelope = table_uri(table), envelope
        self._place = f"{_FOLDER}/{table}/{envelope.connection_id}"
        self.uri = table_uri(self._place)

    @property
    def done(self) -> Progress | None:
        """What has been swapped by this run, None before."""
        return BronzeWriter(self._main, self._envelope).committed

    def writer(self, window_end: str) -> BronzeWriter:
        """Where pages go: after those that this run has brought already. Those of a run that was given up go first.

        After the swap it is the Bronze table's own writer, which has nothing left to do.
        """
        if self.done is not None:
            return BronzeWriter(self._main, self._envelope, window_end=window_end)
        writer = BronzeWriter(self.uri, self._envelope, window_end=window_end)
        if writer.committed is None and table_at(self.uri) is not None:
            self.forget()
            writer = BronzeWriter(self.uri, self._envelope, window_end=window_end)
        return writer

    def retired(self, silver: str, *, split: bool, malformed: str) -> dict[str, str | None]:
        """Records that are alive in Bronze or in a Silver table and are not among the new rows, with their cursors.

        What another run has brought since the new reading began is none of them. `malformed` is as in `living_unseen`.
        """
        tenant, new, begun = [("tenant_id", "=", self._envelope.tenant_id)], table_at(self.uri), self._begun
        found = living_unseen(self._main, self._envelope, older_than=begun, malformed=malformed).missing
        with lake_errors(silver):
            seen: set[str] = set()
            if new is not None:
                seen = set(dataset(new, tenant).to_table(columns=["record_id"]).column("record_id").to_pylist())
            table = table_at(silver)
            if table is not None:
                mine = (pc.field("stream") == self._envelope.stream) & (pc.field("connection_id") == self._envelope.connection_id)
                mine = mine & (pc.field("emitted_at") < pa.scalar(begun, SCHEMA.field("emitted_at").type)) if begun else mine
                rows = dataset(table, tenant).to_table(columns=["record_id", "source_cursor"], filter=mine & ~pc.field("is_deleted"))
                names = rows.column("record_id")
                names = pc.replace_substring_regex(names, r"#\d{1,6}$", "") if split else names
                found |= dict(zip(names.to_pylist(), rows.column("source_cursor").to_pylist(), strict=True))
        return {name: cursor for name, cursor in found.items() if name not in seen}

    def swap(self, progress: Progress, parts: Mapping[str, str]) -> int:
        """Let the rows take the former ones' place; the version of the Bronze table. Raises LakeError."""
        with lake_errors(self._main):
            main, moment = table_at(self._main) or create_bronze(self._main), self._begun
            assert moment is not None
            main.alter.set_table_properties({f"{_SWAPPED}{self._envelope.connection_id}": clock.to_text(moment)}, raise_if_not_exists=False)
            failpoint("resync.before_swap")
            noted = replace(progress, sequence=1, version=None, parts=dict(parts))
            properties = CommitProperties(
                custom_metadata={NOTE: orjson.dumps({"app_id": self._envelope.app_id, **asdict(noted)}).decode()},
                app_transactions=[Transaction(self._envelope.app_id, 1, int(time.time() * 1000))],
            )
            for attempt in range(_ATTEMPTS):
                try:
                    main.update_incremental()
                    # Read by Arrow alone: delta-rs pulls the rows from a thread of its own.
                    rows = dataset(DeltaTable(self.uri, storage_options=storage_options())).scanner(columns=SCHEMA.names).to_reader()
                    write_deltalake(main, rows, mode="append", commit_properties=properties)
                    failpoint("resync.after_swap")
                    return int(main.version())
                except CommitFailedError:
                    time.sleep(0.05 * 2**attempt)
        raise LakeError("the table is too busy to append to", hint="Another writer keeps it busy; a retry is safe", table=self._main)

    @property
    def _begun(self) -> datetime | None:
        """When the first of the new rows was emitted."""
        table = table_at(self.uri)
        if table is None:
            return None
        batches = dataset(table).scanner(columns=["emitted_at"]).to_batches()
        return min((pc.min(batch.column(0)).as_py() for batch in batches if batch.num_rows), default=None)

    def forget(self) -> None:
        """Remove the table of the new rows, if there is one."""
        with lake_errors(self.uri):
            system = filesystem()
            if system.get_file_info(self._place).type == pafs.FileType.Directory:
                system.delete_dir(self._place)
