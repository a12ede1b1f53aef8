"""Reads tables of Silver and Gold as a source: what has changed since the version that was read last, by Delta's change feed.

Only the tenant's own rows are opened. The cursor is the table's id and version. A table that has no change feed, or whose feed has
expired, is read as a whole when it has a new version; `detect: sweep` then marks what is gone. A record of which there are several changes
is told once, as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from spine.core import declarations
from spine.core.entities import load_entity
from spine.core.errors import ConfigError, LakeError, SchemaMismatch, SourceUnavailable
from spine.core.screen import logger
from spine.core.settings import settings
from spine.core.texts import nearest
from spine.sources.access import Access
from spine.sources.database.values import jsoned
from spine.sources.reading import Op, Page, Record, State, Window
from spine.sources.recording import Recorder
from spine.sources.spec import Source, Stream

READS = frozenset({
    "object", "fields", "required_fields", "cursor.field", "filters", "rename", "compute", "personal", "paging.size",
})  # fmt: skip
DETECTS = frozenset({"sweep"})
_FOREIGN = ("raw_", "quarantine_", "_")  # what the pipeline keeps for itself
_DEAD = "is_deleted"
_CHANGES: dict[str, Op] = {"insert": "upsert", "update_postimage": "upsert", "delete": "delete"}
_log = logger(__name__)


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of a table: places inside it, and why."""
    if (stream.object or stream.name).startswith(_FOREIGN):
        yield ("object",), "is no table of Silver or Gold"


def source_mistakes(source: Source) -> Iterator[tuple[declarations.Place, str]]:
    """What would feed itself: a stream's rows would come back as new ones, run by run."""
    for number, stream in enumerate(source.streams):
        name, fed = stream.object or stream.name, {f"{source.source}_{other.silver}" for other in source.streams}
        for entity in source.entities:
            try:
                fed.add(load_entity(entity).gold_table)
            except ConfigError:
                continue  # told once, as a mistake of its own file
        if name in fed:
            yield ("streams", number, "object"), f"{name!r} is made of this source's own records, which would come back run by run"


@dataclass(frozen=True)
class _Point:
    """Where a reading stands: a table at a version, its rows (or its changes after `since`) of which `row` are read."""

    id: str
    version: int
    since: int | None = None
    row: int = 0

    def text(self, row: int = 0) -> str:
        """As a token."""
        return orjson.dumps({"id": self.id, "version": self.version, "since": self.since, "row": row}).decode()

    @property
    def cursor(self) -> str:
        """What is kept when all of it is read."""
        return orjson.dumps({"id": self.id, "version": self.version}).decode()

    @classmethod
    def of(cls, text: str | None) -> _Point | None:
        """Of a token or cursor. Raises ConfigError for what somebody else has left there."""
        if not text:
            return None
        try:
            return cls(**orjson.loads(text))
        except (orjson.JSONDecodeError, TypeError):
            raise ConfigError("the saved cursor is no version of a table", hint="Run once with mode full") from None


@dataclass(frozen=True)
class Reader:
    """Reads tables of the lake for one tenant."""

    source: Source
    access: Access

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the changes since the saved version, or of all rows. Raises SchemaMismatch where there is no such table, LakeError."""
        if not self.access.place.tenant:
            raise ConfigError("a source of the lake is read for a tenant", source=self.source.source)
        table, saved = _opened(stream), None if window.full or window.backfill else _Point.of(state.cursor)
        identity, newest = str(table.metadata().id), table.version()
        point = _Point.of(state.token)
        if point is None or point.id != identity:
            known = saved is not None and saved.id == identity and saved.version <= newest
            point = _Point(identity, newest, saved.version if saved and known else None)
        if point.since == point.version:
            yield Page((), None, point.cursor)
            return
        whole = window.full or (saved is None and not window.backfill)
        bounds = window if window.backfill else Window(full=whole)  # a version of a table has no time: all of it belongs to the window
        recorder = Recorder(stream, bounds, None, self.access.values, self.access.hashed)
        records = None if point.since is None else self._changes(stream, table, point, recorder)
        anew = records is None and not (window.full or window.backfill)
        if records is None:
            point = _Point(identity, point.version, None, point.row if point.since is None else 0)
            records = self._rows(stream, point, recorder)
        size = stream.paging.size if "paging" in stream.model_fields_set else settings().batch_size
        row, found = point.row, islice(records, point.row, None)
        while chunk := list(islice(found, size)):
            row += len(chunk)
            kept = [record for record in chunk if record is not None]
            self.access.allowance.took(sum(len(record.payload) for record in kept))
            self.access.allowance.turned()
            yield Page(kept, point.text(row), state.cursor, anew=anew)
        yield Page((), None, point.cursor, anew=anew)

    def _changes(self, stream: Stream, table: Any, point: _Point, recorder: Recorder) -> Iterator[Record | None] | None:
        """The last change of each record; None where the feed does not tell all of them."""
        import pyarrow.compute as pc

        last: dict[str, Record] = {}
        try:
            feed = table.load_cdf(starting_version=(point.since or 0) + 1, ending_version=point.version)
            rows: list[dict[str, Any]] = []
            for batch in map(_arrow, feed):
                rows += batch.filter(pc.equal(batch.column("tenant_id"), self.access.place.tenant)).to_pylist()
        except Exception as error:  # an expired or absent change feed comes as one of several kinds of error
            _log.warning("%s: the change feed is unreadable (%s): all of the table is read", stream.name, type(error).__name__)
            return None
        wanted = [row for row in rows if row["_change_type"] in _CHANGES]
        for row in sorted(wanted, key=lambda row: (row["_commit_version"], _CHANGES[row["_change_type"]] == "upsert")):
            record = recorder.record(_item(stream, row), "delete" if row.get(_DEAD) else _CHANGES[row["_change_type"]])
            if record is not None:
                last.pop(record.record_id, None)
                last[record.record_id] = record
        return iter(last.values())

    def _rows(self, stream: Stream, point: _Point, recorder: Recorder) -> Iterator[Record | None]:
        """All of the tenant's rows at a version; those that the source of Silver has deleted as such."""
        from spine.lake.reading import BATCH_ROWS, dataset, reading

        name = stream.object or stream.name
        with reading(name):
            data = dataset(_opened(stream, point.version), [("tenant_id", "=", self.access.place.tenant)])
            for batch in data.scanner(batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1).to_batches():
                for row in batch.to_pylist():
                    yield recorder.record(_item(stream, row), "delete" if row.get(_DEAD) else "upsert")


def _opened(stream: Stream, version: int | None = None) -> Any:
    """The table, in which tenants are apart. Raises SchemaMismatch where there is none, ConfigError for one without tenants."""
    from spine.lake.reading import open_table, table_names

    name = stream.object or stream.name
    try:
        table = open_table(name, version)
    except LakeError as error:
        hint = "Run it again; if files of that version are gone, run once with mode full"
        raise SourceUnavailable(f"{name} cannot be read: {error.message}", hint=hint, stream=stream.name) from error
    if table is None:
        known = nearest(name, table_names())
        raise SchemaMismatch(f"the lake has no table {name!r}{known}", hint="Sync or resolve what it is made of", stream=stream.name)
    if "tenant_id" not in table.metadata().partition_columns:
        raise ConfigError(f"{name} does not keep tenants apart", hint="Name a table of Silver or Gold", stream=stream.name)
    return table


def _arrow(batch: Any) -> Any:
    """A batch of delta-rs as pyarrow has it, with plain texts."""
    import pyarrow as pa

    found = pa.table(batch) if not isinstance(batch, pa.RecordBatch) else pa.Table.from_batches([batch])
    plain = [pa.field(one.name, pa.string()) if pa.types.is_string_view(one.type) else one for one in found.schema]
    return found.cast(pa.schema(plain))


def _item(stream: Stream, row: dict[str, Any]) -> dict[str, Any]:
    """A row as an object: the fields that are asked for, else all that say something of the record."""
    key, filtered = [name.partition(".")[0] for name in stream.key_fields], [one.field.partition(".")[0] for one in stream.filters]
    cursor = [stream.cursor.field] if stream.cursor else []
    wanted = {*stream.fields, *key, *filtered, *cursor} if stream.fields else row.keys()
    hidden = {"tenant_id", "_change_type", "_commit_version", "_commit_timestamp"}
    return {name: jsoned(value) for name, value in row.items() if name in wanted and name not in hidden}
