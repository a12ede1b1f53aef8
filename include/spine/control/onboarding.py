"""A new tenant: everything that the control plane and Airflow's Variables must hold before its first run. Safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from spine.control import connections
from spine.control.airflow_state import TENANTS_VARIABLE, ConnectionInfo, tenants
from spine.control.database import Database
from spine.control.tokens import TokenVault
from spine.control.variables import Variables
from spine.core.errors import ConfigError
from spine.core.names import connection_id, require_tenant


@dataclass(frozen=True)
class Added:
    """What a tenant has now: its sources, and the Connections that are still to be made."""

    tenant: str
    sources: tuple[str, ...]
    missing: tuple[str, ...]


def add_tenant(
    tenant: str,
    sources: Sequence[str],
    *,
    database: Database,
    variables: Variables,
    find: Callable[[str], ConnectionInfo],
    actor: str,
) -> Added:
    """List the tenant in Variable `spine.tenants`, give it a row per connection and a key.

    `find` looks a Connection up. Raises ConfigError for a name that no tenant can have, or where the deployment's key is not set.
    """
    require_tenant(tenant)
    mine = database.of(tenant)
    TokenVault(mine, actor).make_key()
    _list(tenant, sources, variables)
    missing = []
    for source in sources:
        name = connection_id(source, tenant)
        connections.make_known(mine, name)
        try:
            find(name)
        except ConfigError:
            missing.append(name)
    return Added(tenant, tuple(sources), tuple(missing))


def _list(tenant: str, sources: Sequence[str], variables: Variables) -> None:
    """A source that the Variable does not name has the tenant `default`, which stays."""
    listed = {source: tenants(source, variables) for source in sources}  # refuses a malformed Variable
    whole = orjson.loads(variables.get(TENANTS_VARIABLE) or "{}")
    wanted = {source: found if tenant in found else [*found, tenant] for source, found in listed.items()}
    if any(whole.get(source) != found for source, found in wanted.items()):
        variables.set(TENANTS_VARIABLE, orjson.dumps(whole | wanted).decode())
