"""Are the audit logs what was written? A quick look every five minutes, a whole one every night and by `spine audit verify`."""

from __future__ import annotations

from collections.abc import Collection

from spine.control import audit_heads, events
from spine.control.audit_heads import Checked
from spine.core.errors import AuditBroken
from spine.core.events import ChainBroken
from spine.core.screen import logger
from spine.pipeline.services import Services
from spine.pipeline.watch import all_tenants

_log = logger(__name__)


def verify(services: Services, tenants: Collection[str] = (), *, whole: bool = True) -> list[Checked]:
    """Check the log of each tenant, of all if none is named, and record an event `audit.broken` for each that is wrong, once.

    Heads are logged too: one that Airflow's logs hold can be taken back by nobody who writes in PostgreSQL. Raises ControlPlaneUnavailable,
    ConfigError for a malformed key.
    """
    found = []
    for tenant in sorted(tenants or {*all_tenants(services), *audit_heads.known_tenants(services.variables)}):
        mine = services.database.of(tenant)
        checked = audit_heads.check(mine, services.variables, whole=whole)
        _log.info("audit log of %s: %d rows, head %s", tenant, checked.rows, checked.head)
        if checked.wrong:
            events.record(mine, ChainBroken(checked.rows, checked.head, checked.wrong))
        found.append(checked)
    return found


def require_sound(found: Collection[Checked]) -> None:
    """Raise AuditBroken if a log is wrong, naming each tenant and the first thing that is."""
    broken = [checked for checked in found if checked.wrong]
    if broken:
        names = ", ".join(checked.tenant for checked in broken)
        raise AuditBroken(f"The audit log is not what was written: {broken[0].wrong}", tenants=names, rows=broken[0].rows)
