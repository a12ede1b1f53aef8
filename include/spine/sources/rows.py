"""What formats make of a file: rows, those that cannot be read, and those that say nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One row and the number of its first line (in Parquet: of the row itself), from 1; `size` is about its letters."""

    line: int
    values: dict[str, Any]
    size: int = 0


@dataclass(frozen=True)
class BadRow(Row):
    """A row that cannot be read, why, and its text."""

    error: str = ""
    raw: str = field(default="", repr=False)


@dataclass(frozen=True)
class EmptyRow(Row):
    """A row of delimiters alone, as spreadsheets leave them behind their last one."""
