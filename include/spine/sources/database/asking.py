"""What is asked of a table, and its SQL: one ordered statement with bounds. No I/O, and no text of a declaration that is not quoted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from spine.core.mapping import RowFilter

Family = Literal["time", "number", "text", "other"]
Form = Literal["whole", "truth", "text", "number", "time", "moment", "told", "json"]
Place = tuple[Any, ...]  # a row's values in the columns of the order


@dataclass(frozen=True)
class Column:
    """A column as the server describes it: its `type` in the server's words, and which family of values it has.

    `plain` values are written as one JSON scalar, whatever the row holds; `exact` ones read the same as text and in JSON. `form` is what
    is to be done to write them so.
    """

    name: str
    type: str = ""
    family: Family = "other"
    nullable: bool = True
    plain: bool = False
    exact: bool = False
    form: Form = "json"


@dataclass(frozen=True)
class Described:
    """A table's columns by name, and the sets of them that tell every row from all others."""

    columns: Mapping[str, Column]
    unique: Sequence[frozenset[str]] = ()

    def tells(self, names: Sequence[str]) -> bool:
        """Whether no two rows have the same values in these columns, for which the server itself stands."""
        return any(one <= set(names) for one in self.unique)


@dataclass(frozen=True)
class Bound:
    """A column's values are beyond a value. With `or_null` rows without a value are meant as well."""

    column: Column
    sign: Literal[">", ">=", "<", "<="]
    value: Any


@dataclass(frozen=True)
class Question:
    """Rows of a table, in the order of columns, behind a place in that order (`again`: from it on).

    `bounds` are of one column, whose rows without a value are asked for with `or_null`.
    """

    schema: str | None
    table: str
    columns: tuple[str, ...]
    order: tuple[Column, ...]
    after: Place | None = None
    again: bool = False
    bounds: tuple[Bound, ...] = ()
    or_null: bool = True
    filters: tuple[tuple[Column, RowFilter], ...] = ()
    limit: int | None = None


class Dialect(Protocol):
    """How a server wants names and values written; `value` may keep the value and write a mark in its place."""

    def name(self, name: str) -> str:
        """A name, quoted."""
        ...

    def value(self, column: Column, value: Any) -> str:
        """A value that is compared with a column."""
        ...

    def ordered(self, column: Column) -> str:
        """The column in an ORDER BY, rows without a value last."""
        ...


def source_of(question: Question, dialect: Dialect) -> str:
    """The table's whole name."""
    return ".".join(dialect.name(part) for part in (question.schema, question.table) if part)


def select(question: Question, dialect: Dialect) -> tuple[list[str], str]:
    """The columns that are read and the statement that reads them: those that are asked for, then those of the order."""
    names = list(dict.fromkeys((*question.columns, *(column.name for column in question.order))))
    chosen = ", ".join(dialect.name(name) for name in names)
    return names, f"SELECT {chosen} FROM {source_of(question, dialect)}{conditions(question, dialect)}"


def conditions(question: Question, dialect: Dialect) -> str:
    """What follows FROM: WHERE, ORDER BY and LIMIT; a space before it."""
    found = [_filter(column, rule, dialect) for column, rule in question.filters]
    if question.bounds:
        within = " AND ".join(
            f"{dialect.name(one.column.name)} {one.sign} {dialect.value(one.column, one.value)}" for one in question.bounds
        )
        found.append(f"({within}{_or_null(question.bounds[0].column, dialect.name) if question.or_null else ''})")
    if question.after is not None and question.order:
        found.append(_behind(question.order, question.after, dialect, again=question.again))
    text = f" WHERE {' AND '.join(found)}" if found else ""
    if question.order:
        text += f" ORDER BY {', '.join(dialect.ordered(column) for column in question.order)}"
    return text if question.limit is None else f"{text} LIMIT {question.limit:d}"


def _or_null(column: Column, name: Callable[[str], str]) -> str:
    return f" OR {name(column.name)} IS NULL" if column.nullable else ""


def _behind(order: Sequence[Column], after: Place, dialect: Dialect, *, again: bool) -> str:
    """The rows behind a place, column by column; rows without a value stand last.

    The first column's bound stands alone besides, since servers find it in an index so.
    """
    column, *others = order
    name, value = dialect.name(column.name), after[0]
    if value is None:
        rest = _behind(others, after[1:], dialect, again=again) if others else ("1 = 1" if again else "1 = 0")
        return f"({name} IS NULL AND {rest})"
    null = _or_null(column, dialect.name)
    if not others:
        return f"({name} {'>=' if again else '>'} {dialect.value(column, value)}{null})"
    least = f"({name} >= {dialect.value(column, value)}{null})"
    beyond = f"{name} > {dialect.value(column, value)}"
    level = f"({name} = {dialect.value(column, value)} AND {_behind(others, after[1:], dialect, again=again)})"
    return f"({least} AND ({beyond}{null} OR {level}))"


def _filter(column: Column, rule: RowFilter, dialect: Dialect) -> str:
    name, found = dialect.name(column.name), []
    if rule.one_of:
        found.append(f"{name} IN ({', '.join(dialect.value(column, value) for value in rule.one_of)})")
    if rule.none_of:
        found.append(
            f"({name} NOT IN ({', '.join(dialect.value(column, value) for value in rule.none_of)}){_or_null(column, dialect.name)})"
        )
    return " AND ".join(found)
