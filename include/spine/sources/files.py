"""Reads a folder of CSV, JSON Lines and Parquet files, local or on S3: complete files, oldest first, each version once.

What tells the version of a row is its cursor field, then the file's time, then its name in natural order; Record.cursor holds them in
that order, so that they compare as one text. A row that cannot be read becomes a record whose payload is {"_error", "_line", "_raw"}, so
that Silver quarantines it; no row is lost.
The cursor is the JSON list of files that were read, with size and time, so a file that is replaced is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import orjson
from pyarrow import fs as arrow_fs

from spine.core import clock, jsontext
from spine.core.declarations import Place
from spine.core.errors import ConfigError, SchemaMismatch, SourceUnavailable
from spine.core.screen import logger
from spine.core.settings import settings
from spine.sources.buckets import open_bucket
from spine.sources.formats import BadRow, EmptyRow, Row, rows_of
from spine.sources.reading import Page, Record, State, Window, cursor_text, has, lookup, make_record, malformed, record_id
from spine.sources.spec import Source, Stream

_log = logger(__name__)
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock")
_FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)", re.DOTALL)
_NUMBERED = "9999-12-31T"  # a version that is a number: above all times of files, so that rows without one do not win
READS = frozenset({"path", "required_fields", "cursor.field"})
DETECTS = frozenset({"sweep"})


@dataclass(frozen=True)
class Folder:
    """Where the files are: a path or `s3://bucket/prefix`, and what `open_bucket` may be told of it."""

    uri: str
    options: dict[str, Any] = field(repr=False)
    settle: float = 0.0  # seconds for which a file must have stayed unchanged to count as complete

    def open(self) -> tuple[arrow_fs.FileSystem, str]:
        """The file system and the folder's path in it. Raises ConfigError."""
        try:
            if self.uri.startswith("s3://"):
                return open_bucket(self.options), self.uri.removeprefix("s3://").rstrip("/")
            if "://" in self.uri and not self.uri.startswith("file://"):
                raise ConfigError(
                    "the folder cannot be opened: it is neither a path nor s3://bucket/prefix", hint="Check the host of the Connection"
                )
            filesystem, path = arrow_fs.FileSystem.from_uri(self.uri) if "://" in self.uri else (arrow_fs.LocalFileSystem(), self.uri)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"the folder cannot be opened: {error}", hint="Check host and extra of the Connection") from error
        return filesystem, str(path).rstrip("/")


@dataclass(frozen=True)
class File:
    """One file as listed."""

    changed: datetime
    name: str
    size: int = 0

    @property
    def order(self) -> str:
        """A text that sorts files as they are to be read: by time, then by name, in which numbers count as such."""
        return f"{clock.to_text(self.changed)} {natural(self.name)}"

    @property
    def version(self) -> str:
        """Tells versions of a file apart."""
        return f"{self.size}-{clock.to_text(self.changed)}"


@dataclass(frozen=True)
class Reader:
    """Reads all files of a folder whose name matches the stream's path."""

    source: Source
    folder: Folder
    page_rows: int = field(default_factory=lambda: settings().batch_size)

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the files that the cursor does not know, or of all for full reads and backfills."""
        filesystem, root = self.folder.open()
        token = orjson.loads(state.token) if state.token else None
        known: dict[str, str] = {} if window.full or window.backfill else _manifest(state.cursor)
        done: dict[str, str] = dict(token["done"]) if token else {}
        current, skip = (token["file"], token["row"]) if token else (None, 0)
        listed, notes = self._list(filesystem, root, stream, window)
        present = {file.name for file in listed}
        done |= {name: version for name, version in known.items() if name in present and name not in done}
        todo = [file for file in listed if done.get(file.name) != file.version]
        for file in todo:
            rows_read = skip if [file.name, file.version] == current else 0
            for records, count in self._pages(filesystem, root, file, stream, window, rows_read, notes):
                rows_read += count
                place = {"file": [file.name, file.version], "row": rows_read, "done": done}
                yield Page(records, orjson.dumps(place).decode(), _cursor(done))
            done = {**done, file.name: file.version}
        for note in notes:
            _log.warning("%s: %s", stream.name, note)
        yield Page([], None, _cursor(done), tuple(notes))

    def _list(self, filesystem: arrow_fs.FileSystem, root: str, stream: Stream, window: Window) -> tuple[list[File], list[str]]:
        """The complete files of known kinds in their order, and a note for each file of another kind."""
        try:
            found = filesystem.get_file_info(arrow_fs.FileSelector(root))
        except FileNotFoundError as error:
            raise ConfigError(f"there is no folder {root}", hint="Check the host of the Connection", stream=stream.name) from error
        except OSError as error:
            raise SourceUnavailable(f"the folder cannot be listed: {error}", hint="Look at its rights", stream=stream.name) from error
        settled = clock.now() - timedelta(seconds=self.folder.settle)
        meant = [info for info in found if info.is_file and _meant(info.base_name, stream)]
        foreign = sorted(info.base_name for info in meant if not info.base_name.lower().endswith(_FORMATS))
        notes = [f"{name} is neither CSV, JSON Lines nor Parquet and is left alone" for name in foreign]
        files = [File(info.mtime, info.base_name, info.size) for info in meant if info.base_name not in foreign and info.mtime <= settled]
        chosen = [file for file in files if window.end is None or window.backfill or file.changed <= window.end]
        return sorted(chosen, key=lambda file: file.order), notes

    def _pages(
        self, filesystem: arrow_fs.FileSystem, root: str, file: File, stream: Stream, window: Window, skip: int, notes: list[str]
    ) -> Iterator[tuple[list[Record], int]]:
        """Records of up to `page_rows` rows at a time, with the number of rows that were read for them; remarks go to `notes`."""
        rows = rows_of(filesystem, f"{root}/{file.name}", lambda text: notes.append(f"{file.name}: {text}"))
        blank = 0
        try:
            for row in islice(rows, skip):
                blank += isinstance(row, EmptyRow)
            while chunk := list(islice(rows, self.page_rows)):
                filled = [row for row in chunk if not isinstance(row, EmptyRow)]
                blank += len(chunk) - len(filled)
                _require_columns(stream, file, filled)
                records = [_record(stream, file, row) for row in filled if _wanted(stream, file, row, window)]
                yield records, len(chunk)
            if blank:
                notes.append(f"{file.name}: {blank:,} empty rows are skipped")
        except OSError as error:
            raise SourceUnavailable(
                f"{file.name} cannot be read: {type(error).__name__}",
                hint="Replace or remove the file if it stays so",
                stream=stream.name,
                file=file.name,
            ) from error


def natural(name: str) -> str:
    """A name whose numbers sort as numbers: `people_9` before `people_10`."""
    return re.sub(r"\d+", lambda digits: digits[0].lstrip("0").zfill(20), name)


def _meant(name: str, stream: Stream) -> bool:
    """Whether a file is finished and of the stream, whose path is a pattern in any case."""
    hidden = name.startswith((".", "_")) or name.lower().endswith(_UNFINISHED)
    return not hidden and fnmatchcase(name.lower(), (stream.path or "*").lower())


def mistakes(stream: Stream) -> Iterator[tuple[Place, str]]:
    """What is wrong with a stream of files: places inside it, and why."""
    if "/" in stream.path:
        yield ("path",), "a folder is read without those below it: write a pattern of names, and the folder into the Connection"


def _require_columns(stream: Stream, file: File, rows: list[Row]) -> None:
    good = [row.values for row in rows if not isinstance(row, BadRow)]
    needed = dict.fromkeys((*stream.key, *stream.required_fields))
    lost = [name for name in needed if good and not any(has(values, name) for values in good)]
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
    return window.holds(_moment(stream, row) or file.changed)


def _moment(stream: Stream, row: Row) -> datetime | None:
    """The time in a row's cursor field, None if it has none or one that is no time."""
    if stream.cursor is None or isinstance(row, BadRow):
        return None
    value = lookup(row.values, stream.cursor.field)
    german = _DAY_FIRST.fullmatch(value.strip()) if isinstance(value, str) else None
    if german:
        day, month, year, rest = german.groups()
        value = f"{year}-{int(month):02d}-{int(day):02d}{rest}"
    try:
        text = cursor_text(value.strip() if isinstance(value, str) else value)
        return clock.parse(text) if text else None
    except (SchemaMismatch, ConfigError):
        return None


def _version(stream: Stream, file: File, row: Row) -> str:
    """What tells a row's version, as a text that sorts; a row without a cursor is as new as its file."""
    moment = _moment(stream, row)
    if moment is None and stream.cursor is not None and not isinstance(row, BadRow):
        value = lookup(row.values, stream.cursor.field)
        if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()):
            return f"{_NUMBERED}{natural(str(value).strip())} {file.order}"
    return f"{clock.to_text(moment or file.changed)} {file.order}"


def _record(stream: Stream, file: File, row: Row) -> Record:
    if isinstance(row, BadRow):
        return malformed(f"{file.name}:{row.line}", row.error, row.raw, cursor=_version(stream, file, row), line=row.line)
    if record_id(stream, row.values) is None:
        raw = jsontext.as_sent(row.values)
        reason = f"{' or '.join(stream.key)} is missing"
        return malformed(f"{file.name}:{row.line}", reason, raw, cursor=_version(stream, file, row), line=row.line)
    return make_record(stream, row.values, cursor=_version(stream, file, row))


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
