"""Whatever a vendor answers, a reader yields pages or raises one of our errors."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import islice
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.core import clock
from spine.core.errors import SourceRejected, SourceUnavailable, SpineError
from spine.http.retry import Retry
from spine.sources.custom import hubspot, salesforce
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.spec import Source, load_source

NAMES = st.sampled_from([
    "results", "paging", "next", "after", "records", "nextRecordsUrl", "id", "Id", "properties", "SystemModstamp", "lastmodifieddate",
    "LastName", "Name", "archivedAt", "updatedAt", "IsDeleted", "data", "deletedRecords", "deletedDate", "attributes", "errorCode",
    "message", "errors", "hs_object_id", "more",
])  # fmt: skip
TEXTS = st.sampled_from(
    ["", "a", "1", "2026-01-01T00:00:00Z", "http://[", "//x", "/next", "\ud800", "NaN", "9" * 5000, "-1", "INVALID_QUERY_LOCATOR"]
)
NUMBERS = st.sampled_from([b"0", b"-1", b"1e999999999999999999999", b"9" * 5000, b"1.5e-400", b"NaN", b"1767225600000", b"true", b"null"])
RAW = NUMBERS | TEXTS.map(lambda text: orjson.dumps(text) if text.isascii() else b'"\\ud800"')
ANSWERS = st.recursive(
    RAW,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]")
        | st.dictionaries(NAMES, inner, max_size=5).map(
            lambda found: b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in found.items()) + b"}"
        )
    ),
    max_leaves=20,
)
DEEP = st.sampled_from([200, 260, 300, 400, 500, 600, 700, 800, 900, 2000, 200_000]).map(
    lambda depth: b'{"results":[{"id":1,"properties":' + b"[" * depth + b"]" * depth + b"}]}"
)
PAGES = st.builds(
    lambda name, rows, more: b'{"%s":%s,%s}' % (name, rows, more),
    st.sampled_from([b"results", b"records", b"deletedRecords"]),
    st.lists(ANSWERS, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]"),
    RAW.map(lambda value: b'"paging":{"next":{"after":%s}},"nextRecordsUrl":%s,"next":%s,"more":%s' % (value, value, value, value)),
)
STATUSES = st.sampled_from([200, 200, 200, 200, 204, 301, 400, 401, 403, 404, 429, 500])


def generic(paging: dict[str, Any], records: str) -> Source:
    """A source without code."""
    stream = {"name": "s", "path": "/s", "records": records, "key": ["id"], "cursor": {"field": "updatedAt", "since": "since"},
              "paging": paging, "entity": "person", "mapping": {"fields": {"email": "email"}}}  # fmt: skip
    return Source.model_validate({"source": "x", "label": "X", "domain": "revops", "streams": [stream]})


SOURCES = [
    load_source("hubspot"),
    load_source("salesforce"),
    generic({"type": "next_token", "next": "paging.next.after"}, "results"),
    generic({"type": "next_url", "next": "nextRecordsUrl"}, "results || records"),
    generic({"type": "offset", "next": "length(more)"}, "sort_by(results, &id)"),
    generic({"type": "page", "next": "more"}, "@"),
    generic({"type": "link_header"}, "results[*].properties"),
]
WINDOWS = [Window(end=clock.now(), full=True), Window(clock.parse("2026-01-01T00:00:00Z"), clock.now())]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: f"{source.source} {source.streams[0].paging.type}")
def test_any_answer_is_pages_or_an_error_of_ours(make_client, source):
    said: list[tuple[int, bytes]] = []
    client = make_client(lambda path, query: said[0] if len(said) == 1 else said.pop(0))
    client.retry = Retry(max_retries=0)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(STATUSES, PAGES | ANSWERS | DEEP), min_size=1, max_size=4), st.sampled_from(WINDOWS))
    def holds(answers, window):
        said[:] = answers
        with suppress(SpineError):
            for page in islice(reader_for(source, client=client).read(source.streams[0], State(), window), 12):
                assert all(orjson.loads(record.payload) for record in page.records)

    holds()


@pytest.mark.parametrize("depth", range(100, 1000, 50))
def test_a_record_costs_only_itself_however_deep_it_is(make_client, depth):
    """As deep as the parser reads, the records around it are kept; deeper, the answer is none."""
    body = b'{"results":[{"id":1,"deep":' + b"[" * depth + b"]" * depth + b'},{"id":2}]}'
    source = generic({"type": "none"}, "results")
    client = make_client(lambda path, query: (200, body))
    client.retry = Retry(max_retries=0)
    with suppress(SourceUnavailable):
        (page,) = reader_for(source, client=client).read(source.streams[0], State(), WINDOWS[0])
        assert [record.record_id for record in page.records] == ["1", "2"]
        assert ("_error" in page.records[0].payload) == (depth > 250)


def reading(module: Any, name: str, client: Any) -> int:
    """How many pages are read."""
    source = load_source(name)
    return sum(1 for _ in module.Reader(source, client).read(source.streams[0], State(), WINDOWS[0]))


def test_empty_pages_that_name_the_same_next_one_end(make_client):
    with pytest.raises(SourceRejected, match="circles"):
        reading(hubspot, "hubspot", make_client(lambda path, query: {"results": [], "paging": {"next": {"after": "x"}}}))
    with pytest.raises(SourceRejected, match="circles"):
        reading(salesforce, "salesforce", make_client(lambda path, query: {"records": [], "nextRecordsUrl": "/services/x"}))


def test_a_query_that_always_says_its_locator_is_lost_ends(make_client):
    lost = (400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "gone"}])
    with pytest.raises(SourceRejected, match="locator has expired"):
        reading(salesforce, "salesforce", make_client(lambda path, query: (lost[0], orjson.dumps(lost[1]))))


@pytest.mark.parametrize(
    "value",
    ['<x>;a' + " " * 60_000 + "x", "<" * 60_000, '<x>' + ";a=" * 20_000, '<x>;a="' + "\\a" * 30_000, "<x>" + " ;" * 30_000,
     "<x>; a " * 9000,
     '<x>;a="' * 9000],
    ids=["spaces", "openings", "parameters", "quotes", "separators", "links", "unclosed"],
)  # fmt: skip
def test_a_link_header_costs_time_by_its_length(value):
    from spine.http.links import target

    began = time.process_time()
    target(value, "next")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("word", ["a", "a1", "@", "token ", "<title>", "%40", "bearer a"])
def test_words_of_a_refusal_cost_time_by_their_length(word):
    from spine.http.words import said

    began = time.process_time()
    assert len(said((word * 65_536)[:65_536].encode(), ["secret"])) <= 400
    assert time.process_time() - began < 1
