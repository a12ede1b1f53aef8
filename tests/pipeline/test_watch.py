"""What one tenant, or whoever edits a Variable, has put there keeps nobody else from being watched, planned and closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import orjson
import psycopg
import pytest
from sqlalchemy import text

from spine.control import events, locks
from spine.control.airflow_state import ConnectionInfo, _info, tenants
from spine.control.database import Database
from spine.control.tokens import TokenVault
from spine.control.variables import MemoryVariables
from spine.core import clock
from spine.core.errors import ConfigError, JobFailed, SpineError
from spine.core.names import connection_id
from spine.core.tokens import Token
from spine.pipeline import closing, planning
from spine.pipeline.services import Services
from spine.pipeline.watch import all_tenants, watch
from spine.pipeline.work import Sync
from spine.sources.spec import source_names

pytestmark = pytest.mark.postgres
ALLOWED = dict.fromkeys(("critical", "standard", "best_effort"), timedelta(hours=1))
SOURCES = ("salesforce", "hubspot", "people_files")


@pytest.fixture
def names(tenant: str) -> list[str]:
    return [f"{tenant}{letter}" for letter in "abc"]


@pytest.fixture
def make(database: Database, names: list[str]) -> Callable[..., Services]:
    """Services of three tenants; the connection of the first one is what `odd` gives, the others' secrets end soon."""

    def build(odd: Callable[[], ConnectionInfo], **variables: str) -> Services:
        def connections(name: str) -> ConnectionInfo:
            return odd() if names[0] in name else ConnectionInfo(name, extra={"expires": "2026-01-01"})

        listed = {"spine.tenants": orjson.dumps(dict.fromkeys(SOURCES, names)).decode()}
        return Services(database, MemoryVariables(listed | variables), connections)

    return build


def missing() -> ConnectionInfo:
    raise ConfigError("There is no Airflow Connection")


def broken() -> ConnectionInfo:
    raise TypeError("cannot convert dictionary update sequence")


@pytest.mark.parametrize("odd", [missing, broken, lambda: ConnectionInfo("c", extra={"expires": ["x"]})])
def test_a_broken_connection_keeps_nobody_else_from_being_watched(make: Callable[..., Services], names: list[str], odd: object) -> None:
    services = make(odd)
    with suppress(ConfigError, JobFailed):  # told at the end, unless the sync that needs it tells it
        watch(services, ALLOWED, lambda dag: None)
    for name in names[1:]:
        found = {told.event.kind for told in events.recent(services.database.of(name))}
        assert found == {"credential.expiring"}


def test_a_grant_that_ends_within_a_day_is_told_once(make: Callable[..., Services], names: list[str]) -> None:
    services, name = make(lambda: ConnectionInfo("c")), connection_id("salesforce", names[0])
    database = services.database.of(names[0])
    TokenVault(database, "run").save(name, Token("a", "r", grant_expires_at=clock.now() + timedelta(hours=5)))
    with database.begin() as connection:
        connection.execute(text("UPDATE spine.oauth_tokens SET rotated_at = now() - interval '80 days'"))
    for _ in range(2):
        watch(services, ALLOWED, lambda dag: None)
    assert [told.event.kind for told in events.recent(database)] == ["credential.expiring"]


@pytest.mark.parametrize("content", ['"acme"', "[1]", '[["a"]]', '["No Slug"]', '{"a": 1}'])
def test_a_malformed_list_of_one_source_is_refused_and_leaves_the_other_sources(
    make: Callable[..., Services], names: list[str], content: str
) -> None:
    others = {name: names if name == "hubspot" else [] for name in source_names() if name != "salesforce"}
    whole = f'{{"salesforce": {content}, {orjson.dumps(others).decode()[1:]}'
    services = make(missing, **{"spine.tenants": whole})
    with pytest.raises(ConfigError):
        services.tenants("salesforce")
    assert all_tenants(services) == names
    with pytest.raises(ConfigError):
        watch(services, ALLOWED, lambda dag: None)
    assert events.recent(services.database.of(names[2]))


def test_a_tenant_that_is_listed_twice_is_read_once() -> None:
    assert tenants("crm", MemoryVariables({"spine.tenants": '{"crm": ["a", "b", "a"]}'})) == ["a", "b"]


def test_an_extra_that_is_no_object_is_refused_by_name() -> None:
    found = SimpleNamespace(conn_id="ipai_connector_crm", extra_dejson=["token"])
    with pytest.raises(ConfigError, match="extra of Connection ipai_connector_crm is no JSON object"):
        _info(found)


@pytest.mark.parametrize("cursor", ["no JSON", '{"value": "long ago", "updated_at": "", "run_id": "", "field": "SystemModstamp"}', "[]"])
def test_a_spoilt_cursor_leaves_its_own_tenant_out_of_the_plan(make: Callable[..., Services], names: list[str], cursor: str) -> None:
    variable = f"spine.cursor.{connection_id('salesforce', names[0])}.contacts"
    services = make(missing, **{variable: cursor})
    works = planning.plan(Sync("salesforce", "r1", streams=["contacts"]), services, whole=True)
    assert [work.tenant for work in works] == names[1:]
    assert locks.held(services.database.of(names[0]), connection_id("salesforce", names[0])) is None


def test_every_tenants_lock_is_released_whatever_one_of_them_has(
    make: Callable[..., Services], names: list[str], lake: str, home: Path, admin_url: str
) -> None:
    services = make(missing)
    planning.plan(Sync("salesforce", "r1", streams=["contacts"]), services)
    with psycopg.connect(admin_url) as connection:  # what a failing write of this tenant looks like
        connection.execute(f"ALTER TABLE spine.sync_runs ADD CONSTRAINT odd CHECK (tenant_id <> '{names[0]}' OR status = 'running')")
    try:
        with pytest.raises(SpineError) as caught:
            closing.finish("salesforce", "r1", names, services)
    finally:
        with psycopg.connect(admin_url) as connection:
            connection.execute("ALTER TABLE spine.sync_runs DROP CONSTRAINT odd")
    assert caught.value.where["tenant"] == names[0]
    for name in names[1:]:
        assert locks.held(services.database.of(name), connection_id("salesforce", name)) is None
    closing.finish("salesforce", "r1", names, services)
    assert locks.held(services.database.of(names[0]), connection_id("salesforce", names[0])) is None
