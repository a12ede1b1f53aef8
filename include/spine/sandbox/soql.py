"""The part of SOQL that an extractor sends: SELECT, FROM, WHERE with AND/OR/NOT and IN, ORDER BY, LIMIT, OFFSET, COUNT().

Written after Salesforce's "SOQL and SOSL Reference", pages "SOQL SELECT Syntax", "Condition Expression Syntax (WHERE
Clause)" and "Date Formats and Date Literals in WHERE" (developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from spine.core import clock

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
  | (?P<date>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?\d+(?:\.\d+)?)
  | (?P<word>[A-Za-z_][\w.]*)
  | (?P<mark><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class SoqlError(Exception):
    """A query the service refuses; `code` is Salesforce's errorCode."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


def malformed(message: str) -> SoqlError:
    """MALFORMED_QUERY."""
    return SoqlError("MALFORMED_QUERY", message)


@dataclass(frozen=True)
class Compare:
    """`field op value`; op is one of = != < <= > >= IN NOTIN."""

    field: str
    op: str
    value: Any


@dataclass(frozen=True)
class Logic:
    """AND, OR or NOT of conditions."""

    op: str
    parts: tuple[Condition, ...]


Condition = Compare | Logic


@dataclass
class Query:
    """A parsed query. Times are aware datetimes; `order` holds (field, descending)."""

    fields: list[str]
    object: str
    where: Condition | None = None
    order: list[tuple[str, bool]] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

    @property
    def counts(self) -> bool:
        """Whether only COUNT() was asked for."""
        return self.fields == ["COUNT()"]


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if not match:
            raise malformed(f"unexpected token: '{text[place:].strip()[:20]}'")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        place = match.end()
    return found


def _literal(kind: str, text: str) -> Any:
    if kind == "string":
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
    if kind == "datetime":
        return clock.parse(text)
    if kind == "date":
        return text
    if kind == "number":
        return float(text)
    words = {"true": True, "false": False, "null": None}
    if kind == "word" and text.lower() in words:
        return words[text.lower()]
    raise malformed(f"unexpected token: '{text}'")


class _Parser:
    def __init__(self, text: str) -> None:
        self.rest = _tokens(text)
        self.place = 0

    def peek(self) -> str:
        return self.rest[self.place][1].upper() if self.place < len(self.rest) else ""

    def take(self) -> tuple[str, str]:
        if self.place >= len(self.rest):
            raise malformed("unexpected token: '<EOF>'")
        self.place += 1
        return self.rest[self.place - 1]

    def accept(self, *words: str) -> bool:
        """Move past these words if they come next."""
        upcoming = [text.upper() for _, text in self.rest[self.place : self.place + len(words)]]
        if upcoming != list(words):
            return False
        self.place += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise malformed(f"expecting '{word}', found '{self.peek() or '<EOF>'}'")

    def name(self) -> str:
        kind, text = self.take()
        if kind != "word":
            raise malformed(f"unexpected token: '{text}'")
        return text

    def query(self) -> Query:
        self.expect("SELECT")
        fields = self._fields()
        self.expect("FROM")
        query = Query(fields, self.name())
        if self.accept("WHERE"):
            query.where = self._or()
        if self.accept("ORDER", "BY"):
            query.order = self._order()
        if self.accept("LIMIT"):
            query.limit = self._count()
        if self.accept("OFFSET"):
            query.offset = self._count()
        if self.peek():
            raise malformed(f"unexpected token: '{self.peek()}'")
        return query

    def _fields(self) -> list[str]:
        fields = [self.name()]
        if fields[0].upper() == "COUNT" and self.accept("(", ")"):
            return ["COUNT()"]
        while self.accept(","):
            fields.append(self.name())
        return fields

    def _order(self) -> list[tuple[str, bool]]:
        order = []
        while True:
            name = self.name()
            descending = self.accept("DESC")
            if not descending:
                self.accept("ASC")
            if self.accept("NULLS"):
                self.take()
            order.append((name, descending))
            if not self.accept(","):
                return order

    def _count(self) -> int:
        kind, text = self.take()
        if kind != "number" or not text.isdecimal():
            raise malformed(f"unexpected token: '{text}'")
        return int(text)

    def _or(self) -> Condition:
        parts = [self._and()]
        while self.accept("OR"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Logic("OR", tuple(parts))

    def _and(self) -> Condition:
        parts = [self._single()]
        while self.accept("AND"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else Logic("AND", tuple(parts))

    def _single(self) -> Condition:
        if self.accept("NOT"):
            return Logic("NOT", (self._single(),))
        if self.accept("("):
            inner = self._or()
            self.expect(")")
            return inner
        name = self.name()
        if self.accept("IN"):
            return Compare(name, "IN", self._list())
        if self.accept("NOT", "IN"):
            return Compare(name, "NOTIN", self._list())
        kind, op = self.take()
        if kind != "mark" or op in "(),":
            raise malformed(f"unexpected token: '{op}'")
        return Compare(name, "!=" if op == "<>" else op, _literal(*self.take()))

    def _list(self) -> tuple[Any, ...]:
        self.expect("(")
        values = [_literal(*self.take())]
        while self.accept(","):
            values.append(_literal(*self.take()))
        self.expect(")")
        return tuple(values)


def parse(text: str) -> Query:
    """The query that the text says. Raises SoqlError with MALFORMED_QUERY."""
    return _Parser(text).query()


def names_in(query: Query) -> list[str]:
    """Every field the query names, in order of appearance."""

    def inside(condition: Condition | None) -> list[str]:
        if isinstance(condition, Compare):
            return [condition.field]
        return [name for part in condition.parts for name in inside(part)] if condition else []

    selected = [] if query.counts else query.fields
    return [*selected, *inside(query.where), *(name for name, _ in query.order)]
