"""Walks through a table: asks for rows in an order, makes records of them, and says behind which row the reading goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from spine.core import declarations
from spine.core.errors import ConfigError, SchemaMismatch, SourceRejected
from spine.core.texts import nearest
from spine.sources.access import Access
from spine.sources.database import mariadb, postgresql, sqlite
from spine.sources.database.asking import Column, Described, Question
from spine.sources.database.bounds import bounds_of
from spine.sources.database.rows import Rows, Server
from spine.sources.reading import Page, State, Window, later
from spine.sources.recording import Recorder
from spine.sources.spec import Source, Stream
from spine.sources.spec.tables import Table

SERVERS: dict[str, Any] = {"postgresql": postgresql.Postgresql, "mariadb": mariadb.Mariadb, "sqlite": sqlite.Sqlite}
READS = frozenset({
    "table", "required_fields", "cursor.field", "cursor.type", "cursor.reads", "filters", "flatten", "rename", "compute", "personal",
    "deletes.field",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep"})


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of a table: places inside it, and why."""
    if stream.deletes.detect == "flag" and stream.deletes.field is None:
        yield ("deletes", "field"), "`detect: flag` needs the column that tells a deleted row"
    columns = stream.table.columns if stream.table else ()
    if columns and not stream.compute and not stream.flatten:
        needed = [*stream.key_fields, *([stream.cursor.field] if stream.cursor else []), *stream.required_fields]
        for name in dict.fromkeys(needed):
            if _column_name(stream, name) not in columns:
                yield ("table", "columns"), f"{name!r} is missing, which the key, the cursor or `required_fields` name"
    if columns and stream.table:
        for number, rule in enumerate(stream.table.filters):
            if not rule.field:
                yield ("table", "filters", number, "field"), "is no column"


def source_mistakes(source: Source) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a whole source: places in its file, and why."""
    if source.reader not in SERVERS:
        near = nearest(source.reader or "", SERVERS)
        yield ("reader",), f"a database is read by one of {', '.join(SERVERS)}{near}"
    elif source.reader != "sqlite" and source.auth.type not in ("database", "username_password"):
        yield ("auth",), "a database is logged in to by `{type: database}`"


@dataclass(frozen=True)
class Reader:
    """Reads the tables of one database."""

    source: Source
    access: Access

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the table's rows behind the one that the token names, by one connection that only reads."""
        with SERVERS[self.source.reader or ""](self.access) as server:
            reading = _Reading(server, self.access, stream, state, window)
            yield from reading.pages()


class _Reading:
    """One reading of one table."""

    def __init__(self, server: Server, access: Access, stream: Stream, state: State, window: Window) -> None:
        self._server, self._access, self._stream = server, access, stream
        self._table = stream.table or Table()
        self.high_water = state.high_water
        self._recorder = Recorder(stream, window, state.cursor, access.values, access.hashed)
        self._described = server.describe(self._table.schema_, self._table.name or stream.name)
        self._question = self._asked(state, window)

    def pages(self) -> Iterator[Page]:
        """All pages from the question's place on, statement by statement."""
        question, chunk = self._question, self._table.chunk
        while True:
            count, place = 0, question.after
            for rows in self._server.rows(question, self._stream):
                count, place = count + rows.count, rows.last
                yield self._page(rows, place, question)
            if chunk is None or count < chunk:
                yield Page((), None, self.high_water)
                return
            if place == question.after:
                raise SourceRejected(
                    f"more than {chunk:,} rows have the same values in {', '.join(column.name for column in question.order)}",
                    hint="Choose a key that tells rows apart, or do without `chunk`",
                    stream=self._stream.name,
                )
            question = replace(question, after=place)

    def _page(self, rows: Rows, place: Any, question: Question) -> Page:
        records = self._recorder.records(rows.items) if rows.records is None else rows.records
        self._access.allowance.took(records.letters)
        self._access.allowance.turned()
        self.high_water = later(self.high_water, records.latest)
        return Page(records, _token(place if question.order else None), self.high_water)

    def _asked(self, state: State, window: Window) -> Question:
        """What is asked, from the state's place on. Raises SchemaMismatch for columns that are not there, ConfigError."""
        stream, table = self._stream, self._table
        cursor = None if stream.cursor is None else self._column(stream.cursor.field, "cursor")
        keys = tuple(self._column(name, "key") for name in stream.key_fields)
        for name in stream.required_fields:
            self._column(name, "required_fields")
        bounds = None
        if stream.cursor is not None and cursor is not None and not window.full:
            bounds = bounds_of(stream.cursor, cursor, window, state.cursor)
        order = keys if bounds is None or cursor is None or not keys else tuple(dict.fromkeys((cursor, *keys)))
        after = _place(state.token, len(order))
        return Question(
            table.schema_, table.name or stream.name, self._columns(), order, after,
            again=not self._described.tells([column.name for column in keys]),
            bounds=bounds or (), or_null=not window.backfill,
            filters=tuple((self._known(rule.field, "table.filters"), rule) for rule in table.filters),
            limit=table.chunk if order else None,
        )  # fmt: skip

    def _columns(self) -> tuple[str, ...]:
        for name in self._table.columns:
            self._known(name, "table.columns")
        return self._table.columns or tuple(self._described.columns)

    def _column(self, name: str, where: str) -> Column:
        """The column of a field of the record. Raises SchemaMismatch."""
        return self._known(_column_name(self._stream, name), where)

    def _known(self, name: str, where: str) -> Column:
        found = self._described.columns.get(name)
        if found is None:
            raise SchemaMismatch(
                f"the table has no column {name!r}, which `{where}` names{nearest(name, self._described.columns)}",
                hint="Correct the source's file, or the table",
                stream=self._stream.name,
            )
        return found


def _column_name(stream: Stream, field: str) -> str:
    """The column that a field of the record comes from; keys and cursors are compared in the database."""
    former = {new: old for old, new in stream.rename.items()}
    return former.get(field, field)


def _token(place: Any) -> str:
    return orjson.dumps({"after": place}, default=str).decode()


def _place(token: str | None, length: int) -> tuple[Any, ...] | None:
    """The place that a token names; none of a stream without an order, which begins anew. Raises ConfigError if it is of another order."""
    place = orjson.loads(token)["after"] if token else None
    if place is None or not length:
        return None
    if len(place) != length:
        raise ConfigError("the reading began with another key or cursor", hint="Run once more: it begins anew")
    return tuple(place)


__all__ = ["DETECTS", "READS", "Described", "Reader", "mistakes", "source_mistakes"]
