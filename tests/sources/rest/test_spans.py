"""Spans of time, whatever lies in them: everything between the first moment and the end is asked for, and the asking ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import SourceRejected
from spine.sources.rest.place import Part, Place, Rows, Span
from spine.sources.rest.spans import Spans

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = st.integers(0, 24 * 60)


@given(
    moments=st.lists(HOURS, max_size=60), hours=st.integers(1, 24 * 60), step=st.none() | st.integers(1, 24 * 90), ceiling=st.integers(1, 9)
)
def test_nothing_is_left_out_and_no_span_holds_too_much(moments: list[int], hours: int, step: int | None, ceiling: int) -> None:
    rows = [START + timedelta(hours=hour) for hour in moments if hour <= hours]
    whole = Span(START, START + timedelta(hours=hours))
    spans = Spans(whole, timedelta(hours=step) if step else None)
    seen: set[datetime] = set()
    span, asked = spans.first, 0
    while span is not None:
        asked += 1
        assert asked < 20_000
        assert span.start is not None
        assert span.end is not None
        assert whole.start <= span.start < span.end <= whole.end
        assert step is None or span.end - span.start <= timedelta(hours=step)
        held = [row for row in rows if span.start <= row <= span.end]
        if len(held) > ceiling:
            try:
                narrower = spans.half(span)
            except SourceRejected:
                assert max(rows.count(row) for row in held) > ceiling or span.end - span.start < timedelta(milliseconds=2)
                return
            assert narrower.start == span.start
            span = narrower
            continue
        seen.update(held)
        following = spans.after(span)
        assert following is None or following.start == span.end
        span = following
    assert seen == set(rows)


PLACES = st.builds(
    Place,
    part=st.none() | st.text() | st.integers(-(2**53), 2**53) | st.lists(st.text()),
    span=st.none() | st.builds(Span, st.none() | st.just(START), st.none() | st.just(START)),
    job=st.none() | st.dictionaries(st.text(min_size=1), st.text()),
    page=st.none() | st.text(min_size=1) | st.text().map(lambda text: '{"at":' + text),
    seen=st.integers(0, 10**6),
    rows=st.none() | st.builds(Rows, st.integers(0, 10**9), st.text()),
)


@given(PLACES)
def test_a_place_is_found_again_by_its_text(place: Place) -> None:
    if place.part is None and place.span is None and place.job is None and place.rows is None:
        place = Place(page=place.page)
    assert Place.parse(place.text()) == place


def test_a_partition_has_no_key_by_default() -> None:
    assert Part().key is None
