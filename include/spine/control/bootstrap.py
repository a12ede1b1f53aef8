"""Roles, schemas and rights of the control plane and of Gold, made with an administrator's URL; safe to run again.

| role | may |
| --- | --- |
| spine_owner | owns schema `spine`; nobody logs in as it |
| spine_app | log in; read and write rows of schema `spine` under row-level security; become spine_publisher or an analyst by SET ROLE |
| spine_jobs | log in, for Spark jobs: keep the ledger and add events, under row-level security, and nothing else |
| spine_publisher | owns schema `gold` |
| analyst | read `gold`; alone it means tenant `default` |
| analyst_<tenant> | log in, within limits (`control.walls`); read the rows of that tenant in `gold` |

Policies of Gold's tables ask `gold.my_tenants()`: `USING (tenant_id = ANY ((SELECT gold.my_tenants())::text[]))`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, InternalError, ProgrammingError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from spine.control.database import analyst_role, new_engine, one_at_a_time, psycopg_url, reachable
from spine.control.walls import is_superuser, limit_analyst, raise_walls
from spine.core.errors import ControlPlaneUnavailable
from spine.core.names import require_tenant

_ROLES = {
    "spine_owner": "NOLOGIN",
    "spine_publisher": "NOLOGIN",
    "analyst": "NOLOGIN",
    "spine_app": "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
    "spine_jobs": "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
}

_SCHEMAS = """
CREATE SCHEMA IF NOT EXISTS spine AUTHORIZATION spine_owner;
CREATE SCHEMA IF NOT EXISTS gold AUTHORIZATION spine_publisher;
REVOKE ALL ON SCHEMA spine, gold FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA spine TO spine_app, spine_jobs;
GRANT USAGE ON SCHEMA gold TO analyst;
GRANT USAGE, CREATE ON SCHEMA gold TO spine_owner;
"""

# The role that counts is the one in force: SET ROLE if used (PostgreSQL has checked that it may be), otherwise the login.
# Inside a SECURITY DEFINER function current_user is the definer, so the setting `role` is asked; it cannot be forged.
# USAGE, not MEMBER: a role that must be taken up by SET ROLE first does not count. `analyst` alone means `default`; whoever
# has a tenant's role never falls back to it, not even when that tenant's row is gone.
_TENANTS = """
CREATE TABLE IF NOT EXISTS gold.tenant_access (
    role_name text NOT NULL,
    tenant_id text NOT NULL,
    PRIMARY KEY (role_name, tenant_id)
);
REVOKE ALL ON gold.tenant_access FROM PUBLIC;
CREATE OR REPLACE FUNCTION gold.my_tenants() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH me AS (
        SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END AS name
    ), mine AS (
        SELECT r.rolname FROM pg_roles r, me
        WHERE (r.rolname = 'analyst' OR starts_with(r.rolname, 'analyst_')) AND pg_has_role(me.name, r.oid, 'USAGE')
    )
    SELECT coalesce(array_agg(DISTINCT a.tenant_id), '{}')
    FROM gold.tenant_access a JOIN mine ON mine.rolname = a.role_name
    WHERE a.role_name <> 'analyst' OR NOT EXISTS (SELECT FROM mine WHERE rolname <> 'analyst')
$$;
REVOKE ALL ON FUNCTION gold.my_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gold.my_tenants() TO analyst, spine_publisher;
COMMENT ON TABLE gold.tenant_access IS 'Which analyst role may read which tenant';
COMMENT ON FUNCTION gold.my_tenants() IS 'Tenants that the role in force may read; asked by the policies of all tables in gold';
INSERT INTO gold.tenant_access VALUES ('analyst', 'default') ON CONFLICT DO NOTHING;
"""


# The publisher's own memory, which is locked by each publication too. It is here, so that a first one has something to lock.
_STATE = """
CREATE TABLE IF NOT EXISTS gold.publication_state (
    entity text PRIMARY KEY,
    fingerprint text NOT NULL,
    versions jsonb NOT NULL,
    run_id text NOT NULL,
    published_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE gold.publication_state IS 'What was published last of each entity; for the publisher alone';
"""
_STAMPED = ("spine", "gold")  # whoever drops one of them drops its comment too
_COMMENT = text("SELECT obj_description(to_regnamespace(:schema), 'pg_namespace')")


def _collided(error: BaseException) -> bool:
    """Roles belong to the whole server, so two databases set up at once can collide on them: the loser tries again."""
    if isinstance(error, IntegrityError | InternalError):
        return True
    return isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", "") in {"42710", "42P06"}


_again = retry(retry=retry_if_exception(_collided), stop=stop_after_attempt(8), wait=wait_random_exponential(0.1, max=2), reraise=True)


def bootstrap(admin_uri: str, *, app_password: str | None = None, jobs_password: str | None = None) -> str:
    """Make roles, schemas and tables in the database of `admin_uri`; returns the URL for `Database`.

    Needs PostgreSQL 16 or later and a role that may create roles. Without passwords the server must trust the logins of `spine_app`
    and `spine_jobs` (the embedded one does). Raises ControlPlaneUnavailable.
    """
    from spine.control.migrations.run import migrate

    url = psycopg_url(admin_uri)
    _prepare(url, {"spine_app": app_password, "spine_jobs": jobs_password})
    migrate(admin_uri)
    _finish(url)
    return url.set(username="spine_app", password=app_password).render_as_string(hide_password=False)


def ensure(admin_uri: str) -> str:
    """What `bootstrap` returns; it is run only where this version has not run it before, which spares each command its imports."""
    url = psycopg_url(admin_uri).set(username="spine_app")
    engine = new_engine(url)
    try:
        with reachable(url), engine.begin() as connection:  # as the application: an administrator is needed for what is to be made only
            found = {connection.execute(_COMMENT, {"schema": schema}).scalar() for schema in _STAMPED}
    except ControlPlaneUnavailable:  # there is no such login yet, or no server, which `bootstrap` says
        found = set()
    finally:
        engine.dispose()
    return url.render_as_string(hide_password=False) if found == {_stamp()} else bootstrap(admin_uri)


@_again
def _finish(url: URL) -> None:
    """Walls come after the migrations: what an earlier version asks of PostgreSQL works until its last moment."""
    with _administering(url) as connection:
        raise_walls(connection)
        for schema in _STAMPED:
            connection.exec_driver_sql(f"COMMENT ON SCHEMA {schema} IS '{_stamp()}'")


def _stamp() -> str:
    """Changes with whatever `bootstrap` would do."""
    here = Path(__file__)
    files = sorted([here, here.with_name("walls.py"), *(here.parent / "migrations" / "versions").glob("*.py")])
    return f"spine {hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()[:16]}"


def ensure_analyst(admin_uri: str, tenant_id: str, *, password: str | None = None) -> str:
    """Make the login role of a tenant's analysts, able to read that tenant's Gold only; returns its name."""
    role = analyst_role(require_tenant(tenant_id))
    _make_analyst(psycopg_url(admin_uri), role, tenant_id, password)
    return role


@contextmanager
def _administering(url: URL) -> Iterator[Connection]:
    """A transaction as the administrator, one at a time."""
    engine = new_engine(url)
    try:
        with reachable(url), engine.begin() as connection:
            one_at_a_time(connection)
            yield connection
    finally:
        engine.dispose()


@_again
def _prepare(url: URL, passwords: dict[str, str | None]) -> None:
    with _administering(url) as connection:
        for role, options in _ROLES.items():
            _ensure_role(connection, role, options)
        _become_owner_when_not_superuser(connection)
        for role in ("spine_publisher", "analyst"):
            _ensure_member(connection, role, "spine_app", "INHERIT FALSE, SET TRUE")
        _database_rights(connection)
        connection.exec_driver_sql(_SCHEMAS)
        connection.exec_driver_sql("SET LOCAL ROLE spine_owner")
        connection.exec_driver_sql(_TENANTS)
        connection.exec_driver_sql("SET LOCAL ROLE spine_publisher")
        connection.exec_driver_sql(_STATE)
        connection.exec_driver_sql("RESET ROLE")
        for role, password in passwords.items():
            if password is not None:
                _set_password(connection, role, password)


@_again
def _make_analyst(url: URL, role: str, tenant_id: str, password: str | None) -> None:
    with _administering(url) as connection:
        _ensure_role(connection, role, "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS")
        _ensure_member(connection, "analyst", role, "INHERIT TRUE, SET FALSE")
        _ensure_member(connection, role, "spine_app", "INHERIT FALSE, SET TRUE")
        connection.exec_driver_sql("SET LOCAL ROLE spine_owner")
        connection.execute(
            text("INSERT INTO gold.tenant_access VALUES (:role, :tenant) ON CONFLICT DO NOTHING"),
            {"role": role, "tenant": tenant_id},
        )
        connection.exec_driver_sql("RESET ROLE")
        limit_analyst(connection, role)
        if password is not None:
            _set_password(connection, role, password)


def _ensure_role(connection: Connection, role: str, options: str) -> None:
    if not connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first():
        connection.exec_driver_sql(f'CREATE ROLE "{role}" {options}')


def _ensure_member(connection: Connection, role: str, member: str, options: str) -> None:
    present = connection.execute(
        text("SELECT 1 FROM pg_auth_members WHERE roleid = to_regrole(:role) AND member = to_regrole(:member)"),
        {"role": f'"{role}"', "member": f'"{member}"'},
    ).first()
    if not present:
        connection.exec_driver_sql(f'GRANT "{role}" TO "{member}" WITH {options}')


def _become_owner_when_not_superuser(connection: Connection) -> None:
    """On a managed server the administrator is no superuser and must be able to act as the owners."""
    if not is_superuser(connection):
        connection.exec_driver_sql("GRANT spine_owner, spine_publisher TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")


def _database_rights(connection: Connection) -> None:
    name = connection.dialect.identifier_preparer.quote(str(connection.execute(text("SELECT current_database()")).scalar()))
    connection.exec_driver_sql(f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC")
    connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE {name} TO spine_app, spine_jobs, analyst")
    connection.exec_driver_sql(f"GRANT TEMPORARY ON DATABASE {name} TO spine_app, spine_publisher")


def _set_password(connection: Connection, role: str, password: str) -> None:
    """Hashed on this side, so that the server's statement log never shows it."""
    driver = connection.connection.driver_connection
    assert driver is not None
    digest = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.exec_driver_sql(f"ALTER ROLE \"{role}\" PASSWORD '{digest}'")
