"""Opens what writes to an end of a way back, with the tenant's Connection."""

from __future__ import annotations

from collections.abc import Callable

from spine.core.errors import ConfigError
from spine.core.names import connection_id
from spine.pipeline.services import Services, open_access
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
    raise ConfigError(f"nothing writes to a system of kind {end.kind!r}", hint="Choose another destination", connector=end.connector)
