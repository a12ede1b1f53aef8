"""Which credentials end soon: a Connection's extra says so of its secret, as `{"expires": "2027-01-31"}`, a vendor of its grant."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from spine.core import clock
from spine.core.errors import ConfigError
from spine.core.events import CredentialExpiring

NEAR = timedelta(days=14)
GRANT_NEAR = timedelta(hours=24)


def expiring(connection_id: str, extra: dict[str, Any], today: date) -> CredentialExpiring | None:
    """The event if the secret ends within two weeks or has ended. Raises ConfigError for what is no date."""
    said = extra.get("expires")
    if not said:
        return None
    try:
        ends = date.fromisoformat(str(said)[:10])
    except ValueError as error:
        raise ConfigError("`expires` is not a date", hint="Write it as 2027-01-31", connection=connection_id) from error
    return CredentialExpiring(connection_id, ends.isoformat()) if ends - today <= NEAR else None


def grant_expiring(connection_id: str, given_at: datetime, ends_at: datetime | None, now: datetime) -> CredentialExpiring | None:
    """The event if a grant ends within a day, or has ended; of one that does not live for two days, within the second half of its life.

    A grant that each refresh renews comes so near its end only where nothing refreshes it.
    """
    if ends_at is None:
        return None
    near = min(GRANT_NEAR, max(timedelta(), (ends_at - given_at) / 2))
    ends = clock.to_text(ends_at)[:16] + "Z"
    return CredentialExpiring(connection_id, ends) if ends_at - now <= near else None
