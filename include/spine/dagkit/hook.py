"""The hook behind the connection type `spine`: what the Test button of Airflow's form calls. Runs use no hook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow.sdk import BaseHook

from spine.control.airflow_state import ConnectionInfo, mask
from spine.core.clock import now, to_text
from spine.core.errors import SpineError
from spine.core.names import DEFAULT_TENANT, connection_id
from spine.dagkit.provider import CONN_TYPE


class ConnectorHook(BaseHook):
    """One account at one source."""

    conn_name_attr = "connector_conn_id"
    default_conn_name = "ipai_connector"
    conn_type = CONN_TYPE
    hook_name = "Connected Data Spine source"

    def __init__(self, connector_conn_id: str = default_conn_name, **others: Any) -> None:
        super().__init__(**others)
        self.connector_conn_id = connector_conn_id

    def test_connection(self) -> tuple[bool, str]:
        """Ask each stream of the source for a page, as `spine connector test` does; True and what answered, or False and why not.

        Airflow tests the form under a name of its own, so the form says which source and tenant it is for.
        """
        from spine.pipeline.probe import probe
        from spine.pipeline.services import services_from_environment

        given = self.get_connection(self.connector_conn_id)
        extra = given.extra_dejson
        source, tenant = str(extra.get("source") or ""), str(extra.get("tenant") or DEFAULT_TENANT)
        if not source:
            return False, "Choose the source in this form, so that Test knows what to ask"
        try:
            info = ConnectionInfo(
                connection_id(source, tenant), given.conn_type, given.host or "", given.port, given.schema or "", given.login or "",
                given.password or "", extra,
            )  # fmt: skip
            mask(info.secrets())
            services = replace(services_from_environment(), connections=lambda _name: info)
            found = probe(source, tenant, services, f"test {to_text(now())}")
        except SpineError as error:
            return False, error.describe()
        if found.error is not None:
            return False, "; ".join([found.error.describe(), *found.remarks])
        answered = [f"{stream.stream}: {stream.records} records on a first page" for stream in found.streams]
        return True, "; ".join([*answered, *found.remarks])
