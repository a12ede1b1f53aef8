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

HEALTHY = 0.8  # the part of a tenant's connections that must work, and more, before a new one is added


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
    anyway: bool = False,
) -> Added:
    """List the tenant in Variable `spine.tenants`, give it a row per connection and a key.

    `find` looks a Connection up. Raises ConfigError for a name that no tenant can have, or where the deployment's key is not set; and for a
    new connection of a tenant of whose connections 80 % or less are healthy, unless it is wanted `anyway`: those are to be mended first.
    """
    require_tenant(tenant)
    mine = database.of(tenant)
    if not anyway:
        _require_healthy(connections.states(mine), {connection_id(source, tenant) for source in sources})
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


def _require_healthy(known: Sequence[connections.ConnectionState], wanted: set[str]) -> None:
    ill = [one.connection_id for one in known if not one.healthy]
    new = sorted(wanted - {one.connection_id for one in known})
    if not known or not new or 1 - len(ill) / len(known) > HEALTHY:
        return
    raise ConfigError(
        f"{len(ill)} of {len(known)} connections are paused or have failed ({', '.join(ill[:5])}), so that no new one is added",
        hint="Mend them: `spine connector list` says what is wrong. `--anyway` adds it all the same",
        new=", ".join(new),
    )


def _list(tenant: str, sources: Sequence[str], variables: Variables) -> None:
    """A source that the Variable does not name has the tenant `default`, which stays."""
    listed = {source: tenants(source, variables) for source in sources}  # refuses a malformed Variable
    whole = orjson.loads(variables.get(TENANTS_VARIABLE) or "{}")
    wanted = {source: found if tenant in found else [*found, tenant] for source, found in listed.items()}
    if any(whole.get(source) != found for source, found in wanted.items()):
        variables.set(TENANTS_VARIABLE, orjson.dumps(whole | wanted).decode())
