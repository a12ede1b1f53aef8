"""SQLite: a file below the folders that are the tenant's, as files of a drop are. It is opened to be read only."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from spine.core.errors import ConfigError, ConnectorError, FileRefused, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.foreign import told
from spine.sources.access import Access
from spine.sources.database.asking import Column, Described, Question, select
from spine.sources.database.rows import Rows
from spine.sources.database.values import batched, meant
from spine.sources.spec import Stream

_STEPS = 100_000  # of SQLite's machine between two looks at the clock
_LONGEST = 256 * 1024 * 1024  # bytes of one value


class _Dialect:
    """Names in double quotes; values are bound."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def name(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def value(self, column: Column, value: Any) -> str:
        self.values.append(meant(value))
        return "?"

    def ordered(self, column: Column) -> str:
        return f"{self.name(column.name)} NULLS LAST"


class Sqlite:
    """One connection, open within `with`; all that it reads is of one moment."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Sqlite:
        path = _file(self._access)
        ends = time.monotonic() + self._access.times.stream
        try:
            self._connection = opened = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                timeout=self._access.times.connect,
                isolation_level=None,
                check_same_thread=False,
            )
            opened.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            opened.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            opened.set_progress_handler(lambda: int(time.monotonic() > ends), _STEPS)
            opened.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            for said in ("PRAGMA trusted_schema = OFF", "PRAGMA query_only = ON", "PRAGMA cell_size_check = ON", "BEGIN"):
                opened.execute(said)
        except sqlite3.Error as error:
            raise _failure(error, "the file") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection.close()

    def describe(self, schema: str | None, table: str) -> Described:
        """The columns of a table or view. Raises SchemaMismatch if there is none of that name."""
        if schema not in (None, "main"):
            raise ConfigError("a file of SQLite has no schemas", hint="Leave `table.schema` out")
        found = self._all('SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?)', table)
        if not found:
            raise SchemaMismatch(f"there is no table or view {table!r}", hint="Correct `table` in the source's file")
        columns = {name: _column(name, kind or "", not (filled or key)) for name, kind, filled, key in found}
        primary = frozenset(name for name, _, _, key in found if key)
        indexes = self._all('SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', table)
        unique = [frozenset(name for (name,) in self._all("SELECT name FROM pragma_index_info(?)", index)) for (index,) in indexes]
        sound = [names for names in unique if None not in names and not any(columns[name].nullable for name in names)]
        return Described(columns, [*([primary] if primary else []), *sound])

    def rows(self, question: Question, stream: Stream) -> Iterator[Rows]:
        """The rows in batches."""
        dialect = _Dialect()
        names, asked = select(question, dialect)
        assert self._connection is not None
        try:
            yield from batched(self._connection.execute(asked, dialect.values), names, question)
        except sqlite3.Error as error:
            raise _failure(error, question.table) from None

    def _all(self, asked: str, value: str) -> list[Any]:
        assert self._connection is not None
        try:
            return self._connection.execute(asked, (value,)).fetchall()
        except sqlite3.Error as error:
            raise _failure(error, "the file") from None


def _file(access: Access) -> Path:
    """The file, which is no link and has no other name: that may be somebody else's. Raises ConfigError, FileRefused."""
    if not access.host.startswith("/"):
        raise ConfigError("the Connection names no file", hint="Put the whole path of the SQLite file in its host")
    folder, name = os.path.split(access.host)
    root, below = access.place.of(folder)
    path = Path(root, *below, name)
    for step in (Path(root, *below[:number]) for number in range(1, len(below) + 1)):
        if step.is_symlink():
            raise FileRefused(f"{step.name} is a link", hint="Put the file there itself")
    try:
        found = path.lstat()
    except OSError:
        raise SourceUnavailable(f"there is no file {path}", hint="Check the host of the Connection") from None
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise FileRefused(f"{name} is a link or no file, or has a second name", hint="Put the file there itself")
    return path


def _column(name: str, kind: str, nullable: bool) -> Column:
    """SQLite's rules of affinity, https://www.sqlite.org/datatype3.html; it has no times."""
    word = kind.upper()
    number = any(part in word for part in ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC"))
    return Column(name, kind, "number" if number else "text", nullable)


def _failure(error: sqlite3.Error, what: str) -> ConnectorError:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN"):
        return SourceUnavailable(f"{what} could not be read: {code}", hint="Look whether somebody writes to the file all the time")
    if code in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        return SourceRejected(f"{what} is no sound database of SQLite ({code})", hint="Put a sound copy there")
    if "no such" in str(error):
        return SchemaMismatch(f"{what} has lost a table or column", hint="Correct the source's file")
    return SourceRejected(f"{what} could not be read: {told(error)}", hint="Look at the file")
