"""MariaDB and MySQL over PyMySQL: rows are fetched as they come, in a read-only transaction that sees one moment of the database."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Any

from spine.core import jsontext
from spine.core.errors import AuthFailed, ConfigError, ConnectorError, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.settings import settings
from spine.sources.access import Access, connected, in_clear
from spine.sources.database.asking import Column, Described, Question, select
from spine.sources.database.rows import Rows
from spine.sources.database.values import batched, jsoned, meant
from spine.sources.spec import Stream

_PORT = 3306
_TIMES = {"datetime", "timestamp", "date"}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"}
_COLUMNS = """
    SELECT column_name, column_type, data_type, is_nullable = 'YES' FROM information_schema.columns
    WHERE table_schema = coalesce(%s, database()) AND table_name = %s ORDER BY ordinal_position
"""
_UNIQUE = """
    SELECT index_name, group_concat(column_name ORDER BY seq_in_index SEPARATOR '\\n') FROM information_schema.statistics
    WHERE table_schema = coalesce(%s, database()) AND table_name = %s AND non_unique = 0 GROUP BY index_name
    HAVING sum(nullable = 'YES') = 0 AND sum(sub_part IS NOT NULL) = 0
"""
_REFUSED, _UNKNOWN_DATABASE, _NO_RIGHT = {1044, 1045, 1698, 1820, 1862}, {1049, 1046}, {1142, 1143}
_LOST, _UNKNOWN_WORD = {1146, 1054, 1051}, {1193, 1064}


class _Dialect:
    """Names in backticks; values are bound by the driver."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def name(self, name: str) -> str:
        # A percent sign would be taken for the place of a value.
        return "`" + name.replace("`", "``").replace("%", "%%") + "`"

    def value(self, column: Column, value: Any) -> str:
        self.values.append(value.replace(tzinfo=None) if isinstance(value, datetime) else meant(value))
        return "%s"

    def ordered(self, column: Column) -> str:
        name = self.name(column.name)
        return f"{name} IS NULL, {name}" if column.nullable else name


class Mariadb:
    """One connection, open within `with`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: Any = None

    def __enter__(self) -> Mariadb:
        import pymysql
        from pymysql.cursors import SSCursor

        access, port = self._access, self._access.port or _PORT
        opened = connected(access.host, port, access.times.connect)
        try:
            self._connection = pymysql.connect(
                host=access.host.strip("[]"), port=port, user=access.user, password=access.password, database=access.name or None,
                charset="utf8mb4", use_unicode=True, cursorclass=SSCursor, autocommit=False, local_infile=False, defer_connect=True,
                connect_timeout=int(access.times.connect), read_timeout=int(access.times.total), write_timeout=int(access.times.total),
                ssl=_encryption(access, opened.getpeername()[0]),
            )  # fmt: skip
            self._connection.connect(opened)
            self._prepare()
        except (pymysql.Error, OSError, ssl.SSLError) as error:
            opened.close()
            raise _failure(error, "the database") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection._force_close()  # a good end would first fetch all rows that nobody wants

    def _prepare(self) -> None:
        seconds = int(self._access.times.stream)
        for said in ("SET time_zone = '+00:00'", "SET SESSION net_write_timeout = 600"):
            self._say(said)
        for said in (f"SET SESSION max_statement_time = {seconds:d}", f"SET SESSION max_execution_time = {seconds * 1000:d}"):
            self._say(said, optional=True)  # MariaDB's word, and MySQL's
        self._say("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._say("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def _say(self, said: str, *, optional: bool = False) -> None:
        import pymysql

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(said)
        except pymysql.Error as error:
            if not optional or error.args[0] not in _UNKNOWN_WORD:
                raise

    def describe(self, schema: str | None, table: str) -> Described:
        """The columns of a table or view. Raises SchemaMismatch if there is none of that name."""
        found = self._all(_COLUMNS, (schema, table))
        if not found:
            raise SchemaMismatch(f"there is no table or view {table!r}", hint="Correct `table` in the source's file, or the user's rights")
        columns = {name: _column(name, _text(kind), _text(base), bool(nullable)) for name, kind, base, nullable in found}
        return Described(columns, [frozenset(_text(names).split("\n")) for _, names in self._all(_UNIQUE, (schema, table))])

    def rows(self, question: Question, stream: Stream) -> Iterator[Rows]:
        """The rows in batches."""
        import pymysql

        known = self.describe(question.schema, question.table).columns
        dialect = _Dialect()
        names, asked = select(question, dialect)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(asked, tuple(dialect.values))
                yield from batched(iter(cursor.fetchone, None), names, question, lambda name, value: _jsoned(known[name], value))
        except (pymysql.Error, OSError) as error:
            raise _failure(error, question.table) from None

    def _all(self, asked: str, values: tuple[Any, ...]) -> list[Any]:
        import pymysql

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(asked, values)
                return list(cursor.fetchall())
        except (pymysql.Error, OSError) as error:
            raise _failure(error, "the database") from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _column(name: str, kind: str, base: str, nullable: bool) -> Column:
    base = base.lower()
    family = "time" if base in _TIMES else "number" if base in _NUMBERS else "text" if base in _TEXTS else "other"
    return Column(name, kind, family, nullable)  # type: ignore[arg-type]


def _jsoned(column: Column, value: Any) -> Any:
    """A value for a record's JSON; what is declared as JSON is no text in a text."""
    if column.type.lower() == "json" and isinstance(value, str):
        try:
            return jsontext.parse(value.encode())
        except ValueError:
            return value
    if column.type.lower() == "bit(1)" and isinstance(value, bytes):
        return value == b"\x01"
    return jsoned(value)


def _encryption(access: Access, address: str) -> ssl.SSLContext | None:
    """How the connection is encrypted; None in clear, which is for this machine and listed networks. Raises ConfigError."""
    local = in_clear(address)
    mode = access.word("sslmode", "disable" if local else "require", ("disable", "require", "verify-ca", "verify-full"))
    if mode == "disable":
        if not local:
            raise ConfigError("`sslmode: disable` would let data travel in clear", hint="Write require or verify-full")
        return None
    context = ssl.create_default_context(cafile=settings().ca_bundle or None)
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_NONE if mode == "require" else ssl.CERT_REQUIRED
    return context


def _failure(error: BaseException, what: str) -> ConnectorError:
    """An error of the driver as one of ours, without its text, which may quote a value."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if code in _REFUSED:
        return AuthFailed("the database refuses the user or its password", hint="Correct login and password of the Connection")
    if code in _UNKNOWN_DATABASE:
        return SourceRejected("the database is not there", hint="Name it in the Connection's schema")
    if code in _NO_RIGHT:
        return SourceRejected(f"{what} may not be read by this user", hint="Let the user SELECT it, or name the `columns` that it may read")
    if code in _LOST:
        return SchemaMismatch(f"{what} has lost a table or column", hint="Correct the source's file")
    if isinstance(error, ssl.SSLError):
        return SourceRejected("no encrypted connection that we trust could be made", hint="Look at the server's TLS and at `sslmode`")
    return SourceUnavailable(
        f"{what} could not be read: {type(error).__name__} {code or ''}".rstrip(), hint="If it stays so, look at the server"
    )
