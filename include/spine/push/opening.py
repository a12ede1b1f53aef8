"""Opens what writes to an end of a way back, with the tenant's Connection."""

from __future__ import annotations

from collections.abc import Callable

from spine.core.errors import ConfigError
from spine.core.names import connection_id
from spine.pipeline.services import Services, open_access, open_client
from spine.push.columns import column_types
from spine.push.destination import Destination
from spine.push.ends import End
from spine.push.spec import Push


def open_destination(push: Push, end: End, tenant: str, services: Services, run_id: str, sleep: Callable[[float], None]) -> Destination:
    """What writes to an end with the tenant's Connection. Raises ConfigError, AuthFailed if that is incomplete."""
    info = services.connections(connection_id(end.connector, tenant))
    if end.kind == "postgresql":
        from spine.push.destinations.postgresql import Postgresql

        access = open_access(end.source, tenant, info, run_id, services)
        return Postgresql(access, end.thing, end.keys, column_types(push))
    assert end.source is not None
    client = open_client(end.source, tenant, info, run_id, services, sleep)
    if end.kind == "hubspot":
        from spine.push.destinations.hubspot import HubSpot

        return HubSpot(client, end)
    if end.kind == "salesforce":
        from spine.push.destinations.salesforce import Salesforce

        return Salesforce(client, end)
    if end.kind == "google_sheets":
        from spine.push.destinations.google_sheets import GoogleSheets

        return GoogleSheets(client, end, info.extra)
    if end.kind == "rest":
        from spine.push.destinations.rest import Rest

        return Rest(client, end, info.extra, f"{push.name} {tenant} {run_id}")
    raise ConfigError(f"nothing writes to a system of kind {end.kind!r}", hint="Choose another destination", connector=end.connector)
