"""A Connection says when its secret ends; two weeks before, that is an event."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from spine.core.errors import ConfigError
from spine.core.events import CredentialExpiring
from spine.events.expiry import expiring, grant_expiring

TODAY = date(2026, 1, 31)


@pytest.mark.parametrize(("said", "told"), [("2026-02-14", True), ("2026-01-01", True), ("2026-02-15", False), ("", False)])
def test_what_ends_within_two_weeks_is_told(said: str, told: bool) -> None:
    event = expiring("c", {"expires": said}, TODAY)
    assert event == (CredentialExpiring("c", said) if told else None)


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a date"):
        expiring("c", {"expires": "soon"}, TODAY)


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "left", "told"),
    [
        (timedelta(days=89), timedelta(hours=23), True),
        (timedelta(days=1), timedelta(hours=25), False),
        (timedelta(days=60), timedelta(hours=-1), True),
        (timedelta(minutes=5), timedelta(minutes=25), False),
        (timedelta(minutes=20), timedelta(minutes=10), True),
    ],
    ids=["a day before", "earlier", "ended", "a short one that was renewed", "a short one that nobody renews"],
)
def test_a_grant_that_ends_is_told_a_day_before(age: timedelta, left: timedelta, told: bool) -> None:
    event = grant_expiring("c", NOW - age, NOW + left, NOW)
    assert (event is not None) == told
    if event:
        assert event.expires == (NOW + left).isoformat()[:16] + "Z"


def test_a_grant_of_which_the_vendor_says_nothing_is_not_told() -> None:
    assert grant_expiring("c", NOW, None, NOW) is None
