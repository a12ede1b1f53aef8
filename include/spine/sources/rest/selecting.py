"""Selects the records of an answer: a list, one object, or a map of them."""

from __future__ import annotations

import re
from typing import Any

from spine.core.errors import SchemaMismatch
from spine.sources.spec import Stream

_PLAIN = re.compile(r'(?:"[^"]+"|[A-Za-z_]\w*)(?:\.(?:"[^"]+"|[A-Za-z_]\w*))*')  # names at the beginning of a JMESPath
_STEPS = re.compile(r'"([^"]+)"|(\w+)')


def records_of(stream: Stream, found: Any, *, empty: bool = False) -> list[Any]:
    """The selected records as a list; none if the answer says so (`empty`). Raises SchemaMismatch if it has nothing of that shape.

    Some of a list may be no objects, which makes them malformed records; if all of them are, it is no list of records.
    """
    if found is None and empty:
        return []
    records = [found] if isinstance(found, dict) else found
    if not isinstance(records, list) or (records and not any(isinstance(item, dict) for item in records)):
        raise SchemaMismatch(
            f"the answer has no records at {stream.records!r}", hint="Check `records` in the source's file", stream=stream.name
        )
    return records


def said_empty(body: Any, path: str) -> bool:
    """True if the answer is empty or says null on the way to its records, rather than having another shape."""
    if body is None:
        return True
    names = _PLAIN.match(path)
    for quoted, plain in _STEPS.findall(names[0]) if names else []:
        name = quoted or plain
        if not isinstance(body, dict) or name not in body:
            return False
        body = body[name]
        if body is None:
            return True
    return False
