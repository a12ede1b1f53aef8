"""A new tenant: what it has after one command, and after a second."""

from __future__ import annotations

import orjson
import psycopg
import pytest
from cryptography.fernet import Fernet

from spine.control import connections
from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.onboarding import Added, add_tenant
from spine.control.variables import MemoryVariables
from spine.core.errors import ConfigError, SourceUnavailable


def find(name: str) -> ConnectionInfo:
    if name.startswith("ipai_connector_hubspot"):
        return ConnectionInfo(name)
    raise ConfigError(f"There is no Airflow Connection {name}")


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> MemoryVariables:
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    return MemoryVariables()


def add(database: Database, variables: MemoryVariables, tenant: str, *sources: str) -> Added:
    return add_tenant(tenant, sources, database=database, variables=variables, find=find, actor="ada")


def listed(variables: MemoryVariables) -> dict[str, list[str]]:
    return orjson.loads(variables.get("spine.tenants") or "{}")


def test_it_is_listed_beside_those_that_are_there(database: Database, variables: MemoryVariables, tenant: str) -> None:
    variables.set("spine.tenants", '{"salesforce": ["north"], "other": ["x"]}')
    add(database, variables, tenant, "salesforce", "hubspot")
    assert listed(variables) == {"salesforce": ["north", tenant], "other": ["x"], "hubspot": ["default", tenant]}


def test_it_has_a_key_and_a_row_for_each_connection_and_hears_which_are_missing(
    database: Database, variables: MemoryVariables, tenant: str, admin_url: str
) -> None:
    done = add(database, variables, tenant, "salesforce", "hubspot")
    assert done.missing == (f"ipai_connector_salesforce__{tenant}",)
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute("SELECT connection_id FROM spine.connectors WHERE tenant_id = %s", (tenant,)).fetchall()
        keys = connection.execute("SELECT count(*) FROM spine.tenant_keys WHERE tenant_id = %s", (tenant,)).fetchone()
    assert {row[0] for row in rows} == {f"ipai_connector_{name}__{tenant}" for name in ("salesforce", "hubspot")}
    assert keys == (1,)


def test_a_second_time_changes_nothing(database: Database, variables: MemoryVariables, tenant: str) -> None:
    first = add(database, variables, tenant, "hubspot")
    before = listed(variables)
    assert add(database, variables, tenant, "hubspot") == first
    assert listed(variables) == before


def test_a_name_that_no_tenant_can_have_is_refused(database: Database, variables: MemoryVariables) -> None:
    with pytest.raises(ConfigError, match="slug"):
        add(database, variables, "Acme Ltd", "hubspot")
    assert listed(variables) == {}


@pytest.mark.parametrize(("failing", "taken"), [(1, False), (0, True)], ids=["80 %", "more"])
def test_a_new_connection_waits_until_most_of_those_that_are_there_work(
    database: Database, variables: MemoryVariables, tenant: str, failing: int, taken: bool
) -> None:
    mine, names = database.of(tenant), [f"source{number}" for number in range(5)]
    add(database, variables, tenant, *names)
    for name in names[:failing]:
        connections.failed(mine, f"ipai_connector_{name}__{tenant}", SourceUnavailable("down"))
    add(database, variables, tenant, *names)  # nothing new
    if taken:
        add(database, variables, tenant, *names, "hubspot")
        return
    with pytest.raises(ConfigError, match=r"1 of 5 connections are paused or have failed \(ipai_connector_source0"):
        add(database, variables, tenant, "hubspot")
    assert "hubspot" not in listed(variables)
    add_tenant(tenant, ["hubspot"], database=database, variables=variables, find=find, actor="ada", anyway=True)
    assert tenant in listed(variables)["hubspot"]
