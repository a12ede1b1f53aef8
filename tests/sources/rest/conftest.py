"""A vendor whose answers a test writes, a source of one stream, and readings of it: whole, and killed after each page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from spine.http.client import Client
from spine.http.transport import Transport
from spine.sources.loader import reader_for
from spine.sources.reading import Page, State, Window
from spine.sources.spec import Source
from tests.http.conftest import answer, make_vendor  # noqa: F401  # fixtures

FULL = Window(full=True)


def source_of(stream: dict[str, Any], **words: Any) -> Source:
    """A generic source of this stream, with the rest that a file must say."""
    given = {"name": "things", "path": "/things", "key": ["id"], "entity": "person", "mapping": {"fields": {"email": "email"}}, **stream}
    return Source.model_validate({"source": "toys", "label": "Toys", "domain": "revops", "streams": [given], **words})


class Reading:
    """Readings of the first stream of a source from a vendor."""

    def __init__(self, vendor: Any, source: Source, extra: dict[str, Any] | None = None, **client: Any) -> None:
        self.vendor, self.source = vendor, source
        self.client = Client(vendor.url, Transport(), sleep=lambda seconds: None, **client)
        self.reader = reader_for(source, client=self.client, extra=extra)

    def pages(self, window: Window = FULL, cursor: str | None = None, token: str | None = None) -> list[Page]:
        """All pages, read in one go."""
        return list(self.reader.read(self.source.streams[0], State(cursor, token), window))

    def killed(self, window: Window = FULL, cursor: str | None = None) -> list[Page]:
        """All pages, with a reader that begins anew behind each of them."""
        pages: list[Page] = []
        state = State(cursor)
        while True:
            page = next(iter(self.reader.read(self.source.streams[0], state, window)))
            pages.append(page)
            if page.next_token is None:
                return pages
            state = State(cursor, page.next_token, page.high_water)


def ids(pages: list[Page]) -> list[str]:
    """The ids of all records, in order."""
    return [record.record_id for page in pages for record in page.records]


def payloads(pages: list[Page]) -> list[Any]:
    """What all records say."""
    return [orjson.loads(record.payload) for page in pages for record in page.records]


@pytest.fixture
def reading(make_vendor: Callable[..., Any]) -> Callable[..., Reading]:  # noqa: F811
    """A reading of a stream from `serve(request) -> JSON`, or an Answer."""

    def make(serve: Callable[[Any], Any], stream: dict[str, Any], extra: dict[str, Any] | None = None, **words: Any) -> Reading:
        from tests.http.conftest import Answer

        def told(seen: Any, number: int) -> Answer:
            found = serve(seen)
            return found if isinstance(found, Answer) else Answer(json=found)

        client = words.pop("client", {})
        return Reading(make_vendor(told), source_of(stream, **words), extra, **client)

    return make
