"""Introduces the sandbox vendors to Airflow: one Connection per source and tenant, and the Variable that lists the tenants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from spine.core.names import connection_id
from spine.core.settings import PRIVATE_NETWORKS, settings
from spine.dagkit.provider import CONN_TYPE
from spine.sandbox.accounts import credentials
from spine.stack.rest import AirflowApi

SOURCES = ("salesforce", "hubspot", "people_files")


def introduce(api: AirflowApi, sandbox: str, drop: Path, tenants: Sequence[str]) -> None:
    """Create or renew the Connections. That the sandbox may be called, which listens on this machine, `allow_loopback` has said."""
    for tenant in tenants:
        known = credentials(tenant)
        api.put_connection(
            connection_id("salesforce", tenant),
            CONN_TYPE,
            host=sandbox,
            login=known.client_id,
            password=known.client_secret,
            extra=_extra("salesforce", tenant, refresh_token=known.refresh_token),
            description=f"Salesforce of tenant {tenant} (sandbox)",
        )
        api.put_connection(
            connection_id("hubspot", tenant),
            CONN_TYPE,
            host=sandbox,
            password=known.hubspot_token,
            extra=_extra("hubspot", tenant),
            description=f"HubSpot private app of tenant {tenant} (sandbox)",
        )
        api.put_connection(
            connection_id("people_files", tenant),
            CONN_TYPE,
            host=str(drop / tenant),
            extra=_extra("people_files", tenant),
            description=f"Folder of people files of tenant {tenant} (sandbox)",
        )
    api.put_variable("spine.tenants", orjson.dumps({source: list(tenants) for source in SOURCES}).decode(), "Tenants of each source")


def allow_loopback() -> None:
    """Let this home's processes call addresses of this machine, where no list of networks is kept yet: the sandbox is there."""
    kept = settings().home / PRIVATE_NETWORKS
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".part")
        partial.write_text("127.0.0.0/8 ::1\n", encoding="utf-8")
        partial.replace(kept)


def _extra(source: str, tenant: str, **more: str) -> str:
    return orjson.dumps({"source": source, "tenant": tenant, **more}).decode()
