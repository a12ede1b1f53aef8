"""The steps that each page of a REST stream goes through, one method each, so that an odd vendor replaces one and not all of them.

`reader: shop` in a generic source's file takes the class `Stages` of `spine.sources.custom.shop`, which derives from the one here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import jmespath

from spine.core.settings import settings
from spine.http.paging import Paging
from spine.http.paging.pages import search
from spine.http.transport import Request, Response
from spine.sources.decoders.json import JsonDecoder
from spine.sources.reading import Position, lookup, numbered, position_of
from spine.sources.rest.requester import request_of
from spine.sources.rest.selecting import selected
from spine.sources.spec import Stream


class Stages:
    """The steps as a stream's words say them."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._path = jmespath.compile(stream.records)

    def request(self, values: Mapping[str, Any]) -> Request:
        """Requester: the request of a step's first page. `values` are what its placeholders name."""
        return request_of(self.stream, values)

    def paging(self) -> Paging:
        """Paginator: what asks for a page and finds the one after it."""
        return self.stream.paging

    def document(self, response: Response) -> Any:
        """Decoder: what an answer says, unless it is read row by row. Raises ValueError, FileRefused, SourceUnavailable."""
        if self.stream.response == JsonDecoder():
            return response.json()
        return self.stream.response.document(io.BytesIO(response.body), settings().bounds) if response.body else None

    def select(self, body: Any) -> list[Any]:
        """Selector: the records of an answer. Raises SchemaMismatch."""
        return selected(self.stream, body, search(self._path, body))

    def compute(self, record: dict[str, Any]) -> dict[str, Any]:
        """Computed fields: the record as its key and cursor are read from it."""
        return record

    def position(self, record: Any) -> Position:
        """Key and cursor: the cursor of a record, or why it has none. The key is that of the stream's `key`."""
        cursor = self.stream.cursor
        return Position(None) if cursor is None else self.read_cursor(lookup(record, cursor.field))

    def read_cursor(self, value: Any) -> Position:
        """The cursor that the value of its field says."""
        cursor = self.stream.cursor
        if cursor is None:
            return Position(None)
        return numbered(value, cursor.field) if cursor.type == "number" else position_of(value, cursor.field, cursor.reads)
