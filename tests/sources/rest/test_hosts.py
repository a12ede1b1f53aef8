"""Other hosts than the Connection's: asked where they are listed, with credentials or without, and refused otherwise."""

from __future__ import annotations

import pytest

from spine.core.errors import ConfigError, SourceRejected
from spine.http.auth import Credentials
from spine.http.auth.bearer import Bearer
from spine.sources.rest.requester import listed_host
from tests.http.conftest import Answer
from tests.sources.rest.conftest import ids

OURS = {"client": {"auth": Bearer(Credentials("", password="s3cret-token"))}}


def far(make_vendor):
    return make_vendor(lambda seen, number: Answer(json=[{"id": 2}]))


@pytest.mark.parametrize(("listed", "signed"), [("hosts", True), ("open_hosts", False)])
def test_a_listed_host_is_asked(reading, make_vendor, listed, signed):
    other = far(make_vendor)
    name = other.url.removeprefix("http://")
    client = {**OURS["client"], listed: [name]}
    stream = {"host": other.url, "path": "/x", "headers": {"X-Stream": "1"}}
    told = reading(lambda seen: [], stream, headers={"X-Ours": "1"}, client={**client, "headers": {"X-Ours": "1"}})
    assert ids(told.pages()) == ["2"]
    assert told.vendor.seen == []
    assert [name in other.seen[0].headers for name in ("authorization", "x-ours", "x-stream")] == [signed] * 3


@pytest.mark.parametrize("listed", [(), ("127.0.0.1",), ("*.example.com",), ("localhost:{port}",)])
def test_no_other_host_is(reading, make_vendor, listed):
    other = far(make_vendor)
    hosts = [host.replace("{port}", other.url.rpartition(":")[2]) for host in listed]
    told = reading(lambda seen: [], {"host": other.url}, client={**OURS["client"], "hosts": hosts})
    with pytest.raises(SourceRejected, match="another host"):
        told.pages()
    assert other.seen == []


@pytest.mark.parametrize("value", ["*", "*.com", "a/b", ""])
def test_a_value_makes_a_listed_host_no_wider(value):
    with pytest.raises(ConfigError):
        listed_host("{team}.example.com", {"team": value})
    assert listed_host("*.{team}.example.com:8443", {"team": "Blue"}) == "*.blue.example.com:8443"


def test_a_next_link_may_lead_to_a_listed_host(reading, make_vendor):
    other = far(make_vendor)
    stream = {"paging": {"type": "next_url"}, "records": "items || @"}
    told = reading(
        lambda seen: {"items": [{"id": 1}], "next": f"{other.url}/things?page=2"}, stream,
        client={**OURS["client"], "hosts": [other.url.removeprefix("http://")]},
    )  # fmt: skip
    other.answer = lambda seen, number: Answer(json={"items": [{"id": 2}]})
    assert ids(told.pages()) == ["1", "2"]
    assert other.seen[0].query == {"page": "2"}


def test_later_another_request_is_made(reading):
    from datetime import UTC, datetime

    from spine.sources.reading import Window

    stream = {
        "path": "/list", "records": "list", "cursor": {"field": "at", "since": None},
        "later": {
            "path": "/search", "records": "found", "idempotent": True, "paging": {"type": "next_token"},
            "body": {"json": {"after": "{start}"}},
        },
    }  # fmt: skip
    at = "2026-05-01T00:00:00Z"
    told = reading(lambda seen: {"list": [{"id": 1, "at": at}], "found": [{"id": 2, "at": at}]}, stream)
    assert ids(told.pages()) == ["1"]
    assert ids(told.pages(Window(datetime(2026, 1, 1, tzinfo=UTC)))) == ["2"]
    assert [(seen.method, seen.path) for seen in told.vendor.seen] == [("GET", "/list"), ("POST", "/search")]
    assert told.vendor.seen[1].body == b'{"after":"2026-01-01T00:00:00.000000Z"}'
