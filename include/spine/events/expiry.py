"""Which Connections have a secret that ends soon: their extra says when, as `{"expires": "2027-01-31"}`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from spine.core.errors import ConfigError
from spine.core.events import CredentialExpiring

NEAR = timedelta(days=14)


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
