"""Reads a folder of CSV, JSON Lines and Parquet files, local or on S3: complete files, oldest first, each version once.

A row that cannot be read becomes a record whose payload is {"_error", "_line", "_raw"}, so that Silver quarantines it; no row is lost.
The cursor is the JSON list of files that were read, with size and time, so a file that is replaced is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatch
from itertools import islice
from typing import Any

import orjson
from pyarrow import fs as arrow_fs

from spine.core import clock
from spine.core.errors import ConfigError, SchemaMismatch, SourceUnavailable
from spine.sources.formats import BadRow, Row, rows_of
from spine.sources.reading import Page, Record, State, Window, cursor_text, make_record, malformed, record_id
from spine.sources.spec import Source, Stream

_log = logging.getLogger(__name__)
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock")
_FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
READS = frozenset({"path", "required_fields", "cursor.field"})


@dataclass(frozen=True)
class Folder:
    """Where the files are: a path or `s3://bucket/prefix`, and the options of pyarrow's S3FileSystem."""

    uri: str
    options: dict[str, Any] = field(repr=False)
    settle: float = 0.0  # seconds for which a file must have stayed unchanged to count as complete

    def open(self) -> tuple[arrow_fs.FileSystem, str]:
        """The file system and the folder's path in it. Raises ConfigError."""
        try:
            if self.uri.startswith("s3://"):
                return arrow_fs.S3FileSystem(**self.options), self.uri.removeprefix("s3://").rstrip("/")
            filesystem, path = arrow_fs.FileSystem.from_uri(self.uri) if "://" in self.uri else (arrow_fs.LocalFileSystem(), self.uri)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"the folder cannot be opened: {error}", hint="Check host and extra of the Connection") from error
        return filesystem, str(path).rstrip("/")


@dataclass(frozen=True, order=True)
class File:
    """One file as listed; files are read in this order."""

    changed: datetime
    name: str
    size: int = 0

    @property
    def version(self) -> str:
        """Tells versions of a file apart."""
        return f"{self.size}-{clock.to_text(self.changed)}"


@dataclass(frozen=True)
class Reader:
    """Reads all files of a folder whose name matches the stream's path."""

    source: Source
    folder: Folder
    page_rows: int = 1000

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the files that the cursor does not know, or of all for full reads and backfills."""
        filesystem, root = self.folder.open()
        token = orjson.loads(state.token) if state.token else None
        known: dict[str, str] = {} if window.full or window.backfill else _manifest(state.cursor)
        done: dict[str, str] = dict(token["done"]) if token else {}
        current, skip = (token["file"], token["row"]) if token else (None, 0)
        listed = self._list(filesystem, root, stream, window)
        present = {file.name for file in listed}
        done |= {name: version for name, version in known.items() if name in present and name not in done}
        todo = [file for file in listed if done.get(file.name) != file.version]
        for file in todo:
            rows_read = skip if [file.name, file.version] == current else 0
            for records, count in self._pages(filesystem, root, file, stream, window, rows_read):
                rows_read += count
                place = {"file": [file.name, file.version], "row": rows_read, "done": done}
                yield Page(records, orjson.dumps(place).decode(), _cursor(done))
            done = {**done, file.name: file.version}
        yield Page([], None, _cursor(done))

    def _list(self, filesystem: arrow_fs.FileSystem, root: str, stream: Stream, window: Window) -> list[File]:
        try:
            found = filesystem.get_file_info(arrow_fs.FileSelector(root))
        except FileNotFoundError as error:
            raise ConfigError(f"there is no folder {root}", hint="Check the host of the Connection", stream=stream.name) from error
        except OSError as error:
            raise SourceUnavailable(f"the folder cannot be listed: {error}", hint="It is tried again", stream=stream.name) from error
        settled = clock.now() - timedelta(seconds=self.folder.settle)
        files = [File(info.mtime, info.base_name, info.size) for info in found if info.is_file and self._complete(info, settled, stream)]
        return sorted(file for file in files if window.end is None or window.backfill or file.changed <= window.end)

    @staticmethod
    def _complete(info: arrow_fs.FileInfo, settled: datetime, stream: Stream) -> bool:
        name = info.base_name
        if name.startswith((".", "_")) or name.endswith(_UNFINISHED) or not fnmatch(name, stream.path or "*"):
            return False
        if not name.endswith(_FORMATS):
            _log.warning("%s: %s is neither CSV, JSON Lines nor Parquet and is left alone", stream.name, name)
            return False
        return bool(info.mtime <= settled)

    def _pages(
        self, filesystem: arrow_fs.FileSystem, root: str, file: File, stream: Stream, window: Window, skip: int
    ) -> Iterator[tuple[list[Record], int]]:
        """Records of up to `page_rows` rows at a time, with the number of rows that were read for them."""
        rows = rows_of(filesystem, f"{root}/{file.name}")
        try:
            for _ in islice(rows, skip):
                pass
            while chunk := list(islice(rows, self.page_rows)):
                _require_columns(stream, file, chunk)
                records = [_record(stream, file, row) for row in chunk if _wanted(stream, file, row, window)]
                yield records, len(chunk)
        except OSError as error:
            raise SourceUnavailable(
                f"{file.name} cannot be read: {type(error).__name__}",
                hint="It is tried again; replace or remove the file if it stays so",
                stream=stream.name,
                file=file.name,
            ) from error


def _require_columns(stream: Stream, file: File, rows: list[Row]) -> None:
    good = [row.values for row in rows if not isinstance(row, BadRow)]
    needed = dict.fromkeys((*stream.key, *stream.required_fields))
    lost = [name for name in needed if good and not any(name in values for values in good)]
    if lost:
        raise SchemaMismatch(
            f"{file.name} has no {', '.join(lost)}",
            hint="Correct or remove the file; the files before it are kept",
            stream=stream.name,
            file=file.name,
        )


def _wanted(stream: Stream, file: File, row: Row, window: Window) -> bool:
    """All rows, except in a backfill: rows of the interval, by the cursor's field or else by the file's time."""
    if not window.backfill:
        return True
    moment: datetime | None = None
    if stream.cursor is not None and not isinstance(row, BadRow):
        try:
            text = cursor_text(row.values.get(stream.cursor.field))
            moment = clock.parse(text) if text else None
        except SchemaMismatch:
            moment = None
    return window.holds(moment or file.changed)


def _record(stream: Stream, file: File, row: Row) -> Record:
    if isinstance(row, BadRow):
        return malformed(f"{file.name}:{row.line}", row.error, row.raw, cursor=file.name, line=row.line)
    if record_id(stream, row.values) is None:
        raw = orjson.dumps(row.values, default=str).decode()
        reason = f"{' or '.join(stream.key)} is missing"
        return malformed(f"{file.name}:{row.line}", reason, raw, cursor=file.name, line=row.line)
    return make_record(stream, row.values, cursor=file.name)


def _manifest(cursor: str | None) -> dict[str, str]:
    if not cursor:
        return {}
    try:
        files = orjson.loads(cursor)["files"]
        return {str(name): str(version) for name, version in files.items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError("the cursor is no list of files", hint='Write {"files": {}} to read all files again') from error


def _cursor(done: dict[str, str]) -> str:
    return orjson.dumps({"files": done}, option=orjson.OPT_SORT_KEYS).decode()
