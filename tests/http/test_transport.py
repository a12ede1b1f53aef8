"""The transport sends one request and turns every way of failing into one of our errors."""

from __future__ import annotations

import pytest

from spine.core.addresses import Networks
from spine.core.errors import ConfigError, SourceRejected, SourceUnavailable
from spine.http import transport
from spine.http.transport import Request, Transport


def inner(**options) -> Transport:
    return Transport(**options)


def test_an_answer_has_status_headers_and_the_whole_body(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(418, {"a": [1]}, {"X-Fact": "yes"}))
    response = inner().send(Request("GET", f"{vendor.url}/tea", params={"milk": "no"}))
    assert (response.status, response.json(), response.headers["x-fact"]) == (418, {"a": [1]}, "yes")
    assert vendor.seen[0].query == {"milk": "no"}


@pytest.mark.parametrize(
    ("settings", "words"), [({"cut": True, "json": "x" * 5000}, "cut"), ({"hang": 5}, "in time")], ids=["cut body", "time-out"]
)
def test_a_broken_connection_is_source_unavailable(make_vendor, answer, settings, words):
    vendor = make_vendor(lambda seen, number: answer(**settings))
    with pytest.raises(SourceUnavailable, match=words):
        inner(read=0.3).send(Request("GET", f"{vendor.url}/x"))


def test_nobody_listening_is_source_unavailable_and_the_query_is_not_told():
    with pytest.raises(SourceUnavailable) as caught:
        inner().send(Request("GET", "http://127.0.0.1:9/x", params={"token": "hush"}))
    assert "hush" not in str(caught.value)


def test_spaces_of_a_query_are_understood_by_every_server(make_vendor, answer):
    """`+` is a space of forms only: servers of OData refuse it."""
    vendor = make_vendor(lambda seen, number: answer())
    inner().send(Request("GET", f"{vendor.url}/x", params={"$filter": "a ge 1", "many": ["x y", "ü+"]}))
    assert vendor.seen[0].target == "/x?%24filter=a%20ge%201&many=x%20y&many=%C3%BC%2B"


def test_a_page_of_html_instead_of_json_is_source_unavailable(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json="x", headers={"Content-Length": "1"}))
    with pytest.raises(SourceUnavailable, match="not JSON"):
        inner().send(Request("GET", f"{vendor.url}/x")).json()


def test_a_page_that_is_too_large_is_refused(make_vendor, answer, monkeypatch):
    monkeypatch.setattr(transport, "MAX_BODY", 100)
    vendor = make_vendor(lambda seen, number: answer(json="x" * 1000))
    with pytest.raises(SourceRejected, match="more than 100 bytes"):
        inner().send(Request("GET", f"{vendor.url}/x"))


def test_addresses_of_inner_networks_are_refused_before_anything_is_sent(make_vendor):
    vendor = make_vendor()
    public = Transport(private=Networks())
    with pytest.raises(ConfigError, match="no address that may be called"):
        public.send(Request("GET", f"{vendor.url}/x", secret_headers={"Authorization": "s"}))
    with pytest.raises(ConfigError, match="no address that may be called"):
        public.send(Request("GET", vendor.url.replace("127.0.0.1", "localhost")))
    assert vendor.seen == []


def test_redirects_are_followed_with_secrets_on_the_same_origin_only(make_vendor, answer):
    other = make_vendor(lambda seen, number: answer(json="other"))

    def route(seen, number):
        target = "/same" if seen.path == "/start" else f"{other.url}/away"
        return answer(302, None, {"Location": target})

    vendor = make_vendor(route)
    request = Request("GET", f"{vendor.url}/start", secret_headers={"Authorization": "hush"}, secret_params={"key": "hush"})
    assert inner().send(request).json() == "other"
    assert vendor.seen[1].path == "/same"
    assert vendor.seen[1].headers["authorization"] == "hush"
    assert "authorization" not in other.seen[0].headers
    assert other.seen[0].query == {}


def test_redirects_in_circles_and_of_posts(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(302, None, {"Location": "/again"}))
    with pytest.raises(SourceRejected, match="circles"):
        inner().send(Request("GET", f"{vendor.url}/again"))
    assert inner().send(Request("POST", f"{vendor.url}/x", form={"a": "b"})).status == 302


@pytest.mark.parametrize("url", ["nonsense", "ftp://example.com/x", "http:///x"])
def test_what_is_no_address_is_a_mistake_of_the_connection(url):
    with pytest.raises(ConfigError):
        inner().send(Request("GET", url))


def test_a_machines_netrc_signs_nothing(make_vendor, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    vendor = make_vendor()
    inner().send(Request("GET", vendor.url))
    assert "authorization" not in vendor.seen[0].headers
