"""Looks at what no run reports of itself: scheduled runs that miss their tier's deadline, and credentials that end soon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from logging import INFO, WARNING

from spine.control import events, tokens
from spine.control.airflow_state import DagRunFacts
from spine.core import clock
from spine.core.errors import ConfigError, ControlPlaneUnavailable, SpineError, as_ours, together
from spine.core.events import Event
from spine.core.names import connection_id
from spine.core.screen import logger
from spine.events.deadlines import missed
from spine.events.expiry import expiring, grant_expiring
from spine.pipeline.services import Services
from spine.sources.check import readable_sources
from spine.sources.spec import Source

_log = logger(__name__)
Latest = Callable[[str], DagRunFacts | None]


def watch(services: Services, allowed: Mapping[str, timedelta], latest: Latest) -> list[Event]:
    """Record deadline.missed and credential.expiring for all sources and tenants, each once; gives what it found.

    `allowed` is the time that each tier gives a run, `latest` the newest scheduled run of a DAG. Raises ControlPlaneUnavailable at once,
    and at the end what kept it from looking at one source or tenant.
    """
    found: list[Event] = []
    failures: list[SpineError] = []
    for source in readable_sources():
        run = latest(f"sync_{source.source}")
        late = missed(run, source.tier, allowed[source.tier], clock.now()) if run else None
        for tenant in _tenants(services, source, failures):
            try:
                mine = [
                    event
                    for event in (late, _expiring(services, source, tenant, used=run is not None), *_grants(services, source, tenant))
                    if event is not None
                ]
                for event in mine:
                    events.record(services.database.of(tenant), event)
                found += mine
            except ControlPlaneUnavailable:
                raise
            except Exception as error:  # whatever one tenant has in its Connection
                failures.append(as_ours(error, source=source.source, tenant=tenant))
    if failures:
        raise together(failures)
    return found


def all_tenants(services: Services) -> Sequence[str]:
    """Every tenant that has any source; a source whose list is malformed has none."""
    return sorted({tenant for source in readable_sources() for tenant in _tenants(services, source, [])})


def _tenants(services: Services, source: Source, failures: list[SpineError]) -> Sequence[str]:
    try:
        return services.tenants(source.source)
    except ConfigError as error:
        failures.append(error)
        return ()


def _expiring(services: Services, source: Source, tenant: str, *, used: bool) -> Event | None:
    name = connection_id(source.source, tenant)
    try:
        return expiring(name, services.connections(name).extra, clock.now().date())
    except ConfigError as error:  # a Connection that is missing or wrong is reported by the sync that needs it
        _log.log(WARNING if used else INFO, "%s", error)  # of a source that nobody has switched on yet it is nothing to warn of
        return None


def _grants(services: Services, source: Source, tenant: str) -> Sequence[Event | None]:
    """Of the grants that are kept for a connection; a stream that signs in a way of its own has one behind its name."""
    name, now = connection_id(source.source, tenant), clock.now()
    kept = [one for one in tokens.held(services.database.of(tenant)) if one.connection_id.partition(" ")[0] == name]
    return [grant_expiring(name, one.rotated_at, one.grant_expires_at, now) for one in kept]
