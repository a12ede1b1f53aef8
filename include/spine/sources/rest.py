"""Reads any REST source that its YAML file describes: path, parameters, selector of the records, paging, cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jmespath

from spine.core import clock
from spine.core.declarations import Place
from spine.core.errors import SchemaMismatch
from spine.http.client import Client
from spine.http.paging import Fetched
from spine.http.paging.pages import search
from spine.http.transport import Request
from spine.sources.reading import (
    Page,
    Position,
    Record,
    State,
    Turning,
    Window,
    flagged,
    later,
    lookup,
    make_record,
    position_of,
    require_fields,
)
from spine.sources.spec import Source, Stream

_PLAIN = re.compile(r'(?:"[^"]+"|[A-Za-z_]\w*)(?:\.(?:"[^"]+"|[A-Za-z_]\w*))*')  # names at the beginning of a JMESPath
_STEPS = re.compile(r'"([^"]+)"|(\w+)')
READS = frozenset({
    "path", "params", "records", "required_fields", "cursor.field", "cursor.since",
    "cursor.until", "paging", "deletes.field",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep"})


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
        turning = Turning(stream, stream.paging.turned_by)
        while True:
            request = stream.paging.request(first, token)
            response = self.client.request(request)
            body = response.json()
            found = records_of(stream, search(selector, body), empty=said_empty(body, stream.records))
            following = stream.paging.following(Fetched(request, response, body, found, token))
            turning.see(found, token, following)
            require_fields(stream, found)
            records = [record for item in found if (record := self._record(stream, item, window)) is not None]
            for record in records:
                high_water = later(high_water, record.cursor)
            yield Page(records, following and self.client.auth.unsigned(following), high_water)
            if following is None:
                return
            token = following

    @staticmethod
    def _record(stream: Stream, item: Any, window: Window) -> Record | None:
        if stream.cursor is None:
            position = Position(None)
        else:
            position = position_of(lookup(item, stream.cursor.field), stream.cursor.field)
            if not window.full and not window.holds(position.moment()):
                return None
        flag = stream.deletes.detect == "flag" and stream.deletes.field and flagged(lookup(item, stream.deletes.field))
        return make_record(stream, item, cursor=position.cursor, op="delete" if flag else "upsert", mistake=position.mistake)


def mistakes(stream: Stream) -> Iterator[tuple[Place, str]]:
    """What is wrong with a stream of this kind: places inside it, and why."""
    if stream.cursor is not None and "since" not in stream.cursor.model_fields_set:
        yield (
            ("cursor", "since"),
            (
                "no parameter asks the source for changes: name it, or write `since: null` if there is none; "
                "every run then reads everything and leaves out what is old"
            ),
        )
    if stream.deletes.detect == "flag" and stream.deletes.field is None:
        yield ("deletes", "field"), "`detect: flag` needs the field that tells a deleted record"


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


def _bounds(stream: Stream, window: Window) -> dict[str, str]:
    if stream.cursor is None or window.full:
        return {}
    asked = {stream.cursor.since: window.start, stream.cursor.until: window.end}
    return {name: clock.to_text(moment) for name, moment in asked.items() if name and moment}
