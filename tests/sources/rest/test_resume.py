"""Every way of turning pages, gone on from behind each page by a reader that knows only the token: the same pages, each once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from spine.http.paging import PAGING_KINDS
from tests.http.conftest import Answer
from tests.sources.rest.conftest import ids

TOTAL, SIZE = 23, 5


def rows(start: int) -> list[dict[str, Any]]:
    return [{"id": number + 1, "at": "2026-01-01T00:00:00Z"} for number in range(start, min(start + SIZE, TOTAL))]


def vendor(seen: Any) -> Answer:
    """Understands all of them: where a page begins is `at` in whatever place, or by its number, or behind an id."""
    said = orjson.loads(seen.body) if seen.body.startswith(b"{") else {}
    told = {
        **seen.query,
        **said,
        **said.get("variables", {}),
        **{key[2:]: value for key, value in seen.headers.items() if key.startswith("x-")},
    }
    last = seen.path.rpartition("/")[2]
    start = int(told.get("at") or (last if last.isdigit() else 0))
    if "number" in told:
        start = int(told["number"]) * SIZE
    start = int(told.get("behind", start))
    following = start + SIZE if start + SIZE < TOTAL else None
    link = f"http://{seen.headers['host']}/things?at={following}" if following else None
    about = {"hasNextPage": following is not None, "endCursor": str(following)}
    body = {
        "items": rows(start), "total": TOTAL, "next": following, "link": link, "@odata.nextLink": link, "pageInfo": about,
        "cut": f"x;at={following};y" if following else None,
    }  # fmt: skip
    headers = {"Link": f'<{link}>; rel="next"', "X-Next": str(following)} if following else {}
    return Answer(json=body, headers=headers)


POST = {"body": {"json": {"q": 1}}}
WAYS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "none"}, {}),
    ({"type": "page", "param": "number", "first": 0}, {}),
    ({"type": "page", "param": "number", "first": 0, "total": "total"}, {}),
    ({"type": "page", "param": "number", "first": 0, "into": "body", "short": True, "size": SIZE}, POST),
    ({"type": "page", "param": "X-Number", "first": 0, "into": "header", "total": "total"}, {}),
    ({"type": "offset", "param": "at", "total": "total"}, {}),
    ({"type": "next_token", "param": "at"}, {}),
    ({"type": "next_token", "param": "at", "from_header": "X-Next"}, {}),
    ({"type": "next_token", "param": "at", "next": "cut", "cut": "at=([0-9]+)"}, {}),
    ({"type": "next_token", "param": "at", "into": "body"}, POST),
    ({"type": "next_token", "into": "path", "first": "0"}, {"path": "/things/{page}"}),
    ({"type": "next_url", "next": "link"}, {}),
    ({"type": "link_header"}, {}),
    ({"type": "odata"}, {}),
    ({"type": "keyset", "param": "behind"}, {}),
    ({"type": "graphql", "connection": "@", "param": "variables.at"}, {"body": {"graphql": "query {a}"}}),
]


@pytest.mark.parametrize(("paging", "stream"), WAYS, ids=[f"{number}-{paging['type']}" for number, (paging, _) in enumerate(WAYS)])
def test_reading_goes_on_behind_each_page(reading, paging, stream):
    told = reading(vendor, {"records": "items", "paging": paging, **stream})
    calm = told.pages()
    asked = len(told.vendor.seen)
    rough = told.killed()
    assert ids(calm) == [str(number) for number in range(1, (SIZE if paging["type"] == "none" else TOTAL) + 1)]
    assert [(page.records, page.next_token) for page in rough] == [(page.records, page.next_token) for page in calm]
    assert len(told.vendor.seen) == 2 * asked


def test_every_kind_is_tried():
    assert {paging["type"] for paging, _ in WAYS} == {kind.model_fields["type"].default for kind in PAGING_KINDS.classes()}
