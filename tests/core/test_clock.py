"""Times are UTC and their text sorts like the times."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core import clock
from spine.core.errors import ConfigError

MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, MOMENTS)
def test_text_sorts_like_time(one: datetime, other: datetime) -> None:
    assert (clock.to_text(one) < clock.to_text(other)) == (one < other)


@given(MOMENTS)
def test_text_and_time_are_inverse(moment: datetime) -> None:
    assert clock.parse(clock.to_text(moment)) == moment


@pytest.mark.parametrize(
    "text", ["2026-01-31T08:15:00Z", "2026-01-31T08:15:00.000+0000", "2026-01-31T09:15:00+01:00", "2026-01-31T08:15:00"]
)
def test_vendors_spell_times_differently(text: str) -> None:
    assert clock.parse(text) == datetime(2026, 1, 31, 8, 15, tzinfo=UTC)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an ISO 8601 time"):
        clock.parse("yesterday")


def test_now_is_aware() -> None:
    assert clock.now().tzinfo is not None
    assert UTC is UTC
