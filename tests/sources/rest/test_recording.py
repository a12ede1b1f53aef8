"""Pages are made into records in columns; whatever a vendor sends, that gives what looking at each record alone gives."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spine.core import jsontext
from spine.sources import columns
from spine.sources.columns import Outline, Records
from spine.sources.reading import MALFORMED, Position, Window
from spine.sources.rest.recording import Recording
from spine.sources.rest.shaping import Out
from spine.sources.rest.stages import Stages
from spine.sources.rows import BadRow
from spine.sources.shape import Shape, ShapeWatch
from spine.sources.spec import Stream

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOWS = [
    Window(full=True), Window(start=NOON, end=NOON + DAY), Window(end=NOON), Window(start=NOON, end=NOON + DAY, backfill=True),
]  # fmt: skip
TIMES = st.one_of(
    st.datetimes(datetime(2026, 2, 28), datetime(2026, 3, 4)).map(lambda at: at.isoformat() + "Z"),
    st.datetimes(datetime(2026, 2, 28), datetime(2026, 3, 4)).map(lambda at: at.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 2)).map(lambda at: at.isoformat(timespec="seconds") + "+02:00"),
    st.integers(1_772_300_000, 1_772_400_000), st.integers(1_772_300_000_000, 1_772_400_000_000),
    st.integers(1_772_300_000_000_000, 1_772_400_000_000_000), st.floats(1.7723e9, 1.7724e9).map(lambda at: round(at, 3)),
    st.sampled_from(["2026-02-31T00:00:00Z", "0000-00-00", "", None, "2026-03-01", "1772323200", 12, True, [], {}, "2026-03-01T24:00:00Z"]),
)  # fmt: skip
KEYS = st.one_of(
    st.integers(-5, 5), st.integers(2**60, 2**70), st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from([None, True, "a|b", "\0", "é", "𝄞", 1001.0, "0", {"id": 1}, [1]]),
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=4))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", max_size=2), inner, max_size=3), max_leaves=6
)
RECORDS = st.fixed_dictionaries(
    {"id": KEYS},
    optional={
        "at": TIMES,
        "gone": st.sampled_from([True, False, None, "false", "2026-01-01"]),
        "a": VALUES,
        "b": VALUES,
        "a.b": LEAVES,
        "é": VALUES,
    },
)
RAW = st.sampled_from([
    '{"id": 1, "id": 2, "a": 1, "a": {"b": 1, "b": 2}}', '{"id": 7, "n": NaN}', '{"id": 8, "t": "\\ud83d"}', '{"\\ud83d": 1, "id": 9}',
    '{"id": "\\ud800"}', '{"id": 123456789012345678901234567890, "at": 1772323200}', '{"id": 10, "n": 0.12345678901234567}',
    '{"id": 11, "n": 1e400, "o": {"n": 1e400}}', '{"id": "\\u0041\\u00e9\\u0000", "t": "\\u0041"}', '{"id": 12, "n": 1.10, "m": 1E5}',
    '"no object"', "null", "[]", "{}", '{"id": 13,\n  "at" :\t"2026-03-01T12:00:00Z"}', '{"id": 14, "at": -Infinity}',
    '{"id": 15, "n": "M\xfcller"}',
])  # fmt: skip


def stream_of(**words: Any) -> Stream:
    said = {"name": "things", "path": "/things", "key": ["id"], **words}
    return Stream.model_validate(said)


STREAMS = [
    stream_of(),
    stream_of(cursor={"field": "at"}),
    stream_of(key=["id", "a.b"], cursor={"field": "at"}, deletes={"detect": "flag", "field": "gone"}),
    stream_of(key="hash", cursor={"field": "a.b"}),
    stream_of(key="singleton"),
    stream_of(key=["a.b"], cursor={"field": "id", "type": "number"}),
    stream_of(cursor={"field": "at", "reads": "epoch"}),
]


def one_by_one(recording: Recording, items: list[Any]) -> list[Any]:
    return [record for item in items if (record := recording.one(item)) is not None]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(RECORDS.map(lambda record: json.dumps(record)), RAW), max_size=12),
    st.sampled_from(STREAMS), st.sampled_from(WINDOWS), st.sampled_from([(), ("p|1",)]), st.integers(0, 5),
)  # fmt: skip
@example(['{"id": 1, "at": "2026-03-01T12:00:00Z"}', '{"id": 2, "at": "2026-02-31T12:00:00Z"}'], STREAMS[1], WINDOWS[0], (), 5)
@example(['{"id": "x", "at": 1772323200}', '{"id": "y", "at": 1772323201}'], STREAMS[1], WINDOWS[1], (), 5)
def test_a_page_in_columns_is_what_its_records_are_alone(texts, stream, window, names, odd):
    items = jsontext.parse(f"[{','.join(texts)}]".encode("utf-8", "surrogatepass"))
    items[odd:odd] = [Out({"id": 1, "at": "2026-03-01T13:00:00Z"}), BadRow(3, {}, error="torn", raw="1;2")] if odd < 2 else []
    recording = Recording(
        Stages(stream), window, "00000000000000000003" if stream.cursor and stream.cursor.type == "number" else None, names
    )
    made, alone = recording.all(items), one_by_one(recording, items)
    assert list(made) == alone
    assert made.latest == max((record.cursor for record in alone if record.cursor is not None), default=None)
    assert (made.deletes, made.letters) == (sum(one.op == "delete" for one in alone), sum(len(one.payload) for one in alone))
    quick, slow = ShapeWatch(), ShapeWatch()
    quick.see(made)
    slow.see(alone)
    assert quick.against(Shape()) == slow.against(Shape())


@pytest.mark.parametrize("stream", STREAMS[:2])
def test_a_regular_page_needs_no_look_at_a_single_record(stream, monkeypatch):
    monkeypatch.setattr(Recording, "one", lambda *_: pytest.fail("looked at one record"))
    items = [
        {"id": f"c{number}", "at": "2026-03-01T12:00:00Z", "a": {"b": number}, "n": None if number % 2 else 1.5} for number in range(50)
    ]
    made = Recording(Stages(stream), WINDOWS[0], None, ()).all(items)
    assert len(made) == 50
    assert made.outlines is not None
    assert sorted(made.outlines.values()) == [25, 25], "one outline for all records that are alike"
    assert {one.fingerprint for one in made.outlines} == {made[0].fingerprint}


def test_one_odd_record_costs_itself_and_not_its_page(monkeypatch):
    looked: list[Any] = []
    monkeypatch.setattr(Recording, "one", lambda self, item: looked.append(item))
    items: list[Any] = [{"id": number} for number in range(20)]
    items[7] = {"name": "without a key"}
    Recording(Stages(stream_of()), WINDOWS[0], None, ()).all(items)
    assert looked == [items[7]]


def test_an_own_position_is_asked_for_each_record():
    class Own(Stages):
        def position(self, record: Any) -> Any:
            found = super().position(record)
            return type(found)(f"{found.cursor}!")

    (made,) = Recording(Own(STREAMS[1]), WINDOWS[0], None, ()).all([{"id": 1, "at": "2026-03-01T12:00:00Z"}])
    assert made.cursor == "2026-03-01T12:00:00.000000Z!"


@given(st.lists(RECORDS, max_size=6))
def test_an_outline_says_what_the_payload_has(records):
    made = Recording(Stages(stream_of(key="hash")), WINDOWS[0], None, ()).all(records)
    seen = [Outline.of(orjson.loads(one.payload)) for one in made if one.fingerprint != MALFORMED]
    assert made.outlines is None or {(tuple(one.kinds.items()), one.fingerprint) for one in made.outlines} == {
        (tuple(one.kinds.items()), one.fingerprint) for one in seen
    }


def test_records_are_a_sequence():
    made = Recording(Stages(stream_of()), WINDOWS[0], None, ()).all([{"id": number} for number in range(5)])
    assert [one.record_id for one in made[1:4:2]] == ["1", "3"]
    assert made[-1].record_id == "4"
    assert made == list(made)
    with pytest.raises(IndexError):
        made[5]
    assert (len(Records.of([])), Records.of([]).latest, Records.of([]).letters) == (0, None, 0)


def test_fields_that_are_named_after_records_fill_no_memory(monkeypatch):
    monkeypatch.setattr(columns, "_MOST", 1000)
    recording = Recording(Stages(stream_of()), WINDOWS[0], None, ())
    for number in range(100):
        recording.all([{"id": 1, **{f"f{number}_{one}": 1 for one in range(40)}, "o": {f"g{number}": 1}}])
        assert sum(len(one.kinds) for one in columns._known.values() if isinstance(one, Outline)) <= 1000


def test_a_cursor_of_a_sources_own_is_a_time_in_whatever_form():
    class Own(Stages):
        def position(self, record: Any) -> Position:
            return Position(record["at"])

    window = Window(start=NOON.replace(hour=0), end=NOON, backfill=True)
    assert len(Recording(Own(STREAMS[1]), window, None, ()).all([{"id": 1, "at": "2026-03-01"}, {"id": 2, "at": "2026-03-02"}])) == 1


@pytest.mark.parametrize("payload", [b'{"a":"\xff"}', b"\xc3"])
def test_bytes_that_are_no_utf_8_become_no_column(payload):
    with pytest.raises(ValueError, match="utf8"):
        Records.made(["1"], ["upsert"], [None], [payload], [""])
