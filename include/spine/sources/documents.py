"""Records of a document that is one value, of JSON or XML: its list, or what a path names. It is parsed whole, so it is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import jmespath

from spine.core import jsontext
from spine.core.bounds import Bounds
from spine.core.errors import FileRefused
from spine.sources import elements
from spine.sources.forms import Form
from spine.sources.rows import BadRow, Row

_NESTED = 8  # levels in which a list of records is looked for


def body_of(stored: BinaryIO, bounds: Bounds) -> bytes:
    """All bytes of a document. Raises FileRefused beyond the bound."""
    parts, size = [], 0
    while piece := stored.read(1 << 20):
        parts.append(piece)
        size += len(piece)
        if size > bounds.small:
            hint = "Write its records as JSON Lines, or raise `small` of SPINE_BOUNDS"
            raise FileRefused(f"is a document of more than {bounds.small:,} bytes", hint=hint)
    return b"".join(parts)


def xml_rows(stored: BinaryIO, bounds: Bounds, form: Form) -> Iterator[Row]:
    """Records of a document of XML, whose elements are objects. Raises FileRefused for what is none, or has a document type."""
    try:
        document = elements.parsed(body_of(stored, bounds))
    except ValueError as error:
        raise FileRefused(f"is not read: {error}", hint="Ask its sender for XML without a document type") from error
    yield from records(document, bounds, form)


def records(document: Any, bounds: Bounds, form: Form) -> Iterator[Row]:
    """The records of a document as rows."""
    if form.records is not None:
        found = jmespath.search(form.records, document)
        listed = found if isinstance(found, list) else [] if found is None else [found]
    else:
        listed = document if isinstance(document, list) else _list_in(document)
    for number, value in enumerate(listed, 1):
        if isinstance(value, dict) and len(value) <= bounds.columns:
            yield Row(number, value, 256)
        else:
            error = "not an object" if not isinstance(value, dict) else f"{len(value):,} fields, more than {bounds.columns:,}"
            yield BadRow(number, {}, 256, error, jsontext.as_sent(value)[: 1 << 16])


def _list_in(document: Any) -> list[Any]:
    """The one list of objects nearest to the root, else the document as one record; of one that says nothing none, as it has no rows."""
    level = [document]
    for _ in range(_NESTED):
        inner = [value for one in level if isinstance(one, dict) for value in one.values()]
        lists = [value for value in inner if isinstance(value, list) and value and all(isinstance(item, dict) for item in value)]
        if len(lists) == 1:
            return lists[0]
        if lists or not inner:
            break
        level = inner
    return [] if _nothing(document) else [document]


def _nothing(value: Any) -> bool:
    """Whether a document has no value anywhere."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return value is None if inner is None else all(map(_nothing, inner))
