"""Requests with a body: of JSON, of a form, of GraphQL; sent again after a failure only where that does no harm."""

from __future__ import annotations

from urllib.parse import parse_qs

import orjson
import pytest

from spine.core.errors import RateLimited, SourceTooLarge, SourceUnavailable
from spine.http.allowance import Allowance, Limits
from tests.http.conftest import Answer
from tests.sources.rest.conftest import ids

QUERY = "query ($after: String, $since: String) {things(after: $after, since: $since) {edges {node {id}} pageInfo {hasNextPage endCursor}}}"


def test_a_query_of_graphql_is_read_through_its_connection(reading):
    def serve(seen):
        said = orjson.loads(seen.body)
        assert said["query"] == QUERY
        start = int(said["variables"].get("after", "0"))
        about = {"hasNextPage": start < 20, "endCursor": str(start + 10)}
        return {"data": {"things": {"edges": [{"node": {"id": start + number}} for number in range(10)], "pageInfo": about}}}

    stream = {
        "path": "/graphql", "records": "data.things.edges[].node", "paging": {"type": "graphql", "connection": "data.things"},
        "body": {"graphql": QUERY, "variables": {"team": "{team}", "since": "{since}"}},
    }  # fmt: skip
    told = reading(serve, stream, variables={"team": {"default": "blue"}, "since": {"optional": True}})
    calm = told.pages()
    assert ids(calm) == [str(number) for number in range(30)]
    assert orjson.loads(told.vendor.seen[0].body)["variables"] == {"team": "blue"}
    assert [page.records for page in told.killed()] == [page.records for page in calm]


def test_a_form_is_sent_as_one(reading):
    stream = {"body": {"form": {"limit": 10, "team": "{team}", "open": True, "note": "{note}"}}, "paging": {"type": "page", "into": "body"}}
    told = reading(
        lambda seen: [{"id": 1}] if b"page=1" in seen.body else [],
        stream,
        variables={"team": {"default": "a b"}, "note": {"optional": True}},
    )
    told.pages()
    first = told.vendor.seen[0]
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(first.body.decode()) == {"limit": ["10"], "team": ["a b"], "open": ["true"], "page": ["1"]}


@pytest.mark.parametrize(
    ("stream", "again"),
    [
        ({}, True),
        ({"body": {"json": {"a": 1}}}, False),
        ({"body": {"json": {"a": 1}}, "idempotent": True}, True),
        ({"body": {"graphql": "query {a}"}}, True),
        ({"body": {"graphql": "mutation {a}"}}, False),
        ({"idempotent": False}, False),
    ],
)
@pytest.mark.parametrize(("status", "error"), [(503, SourceUnavailable), (429, RateLimited)])
def test_a_request_is_sent_again_where_that_does_no_harm(reading, stream, again, status, error):
    answers = [Answer(status, json={}), Answer(json=[{"id": 1}])]
    told = reading(lambda seen: answers.pop(0), stream)
    if again:
        assert ids(told.pages()) == ["1"]
    else:
        with pytest.raises(error):
            told.pages()
    assert len(told.vendor.seen) == 1 + again


def test_a_stream_may_have_limits_of_its_own(reading):
    told = reading(lambda seen: [{"id": int(seen.query["page"])}], {"paging": {"type": "page"}, "limits": {"pages": 3}})
    stream = told.source.streams[0]
    told.client.allowance = Allowance(stream.limits or Limits())
    with pytest.raises(SourceTooLarge, match="more than 3 pages"):
        told.pages()
    assert len(told.vendor.seen) == 4
