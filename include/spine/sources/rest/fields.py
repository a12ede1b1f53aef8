"""The fields that a stream asks for, and answers that come in chunks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jmespath

from spine.core.errors import SchemaMismatch, SourceUnavailable
from spine.http.client import Client
from spine.http.paging.pages import search
from spine.sources.reading import record_id
from spine.sources.rest.requester import request_of
from spine.sources.spec import Stream

_MOST = 20_000  # names; no vendor has so many fields


def chunks_of(stream: Stream, client: Client, values: Mapping[str, Any]) -> list[list[str]]:
    """The names of `{fields}`, for one request each; one empty list where the stream names none. Raises SchemaMismatch."""
    words = stream.field_list
    names = list(stream.fields)
    if words is not None and words.names is not None:
        found = search(jmespath.compile(words.names), client.request(request_of(words, values)).json())
        if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found) or len(found) > _MOST:
            raise SchemaMismatch(f"the answer has no names of fields at {words.names!r}", hint="Check `field_list`", stream=stream.name)
        names += found
    always = words.always if words is not None else ()
    others = [name for name in dict.fromkeys(names) if name not in always]
    chunk = words.chunk if words is not None else None
    room = max(1, len(others) if chunk is None else chunk - len(always))
    return [[*always, *others[start : start + room]] for start in range(0, len(others), room)] or [list(always)]


def together(stream: Stream, pages: Sequence[Sequence[Any]]) -> list[Any]:
    """Records that came in chunks of their fields, put together by their key. Raises SourceUnavailable if they are not the same ones."""
    first, *others = pages
    merged = [dict(record) if isinstance(record, dict) else record for record in first]
    known = _by_key(stream, merged)
    for page in others:
        more = _by_key(stream, page)
        if more.keys() != known.keys():
            raise SourceUnavailable(
                "the source's records have changed between two requests for fields of the same page",
                hint="Ask for them in a fixed order, so that pages stay as they are",
            )
        for key, record in more.items():
            _merge(known[key], record)
    return merged


def _by_key(stream: Stream, records: Sequence[Any]) -> dict[str, dict[str, Any]]:
    return {key: record for record in records if isinstance(record, dict) and (key := record_id(stream, record)) is not None}


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what a record says more, inside objects too: some vendors keep the fields that were asked for in one of their own."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def names_of(chunks: Sequence[Sequence[str]]) -> Iterator[Mapping[str, Any]]:
    """The value of `{fields}` for each chunk; none where there is no name."""
    for chunk in chunks:
        yield {"fields": list(chunk)} if chunk else {}
