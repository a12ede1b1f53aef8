"""How a stream's window is asked of a table: which column is compared with what. No I/O."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from spine.core import times
from spine.core.errors import ConfigError
from spine.sources.database.asking import Bound, Column
from spine.sources.reading import Window, number_of
from spine.sources.spec import Cursor

_DIRECTIVES = re.compile(r"%(.)")
_SORTED = "YmdHMSf"  # from the greatest unit to the least, so that texts sort as the times that they are


def bounds_of(cursor: Cursor, column: Column, window: Window, saved: str | None) -> tuple[Bound, ...] | None:
    """What the window asks of the cursor's column; None if the server cannot tell, so that all rows are read and the old ones left out.

    Raises ConfigError for a column that can hold no such cursor.
    """
    if cursor.type == "number":
        if column.family != "number" and column.type:
            raise ConfigError(f"column {column.name} holds no numbers ({column.type})", hint="Choose another cursor")
        return () if saved is None else (Bound(column, ">", number_of(saved)),)
    if column.family == "time":
        return _between(column, window, lambda moment: moment)
    form = cursor.reads
    if form is None or not _sorts(form, column):
        if column.family == "number" and form is None:
            raise ConfigError(f"column {column.name} holds numbers", hint="Say what they count: `reads: epoch` of the cursor")
        return None
    return _between(column, window, lambda moment: times.write(moment, form))


def _between(column: Column, window: Window, written: Any) -> tuple[Bound, ...]:
    found = []
    if window.start is not None:
        found.append(Bound(column, ">=" if window.backfill else ">", _value(window.start, written)))
    if window.end is not None:
        found.append(Bound(column, "<" if window.backfill else "<=", _value(window.end, written)))
    return tuple(found)


def _value(moment: datetime, written: Any) -> Any:
    return written(moment)


def _sorts(form: str, column: Column) -> bool:
    """Whether values of a format stand in a column in the order of their times."""
    if form.startswith("epoch"):
        return column.family == "number"
    if column.family == "number" or "%" not in form:
        return form == "date" and column.family != "number"
    found = _DIRECTIVES.findall(form)
    places = [_SORTED.find(one) for one in found]
    return -1 not in places and places == sorted(places) and found[0] == "Y"
