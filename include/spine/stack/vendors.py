"""Introduces the sandbox vendors to Airflow: one Connection per source and tenant, and the Variable that lists the tenants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from spine.core.names import connection_id
from spine.sandbox.accounts import credentials
from spine.stack.rest import AirflowApi

SOURCES = ("salesforce", "hubspot", "people_files")


def introduce(api: AirflowApi, sandbox: str, drop: Path, tenants: Sequence[str]) -> None:
    """Create or renew the Connections. `allow_private` is set because the sandbox listens on this machine."""
    here = {"allow_private": True}
    for tenant in tenants:
        known = credentials(tenant)
        api.put_connection(
            connection_id("salesforce", tenant),
            "http",
            host=sandbox,
            login=known.client_id,
            password=known.client_secret,
            extra=orjson.dumps({**here, "refresh_token": known.refresh_token}).decode(),
            description=f"Salesforce of tenant {tenant} (sandbox)",
        )
        api.put_connection(
            connection_id("hubspot", tenant),
            "http",
            host=sandbox,
            password=known.hubspot_token,
            extra=orjson.dumps(here).decode(),
            description=f"HubSpot private app of tenant {tenant} (sandbox)",
        )
        api.put_connection(
            connection_id("people_files", tenant),
            "generic",
            host=str(drop / tenant),
            description=f"Folder of people files of tenant {tenant} (sandbox)",
        )
    api.put_variable("spine.tenants", orjson.dumps({source: list(tenants) for source in SOURCES}).decode(), "Tenants of each source")
