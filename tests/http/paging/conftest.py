"""A vendor that understands all kinds of paging, and a walk from page to page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spine.http.client import Client
from spine.http.paging import PAGING_KINDS, Fetched
from spine.http.transport import Request, Transport

TOTAL = 25


def _pages(answer: Any, url_of: Callable[[], str]) -> Callable[..., Any]:
    """A vendor that understands all kinds of paging over TOTAL numbers."""

    def serve(seen: Any, number: int) -> Any:
        size = int(seen.query.get("size", 10))
        kind = seen.path.strip("/")
        start = {"page": lambda: (int(seen.query.get("page", 1)) - 1) * size}.get(kind, lambda: int(seen.query.get("at", 0)))()
        items = list(range(start, min(start + size, TOTAL)))
        more = start + size < TOTAL
        link = f"{url_of()}/{kind}?at={start + size}&size={size}"
        body = {"items": items, "next": {"at": str(start + size)} if more else None, "more": more, "link": link if more else None}
        return answer(json=body, headers={"Link": f'<{link}>; rel="next", <{link}>; rel="last"'} if more else {})

    return serve


@pytest.fixture
def walk() -> Callable[..., tuple[list[Any], int]]:
    """All items from `path` on, and the number of requests, by the paging of these words."""

    def read(path: str, vendor: Any, **words: Any) -> tuple[list[Any], int]:
        paging, client, token = PAGING_KINDS.parse(**words), Client(vendor.url, Transport()), None
        found, requests = [], 0
        while True:
            request = paging.request(Request("GET", path), token)
            response = client.request(request)
            items = response.json()["items"]
            found += items
            requests += 1
            token = paging.following(Fetched(request, response, response.json(), items, token))
            if token is None:
                return found, requests

    return read


@pytest.fixture
def read_numbers(make_vendor: Callable[..., Any], answer: Any, walk: Callable[..., Any]) -> Callable[..., int]:
    """The number of requests that it takes to read TOTAL numbers, each once, by the paging of these words."""

    def read(**words: Any) -> int:
        vendor = make_vendor()
        vendor.answer = _pages(answer, lambda: vendor.url)
        found, requests = walk(f"/{words['type']}", vendor, **words)
        assert found == list(range(TOTAL))
        return int(requests)

    return read
