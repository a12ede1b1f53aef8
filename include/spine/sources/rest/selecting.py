"""Selects the records of an answer: a list, one object, or a map of them."""

from __future__ import annotations

import re
from typing import Any

import jmespath

from spine.core.errors import SchemaMismatch, SourceRejected
from spine.http.paging.pages import search
from spine.http.transport import Response
from spine.http.words import said
from spine.sources.reading import has
from spine.sources.spec import Stream

_PLAIN = re.compile(r'(?:"[^"]+"|[A-Za-z_]\w*)(?:\.(?:"[^"]+"|[A-Za-z_]\w*))*')  # names at the beginning of a JMESPath
_FAILED = frozenset({"error", "fail", "failed"})
_STEPS = re.compile(r'"([^"]+)"|(\w+)')


def selected(stream: Stream, body: Any, found: Any) -> list[Any]:
    """The records in what was found in an answer, also of a map or of rows without names. Raises SchemaMismatch."""
    if stream.map_key is not None and isinstance(found, dict):
        return [{stream.map_key: name, **(inner if isinstance(inner, dict) else {"value": inner})} for name, inner in found.items()]
    if stream.columns is not None and isinstance(found, list) and found:
        names = search(jmespath.compile(stream.columns), body)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SchemaMismatch(f"the answer has no names of columns at {stream.columns!r}", hint="Check `columns`", stream=stream.name)
        return [dict(zip(names, row, strict=False)) if isinstance(row, list) and len(row) <= len(names) else row for row in found]
    return records_of(stream, found, empty=said_empty(body, stream.records))


def records_of(stream: Stream, found: Any, *, empty: bool = False) -> list[Any]:
    """The selected records as a list; none if the answer says so (`empty`). Raises SchemaMismatch if it has nothing of that shape.

    Some of a list may be no objects, which makes them malformed records; if all of them are, it is no list of records.
    """
    if found is None and empty:
        return []
    records = [found] if isinstance(found, dict) else found
    if stream.key == "singleton" and isinstance(records, list) and len(records) > 1:
        raise SchemaMismatch(
            f"the answer has {len(records)} records, and `key: singleton` means one", hint="Name its key", stream=stream.name
        )
    if not isinstance(records, list) or (records and not any(isinstance(item, dict) for item in records)):
        raise SchemaMismatch(
            f"the answer has no records at {stream.records!r}", hint="Check `records` in the source's file", stream=stream.name
        )
    return records


def refuse_error(stream: Stream, response: Response, body: Any, found: Any) -> None:
    """Raise SourceRejected if an answer with success tells an error in place of records. A rule of the source's file may say otherwise.

    Beside records `error` may be one of their fields, or a warning; GraphQL alone tells in `errors` that its `data` is not whole.
    """
    if not isinstance(body, dict):
        return
    told = bool(body.get("error") or body.get("errors")) or body.get("success") is False or body.get("ok") is False
    told = told or str(body.get("status", "")).lower() in _FAILED
    partly = bool(body.get("errors")) and "data" in body
    nothing = not found or (found is body and not any(has(body, name) for name in stream.key_fields))
    if (told and nothing) or partly:
        words = said(response.body)
        raise SourceRejected(
            f"{response.place} told an error in an answer of status {response.status}{f': {words}' if words else ''}",
            hint="If it is none, a rule in `errors` of the source's file says what becomes of it",
            stream=stream.name,
        )


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
