"""Who may see and do what in PostgreSQL: tenants apart, the application no owner, analysts in Gold only."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from spine.control import audit, connections, ledger, locks, runs
from spine.control import bootstrap as bootstrapping
from spine.control.bootstrap import bootstrap, ensure, ensure_analyst
from spine.control.breaker import Breaker
from spine.control.bucket import Bucket
from spine.control.database import Database, TenantDatabase
from spine.control.embedded import EmbeddedPostgres
from spine.control.migrations.run import migrate
from spine.control.tokens import TokenVault
from spine.core.errors import ConfigError, ControlPlaneUnavailable
from spine.core.tokens import Token

pytestmark = pytest.mark.postgres


def login(admin_url: str, role: str) -> psycopg.Connection:
    url = make_url(admin_url).set(username=role)
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


@pytest.fixture
def app(admin_url: str, control_url: str) -> Iterator[psycopg.Connection]:
    with login(admin_url, "spine_app") as connection:
        yield connection


@pytest.fixture
def gold(admin_url: str, control_url: str, app: psycopg.Connection) -> Iterator[str]:
    """A table in Gold as publishing makes it, with one row per tenant."""
    name = f"gold.t_{uuid4().hex[:8]}"
    app.execute("SET ROLE spine_publisher")
    app.execute(f"CREATE TABLE {name} (tenant_id text, value text)")
    app.execute(f"INSERT INTO {name} VALUES ('default', 'd'), ('acme', 'a'), ('north-wind', 'n')")
    app.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    app.execute(f"CREATE POLICY by_tenant ON {name} USING (tenant_id = ANY ((SELECT gold.my_tenants())::text[]))")
    app.execute(f"GRANT SELECT ON {name} TO analyst")
    app.execute("RESET ROLE")
    yield name
    app.execute("SET ROLE spine_publisher")
    app.execute(f"DROP TABLE {name}")
    app.execute("RESET ROLE")


def rows(connection: psycopg.Connection, table: str) -> list[str]:
    return [row[0] for row in connection.execute(f"SELECT value FROM {table} ORDER BY value")]


def test_it_may_run_again_and_beside_itself(admin_url: str, control_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: bootstrap(admin_url), range(4))) == {control_url}
    migrate(admin_url)


def test_a_command_does_it_only_where_this_version_has_not(admin_url: str, control_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrapping, "bootstrap", lambda _: "done again")
    assert ensure(admin_url) == control_url
    with psycopg.connect(admin_url, autocommit=True) as admin:
        stamp = admin.execute("SELECT obj_description('gold'::regnamespace)").fetchone()
        assert stamp is not None
        for former in ("'spine of another version'", "NULL"):
            admin.execute(f"COMMENT ON SCHEMA gold IS {former}")
            assert ensure(admin_url) == "done again"
        admin.execute(f"COMMENT ON SCHEMA gold IS '{stamp[0]}'")
    assert ensure(admin_url) == control_url


def test_databases_of_one_server_may_be_set_up_at_once(postgres_server: EmbeddedPostgres) -> None:
    names = [f"t_{uuid4().hex[:12]}" for _ in range(3)]
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE DATABASE {name}")
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda name: bootstrap(postgres_server.uri(name)), names))
        for name in names:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_every_table_has_a_tenant_and_forced_row_level_security(admin_url: str, control_url: str) -> None:
    with psycopg.connect(admin_url) as admin:
        found = admin.execute(
            """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, pg_get_userbyid(c.relowner),
                      EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'),
                      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
               FROM pg_class c WHERE c.relnamespace = 'spine'::regnamespace AND c.relkind IN ('r', 'p')
                 AND c.relname <> 'alembic_version'"""
        ).fetchall()
    assert len(found) >= 10
    assert [row for row in found if row[1:] != (True, "spine_owner", True, True)] == []


def test_one_tenant_sees_nothing_of_another_through_any_function(
    control: TenantDatabase, database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch, home: object
) -> None:
    other, connection = f"{tenant}-b", "ipai_connector_salesforce"
    run = runs.SyncRun("salesforce", "r1", connection, "full")
    runs.start(control, run)
    runs.start_stream(control, run, "contacts")
    locks.acquire(control, connection, "r1")
    Breaker(control, connection, failures=1).failure()
    Bucket(control, "b", 1, 0.001).take()
    TokenVault(control, "me").save(connection, Token("secret"))
    ledger.record(control, "r1", ledger.Line("silver", "t", 1, 1))
    connections.pause(control, connection, reason="x", by="ana")

    assert runs.recent_runs(database.of(other)) == []
    assert runs.stream_runs(database.of(other), "salesforce", "r1") == []
    assert locks.held(database.of(other), connection) is None
    assert not locks.release(database.of(other), connection, "r1")
    assert Breaker(database.of(other), connection, failures=1).state() == "closed"
    assert Bucket(database.of(other), "b", 1, 0.001).take() == 0
    assert TokenVault(database.of(other), "me").load(connection) is None
    assert ledger.lines(database.of(other), "r1") == []
    assert connections.state(database.of(other), connection).active
    assert audit.entries(database.of(other)) == []
    with database.of(other).begin() as found:
        tables = found.execute(text("SELECT relname FROM pg_class WHERE relnamespace = 'spine'::regnamespace AND relkind = 'r'"))
        for table in [name for (name,) in tables if name not in {"alembic_version", "buckets"}]:
            assert found.execute(text(f"SELECT count(*) FROM spine.{table}")).scalar_one() == 0, table


def test_a_row_cannot_be_written_for_another_tenant(control: TenantDatabase) -> None:
    with pytest.raises(Exception, match="row-level security"), control.begin() as connection:
        connection.execute(text("INSERT INTO spine.buckets VALUES ('somebody-else', 'b', 1, now())"))


def test_without_a_tenant_there_is_nothing_to_see(control: TenantDatabase, app: psycopg.Connection) -> None:
    locks.acquire(control, "c", "r")
    assert app.execute("SELECT count(*) FROM spine.leases").fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE spine.leases DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE spine.leases NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY by_tenant ON spine.leases",
        "ALTER TABLE spine.leases OWNER TO spine_app",
        "SET ROLE spine_owner",
        "SET ROLE postgres",
        "CREATE TABLE spine.mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "TRUNCATE spine.leases",
        "ALTER ROLE spine_app BYPASSRLS",
        "UPDATE gold.tenant_access SET tenant_id = 'x'",
        "SELECT * FROM gold.tenant_access",
        "CREATE TABLE gold.mine (x int)",
        "UPDATE spine.tenant_keys SET wrapped_key = ''",
    ],
)
def test_the_application_cannot_widen_its_own_rights(app: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM spine.leases",
        "SELECT * FROM spine.audit_log",
        "CREATE TABLE public.mine (x int)",
        "CREATE TEMPORARY TABLE mine (x int)",
        "SELECT * FROM gold.tenant_access",
        "INSERT INTO gold.tenant_access VALUES ('analyst_acme', 'default')",
        "SET ROLE spine_app",
        "SET ROLE spine_publisher",
    ],
)
def test_an_analyst_reads_gold_and_nothing_else(admin_url: str, control_url: str, statement: str) -> None:
    ensure_analyst(admin_url, "acme")
    with login(admin_url, "analyst_acme") as analyst, pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst.execute(statement)


def test_each_analyst_reads_their_tenant_only(admin_url: str, gold: str) -> None:
    assert ensure_analyst(admin_url, "acme") == "analyst_acme"
    assert ensure_analyst(admin_url, "north-wind") == "analyst_north_wind"
    assert ensure_analyst(admin_url, "north-wind") == "analyst_north_wind"
    for role, seen in (("analyst_acme", ["a"]), ("analyst_north_wind", ["n"])):
        with login(admin_url, role) as analyst:
            assert rows(analyst, gold) == seen


def test_a_person_in_the_group_analyst_reads_the_default_tenant(admin_url: str, gold: str) -> None:
    person = f"u_{uuid4().hex[:8]}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {person} LOGIN IN ROLE analyst")
        with login(admin_url, person) as connection:
            assert rows(connection, gold) == ["d"]
        admin.execute(f"DROP ROLE {person}")


def test_an_analyst_of_a_withdrawn_tenant_reads_nothing_rather_than_the_default(admin_url: str, gold: str) -> None:
    role = ensure_analyst(admin_url, "gone")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("DELETE FROM gold.tenant_access WHERE role_name = %s", (role,))
    with login(admin_url, role) as analyst:
        assert rows(analyst, gold) == []


@pytest.mark.parametrize(
    "statement",
    ["SET spine.tenant = 'default'", "SET spine.tenants = '{default}'", "SET search_path = pg_temp, gold", "SET row_security = off"],
)
def test_no_setting_widens_what_an_analyst_reads(admin_url: str, gold: str, statement: str) -> None:
    ensure_analyst(admin_url, "acme")
    with login(admin_url, "analyst_acme") as analyst:
        analyst.execute(statement)
        try:
            assert rows(analyst, gold) == ["a"]
        except psycopg.errors.InsufficientPrivilege:
            assert "row_security" in statement  # PostgreSQL refuses the query instead of showing rows
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("SELECT set_config('role', 'analyst', false)")


def test_the_application_reads_gold_as_a_tenants_analyst_and_not_otherwise(
    admin_url: str, gold: str, app: psycopg.Connection, database: Database
) -> None:
    ensure_analyst(admin_url, "acme")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(app, gold)
    for name, seen in (("acme", ["a"]), ("default", ["d"])):
        with database.of(name).reading_gold() as connection:
            assert list(connection.execute(text(f"SELECT value FROM {gold}")).scalars()) == seen


def test_a_password_is_kept_as_a_hash_only(admin_url: str, control_url: str) -> None:
    url = bootstrap(admin_url, app_password="p@ss/word")
    assert make_url(url).password == "p@ss/word"
    assert "p@ss" not in repr(Database(url))
    with psycopg.connect(admin_url) as admin:
        (stored,) = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'spine_app'").fetchone() or ("",)
    assert stored.startswith("SCRAM-SHA-256$")


def test_a_tenant_must_be_a_slug(database: Database, admin_url: str) -> None:
    with pytest.raises(ConfigError), database.of("a'; DROP SCHEMA spine").begin():
        pass
    with pytest.raises(ConfigError):
        ensure_analyst(admin_url, 'x" SUPERUSER; --')


def test_a_server_that_is_not_there_is_said_plainly_and_without_the_password() -> None:
    nowhere = "postgresql://spine_app:hunter2@127.0.0.1:1/spine"
    with pytest.raises(ControlPlaneUnavailable) as refused, Database(nowhere).of("default").begin():
        pass
    assert refused.value.retryable
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ControlPlaneUnavailable):
        bootstrap(nowhere)


def test_an_administrator_without_superuser_rights_is_enough(postgres_server: EmbeddedPostgres, control_url: str) -> None:
    admin, name = f"a_{uuid4().hex[:8]}", f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {admin} LOGIN CREATEROLE")
        superuser.execute(f"CREATE DATABASE {name} OWNER {admin}")
        for role in ("spine_owner", "spine_publisher", "analyst", "spine_app"):  # as if this administrator had made them
            superuser.execute(f"GRANT {role} TO {admin} WITH ADMIN TRUE")
        with Database(bootstrap(postgres_server.uri(name, user=admin))).of("default").begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM spine.leases")).scalar_one() == 0
        assert ensure_analyst(postgres_server.uri(name, user=admin), "managed") == "analyst_managed"
        superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")
