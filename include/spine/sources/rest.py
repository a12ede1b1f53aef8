"""Reads any REST source that its YAML file describes: path, parameters, selector of the records, paging, cursor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jmespath

from spine.core import clock
from spine.core.errors import SchemaMismatch, SourceRejected
from spine.http.client import Client
from spine.http.paging import Fetched
from spine.http.transport import Request
from spine.sources.reading import Page, Record, State, Window, cursor_text, later, lookup, make_record, require_fields
from spine.sources.spec import Source, Stream

READS = frozenset({
    "path", "params", "records", "required_fields", "cursor.field", "cursor.since",
    "cursor.until", "paging", "deletes.detect", "deletes.field",
})  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Sources that need no code. `since` and `until` of the cursor name the parameters that bound the reading."""

    source: Source
    client: Client

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream; where the source cannot bound the reading, the records outside the window are left out."""
        token, high_water = state.token, state.high_water
        first = Request("GET", stream.path, params={**stream.params, **_bounds(stream, window)})
        selector = jmespath.compile(stream.records)
        seen: set[int] = set()
        while True:
            request = stream.paging.request(first, token)
            response = self.client.request(request)
            body = response.json()
            found = records_of(stream, selector.search(body))
            following = stream.paging.following(Fetched(request, response, body, found, token))
            if following is not None and hash(following) in seen:
                raise SourceRejected("the source's pages go in circles", hint="Check the paging of the source's file", stream=stream.name)
            seen.add(hash(following))
            require_fields(stream, found)
            records = [record for item in found if (record := self._record(stream, item, window)) is not None]
            for record in records:
                high_water = later(high_water, record.cursor)
            yield Page(records, following, high_water)
            if following is None:
                return
            token = following

    @staticmethod
    def _record(stream: Stream, item: dict[str, Any], window: Window) -> Record | None:
        if stream.cursor is None:
            return make_record(stream, item, cursor=None)
        cursor = cursor_text(lookup(item, stream.cursor.field))
        if not window.full and not window.holds(clock.parse(cursor) if cursor else None):
            return None
        flag = stream.deletes.detect == "flag" and stream.deletes.field and lookup(item, stream.deletes.field)
        return make_record(stream, item, cursor=cursor, op="delete" if flag else "upsert")


def records_of(stream: Stream, found: Any) -> list[dict[str, Any]]:
    """The selected records as a list of objects. Raises SchemaMismatch if the answer has none of that shape."""
    records = [found] if isinstance(found, dict) else found
    if not isinstance(records, list) or not all(isinstance(item, dict) for item in records):
        raise SchemaMismatch(
            f"the answer has no records at {stream.records!r}", hint="Check `records` in the source's file", stream=stream.name
        )
    return records


def _bounds(stream: Stream, window: Window) -> dict[str, str]:
    if stream.cursor is None or window.full:
        return {}
    asked = {stream.cursor.since: window.start, stream.cursor.until: window.end}
    return {name: clock.to_text(moment) for name, moment in asked.items() if name and moment}
