"""PostgreSQL over ADBC: rows come in columns, of which `jsontexts` writes the JSON that the server itself would write.

So every type is what PostgreSQL makes of it: numbers keep their digits, times their zone, what no JSON number is (`NaN`, `infinity`) is a
text, bytes are `\\x…`. One statement of a read-only transaction reads everything, hence one moment of the database.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.conninfo import make_conninfo

from spine.core import clock, jsontext
from spine.core.errors import AuthFailed, ConfigError, ConnectorError, SchemaMismatch, SourceRejected, SourceUnavailable, SpineError
from spine.core.foreign import told
from spine.core.settings import settings
from spine.sources.access import Access, addresses_of, in_clear
from spine.sources.columns import Outline, Records
from spine.sources.database.ahead import ahead
from spine.sources.database.asking import Column, Described, Question, conditions, source_of
from spine.sources.database.jsontexts import form_of, sent, written
from spine.sources.database.rows import Rows
from spine.sources.reading import cursor_text, field_fingerprint, flagged, numbered
from spine.sources.spec import Stream

T = TypeVar("T")
_PORT = 5432
_BATCH_BYTES = 4 * 1024 * 1024
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_TIMES = {"timestamptz", "timestamp", "date"}
_NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
_TEXTS = {"text", "varchar", "bpchar", "name", "citext"}
_PLAIN = _TIMES | _NUMBERS | _TEXTS | {"bool", "uuid", "time", "timetz", "interval", "bytea", "money", "inet", "cidr", "macaddr", "oid"}
_EXACT = {"int2", "int4", "int8", "text", "varchar", "name", "uuid", "date"}  # as text and in JSON the same: keys need not be parsed
_TIME = 27  # letters of a cursor that is a time, to the microsecond
_LONG = f"[0-9]{{{jsontext.DIGITS + 1}}}"  # no machine number holds it
_DESCRIBE = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname, t.typtype, NOT a.attnotnull,
           ARRAY(SELECT array_to_string(ARRAY(
                     SELECT c.attname FROM pg_attribute c WHERE c.attrelid = i.indrelid AND c.attnum = ANY(i.indkey::int2[])
                 ), E'\\n') FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                 AND NOT 0 = ANY(i.indkey::int2[]) AND NOT EXISTS (
                     SELECT FROM pg_attribute n WHERE n.attrelid = i.indrelid AND n.attnum = ANY(i.indkey::int2[]) AND NOT n.attnotnull))
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


class _Dialect:
    """Names and values as PostgreSQL's own library quotes them; a value is told as one of its column's type."""

    def name(self, name: str) -> str:
        return sql.Identifier(name).as_string(None)

    def value(self, column: Column, value: Any) -> str:
        kind = column.type
        if isinstance(value, datetime):
            value = clock.to_text(value)
        if column.family == "time":
            kind = "timestamptz" if "with time zone" in column.type else "timestamp"
        return f"{sql.Literal(str(value)).as_string(None)}::{kind}"

    def ordered(self, column: Column) -> str:
        return self.name(column.name)


_DIALECT = _Dialect()


_ABANDONED: list[Any] = []


class Postgresql:
    """One connection, open within `with`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: Any = None

    def __enter__(self) -> Postgresql:
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi

        last: SpineError | None = None
        for address in addresses_of(self._access.host, self._access.port or _PORT):
            try:
                self._connection = dbapi.connect(conninfo_of(self._access, address))
                self._prepare()
                return self
            except Error as error:
                last = _failure(error, "the database")
                self._close()
                if not isinstance(last, SourceUnavailable):
                    break
        assert last is not None
        raise last from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _abandon(self, cursor: Any) -> None:
        """Let go of a connection that a thread still waits on: closed under it, the driver would take the process with it."""
        _ABANDONED.append((self._connection, cursor))
        self._connection = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # one that failed cannot be asked to end well
                connection.close()

    def _prepare(self) -> None:
        """What holds for the transaction in which everything is read."""
        most = int(self._access.times.stream * 1000)
        for said in (
            "SET TRANSACTION READ ONLY", "SET LOCAL TIME ZONE 'UTC'", "SET LOCAL DateStyle = ISO",
            "SET LOCAL IntervalStyle = iso_8601", "SET LOCAL bytea_output = hex",
            f"SET LOCAL statement_timeout = {most:d}", f"SET LOCAL idle_in_transaction_session_timeout = {most:d}",
        ):  # fmt: skip
            with self._connection.cursor() as cursor:
                cursor.execute(said)

    def describe(self, schema: str | None, table: str) -> Described:
        """The columns of a table or view. Raises SchemaMismatch if there is none of that name."""
        name = ".".join(_DIALECT.name(part) for part in (schema, table) if part)
        asked = _DESCRIBE.format(table=sql.Literal(name).as_string(None))
        rows = [row for some in self._batches(asked, name, pa.RecordBatch.to_pylist) for row in some]
        if not rows:
            raise SchemaMismatch(
                f"there is no table or view {name}", hint="Correct `table` in the source's file, or the rights of the user"
            )
        found = [tuple(row.values()) for row in rows]
        columns = {name: _column(name, kind, base, sort, nullable) for name, kind, base, sort, nullable, _ in found}
        return Described(columns, [frozenset(one.split("\n")) for one in found[0][5] or ()])

    def rows(self, question: Question, stream: Stream) -> Iterator[Rows]:
        """The rows in batches; those of plain columns as records."""
        every = self._described(question)
        flag = every.get(stream.deletes.field or "")
        asked = _select(question, stream, every, flag)
        name = source_of(question, _DIALECT)
        making = _Making(question, stream, every, flag)
        yield from self._batches(asked, name, making.rows)  # made where they are fetched, beside whoever writes those before

    def _described(self, question: Question) -> dict[str, Column]:
        found = self.describe(question.schema, question.table).columns
        return {name: found[name] for name in question.columns}

    def _batches(self, asked: str, name: str, made: Callable[[pa.RecordBatch], T]) -> Iterator[T]:
        """What is made of each batch that a statement gives, the next one already asked for while one is worked on."""
        from adbc_driver_manager import Error

        cursor = self._connection.cursor()
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})

        def batches() -> Iterator[T]:
            cursor.execute(asked)
            yield from map(made, cursor.fetch_record_batch())

        try:
            yield from ahead(batches, self._access.times.total, cursor.adbc_cancel, lambda: self._abandon(cursor))
        except (Error, pa.ArrowException, OSError) as error:
            raise _failure(error, name) from None
        finally:
            if self._connection is not None:
                with suppress(Exception):  # of a statement that was cancelled
                    cursor.close()


def conninfo_of(access: Access, address: str) -> str:
    """Where to connect and how. Nothing is taken from the worker's own files, and nothing travels in clear to an address outside."""
    local = in_clear(address)
    mode = access.word("sslmode", "prefer" if local else "require", ("disable", "prefer", *_ENCRYPTED))
    if mode not in _ENCRYPTED and not local:
        raise ConfigError(
            f"`sslmode: {mode}` would let data travel in clear", hint="Write require or verify-full, or let the operator list the network"
        )
    verified = {"sslrootcert": settings().ca_bundle or "system"} if mode in ("verify-ca", "verify-full") else {"sslrootcert": os.devnull}
    return make_conninfo(
        host=access.host.strip("[]"), hostaddr=address, port=access.port or _PORT, dbname=access.name or access.user, user=access.user,
        password=access.password or None, sslmode=mode, connect_timeout=max(2, int(access.times.connect)), client_encoding="UTF8",
        application_name="spine", passfile=os.devnull, gssencmode="disable", sslcertmode="disable",
        keepalives_idle=30, keepalives_interval=10, keepalives_count=3, tcp_user_timeout=int(access.times.total * 1000), **verified,
    )  # fmt: skip


def _column(name: str, kind: str, base: str, sort: str, nullable: bool) -> Column:
    family = "time" if base in _TIMES else "number" if base in _NUMBERS else "text" if base in _TEXTS else "other"
    plain = sort == "e" or (sort == "b" and base in _PLAIN)
    exact = sort == "b" and base in _EXACT
    return Column(name, kind, family, nullable, plain, exact, form_of(base, sort))  # type: ignore[arg-type]


def _select(question: Question, stream: Stream, every: dict[str, Column], flag: Column | None) -> str:
    cursor = every.get(_former(stream, stream.cursor.field)) if stream.cursor else None
    parts = [f"{_text(column)}" for column in question.order]
    parts += [_text(cursor) if cursor else "NULL::text", f"{_DIALECT.name(flag.name)}::text" if flag else "NULL::text"]
    parts += [sent(column, _DIALECT.name(name)) for name, column in every.items()]
    word = _free("c", every)
    named = ", ".join(f"{part} AS {word}{number}" for number, part in enumerate(parts))
    return f"SELECT {named} FROM {source_of(question, _DIALECT)}{conditions(question, _DIALECT)}"


def _former(stream: Stream, field: str) -> str:
    return {new: old for old, new in stream.rename.items()}.get(field, field)


def _free(word: str, taken: dict[str, Column]) -> str:
    """What no column's name begins with: what is selected under a column's name would be taken for it in ORDER BY."""
    while any(name.startswith(word) for name in taken):
        word += "_"
    return word


def _text(column: Column) -> str:
    """A column's value as a text from which it can be compared again; a time as our cursors write it, to the microsecond."""
    name = _DIALECT.name(column.name)
    if column.family != "time":
        return f"{name}::text"
    moment = f"{name} AT TIME ZONE 'UTC'" if "with time zone" in column.type else f"{name}::timestamp"
    return f'CASE WHEN isfinite({name}) THEN to_char({moment}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') ELSE {name}::text END'


class _Making:
    """Makes rows of the columns of a batch."""

    def __init__(self, question: Question, stream: Stream, every: dict[str, Column], flag: Column | None) -> None:
        self._count = len(question.order)
        self._stream, self._flag = stream, flag
        self._columns = list(every.values())
        shaped = stream.filters or stream.flatten or stream.rename or stream.compute or stream.personal
        names = {column.name: column for column in question.order}
        keys = [names.get(name) for name in stream.key_fields]
        plain = all(column.plain for column in every.values()) and all(key is not None and key.exact for key in keys)
        cursor = every.get(stream.cursor.field) if stream.cursor else None
        timed = cursor is None or cursor.family in ("time", "number")
        self._quick = bool(plain and keys and timed and not shaped)
        self._keys = [[column.name for column in question.order].index(name) for name in stream.key_fields] if self._quick else []
        self._outline = Outline({name: _kind(column) for name, column in every.items()}, field_fingerprint(tuple(every)))

    def rows(self, batch: pa.RecordBatch) -> Rows:
        """The rows of a batch, as records where nothing has to be looked into."""
        values = batch.columns[self._count + 2 :]
        payloads = written(values, self._columns)
        last = tuple(_listed(batch.column(number).slice(batch.num_rows - 1))[0] for number in range(self._count))
        if self._quick and not any(
            _matches(one, _LONG) for one, column in zip(values, self._columns, strict=True) if column.type.startswith("numeric")
        ):
            found = self._records(batch, payloads)
            if found is not None:
                return Rows(batch.num_rows, last, records=found)
        return Rows(batch.num_rows, last, [_object(text) for text in payloads.to_pylist()])

    def _records(self, batch: pa.RecordBatch, payloads: pa.Array) -> Records | None:
        """The records of a batch; None if one of them cannot be one as it is: then all of them are looked into."""
        keys = [batch.column(number) for number in self._keys]
        ids = keys[0] if len(keys) == 1 else pc.binary_join_element_wise(*keys, "|")
        escaped = len(keys) > 1 and any(_matches(key, r"[|\\]") for key in keys)
        cursors = self._cursors(batch.column(self._count))
        if cursors is None or escaped or ids.null_count or _some(pc.equal(pc.binary_length(ids), 0)):
            return None
        try:
            payloads = payloads.cast(pa.string())  # a database without an encoding may hold anything
        except pa.ArrowInvalid:
            return None
        ops = pa.repeat("upsert", batch.num_rows)
        if self._flag is not None:
            ops = pa.array(["delete" if flagged(value) else "upsert" for value in batch.column(self._count + 1).to_pylist()], pa.string())
        prints = pa.repeat(self._outline.fingerprint, batch.num_rows)
        columns = [column.cast(pa.string()) for column in (ids, ops, cursors, payloads, prints)]
        return Records.over(columns, {self._outline: batch.num_rows})

    def _cursors(self, column: pa.Array) -> pa.Array | None:
        """The cursors as they sort; None if a value is none, which its record has to say."""
        cursor = self._stream.cursor
        if cursor is None:
            return column
        if cursor.type == "number":
            found = [numbered(text, cursor.field) for text in column.to_pylist()]
            return None if any(one.mistake for one in found) else pa.array([one.cursor for one in found], pa.string())
        if cursor.reads is not None:
            return pa.array([cursor_text(text, cursor.reads) for text in column.to_pylist()], pa.string())
        return None if _some(pc.not_equal(pc.binary_length(column), _TIME)) else column


def _some(told: pa.Array) -> bool:
    return bool(pc.any(told).as_py())


def _kind(column: Column) -> str:
    """What JSON calls the values of a plain column."""
    return "number" if column.family == "number" else "boolean" if column.type == "boolean" else "text"


def _listed(column: pa.Array) -> list[str | None]:
    try:
        found: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        found = [None if one is None else one.decode(errors="replace") for one in column.cast(pa.binary()).to_pylist()]
    return found


def _matches(column: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())


def _object(text: bytes) -> Any:
    """A row's JSON with all its digits; one that cannot be read at all stays as it was sent, and its record says so."""
    try:
        return jsontext.parse(text)
    except ValueError:
        return text.decode(errors="replace")


_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba.conf entry|role .* does not exist|not permitted to log in", re.I
)
_BY_STATE: tuple[tuple[str, type[ConnectorError], str, str], ...] = (
    ("28", AuthFailed, "refuses the user or its password", "Correct login and password of the Connection"),
    ("3D", SourceRejected, "is not there", "Name the database in the Connection's schema"),
    ("42501", SourceRejected, "may not be read by this user", "Let the user SELECT it, or name the `columns` that it may read"),
    ("42P01", SchemaMismatch, "is not there", "Correct `table` in the source's file"),
    ("42703", SchemaMismatch, "has lost a column", "Correct the source's file"),
    ("22", SourceRejected, "holds a value that cannot be compared", "Look at `table.filters` and at the cursor"),
    ("42", SourceRejected, "cannot be read so", "Look at `table` in the source's file"),
)  # fmt: skip


def _failure(error: BaseException, what: str) -> SpineError:
    """An error of the driver as one of ours; its text is shown without what it quotes."""
    if isinstance(error, SpineError):
        return error
    state, text = str(getattr(error, "sqlstate", "") or ""), str(error)
    for begins, kind, why, hint in _BY_STATE:
        if state.startswith(begins):
            return kind(f"{what} {why}", hint=hint, sqlstate=state)
    if not state and _REFUSED.search(text):
        return AuthFailed("the database refuses the user or its password", hint="Correct login and password of the Connection")
    if not state and re.search(r"database .* does not exist", text):
        return SourceRejected("the database is not there", hint="Name it in the Connection's schema")
    if not state and re.search(r"SSL|certificate", text):
        return SourceRejected("no encrypted connection that we trust could be made", hint="Look at the server's TLS and at `sslmode`")
    return SourceUnavailable(f"{what} could not be read: {told(text)}", hint="If it stays so, look at the server", sqlstate=state or None)
