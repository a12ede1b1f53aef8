"""Tables of PostgreSQL. The server itself makes typed rows of JSON, by the table's own columns; a table that is not there is made.

Rows are matched by the key alone, whether or not the table has an index over it; a batch is one transaction, so that it arrives or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import TracebackType
from typing import Any, ClassVar

import orjson
import psycopg
from psycopg import sql

from spine.control.pushes import Change
from spine.core import jsontext
from spine.core.errors import AuthFailed, ConfigError, ConnectorError, SourceRejected, SourceUnavailable
from spine.push.destination import Destination, Held, Outcome, by_halves
from spine.sources.access import Access, addresses_of
from spine.sources.database.postgresql import conninfo_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_AGAIN = ("08", "40", "53", "55", "57")  # classes of SQLSTATE in which the same statement may pass another time
_NO_ROWS = ("53", "55", "57")  # nothing left, locked, timed out: no row's fault, so that halves would each wait as long
_SECONDS = 300


class Postgresql(Destination):
    """One table. `types` are the columns that it gets if it has to be made, by name."""

    whole: ClassVar[bool] = True

    def __init__(self, access: Access, table: str, keys: Sequence[str], types: Mapping[str, str], *, most: int = 1000) -> None:
        schema, _, name = table.rpartition(".")
        for part in (schema or "public", name, *types):
            if not _NAME.fullmatch(part):
                raise ConfigError(f"{part!r} is no name of a schema, table or column", hint="Correct the file in include/syncs")
        self._access, self._keys, self._types, self.most = access, tuple(keys), types, most
        self._schema, self._name = schema or "public", name
        self._table = sql.Identifier(self._schema, name)
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Postgresql:
        last: ConnectorError | None = None
        for address in addresses_of(self._access.host, self._access.port or 5432):
            try:
                self._connection = psycopg.connect(conninfo_of(self._access, address), autocommit=True)
                self._prepare()
                return self
            except psycopg.Error as error:
                last = _failure(error)
                self._close()
                if not isinstance(last, SourceUnavailable):
                    break
        assert last is not None
        raise last from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _open(self) -> psycopg.Connection[Any]:
        assert self._connection is not None
        return self._connection

    def _prepare(self) -> None:
        """Set the session up."""
        self._open.execute(f"SET statement_timeout = '{_SECONDS}s'")
        self._open.execute("SET TIME ZONE 'UTC'")

    def _there(self) -> bool:
        """Whether there is such a table."""
        try:
            found = self._open.execute("SELECT to_regclass(%s)", [self._table.as_string(None)]).fetchone()
        except psycopg.Error as error:
            raise _failure(error) from None
        return bool(found and found[0])

    def _make(self) -> None:
        """Make schema and table."""
        columns = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self._types.items()]
        key = sql.SQL(", ").join(map(sql.Identifier, self._keys))
        with self._open.transaction():
            schemas = self._open.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._schema]).fetchone()
            if schemas is None:
                self._open.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            made = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))")
            self._open.execute(made.format(self._table, sql.SQL(", ").join(columns), key))

    def look(self, changes: Sequence[Change]) -> dict[int, Held]:
        """The rows of these keys."""
        if not self._there():
            return {}
        asked = sql.SQL(
            "SELECT n, to_jsonb(t)::text FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS e(v, n), "
            "LATERAL jsonb_populate_record(NULL::{table}, v) AS g JOIN {table} AS t ON {same}"
        )
        same = self._same()
        rows = self._run(asked.format(table=self._table, same=same), [change.match for change in changes])
        return {changes[number - 1].number: Held("", _object(text)) for number, text in rows}

    def every(self) -> Iterator[list[Held]]:
        """All rows of the table."""
        if not self._there():
            return
        try:
            with self._open.transaction(), self._open.cursor(name="spine_every") as cursor:
                cursor.execute(sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t").format(self._table))
                while rows := cursor.fetchmany(1000):
                    yield [Held("", _object(row[0])) for row in rows]
        except psycopg.Error as error:
            raise _failure(error) from None

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write them in one transaction; a row that PostgreSQL refuses is found by halves. A table that is not there is made."""
        if not self._there():
            try:
                self._make()
            except psycopg.Error as error:
                raise _failure(error) from None
        found: dict[int, Outcome] = {}
        for _, group in groupby(sorted(changes, key=_shape), key=_shape):
            same = list(group)
            for change, outcome in zip(same, self._together(same), strict=True):
                found[change.number] = outcome
        return [found[change.number] for change in changes]

    def _together(self, changes: Sequence[Change]) -> list[Outcome]:
        errors: list[psycopg.Error] = []

        def attempt(part: Sequence[Change]) -> list[Outcome] | None:
            try:
                with self._open.transaction():
                    self._write(part)
            except psycopg.OperationalError as error:
                if self._open.closed or (error.sqlstate or "").startswith(_NO_ROWS):
                    raise _failure(error) from None
                errors.append(error)
                return None
            except psycopg.Error as error:
                errors.append(error)
                return None
            return [Outcome(True) for _ in part]

        return by_halves(changes, attempt, lambda _: _refused(errors[-1]))

    def _write(self, changes: Sequence[Change]) -> None:
        op, names = changes[0].op, list(changes[0].fields)
        given = [{**change.match, **change.fields} for change in changes]
        rows = sql.SQL("jsonb_array_elements(%s::jsonb) AS e(v), LATERAL jsonb_populate_record(NULL::{}, v) AS g").format(self._table)
        keys = [change.match for change in changes]
        if op == "delete":
            self._open.execute(sql.SQL("DELETE FROM {} AS t USING {} WHERE {}").format(self._table, rows, self._same()), [_dumped(keys)])
            return
        if op == "create":
            # Whoever else writes waits, so that of two rows of one key the second finds the first, index or not.
            self._open.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(self._table))
            columns = sql.SQL(", ").join(map(sql.Identifier, given[0]))
            values = sql.SQL(", ").join(sql.Identifier("g", name) for name in given[0])
            statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {})")
            self._open.execute(statement.format(self._table, columns, values, rows, self._table, self._same()), [_dumped(given)])
            return
        assigned = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("g", name)) for name in names)
        self._open.execute(
            sql.SQL("UPDATE {} AS t SET {} FROM {} WHERE {}").format(self._table, assigned, rows, self._same()), [_dumped(given)]
        )

    def _same(self) -> sql.Composed:
        return sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier("t", key), sql.Identifier("g", key)) for key in self._keys)

    def _run(self, statement: sql.Composed, values: Sequence[Any]) -> list[Any]:
        try:
            return self._open.execute(statement, [_dumped(values)]).fetchall()
        except psycopg.Error as error:
            raise _failure(error) from None


def _shape(change: Change) -> tuple[str, ...]:
    """Changes that one statement writes: of one operation and the same columns."""
    return (change.op, *sorted(change.fields))


def _dumped(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _object(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = jsontext.parse(text.encode())
    return found


def _refused(error: psycopg.Error) -> Outcome:
    state = error.sqlstate or ""
    words = error.diag.message_primary or str(error).splitlines()[0]
    return Outcome(False, code=state, message=words, retryable=state[:2] in _AGAIN)


def _failure(error: psycopg.Error) -> ConnectorError:
    """An error that concerns no single row."""
    state, words = error.sqlstate or "", str(error.diag.message_primary or error).strip().splitlines()
    told = words[0] if words else type(error).__name__
    if state.startswith("28") or "authentication failed" in told or "no password supplied" in told:
        return AuthFailed("the database refuses the user or its password", hint="Correct login and password of the Connection")
    if state.startswith(("3D", "3F", "42")):
        return SourceRejected(
            f"the table cannot be written: {told}", hint="Check the table, its columns and the user's rights", sqlstate=state
        )
    return SourceUnavailable(f"the database did not do its work: {told}", sqlstate=state or None)
