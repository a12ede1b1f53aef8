"""Introduces the sandbox vendors to Airflow: one Connection per source and tenant, and the Variable that lists the tenants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from spine.core.names import connection_id
from spine.dagkit.provider import CONN_TYPE
from spine.sandbox.accounts import credentials
from spine.stack.rest import AirflowApi

SOURCES = ("salesforce", "hubspot", "people_files")


def introduce(api: AirflowApi, sandbox: str, drop: Path, tenants: Sequence[str]) -> None:
    """Create or renew the Connections. `allow_private` is set because the sandbox listens on this machine."""
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


def _extra(source: str, tenant: str, **more: str) -> str:
    return orjson.dumps({"source": source, "tenant": tenant, "allow_private": True, **more}).decode()
