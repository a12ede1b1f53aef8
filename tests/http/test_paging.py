"""Every way of paging against a real server."""

from __future__ import annotations

import pytest

from spine.core.errors import SourceRejected
from spine.http.client import Client
from spine.http.paging import Pager
from spine.http.transport import Transport

TOTAL = 25


def vendor_pages(answer, url_of):
    """A vendor that understands all kinds of paging over TOTAL numbers."""

    def serve(seen, number):
        size = int(seen.query.get("size", 10))
        kind = seen.path.strip("/")
        start = {"page": lambda: (int(seen.query.get("page", 1)) - 1) * size}.get(kind, lambda: int(seen.query.get("at", 0)))()
        items = list(range(start, min(start + size, TOTAL)))
        more = start + size < TOTAL
        link = f"{url_of()}/{kind}?at={start + size}&size={size}"
        body = {"items": items, "next": {"at": str(start + size)} if more else None, "more": more, "link": link if more else None}
        return answer(json=body, headers={"Link": f'<{link}>; rel="next", <{link}>; rel="last"'} if more else {})

    return serve


def walk(client, pager, path):
    found, token, requests = [], None, 0
    while True:
        where, params = pager.request(path, {}, token)
        response = client.get(where, params)
        items = response.json()["items"]
        found += items
        requests += 1
        token = pager.following(response, response.json(), len(items), token)
        if token is None:
            return found, requests


@pytest.mark.parametrize(
    ("pager", "path", "requests"),
    [
        (Pager("cursor", next="next.at", param="at", size=10, size_param="size"), "/cursor", 3),
        (Pager("offset", param="at", size=10, size_param="size"), "/offset", 4),
        (Pager("offset", next="more", param="at", size=10, size_param="size"), "/offset", 3),
        (Pager("page", size=10, size_param="size"), "/page", 4),
        (Pager("page", next="more", size=10, size_param="size"), "/page", 3),
        (Pager("next_url", next="link", size=10, size_param="size"), "/next_url", 3),
        (Pager("link_header", size=10, size_param="size"), "/link_header", 3),
    ],
    ids=["cursor", "offset", "offset until told", "page", "page until told", "next_url", "link_header"],
)
def test_each_kind_reads_everything_once(make_vendor, answer, pager, path, requests):
    vendor = make_vendor()
    vendor.answer = vendor_pages(answer, lambda: vendor.url)
    assert walk(Client(vendor.url, Transport(allow_private=True)), pager, path) == (list(range(TOTAL)), requests)


def test_none_reads_one_page(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json={"items": [1], "next": "x"}))
    assert walk(Client(vendor.url, Transport(allow_private=True)), Pager("none"), "/x") == ([1], 1)


def test_a_repeated_token_stops_the_reading(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json={"items": [1], "next": "same"}))
    with pytest.raises(SourceRejected, match="same page"):
        walk(Client(vendor.url, Transport(allow_private=True)), Pager("cursor", param="at"), "/x")
    assert len(vendor.seen) == 2
