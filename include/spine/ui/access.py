"""Who may see what: Airflow's login and permissions, and the tenants that a user belongs to.

Analyst = may read DAGs; admin = is named in the deployment's `SPINE_ADMINS` and sees every tenant: no permission of Airflow makes one,
since operators can edit what Airflow keeps. Anyone else sees the tenants that list their user name in the Variable `spine.tenant_users`
(`{"acme": ["ana"]}`); a tenant without a list of its own is open to every analyst only if it is `default`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, HTTPException

from spine.control.airflow_state import AirflowVariables
from spine.core.names import DEFAULT_TENANT
from spine.core.screen import logger
from spine.core.settings import settings

log = logger(__name__)
TENANT_USERS = "spine.tenant_users"


@dataclass(frozen=True)
class Viewer:
    """A logged-in user and the tenants that they may see."""

    name: str
    sees: Callable[[str], bool]
    admin: bool = False


def require_viewer(user: Annotated[Any, Depends(get_user)]) -> Viewer:
    """The logged-in user. Answers 403 without permission to read DAGs (Airflow itself answers 401 without a login)."""
    manager = get_auth_manager()
    if not manager.is_authorized_dag(method="GET", user=user):
        raise HTTPException(403, "Reading DAGs is not allowed for this user")
    if user.get_name() in settings().admins:
        return Viewer(user.get_name(), lambda _tenant: True, admin=True)
    return Viewer(user.get_name(), tenants_rule(user.get_name(), AirflowVariables().get(TENANT_USERS)))


def tenants_rule(name: str, listed: str | None) -> Callable[[str], bool]:
    """Which tenants a user who is not an admin may see, from the text of the Variable; unreadable text opens nothing.

    What is no list of names opens its tenant to nobody: a part of a text is no name, and neither is the key of an object.
    """
    try:
        users = orjson.loads(listed) if listed else {}
    except orjson.JSONDecodeError:
        users = None
    if not isinstance(users, dict):
        log.error("Variable %s is no JSON object: nobody but administrators sees any tenant", TENANT_USERS)
        return lambda _tenant: False
    closed = set(users)
    wrong = sorted(tenant for tenant, names in users.items() if not _names(names))
    if wrong:
        log.error("Variable %s has no list of user names for %s, which nobody sees", TENANT_USERS, ", ".join(wrong))
    allowed = {tenant for tenant in closed - set(wrong) if name in users[tenant]}
    return lambda tenant: tenant in allowed or (tenant == DEFAULT_TENANT and tenant not in closed)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


ViewerDep = Annotated[Viewer, Depends(require_viewer)]
