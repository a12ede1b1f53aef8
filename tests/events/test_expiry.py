"""A Connection says when its secret ends; two weeks before, that is an event."""

from __future__ import annotations

from datetime import date

import pytest

from spine.core.errors import ConfigError
from spine.core.events import CredentialExpiring
from spine.events.expiry import expiring

TODAY = date(2026, 1, 31)


@pytest.mark.parametrize(("said", "told"), [("2026-02-14", True), ("2026-01-01", True), ("2026-02-15", False), ("", False)])
def test_what_ends_within_two_weeks_is_told(said: str, told: bool) -> None:
    event = expiring("c", {"expires": said}, TODAY)
    assert event == (CredentialExpiring("c", said) if told else None)


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a date"):
        expiring("c", {"expires": "soon"}, TODAY)
