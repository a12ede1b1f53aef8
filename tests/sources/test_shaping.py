"""What becomes of records before key and cursor are read, and which of them are kept."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spine.core.errors import ConfigError
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.rest.shaping import Shaper
from spine.sources.spec import Source, Stream


def hashed(value: str) -> str:
    return hmac.new(b"key of the tenant", value.encode(), "sha256").hexdigest()[:8]


def shaped(record, values=None, **words):
    stream = Stream.model_validate({"name": "things", "key": ["id"], **words})
    return Shaper(stream, values or {}, hashed).shaped(record)


@pytest.mark.parametrize(
    ("words", "record", "result"),
    [
        ({"compute": {"total": "sum(lines[].price)"}}, {"lines": [{"price": 1}]}, {"lines": [{"price": 1}], "total": 1}),
        ({"compute": {"kind": "'deal'"}}, {"id": 1}, {"id": 1, "kind": "deal"}),
        ({"compute": {"at": "dates.changed"}}, {"dates": {}}, {"dates": {}, "at": None}),
        ({"compute": {"site": "https://{region}.x.org"}}, {}, {"site": "https://eu.x.org"}),
        ({"compute": {"parent_id": "{parent.id}"}}, {"id": 1}, {"id": 1, "parent_id": 7}),
        ({"rename": {"Id": "id"}}, {"Id": 1, "b": 2}, {"id": 1, "b": 2}),
        ({"rename": {"a": "b"}}, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"rename": {"a": "b", "b": "a"}}, {"a": 1, "b": 2}, {"b": 1, "a": 2}),
        ({"flatten": {"props": ""}}, {"id": 1, "props": {"name": "x"}}, {"id": 1, "name": "x"}),
        ({"flatten": {"props": "p_"}}, {"props": {"a": {"b": 1}}}, {"p_a": {"b": 1}}),
        ({"flatten": {"props": ""}}, {"id": 1, "props": {"id": 2, "x": 3}}, {"id": 1, "props": {"id": 2}, "x": 3}),
        ({"flatten": {"a.b": ""}}, {"a": {"b": {"c": 1}, "d": 2}}, {"a": {"d": 2}, "c": 1}),
        ({"flatten": {"props": ""}}, {"props": None}, {"props": None}),
        ({"flatten": {"props": ""}}, {"props": {"props": 1}}, {"props": 1}),
        ({"personal": {"email": "hash", "name": "mask"}}, {"email": "a@b.org", "name": "Ada"}, {"email": hashed("a@b.org"), "name": "***"}),
        ({"personal": {"email": "hash", "x": "mask"}}, {"email": None}, {"email": None}),
        ({"personal": {"who.mail": "hash"}}, {"who": [{"mail": ["a", "b"]}]}, {"who": [{"mail": [hashed("a"), hashed("b")]}]}),
        ({"personal": {"who.mail": "mask"}}, {"who.mail": "a"}, {"who.mail": "***"}),
        ({"flatten": {"p": ""}, "rename": {"a": "b"}, "compute": {"c": "b"}, "personal": {"c": "mask"}}, {"p": {"a": 1}},
         {"b": 1, "c": "***"}),
        ({"personal": {"email": "mask"}}, "Ada <a@b.org>", "***"),
        ({"compute": {"x": "id"}}, "no object", "no object"),
    ],
)  # fmt: skip
def test_steps_follow_each_other(words, record, result):
    assert shaped(record, {"region": "eu", "parent": {"id": 7}}, **words) == result


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4), lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=8
)


def leaves(value):
    return sorted((leaf for inner in value.values() for leaf in leaves(inner)), key=repr) if isinstance(value, dict) else [repr(value)]


@example({"a": {"x": None}, "b": None, "c": None})
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "a.b"]), JSON, max_size=4))
def test_flattening_and_renaming_lose_no_value(record):
    assert leaves(shaped(record, flatten={"a": "", "a.b": "b"}, rename={"b": "c", "c": "x"})) == leaves(record)


def test_hashing_needs_a_key():
    stream = Stream.model_validate({"name": "things", "key": ["id"], "personal": {"email": "hash"}})
    with pytest.raises(ConfigError, match="no key"):
        Shaper(stream, {}, None)


def spec(**words) -> Source:
    stream = {"name": "things", "path": "/things", "key": ["id"], **words}
    return Source.model_validate({"source": "toys", "label": "Toys", "domain": "revops", "streams": [stream]})


def test_key_and_cursor_are_read_from_what_was_made(make_client):
    made = spec(
        key=["site", "id"], compute={"site": "'x'", "changed": "max([created, edited])"}, flatten={"times": ""},
        cursor={"field": "changed", "since": None},
    )  # fmt: skip
    sent = [{"id": 1, "times": {"created": "2026-01-01T00:00:00Z", "edited": "2026-01-02T00:00:00Z"}}]
    (page,) = reader_for(made, client=make_client(lambda path, query: sent)).read(made.streams[0], State(), Window(full=True))
    assert (page.records[0].record_id, page.high_water) == ("x|1", "2026-01-02T00:00:00.000000Z")


@pytest.mark.parametrize(("full", "kept"), [(True, [("1", "upsert")]), (False, [("1", "upsert"), ("2", "delete"), ("3", "delete")])])
def test_what_passes_no_filter_is_left_out_and_gone_where_it_may_have_passed(make_client, full, kept):
    made = spec(filters=[{"field": "status", "one_of": ["active"]}], cursor={"field": "at", "since": None})
    at = "2026-01-02T00:00:00Z"
    sent = [{"id": 1, "status": "active", "at": at}, {"id": 2, "status": "gone", "at": at, "name": "Ada"}, {"id": 3, "at": at}]
    window = Window(full=True) if full else Window(datetime(2026, 1, 1, tzinfo=UTC))
    (page,) = reader_for(made, client=make_client(lambda path, query: sent)).read(made.streams[0], State(), window)
    assert [(record.record_id, record.op) for record in page.records] == kept
    assert "Ada" not in "".join(record.payload for record in page.records)


def test_nothing_personal_is_in_a_record_that_cannot_be_read(make_client):
    made = spec(personal={"email": "hash"})
    body = b'[{"id": 1, "email": "ada@b.org", "score": NaN}, {"email": "eve@b.org"}, "bob@b.org"]'
    reader = reader_for(made, client=make_client(lambda path, query: (200, body)), hashed=hashed)
    (page,) = reader.read(made.streams[0], State(), Window(full=True))
    assert len(page.records) == 3
    told = "".join(record.payload + record.record_id for record in page.records)
    assert "@b.org" not in told
    assert hashed("ada@b.org") in told
    assert orjson.loads(page.records[1].payload)["_error"] == "id is missing"
