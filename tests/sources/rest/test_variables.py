"""Variables of the Connection in paths, parameters, headers, bodies and hosts."""

from __future__ import annotations

import orjson
import pytest

from spine.core.errors import ConfigError
from spine.sources.variables import values_of
from tests.sources.rest.conftest import ids, source_of

VARIABLES = {
    "account": {}, "region": {"default": "eu", "choices": ["eu", "us"]}, "size": {"type": "integer", "default": 50},
    "tags": {"type": "list", "default": []}, "begun": {"type": "date", "default": "2020-01-31"}, "note": {"optional": True},
    "open": {"type": "boolean", "default": False},
}  # fmt: skip


def test_each_place_takes_values(reading):
    stream = {
        "path": "/accounts/{account}/things", "method": "POST", "records": "items",
        "params": {"size": "{size}", "tags": "{tags}", "note": "{note}", "text": "at {{{region}}}", "fixed": True},
        "headers": {"X-Region": "{region}", "X-Note": "{note}"},
        "body": {"json": {
            "size": "{size}", "open": "{open}", "tags": "{tags}", "text": "{account}/{size}", "note": "{note}", "begun": "{begun}",
        }},
    }  # fmt: skip
    told = reading(lambda seen: {"items": [{"id": 1}]}, stream, {"account": "a/b ü", "tags": "x, y"}, variables=VARIABLES)
    assert ids(told.pages()) == ["1"]
    (seen,) = told.vendor.seen
    assert (seen.method, seen.path) == ("POST", "/accounts/a%2Fb%20%C3%BC/things")
    assert seen.query == {"size": "50", "tags": "y", "text": "at {eu}", "fixed": "true"}
    assert seen.headers["x-region"] == "eu"
    assert "x-note" not in seen.headers
    assert orjson.loads(seen.body) == {
        "size": 50, "open": False, "tags": ["x", "y"], "text": "a/b ü/50", "begun": "2020-01-31",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lists", "sent"),
    [("repeat", "tag=a&tag=b"), ("comma", "tag=a%2Cb"), ("brackets", "tag%5B%5D=a&tag%5B%5D=b"), ("json", "tag=%5B%22a%22%2C%22b%22%5D")],
)
def test_a_list_is_written_as_the_vendor_reads_it(reading, lists, sent):
    lines = []
    told = reading(lambda seen: [{"id": 1}], {"params": {"tag": ["a", "b"]}, "lists": lists})
    transport = told.client.transport
    send = transport.send
    transport.send = lambda request: (lines.append(request), send(request))[1]
    told.pages()
    from requests import Request

    prepared = Request("GET", told.vendor.url, params=lines[0].params).prepare()
    assert str(prepared.url).partition("?")[2] == sent


def test_what_is_raw_is_not_encoded(reading):
    told = reading(lambda seen: [{"id": 1}], {"params": {"fields": "id,owner(name)", "q": "a,b"}, "raw": ["fields"]})
    told.pages()
    assert told.vendor.seen[0].target == "/things?fields=id,owner(name)&q=a%2Cb"


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({}, "`account` is missing"),
        ({"account": "a", "size": "many"}, "`size` is no integer"),
        ({"account": "a", "region": "mars"}, "`region` is none of eu, us"),
        ({"account": "a", "begun": "soon"}, "`begun` is no date"),
        ({"account": ["a"]}, "`account` is no text"),
    ],
)
def test_what_does_not_fit_is_told_and_not_quoted(extra, why):
    with pytest.raises(ConfigError, match=why) as raised:
        values_of(source_of({}, variables=VARIABLES), extra)
    assert not any(str(value) in str(raised.value) for value in extra.values() if value in ("many", "mars", "soon"))


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_of_a_path_is_no_way_out_of_it(reading, value):
    told = reading(lambda seen: [], {"path": "/accounts/{account}/things"}, {"account": value}, variables=VARIABLES)
    with pytest.raises(ConfigError, match="another path"):
        told.pages()
    assert told.vendor.seen == []


@pytest.mark.parametrize("value", ["evil.example/", "x@evil.example", "evil.example#", "a b", "x:80"])
def test_a_value_of_a_host_is_a_name_and_nothing_else(reading, value):
    told = reading(lambda seen: [], {"host": "{account}.example.com"}, {"account": value}, variables=VARIABLES)
    with pytest.raises(ConfigError, match="no name of one"):
        told.pages()


def test_times_may_be_told_by_the_clock():
    from datetime import UTC, datetime

    now = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    spec = {
        "day": {"type": "date", "default": "today-7d"}, "at": {"type": "time", "default": "now-1h", "format": "epoch"},
        "dotted": {"type": "date", "default": "today", "format": "%d.%m.%Y"},
    }  # fmt: skip
    assert values_of(source_of({}, variables=spec), {}, now) == {
        "day": "2026-04-29", "at": int(datetime(2026, 5, 6, 6, 8, 9, tzinfo=UTC).timestamp()), "dotted": "06.05.2026",
    }  # fmt: skip
