"""Appends pages to Bronze with delta-rs: data, page token and cursor in one atomic commit, so that a retry goes on from there.

Each commit carries Transaction(app_id, sequence). Delta refuses a commit whose app_id another writer has used since this one
opened the table, so two processes of one run can never write the same page.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from spine.core import clock
from spine.core.errors import LakeError, SyncInProgress
from spine.core.failpoints import failpoint
from spine.core.foreign import told
from spine.core.settings import settings
from spine.lake.delta_sql import table_at
from spine.lake.paths import storage_options
from spine.lake.reading import dataset

SCHEMA = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("source", pa.string()),
        ("stream", pa.string()),
        ("record_id", pa.string()),
        ("emitted_at", pa.timestamp("us", tz="UTC")),
        ("cursor", pa.string()),
        ("op", pa.string()),
        ("payload", pa.string()),
        ("schema_fingerprint", pa.string()),
        ("connection_id", pa.string()),
        ("run_id", pa.string()),
        ("emitted_date", pa.date32()),
    ]
)
_OWN = ("record_id", "op", "cursor", "payload", "schema_fingerprint")  # what each record says itself
PARTITIONS = ["tenant_id", "emitted_date"]
# One transaction id per run and stream would pile up for ever; a retry comes within days. Silver reads the change feed.
_CONFIGURATION: dict[str, str | None] = {"delta.setTransactionRetentionDuration": "interval 30 days", "delta.enableChangeDataFeed": "true"}
NOTE = "spine.bronze"
_SEARCH_STEPS = (16, 256, 4096, 65536)
_ATTEMPTS = 8
_NAMED = 20  # skips that are told by name
_MOST_PARTS = 1000  # cursors of partitions in one commit


Range: TypeAlias = tuple[str, str | None]  # the first cursor and the last; None: there is no last


class BronzeRecord(Protocol):
    """One record as a reader yields it."""

    @property
    def record_id(self) -> str: ...  # noqa: D102
    @property
    def op(self) -> str: ...  # noqa: D102
    @property
    def cursor(self) -> str | None: ...  # noqa: D102
    @property
    def payload(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Envelope:
    """What all records of one stream in one run share."""

    tenant_id: str
    source: str
    stream: str
    connection_id: str
    run_id: str

    @property
    def app_id(self) -> str:
        """The writer's name in Delta's log."""
        return f"{self.connection_id}.{self.stream}.{self.run_id}"


@dataclass(frozen=True)
class Progress:
    """What has been committed: counts, the page token of what comes next (None: the end), the cursor so far, the window's bound.

    `unchanged` counts records that were read and not written, as they are the newest version in Bronze already. `parts` are cursors of
    partitions that this commit has brought further, `parents` how far their parents' changes are read; `skips` counts what rules left out,
    and `skipped` names the first of it. `anew`: the token of changes was refused, so that this run reads everything.
    """

    sequence: int = 0
    token: str | None = None
    high_water: str | None = None
    rows: int = 0
    deletes: int = 0
    pages: int = 0
    bytes: int = 0
    window_end: str | None = None
    version: int | None = None
    unchanged: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    parents: Sequence[str | None] = ()
    skips: int = 0
    skipped: Sequence[str] = ()
    anew: bool = False

    def left_out(self, what: str) -> Progress:
        """One more thing that a rule left out."""
        return replace(self, skips=self.skips + 1, skipped=(*self.skipped, *([what] if len(self.skipped) < _NAMED else [])))


class BronzeWriter:
    """Buffers pages and appends them in commits of about `flush_bytes`, at the latest every `flush_seconds`.

    Both default to the settings. Use one writer per stream and run; it is not for several threads.
    """

    def __init__(
        self, uri: str, envelope: Envelope, *, window_end: str | None = None,
        flush_bytes: int | None = None, flush_seconds: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._uri, self._envelope, self._monotonic = uri, envelope, monotonic
        self._flush_bytes = settings().flush_bytes if flush_bytes is None else flush_bytes
        self._flush_seconds = settings().flush_seconds if flush_seconds is None else flush_seconds
        self._options = storage_options()
        self._table: DeltaTable | None = None
        self._batches: list[pa.RecordBatch] = []
        self._buffered = 0
        self._last_flush = monotonic()
        self.committed: Progress | None = self._find_progress()
        self._pending = replace(self.committed, parts={}) if self.committed else Progress(window_end=window_end)

    def _find_progress(self) -> Progress | None:
        """What this run has committed before, found by its app_id; None if nothing."""
        with lake_errors(self._uri):
            self._table = table_at(self._uri)
            if self._table is None:
                return None
            sequence = self._table.transaction_version(self._envelope.app_id)
            if sequence is None:
                return None
            for limit in _SEARCH_STEPS:
                history = self._table.history(limit)
                for commit in history:
                    found = orjson.loads(commit.get(NOTE) or "{}")
                    if found.pop("app_id", None) == self._envelope.app_id:
                        lists = {name: tuple(found.get(name, ())) for name in ("parents", "skipped")}
                        return Progress(**{**found, **lists, "version": commit["version"]})
                if len(history) < limit:
                    break
        raise LakeError("the last commit of this run is no longer in the table's log", hint="Start a new run", run=self._envelope.run_id)

    def parts_so_far(self) -> dict[str, str]:
        """The cursors of partitions that all commits of this run have brought further, each as its last one says. Raises LakeError."""
        if self.committed is None or self._table is None:
            return {}
        found: dict[str, str] = {}
        with lake_errors(self._uri):
            for commit in self._table.history():
                note = orjson.loads(commit.get(NOTE) or "{}")
                if note.get("app_id") == self._envelope.app_id:
                    found = {**note.get("parts", {}), **found}
        return found

    def add(
        self, records: Sequence[BronzeRecord] | pa.RecordBatch, next_token: str | None, high_water: str | None, *, unchanged: int = 0,
        parts: Mapping[str, str] | None = None, parents: Sequence[str | None] = (), skipped: str = "",
        anew: bool = False,
    ) -> bool:  # fmt: skip
        """Take one page, of which `unchanged` records are left out; True if it led to a commit. Raises LakeError, SyncInProgress.

        Records come one by one, or as columns that are named as the table's (`record_id`, `op`, `cursor`, `payload`, `schema_fingerprint`).
        `parts`, `parents`, `skipped` and `anew` are as in Progress.
        """
        rows = records if isinstance(records, pa.RecordBatch) else _columns(records)
        size = 0
        if rows.num_rows:
            batch = self._batch(rows)
            size = batch.nbytes
            self._batches.append(batch)
        before = self._pending
        self._pending = replace(
            before,
            token=next_token,
            high_water=high_water,
            rows=before.rows + rows.num_rows,
            deletes=before.deletes + (pc.sum(pc.equal(rows.column("op"), "delete")).as_py() or 0),
            pages=before.pages + 1,
            bytes=before.bytes + (pc.sum(pc.utf8_length(rows.column("payload"))).as_py() or 0),
            unchanged=before.unchanged + unchanged,
            parts={**before.parts, **(parts or {})},
            parents=parents or before.parents,
            anew=before.anew or anew,
        )
        if skipped:
            self._pending = self._pending.left_out(skipped)
        self._buffered += size
        if len(self._pending.parts) >= _MOST_PARTS and self._batches:
            return self.flush()
        if self._buffered >= self._flush_bytes or self._monotonic() - self._last_flush >= self._flush_seconds:
            return self.flush()
        return False

    def flush(self, *, always: bool = False) -> bool:
        """Commit what is buffered; False if there was nothing, in which case nothing is written unless it `always` is: the token alone.

        Raises LakeError, SyncInProgress.
        """
        self._last_flush = self._monotonic()
        if not self._batches and not always:
            return False
        progress = replace(self._pending, sequence=self._pending.sequence + 1, version=None)
        self.committed = replace(progress, version=self._commit(progress))
        self._pending = replace(self.committed, parts={})
        self._batches, self._buffered = [], 0
        pa.default_memory_pool().release_unused()  # keeps the peak flat over a long stream
        failpoint("extract.after_page_commit")
        return True

    @property
    def envelope(self) -> Envelope:
        """What all its records share."""
        return self._envelope

    @property
    def pending(self) -> Progress:
        """What was committed and what is buffered."""
        return self._pending

    def _commit(self, progress: Progress) -> int:
        envelope = self._envelope
        properties = CommitProperties(
            custom_metadata={NOTE: orjson.dumps({"app_id": envelope.app_id, **asdict(progress)}).decode()},
            app_transactions=[Transaction(envelope.app_id, progress.sequence, int(time.time() * 1000))],
        )
        with lake_errors(self._uri):
            if self._table is None:
                self._table = create_bronze(self._uri)
                self._refuse_rival(self._table, progress)  # it may have made the table meanwhile
            table = self._table
            for attempt in range(_ATTEMPTS):
                try:
                    # Not a reader over rows in Python: delta-rs would pull from another thread, and two writers may wait for ever.
                    data = pa.Table.from_batches(self._batches, SCHEMA)
                    write_deltalake(table, data, mode="append", commit_properties=properties)
                    return int(table.version())
                except CommitFailedError:
                    table.update_incremental()
                    self._refuse_rival(table, progress)
                    time.sleep(0.05 * 2**attempt)
        raise LakeError("the table is too busy to append to", hint="Another writer keeps it busy; a retry is safe", table=self._uri)

    def _refuse_rival(self, table: DeltaTable, progress: Progress) -> None:
        written = table.transaction_version(self._envelope.app_id)
        if written is not None and written >= progress.sequence:
            raise SyncInProgress(
                "another process of this run has written the same pages",
                hint="Leave it to that process; nothing is written twice",
                run=self._envelope.run_id,
                stream=self._envelope.stream,
            )

    def _batch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        count, now, shared = rows.num_rows, clock.now(), self._envelope
        columns: dict[str, Any] = {
            **{name: rows.column(name) for name in _OWN},
            "tenant_id": pa.repeat(shared.tenant_id, count),
            "source": pa.repeat(shared.source, count),
            "stream": pa.repeat(shared.stream, count),
            "emitted_at": pa.repeat(pa.scalar(now, SCHEMA.field("emitted_at").type), count),
            "connection_id": pa.repeat(shared.connection_id, count),
            "run_id": pa.repeat(shared.run_id, count),
            "emitted_date": pa.repeat(pa.scalar(now.date(), pa.date32()), count),
        }
        return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _columns(records: Sequence[BronzeRecord]) -> pa.RecordBatch:
    columns = (
        [record.record_id for record in records], [record.op for record in records], [record.cursor for record in records],
        [record.payload for record in records], [record.fingerprint for record in records],
    )  # fmt: skip
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], _OWN)


@dataclass(frozen=True)
class Unseen:
    """What a full read has not seen: ids (with their greatest cursor) that are alive in Bronze, and how many were alive before its deletes.

    `nameless` counts the run's records that have no key that could be read: each of them may be one of those ids.
    """

    missing: dict[str, str | None]
    alive: int
    nameless: int = 0


def living_unseen(uri: str, envelope: Envelope, *, older_than: datetime | None = None, malformed: str = "") -> Unseen:
    """Ids that are alive in Bronze but were not seen by this run.

    `older_than` leaves out what was emitted later; `malformed` is the fingerprint of records that could not be read, which are seen but
    make nothing live. Bronze keeps 30 days: what was last read before that is not known here.
    """
    rows = _rows(uri, envelope, ("record_id", "op", "cursor", "emitted_at", "connection_id", "run_id", "schema_fingerprint"))
    if rows is None:
        return Unseen({}, 0)
    found = _ask(
        rows,
        """
        SELECT record_id, coalesce(max_by(op, emitted_at) FILTER (run_id <> $run AND schema_fingerprint <> $bad), 'delete') AS before,
               bool_or(run_id = $run AND op = 'upsert') AS seen,
               coalesce(max_by(op, emitted_at) FILTER (schema_fingerprint <> $bad), 'delete') AS now,
               bool_or(run_id = $run AND schema_fingerprint = $bad AND record_id LIKE 'malformed:%') AS nameless,
               max(cursor)
        FROM bronze WHERE connection_id = $connection AND emitted_at <= $moment GROUP BY record_id
        """,
        run=envelope.run_id,
        connection=envelope.connection_id,
        moment=older_than or datetime(9999, 1, 1, tzinfo=UTC),
        bad=malformed,
    )
    alive = sum(before == "upsert" for _, before, *_ in found)
    missing = {record: cursor for record, before, seen, now, _, cursor in sorted(found) if before == now == "upsert" and not seen}
    return Unseen(missing, alive, sum(nameless for *_, nameless, _ in found))


def newest_in(uri: str, envelope: Envelope, ranges: Sequence[Range]) -> dict[str, tuple[str, str, str]]:
    """Record id → operation, cursor and MD5 of the payload of its newest row, for all that have a row with a cursor in one of the ranges.

    Deletes count whatever their cursor is, so that a version is never taken for the newest that a delete has come after.
    """
    recent = (pc.field("op") == "delete") | pc.field("cursor").is_null()
    for start, end in ranges:
        within = pc.field("cursor") >= start
        recent = recent | (within if end is None else within & (pc.field("cursor") <= end))
    rows = _rows(uri, envelope, ("record_id", "op", "cursor", "payload", "emitted_at", "connection_id"), recent)
    if rows is None:
        return {}
    # Of a delete and a version of one moment the delete counts as the newer one: writing once more does no harm.
    found = _ask(
        rows,
        """
        SELECT record_id, unnest(max_by(struct_pack(op := op, cursor := coalesce(cursor, ''), hash := md5(payload)),
                                        (emitted_at, op = 'delete')))
        FROM bronze WHERE connection_id = $connection GROUP BY record_id
        """,
        connection=envelope.connection_id,
    )
    return {record: (op, cursor, digest) for record, op, cursor, digest in found}


def digests_of_run(uri: str, envelope: Envelope) -> set[str]:
    """A digest of id, operation and payload of each row of a run. Raises LakeError."""
    mine = (pc.field("run_id") == envelope.run_id) & (pc.field("connection_id") == envelope.connection_id)
    rows = _rows(uri, envelope, ("record_id", "op", "payload"), mine)
    if rows is None:
        return set()
    return {digest_of(*row) for batch in rows for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)}


def digest_of(record_id: str, op: str, payload: str) -> str:
    """What tells a row of a run from the others of that run."""
    return hashlib.md5(f"{record_id}\n{op}\n{payload}".encode(), usedforsecurity=False).hexdigest()


def rows_of_run(uri: str, envelope: Envelope) -> int:
    """How many rows of a run are in the table. Raises LakeError."""
    mine = (pc.field("run_id") == envelope.run_id) & (pc.field("connection_id") == envelope.connection_id)
    rows = _rows(uri, envelope, ("run_id",), mine)
    with lake_errors(uri):
        return 0 if rows is None else sum(batch.num_rows for batch in rows)


def _rows(uri: str, envelope: Envelope, columns: Sequence[str], condition: Any = None) -> pa.RecordBatchReader | None:
    """Columns of a tenant's rows, which are a partition; None if there is no table yet. Accounts of a tenant are told by connection."""
    with lake_errors(uri):
        table = table_at(uri)
        if table is None:
            return None
        return dataset(table, [("tenant_id", "=", envelope.tenant_id)]).scanner(columns=list(columns), filter=condition).to_reader()


def _ask(bronze: pa.RecordBatchReader, query: str, **values: Any) -> list[Any]:
    import duckdb

    with duckdb.connect() as database:
        database.register("bronze", bronze)
        return list(database.execute(query, values).fetchall())


def create_bronze(uri: str) -> DeltaTable:
    """The table, made if need be; of several that make it at once, one wins and the others take its table."""
    options = storage_options()
    for _ in range(_ATTEMPTS):
        try:
            return DeltaTable.create(
                uri, SCHEMA, mode="ignore", partition_by=PARTITIONS, configuration=_CONFIGURATION, storage_options=options
            )
        except DeltaError:
            if DeltaTable.is_deltatable(uri, storage_options=options):
                return DeltaTable(uri, storage_options=options)
            time.sleep(0.05)
    raise LakeError("the table cannot be created", hint="Look at the lake's storage", table=uri)


@contextmanager
def lake_errors(uri: str) -> Iterator[None]:
    """What delta-rs or storage say of a Bronze table, as LakeError."""
    try:
        yield
    except (DeltaError, OSError) as error:
        raise LakeError(f"Bronze failed: {told(error)}", hint="Look at the lake's storage", table=uri) from error
