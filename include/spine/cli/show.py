"""Printing: tables for people, JSON for scripts, progress on stderr so that output can be piped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from textwrap import wrap
from typing import Any

from spine.core.screen import clean, console, say


def as_json(value: Any) -> None:
    """Print JSON; times as ISO 8601, numbers of any precision as text."""
    import orjson

    say(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z).decode())


def as_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, *, longest: int | None = None) -> None:
    """Print rows under their columns' names; wide when piped. Only what is longer than `longest` characters is cut, with a mark."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not out.is_terminal:
        out = console(width=240)
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    names = list(columns if columns is not None else (rows[0] if rows else []))
    for name in names:
        numbers = bool(rows) and isinstance(rows[0].get(name), int | float)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cut(clean(text(row.get(name))), longest)) for name in names))
    out.print(table)


def _cut(cell: str, longest: int | None) -> str:
    return cell if longest is None or len(cell) <= longest else f"{cell[: longest - 1]}…"


def text(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def item(line: str) -> str:
    """A line of a list, wrapped."""
    return "\n".join(wrap(line, 110, initial_indent="  ", subsequent_indent="    "))


def position(value: str | None) -> str:
    """A cursor as people read it: a number without zeros before it, the list of files that were read by its length and its last name."""
    if value is not None and value.isdigit():
        return str(int(value))
    if value is None or not value.startswith("{"):
        return value or ""
    import orjson

    files = sorted(orjson.loads(value).get("files", {}))
    return f"{len(files)} files, to {files[-1]}" if files else "no files"


_spinner: Any = None


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on stderr what is being done, with a spinner on a terminal. May stand inside another: what is done there is part of it."""
    global _spinner
    with redirect_stdout(sys.stderr):  # libraries that print must not disturb what a script reads
        if _spinner is not None:
            _spinner.update(what)
            yield
        elif sys.stderr.isatty():
            with console(stderr=True).status(clean(what)) as _spinner:
                try:
                    yield
                finally:
                    _spinner = None
        else:
            say(f"{what} …", err=True)
            yield
