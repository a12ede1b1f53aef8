"""What readers share: keys, cursors, fingerprints, windows, required fields."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core import clock, jsontext
from spine.core.errors import SchemaMismatch
from spine.http.transport import Response
from spine.sources.reading import Window, cursor_text, fingerprint, later, lookup, make_record, record_id, require_fields
from spine.sources.spec import Stream, load_source


def stream(**settings) -> Stream:
    return Stream.model_validate(
        {"name": "things", "key": ["id"], "entity": "person", "mapping": {"fields": {"email": "email"}}, **settings}
    )


T1, T2, T3 = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))


@pytest.mark.parametrize(
    ("window", "held"),
    [
        (Window(T1, T3), {T2, T3}),
        (Window(T1, T3, backfill=True), {T1, T2}),
        (Window(None, T2), {T1, T2}),
        (Window(T2), {T3}),
        (Window(), {T1, T2, T3}),
    ],
    ids=["after start up to end", "backfill from start before end", "no start", "no end", "everything"],
)
def test_windows(window, held):
    assert {moment for moment in (T1, T2, T3) if window.holds(moment)} == held
    assert window.holds(None) is not window.backfill


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_one_moment_has_one_cursor_however_it_is_written(moment):
    moment = moment.replace(microsecond=0)
    seconds = int(moment.timestamp())
    forms = [moment, moment.isoformat(), moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000"), moment.strftime("%Y-%m-%dT%H:%M:%SZ")]
    if seconds >= 10**9:
        forms += [seconds, seconds * 1000, str(seconds * 1000)]
    assert {cursor_text(form) for form in forms} == {clock.to_text(moment)}


@pytest.mark.parametrize("value", ["soon", {"value": 1}, 12, True])
def test_a_cursor_that_is_no_time_is_a_schema_mismatch(value):
    with pytest.raises(SchemaMismatch):
        cursor_text(value)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_cursors_sort_as_their_times_in_any_year(moment):
    assert clock.parse(clock.to_text(moment)) == moment
    assert len(clock.to_text(moment)) == 27


def test_missing_cursors():
    assert cursor_text(None) is None
    assert cursor_text("") is None
    assert later(None, None) is None
    assert later("a", None) == later(None, "a") == later("a", "") == "a"


@given(st.permutations(["a", "b", "c"]))
def test_the_fingerprint_knows_names_and_not_their_order(names):
    assert fingerprint(dict.fromkeys(names)) == fingerprint({"a": 1, "b": 2, "c": 3})
    assert fingerprint(dict.fromkeys(names)) != fingerprint({"a": 1, "b": 2})
    assert fingerprint({"p": {"x": 1}}) != fingerprint({"p": {"y": 1}})


PARTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=3)  # U+0000 is no part of a key


@given(st.lists(st.tuples(PARTS, PARTS), min_size=2, max_size=6, unique=True))
def test_compound_keys_never_collide(pairs):
    both = stream(key=["a", "b"])
    assert len({record_id(both, {"a": left, "b": right}) for left, right in pairs}) == len(pairs)


def test_a_record_without_key_is_kept_as_malformed():
    record = make_record(stream(), {"name": "x"}, cursor="c")
    assert record.record_id.startswith("malformed:")
    assert orjson.loads(record.payload) == {"_error": "id is missing", "_line": None, "_raw": '{"name":"x"}'}
    assert make_record(stream(), {"name": "x"}, cursor="c") == record
    assert make_record(stream(key=["p.id"]), {"p": {"id": 0}}, cursor=None).record_id == "0"


def test_values_that_json_has_not_are_written_as_text():
    from datetime import date
    from decimal import Decimal

    record = make_record(stream(), {"id": 1, "d": date(2026, 1, 2), "n": Decimal("1.50"), "b": b"\x01"}, cursor=None)
    assert orjson.loads(record.payload) == {"id": 1, "d": "2026-01-02", "n": "1.50", "b": "01"}


def test_required_fields_may_be_null_or_missing_in_some_but_not_in_all():
    wanted = stream(required_fields=["name", "p.at"])
    require_fields(wanted, [])
    require_fields(wanted, [{"id": 1}, {"name": None, "p": {"at": None}}])
    with pytest.raises(SchemaMismatch, match=r"p\.at"):
        require_fields(wanted, [{"id": 1, "name": 1, "p": {}}, {"id": 2, "name": 2, "p": None}])
    with pytest.raises(SchemaMismatch, match="id"):
        require_fields(stream(), [{"name": 1}])


def test_lookup_ends_where_the_path_ends():
    assert lookup({"a": {"b": 1}}, "a.b") == 1
    assert lookup({"a": 1}, "a.b") is None


def test_ids_and_sums_of_an_answer_keep_their_digits():
    ids = ["340282366920938463463374607431768211001", "340282366920938463463374607431768211002"]
    body = f'{{"data": [{{"Id": {ids[0]}}}, {{"Id": {ids[1]}}}, {{"Id": 1, "amount": 12345678901234567.891}}]}}'.encode()
    answer = Response(200, {}, body, "GET x").json()
    stream = load_source("salesforce").stream("contacts")
    records = [make_record(stream, item, cursor=None) for item in answer["data"]]
    assert [record.record_id for record in records] == [*ids, "1"]
    assert records[2].payload == '{"Id":1,"amount":12345678901234567.891}'


@pytest.mark.parametrize(
    ("key", "left", "right", "same"),
    [
        ("hash", {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}, True),
        ("hash", {"a": 1}, {"a": "1"}, False),
        ("hash", {"a": None}, {}, False),
        ("singleton", {"a": 1}, {"a": 2}, True),
    ],
)
def test_records_without_a_key_are_told_by_their_content_or_not_at_all(key, left, right, same):
    stream = Stream.model_validate({"name": "things", "key": key})
    first, second = (make_record(stream, record, cursor=None) for record in (left, right))
    assert (first.record_id == second.record_id) is same


def test_a_record_without_a_key_that_no_json_can_hold_is_malformed():
    stream = Stream.model_validate({"name": "things", "key": "hash"})
    record = make_record(stream, jsontext.parse(b'{"a": NaN}'), cursor=None)
    assert record.record_id.startswith("malformed:")
    assert "NaN" in record.payload
