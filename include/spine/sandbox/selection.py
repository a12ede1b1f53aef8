"""Which rows a condition selects and in which order. Times, ids and flags are compared as arrays, the rest row by row."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spine.sandbox.soql import Compare, Condition, Logic

Rows: TypeAlias = NDArray[np.int64]
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Columns:
    """How to see the fields of a stream's rows.

    `arrays` are columns that can be compared whole, after `encode` has turned the asked value into their own type;
    `value` makes one field of one row.
    """

    def __init__(
        self,
        arrays: dict[str, NDArray[Any]],
        encode: Callable[[str, Any], Any],
        value: Callable[[int, str], Any],
    ) -> None:
        self.arrays, self.encode, self.value = arrays, encode, value

    def select(self, condition: Condition | None, rows: Rows) -> Rows:
        """Those of `rows` that meet the condition, order kept."""
        if condition is None:
            return rows
        if isinstance(condition, Compare):
            return rows[self._meets(condition, rows)]
        return self._logic(condition, rows)

    def _logic(self, condition: Logic, rows: Rows) -> Rows:
        if condition.op == "AND":
            # Whole-array parts first: they leave few rows for the parts that must make each row.
            for part in sorted(condition.parts, key=lambda one: not (isinstance(one, Compare) and one.field in self.arrays)):
                rows = self.select(part, rows)
            return rows
        kept = [self.select(part, rows) for part in condition.parts]
        found = np.isin(rows, np.concatenate(kept))
        return rows[~found] if condition.op == "NOT" else rows[found]

    def _meets(self, condition: Compare, rows: Rows) -> NDArray[np.bool_]:
        values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        if condition.field in self.arrays:
            column = self.arrays[condition.field][rows]
            encoded = [self.encode(condition.field, value) for value in values]
            if condition.op in ("IN", "NOTIN"):
                return np.asarray(np.isin(column, encoded, invert=condition.op == "NOTIN"))
            return np.asarray(_OPERATORS[condition.op](column, encoded[0]))
        seen = (self.value(int(row), condition.field) for row in rows)
        return np.fromiter((_holds(one, condition.op, values) for one in seen), np.bool_, len(rows))

    def order(self, rows: Rows, order: list[tuple[str, bool]]) -> Rows:
        """The rows sorted by these (field, descending); equal ones by id."""
        keys: list[NDArray[Any]] = [rows]
        for name, descending in reversed(order):
            if name in self.arrays:
                column = self.arrays[name][rows].astype(np.int64)
            else:
                texts = np.array([str(self.value(int(row), name) or "") for row in rows], dtype=np.str_)
                column = np.unique(texts, return_inverse=True)[1].astype(np.int64)
            keys.append(-column if descending else column)
        return rows[np.lexsort(keys)]


def _holds(seen: Any, op: str, values: tuple[Any, ...]) -> bool:
    seen = None if seen == "" else seen
    if op in ("IN", "NOTIN"):
        return (_same(seen) in {_same(value) for value in values}) == (op == "IN")
    wanted = values[0]
    if op in ("=", "!="):
        return bool(_same(seen) == _same(wanted)) == (op == "=")
    if seen is None or wanted is None:
        return False
    try:
        return bool(_OPERATORS[op](_same(seen), _same(wanted)))
    except TypeError:
        return False


def _same(value: Any) -> Any:
    """Texts compare without case, as in SOQL; numbers as numbers."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
