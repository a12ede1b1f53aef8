"""Reads a folder of files, tables and documents of the kinds that `formats` knows: complete files, oldest first, each version once.

What tells the version of a row is its cursor field, then the file's time, then its name in natural order; Record.cursor holds them in
that order, so that they compare as one text. A row that cannot be read becomes a record whose payload is {"_error", "_line", "_raw"}, so
that Silver quarantines it; no row is lost.
The cursor is the JSON list of files that were read, with size and time, so a file that is replaced is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice

import orjson

from spine.core import clock, jsontext
from spine.core.declarations import Place
from spine.core.errors import ConfigError, FileRefused, SchemaMismatch, SourceUnavailable
from spine.core.screen import logger
from spine.core.settings import settings
from spine.sources.drops import Drop, File, Folder, natural, shown
from spine.sources.formats import is_known, rows_of
from spine.sources.reading import Page, Record, State, Window, cursor_text, has, lookup, make_record, malformed, record_id
from spine.sources.rows import BadRow, EmptyRow, Row
from spine.sources.spec import Source, Stream

_log = logger(__name__)
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)", re.DOTALL)
_NUMBERED = "9999-12-31T"  # a version that is a number: above all times of files, so that rows without one do not win
READS = frozenset({"path", "form", "required_fields", "cursor.field"})
DETECTS = frozenset({"sweep"})


@dataclass(frozen=True)
class Reader:
    """Reads all files of a folder whose name matches the stream's path."""

    source: Source
    folder: Folder
    page_rows: int = field(default_factory=lambda: settings().batch_size)

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the files that the cursor does not know, or of all for full reads and backfills."""
        token = orjson.loads(state.token) if state.token else None
        known: dict[str, str] = {} if window.full or window.backfill else _manifest(state.cursor)
        done: dict[str, str] = dict(token["done"]) if token else {}
        current, skip = (token["file"], token["row"]) if token else (None, 0)
        with self._opened(stream) as folder:
            listed, refused, notes = self._list(folder, stream, window)
            present = {file.name for file in listed}
            done |= {name: version for name, version in known.items() if name in present and name not in done}
            for file in listed:
                if done.get(file.name) == file.version:
                    continue
                following = {**done, file.name: file.version}
                rows_read = skip if [file.name, file.version] == current else 0
                try:
                    for records, count in self._pages(folder, file, stream, window, rows_read, notes):
                        rows_read += count
                        yield Page(records, _token(done, file, rows_read), _cursor(done))
                except FileRefused as error:
                    refused[file.name] = error
                    if rows_read == 0 and error.where.get("file"):
                        continue  # it could not even be opened, and is looked at again the next time
                    yield Page([_rest(file, error)], _token(following), _cursor(done))
                done = following
        notes += [f"{shown(name)}: [{error.code}] {error.message}. {error.hint}." for name, error in sorted(refused.items())]
        for note in notes:
            _log.warning("%s: %s", stream.name, note)
        # A full read must not take for deleted what a refused file may hold.
        unread = [_refused(name, error) for name, error in refused.items() if window.full and name not in done]
        yield Page(unread, None, _cursor(done), tuple(notes))

    @contextmanager
    def _opened(self, stream: Stream) -> Iterator[Drop]:
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(self.folder.open())
            except OSError as error:
                raise _unlisted(error, stream) from error
            yield folder

    def _list(self, folder: Drop, stream: Stream, window: Window) -> tuple[list[File], dict[str, FileRefused], list[str]]:
        """The complete files of known kinds in their order, why others are none, and a note for each file of another kind."""
        try:
            found, odd = folder.list()
        except FileNotFoundError as error:
            raise ConfigError(
                f"there is no folder {self.folder.uri}", hint="Check the host of the Connection", stream=stream.name
            ) from error
        except OSError as error:
            raise _unlisted(error, stream) from error
        settled = clock.now() - timedelta(seconds=self.folder.settle)
        meant = [file for file in found if _meant(file.name, stream)]
        foreign = sorted(file.name for file in meant if not is_known(file.name, stream.form))
        notes = [f"{name} is of no known kind and is left alone" for name in foreign]
        files = [file for file in meant if is_known(file.name, stream.form) and file.changed <= settled]
        chosen = [file for file in files if window.end is None or window.backfill or file.changed <= window.end]
        refused = {name: error for name, error in odd.items() if _meant(name, stream)}
        return sorted(chosen, key=lambda file: file.order), refused, notes

    def _pages(
        self, folder: Drop, file: File, stream: Stream, window: Window, skip: int, notes: list[str]
    ) -> Iterator[tuple[list[Record], int]]:
        """Records of up to `page_rows` rows at a time, with the number of rows that were read for them; remarks go to `notes`."""
        bounds, blank = settings().bounds, 0
        if file.size > bounds.file:
            raise FileRefused(f"is larger than {bounds.file:,} bytes", hint="Divide it, or raise `file` of SPINE_BOUNDS")
        try:
            with folder.open(file.name) as stored:
                rows = rows_of(stored, file.name, lambda text: notes.append(f"{file.name}: {text}"), bounds, stream.form)
                for row in islice(rows, skip):
                    blank += isinstance(row, EmptyRow)
                for chunk in _chunks(rows, self.page_rows, settings().flush_bytes):
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


def _unlisted(error: OSError, stream: Stream) -> SourceUnavailable:
    return SourceUnavailable(f"the folder cannot be listed: {error}", hint="Look at its rights", stream=stream.name)


def _chunks(rows: Iterator[Row], most: int, letters: int) -> Iterator[list[Row]]:
    """Up to `most` rows at a time, fewer where they are long: as many as have so many letters together."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += row.size
        if len(chunk) >= most or size >= letters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


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
    needed = dict.fromkeys((*stream.key_fields, *stream.required_fields))
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
        reason = f"{' or '.join(stream.key_fields)} is missing"
        return malformed(f"{file.name}:{row.line}", reason, raw, cursor=_version(stream, file, row), line=row.line)
    return make_record(stream, row.values, cursor=_version(stream, file, row))


def _rest(file: File, error: FileRefused) -> Record:
    """What was not read of a file, as a record that cannot be read: so it is in quarantine, where nobody overlooks it."""
    return malformed(f"{file.name}:rest", f"[{error.code}] {error.message}", "", cursor=f"{clock.to_text(file.changed)} {file.order}")


def _refused(name: str, error: FileRefused) -> Record:
    return malformed(f"{shown(name)}:refused", f"[{error.code}] {error.message}", "", cursor=None)


def _token(done: dict[str, str], file: File | None = None, row: int = 0) -> str:
    return orjson.dumps({"file": [file.name, file.version] if file else None, "row": row, "done": done}).decode()


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
