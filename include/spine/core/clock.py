"""Times are UTC, microseconds, and written as `2026-01-31T08:15:00.000000Z`, which sorts as text."""

from __future__ import annotations

from datetime import UTC, datetime

from spine.core.errors import ConfigError


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`; a naive time is taken as UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"  # strftime writes the year 1 as one digit


def parse(text: str) -> datetime:
    """The aware UTC time of an ISO 8601 text (Salesforce's `+0000` included). Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the first hours of the year 1 in a zone ahead of UTC lie before it
        raise ConfigError(f"{text!r} is not an ISO 8601 time", hint="Write it as 2026-01-31T08:15:00Z") from error
