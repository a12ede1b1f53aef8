"""Rows of a spreadsheet (XLSX), streamed sheet by sheet, with the values that its formulas had when it was saved.

An XLSX is a zip of XML: what it promises to unpack to is held within the bounds before it is opened, and its rows and columns within what
Excel itself can hold, since a single cell at the far end of a sheet stands for a thousand million empty ones.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any, BinaryIO

from spine.core.bounds import Bounds
from spine.core.dialect import cleaned, distinct
from spine.core.errors import FileRefused
from spine.sources.forms import Form
from spine.sources.rows import BadRow, EmptyRow, Row
from spine.sources.unpacking import require_sound

# https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
_ROWS = 1_048_576
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_TIME = re.compile(r"[hs]|am/pm", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?|\\.|\[[^\]]*\]?')  # to the end where it is not closed, so that nothing is read twice


def rows(stored: BinaryIO, remark: Callable[[str], None], bounds: Bounds, form: Form) -> Iterator[Row]:
    """All rows of the wanted sheets; `_sheet` names the sheet where there are several. Raises FileRefused, OSError."""
    content = stored.read(bounds.small + 1)
    if len(content) > bounds.small:
        raise FileRefused(f"is a spreadsheet of more than {bounds.small:,} bytes", hint="Save it as CSV, or raise `small` of SPINE_BOUNDS")
    with _torn():
        with zipfile.ZipFile(BytesIO(content)) as archive:
            _require_sound(archive, bounds)
        import openpyxl

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions that are left out
            book = openpyxl.load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    try:
        sheets = _sheets(book, form)
        line = 0
        for sheet in sheets:
            for row in _of_sheet(sheet, remark, bounds, form):
                line += 1
                values = row.values | {"_sheet": sheet.title} if len(sheets) > 1 and row.values else row.values
                yield BadRow(line, values, row.size, row.error, row.raw) if isinstance(row, BadRow) else type(row)(line, values, row.size)
    finally:
        book.close()


def _require_sound(archive: zipfile.ZipFile, bounds: Bounds) -> None:
    """Raise FileRefused for what grows beyond the bounds; all but sheets is held in memory, so it is bounded as a spreadsheet is."""
    files = archive.infolist()
    require_sound(files, bounds)
    large = {entry.filename for entry in files if entry.file_size > bounds.small}
    if large and ("[Content_Types].xml" in large or not large <= _streamed(archive)):
        raise FileRefused(f"has more than {bounds.small:,} bytes of text", hint="Save it as CSV, or raise `small` of SPINE_BOUNDS")
    for entry in files:  # reading holds each to what it promises
        with archive.open(entry) as inner:
            while inner.read(1 << 20):
                pass


def _streamed(archive: zipfile.ZipFile) -> set[str]:
    """The parts that are sheets and nothing else: the book's table of parts may give its texts, or itself, any name."""
    from openpyxl.packaging.manifest import Manifest
    from openpyxl.xml.constants import WORKSHEET_TYPE
    from openpyxl.xml.functions import fromstring

    parts = Manifest.from_tree(fromstring(archive.read("[Content_Types].xml"))).Override
    others = {part.PartName for part in parts if part.ContentType != WORKSHEET_TYPE}
    return {part.PartName[1:] for part in parts if part.PartName not in others and _SHEET.fullmatch(part.PartName[1:])}


def _sheets(book: Any, form: Form) -> list[Any]:
    """The sheets that are wanted, else those that people see. Raises FileRefused where one is not there."""
    known = {sheet.title: sheet for sheet in book.worksheets}
    if lacking := [name for name in form.sheets if name not in known]:
        raise FileRefused(f"has no sheet {lacking[0]!r}", hint=f"It has {', '.join(map(repr, known))}: correct `form.sheets`")
    return [known[name] for name in form.sheets] or [sheet for sheet in known.values() if sheet.sheet_state == "visible"]


def _of_sheet(sheet: Any, remark: Callable[[str], None], bounds: Bounds, form: Form) -> Iterator[Row]:
    sheet.reset_dimensions()  # what some programs write there is wrong, and would cut rows off
    names: tuple[str, ...] | None = None
    head: list[list[Any]] = []
    with _torn():
        for number, cells in enumerate(sheet.iter_rows(), 1):
            if number > _ROWS:
                raise FileRefused(f"sheet {sheet.title!r} has more than {_ROWS:,} rows", hint="Save it anew")
            if number <= form.skip:
                continue
            values = [_plain(cell) for cell in cells]
            if names is None:
                if not head and all(value is None for value in values):
                    continue  # lines above the header
                head.append(values)
                if len(head) == form.header:
                    names = _names(head, bounds)
                continue
            yield _row(number, names, values, bounds)
    if names is None and head:
        remark(f"sheet {sheet.title!r} ends within its header")


def _names(head: Sequence[Sequence[Any]], bounds: Bounds) -> tuple[str, ...]:
    """Names of columns. A merged cell above others stands for all of them, up to the next one that says something."""
    width = max(map(len, head))
    if width > bounds.columns:
        raise FileRefused(f"has {width:,} columns, more than {bounds.columns:,}", hint="Divide it, or raise SPINE_BOUNDS")
    lines: list[list[str]] = []
    for place, line in enumerate(head):
        texts = [cleaned(str(line[at])) if at < len(line) and line[at] is not None else "" for at in range(width)]
        if place + 1 < len(head):
            for at in range(1, width):
                texts[at] = texts[at] or texts[at - 1]
        lines.append(texts)
    return distinct([" ".join(dict.fromkeys(filter(None, column))) for column in zip(*lines, strict=True)])


def _row(number: int, names: tuple[str, ...], values: list[Any], bounds: Bounds) -> Row:
    while values and values[-1] is None:
        values.pop()
    size = sum(len(value) if isinstance(value, str) else 8 for value in values)
    if not any(cleaned(str(value)) for value in values if value is not None):
        return EmptyRow(number, {})
    error = f"{len(values)} values for {len(names)} columns" if len(values) > len(names) else ""
    error = error or ("a row longer than its bound (`row` of SPINE_BOUNDS)" if size > bounds.row else "")
    if error:
        return BadRow(number, {}, size, error, "\t".join("" if value is None else str(value) for value in values)[: 1 << 16])
    return Row(number, dict(zip(names, [*values, *[None] * (len(names) - len(values))], strict=True)), size)


def _plain(cell: Any) -> Any:
    """A cell's value as JSON has it: dates and times as ISO 8601; a date is one whose format shows no time."""
    value = cell.value
    if isinstance(value, datetime):
        shown = _QUOTED.sub("", str(cell.number_format))
        return value.date().isoformat() if value.time() == time() and not _TIME.search(shown) else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return (value.strip() or None) if isinstance(value, str) else value


@contextmanager
def _torn() -> Iterator[None]:
    """What the library says of a file that is no spreadsheet: it is refused, since its bytes are all here, and others can be read."""
    try:
        yield
    except (FileRefused, MemoryError):
        raise
    except Exception as error:  # zip, XML, and whatever a wrong part of the file leads to
        raise FileRefused(f"is no sound spreadsheet: {type(error).__name__}", hint="Save it anew as XLSX or CSV") from error
