"""Where tokens come from and go to, and what ends a walk: each kind against a vendor that pages in that way and no other."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from pydantic import ValidationError

from spine.core.errors import SchemaMismatch, SourceRejected
from spine.http.client import Client
from spine.http.paging import PAGING_KINDS, Fetched
from spine.http.paging.pages import SLOT
from spine.http.transport import Request, Transport

ALL = [{"id": number} for number in range(1, 24)]


@pytest.fixture
def follow(make_vendor, answer):
    """Ids and requests of a walk; `serve(seen) -> (start, body of records, headers)`."""

    def run(serve: Any, request: Request, records: str = "items", again: bool = False, **words: Any) -> tuple[list[int], list[Any]]:
        vendor = make_vendor(lambda seen, number: serve(seen))
        paging, client, token, found = PAGING_KINDS.parse(**words), Client(vendor.url, Transport()), None, []
        import jmespath

        for _ in range(50):
            asked = paging.request(request, token)
            response = client.request(asked)
            rows = jmespath.search(records, response.json()) or []
            found += [row["id"] for row in rows]
            token = paging.following(Fetched(asked, response, response.json(), rows, token))
            if token is None:
                return found, vendor.seen
        raise AssertionError("no end")

    return run


def slice_of(start: int, size: int = 10) -> list[dict[str, int]]:
    return ALL[start : start + size]


IDS = [row["id"] for row in ALL]


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        ({"first": 0}, 4),
        ({"first": 0, "short": True, "size": 10}, 3),
        ({"first": 0, "stop": "page == `2`"}, 3),
        ({"first": 0, "pages": "pages"}, 3),
        ({"first": 0, "total": "total"}, 3),
        ({"first": 0, "total": "total", "size": 1000}, 3),
        ({"first": 0, "next": "page < `2`"}, 3),
        ({"into": "header", "param": "X-Page", "first": 0, "total": "total"}, 3),
        ({"into": "path", "first": 0, "total": "total"}, 3),
        ({"into": "body", "param": "paging.page", "size_param": "paging.size", "size": 10, "first": 0, "short": True}, 3),
    ],
)
def test_numbers_of_pages(follow, answer, words, requests):
    def serve(seen):
        said = orjson.loads(seen.body)["paging"]["page"] if seen.body else None
        number = int(seen.query.get("page") or seen.headers.get("x-page") or said or seen.path.rpartition("/")[2].strip("x") or 0)
        return answer(json={"items": slice_of(number * 10), "page": number, "pages": 3, "total": len(ALL)})

    body = words.get("into") == "body"
    request = Request("POST" if body else "GET", f"/x/{SLOT}" if words.get("into") == "path" else "/x", json={"q": 1} if body else None)
    if words.get("into") == "path":
        request = Request("GET", "/x/%7Bpage%7D")
    found, seen = follow(serve, request, type="page", **words)
    assert (found, len(seen)) == (IDS, requests)
    if body:
        assert orjson.loads(seen[1].body) == {"q": 1, "paging": {"page": 1, "size": 10}}
        assert seen[1].headers["content-type"] == "application/json"


@pytest.mark.parametrize(("words", "requests"), [({}, 4), ({"total": "total"}, 3), ({"first": 1, "total": "total"}, 3)])
def test_counts_of_records(follow, answer, words, requests):
    first = words.get("first", 0)
    serve = lambda seen: answer(json={"items": slice_of(int(seen.query["offset"]) - first), "total": len(ALL)})  # noqa: E731
    found, seen = follow(serve, Request("GET", "/x"), type="offset", **words)
    assert (found, len(seen)) == (IDS, requests)


def test_a_count_that_is_none_is_told(follow, answer):
    with pytest.raises(SchemaMismatch, match=r"no number at 'meta.total'"):
        follow(lambda seen: answer(json={"items": slice_of(0)}), Request("GET", "/x"), type="page", total="meta.total")


@pytest.mark.parametrize("into", ["query", "header", "body", "form", "path"])
@pytest.mark.parametrize("source", ["body", "header", "cut"])
def test_tokens(follow, answer, into, source):
    def serve(seen):
        text = seen.body.decode()
        token = seen.query.get("t") or seen.headers.get("t") or (text.partition('"t":"')[2] or text.partition("t=")[2])[:2]
        token = token or unquote(seen.path.rpartition("/")[2]).strip("x")
        start = int(token[1:]) * 10 if token and token != "*" else 0
        following = f"t{start // 10 + 1}" if start + 10 < len(ALL) else None
        link = f"https://elsewhere.example/x?cursor={following}&more" if following else "https://elsewhere.example/x?end"
        body = {"items": slice_of(start), "next": link if source == "cut" else following}
        return answer(json=body, headers={"X-Next": following} if source == "header" and following else {})

    request = {
        "body": Request("POST", "/x", json={"filter": {"a": 1}}), "form": Request("POST", "/x", form={"a": "1"}),
        "path": Request("GET", "/x/%7Bpage%7D"),
    }.get(into, Request("GET", "/x"))  # fmt: skip
    words: dict[str, Any] = {
        "type": "next_token",
        "param": "filter.t" if into == "body" else "t",
        "into": "body" if into == "form" else into,
    }
    words |= {"body": {}, "header": {"from_header": "X-Next"}, "cut": {"cut": "cursor=([^&]+)"}}[source]
    if into == "path":
        words["first"] = "*"
    found, seen = follow(serve, request, **words)
    assert (found, len(seen)) == (IDS, 3)
    if into == "body":
        assert orjson.loads(seen[1].body) == {"filter": {"a": 1, "t": "t1"}}


@pytest.mark.parametrize("words", [{}, {"next": "has_more"}, {"short": True, "size": 10}])
def test_behind_the_last_id(follow, answer, words):
    def serve(seen):
        start = int(seen.query.get("starting_after", 0))
        return answer(json={"items": slice_of(start), "has_more": start + 10 < len(ALL)})

    found, seen = follow(serve, Request("GET", "/x"), type="keyset", param="starting_after", **words)
    assert (found, len(seen)) == (IDS, 3 if words else 4)


def test_records_without_the_id_are_told(follow, answer):
    with pytest.raises(SchemaMismatch, match="no 'uid' to go on from"):
        follow(lambda seen: answer(json={"items": slice_of(0)}), Request("GET", "/x"), type="keyset", field="uid")


@pytest.mark.parametrize(
    ("link", "records"),
    [
        (lambda rows, url: {"value": rows, "@odata.nextLink": url}, "value"),
        (lambda rows, url: {"value": rows, "odata.nextLink": url}, "value"),
        (lambda rows, url: {"d": {"results": rows, "__next": url}}, "d.results"),
    ],
    ids=["4", "3", "2"],
)
@pytest.mark.parametrize("relative", [True, False])
def test_odata(follow, answer, link, records, relative):
    def serve(seen):
        start = int(seen.query.get("$skiptoken", 0))
        host = "" if relative else f"http://{seen.headers['host']}"
        url = f"{host}/odata/x?$skiptoken={start + 10}" if start + 10 < len(ALL) else None
        return answer(json=link(slice_of(start), url))

    request = Request("GET", "/odata/x", params={"$filter": "a eq 1"})
    found, seen = follow(serve, request, records, type="odata", size=10, size_param="$top")
    assert (found, len(seen)) == (IDS, 3)
    assert seen[0].query == {"$filter": "a eq 1", "$top": "10"}
    assert seen[1].query == {"$skiptoken": "10"}


def test_the_size_of_a_page_of_odata_is_a_preference_besides_others(follow, answer):
    """Since `$top` is the number of all records that a service of version 4 gives."""

    def serve(seen):
        start, size = int(seen.query.get("$skiptoken", 0)), int(seen.headers["prefer"].rpartition("=")[2])
        more = {"@odata.nextLink": f"x?$skiptoken={start + size}"} if start + size < len(ALL) else {}
        return answer(json={"value": slice_of(start, size), **more})

    request = Request("GET", "/odata/x", headers={"prefer": "odata.include-annotations=*"})
    found, seen = follow(serve, request, "value", type="odata", size=10)
    assert found == IDS
    assert {call.headers["prefer"] for call in seen} == {"odata.include-annotations=*, odata.maxpagesize=10"}
    assert "$top" not in seen[0].query


def test_connections_of_graphql(follow, answer):
    def serve(seen):
        variables = orjson.loads(seen.body)["variables"]
        start = int(variables.get("after", "c0")[1:])
        rows = [{"node": row} for row in slice_of(start, variables["first"])]
        about = {"hasNextPage": start + 10 < len(ALL), "endCursor": f"c{start + len(rows)}"}
        return answer(json={"data": {"things": {"edges": rows, "pageInfo": about}}})

    request = Request("POST", "/graphql", json={"query": "query …", "variables": {"since": None}})
    words = {"type": "graphql", "connection": "data.things", "size": 10, "size_param": "variables.first"}
    found, seen = follow(serve, request, "data.things.edges[].node", **words)
    assert (found, len(seen)) == (IDS, 3)
    with pytest.raises(SchemaMismatch, match="no pageInfo"):
        follow(lambda seen: answer(json={"data": {"things": {}}}), request, "data.things.edges", **words)


def test_parameters_may_be_sent_beside_a_link(follow, answer):
    def serve(seen):
        start = int(seen.query.get("at", 0))
        return answer(json={"items": slice_of(start), "next": f"?at={start + 10}" if start + 10 < len(ALL) else None})

    found, seen = follow(serve, Request("GET", "/x", params={"at": "0", "kind": "a"}), type="next_url", keep=True)
    assert (found, [one.query for one in seen]) == (IDS, [{"at": str(at), "kind": "a"} for at in (0, 10, 20)])


@pytest.mark.parametrize("words", [{"type": "next_token"}, {"type": "next_url"}, {"type": "keyset"}])
def test_a_vendor_that_stands_still_ends_with_an_error(follow, answer, words):
    with pytest.raises(SourceRejected, match="same page"):
        follow(lambda seen: answer(json={"items": slice_of(0), "next": "same"}), Request("GET", "/x"), **words)


def test_short_needs_a_size():
    with pytest.raises(ValidationError, match="say which it is"):
        PAGING_KINDS.parse(type="page", short=True)


def test_a_pattern_is_one_of_re2():
    with pytest.raises(ValidationError, match="linear time"):
        PAGING_KINDS.parse(type="next_token", cut="(?=a)b")


def test_what_a_body_has_as_a_text_stays_one() -> None:
    """Google writes 64-bit numbers so, and its descriptions refuse others."""
    paging = PAGING_KINDS.parse(type="offset", into="body", param="offset", size=5, size_param="limit")
    asked = paging.request(Request("POST", "/x", json={"offset": "0", "limit": 1}), "10")
    assert asked.json == {"offset": "10", "limit": 5}
