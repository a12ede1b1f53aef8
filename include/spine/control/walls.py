"""What keeps an analyst's login from taking PostgreSQL away from the application. Part of set-up; safe to run again.

A login may change most settings of its own session, and those of its own role, so a time-out alone is a courtesy. What holds: the number of
connections, slots kept for the application, functions that are taken from PUBLIC, limits on temporary files and on the server's log, and
`control.sessions`, which ends what goes beyond the limits. Functions, slots, files and the log need a superuser, which a managed server may
not have.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from spine.core.screen import logger
from spine.core.settings import settings

_log = logger(__name__)

# Locks, large objects and messages fill a table of locks, a disk or the log, which everybody shares, and nobody here uses any of them.
# Counters of rows tell totals of all tenants together, and how they grow.
_TAKE = r"""
DO $do$ DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT p.oid::regprocedure FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND a.grantee = 0
          AND (p.proname ~ '^(pg_(try_)?advisory_\w+|lo_\w+|loread|lowrite|pg_logical_emit_message|pg_notify)$'
               OR p.proname ~ '^pg_stat_get_(xact_)?(live_tuples|dead_tuples|tuples_\w+|ins_since_vacuum|mod_since_analyze)$')
    LOOP
        EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || name || ' FROM PUBLIC';
    END LOOP;
END $do$
"""
# Rows that PostgreSQL 16 and 17 have no function to forget: samples of every tenant's values, which an estimate of EXPLAIN tells.
_FORGET = """
DELETE FROM pg_statistic s USING pg_class c, pg_attribute a
WHERE c.oid = s.starelid AND c.relnamespace = 'gold'::regnamespace AND c.relrowsecurity
  AND a.attrelid = s.starelid AND a.attnum = s.staattnum AND a.attstattarget = 0
"""
_MOST_TEMP = 2_000_000  # megabytes; PostgreSQL counts kilobytes in 31 bits
APPLICATION = {"lock_timeout": "30s", "idle_in_transaction_session_timeout": "15min"}


def raise_walls(connection: Connection) -> None:
    """Take from PUBLIC what nobody needs, keep slots for the application, and limit the analysts that are there."""
    if is_superuser(connection):
        connection.exec_driver_sql(_TAKE)
        connection.exec_driver_sql(_FORGET)
        connection.exec_driver_sql("GRANT pg_use_reserved_connections TO spine_app, spine_jobs")
    else:
        _log.warning("The administrator is no superuser: see docs/security.md for what any login may do on such a server")
    for role in ("spine_app", "spine_jobs"):
        _settle(connection, role, APPLICATION)
    connection.exec_driver_sql("SET LOCAL ROLE spine_owner")
    roles = connection.execute(text("SELECT DISTINCT role_name FROM gold.tenant_access WHERE role_name <> 'analyst'")).scalars().all()
    connection.exec_driver_sql("RESET ROLE")
    for role in roles:
        limit_analyst(connection, role)


def limit_analyst(connection: Connection, role: str) -> None:
    """Give a tenant's login its limits anew, whatever it has set for itself."""
    limits = settings().analyst_limits
    minutes = f"{limits.minutes}min"
    wanted = {"statement_timeout": minutes, "idle_in_transaction_session_timeout": minutes, "idle_session_timeout": f"{limits.idle}min"}
    wanted["lock_timeout"] = "10s"
    if is_superuser(connection):
        # Each session has a limit of its own. What an analyst raises, or makes fail, is a text of any length in the server's log.
        share = min(max(1, limits.temp * 1024 // limits.connections), _MOST_TEMP)
        wanted |= {"temp_file_limit": f"{share}MB", "log_min_messages": "fatal"}
    _settle(connection, role, wanted, limits.connections)


def is_superuser(connection: Connection) -> bool:
    """True if the role that logged in is a superuser."""
    return bool(connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")).scalar())


def _settle(connection: Connection, role: str, wanted: dict[str, str], connections: int | None = None) -> None:
    """Exactly these settings of a role; untouched if it has them, since two databases of one server share it."""
    found = connection.execute(
        text("""
        SELECT r.rolconnlimit, coalesce(s.setconfig, '{}') AS settings, pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION') AS may
        FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0 WHERE r.rolname = :role
        """),
        {"role": role},
    ).first()
    if found is None or not found.may:
        return
    if connections is not None and found.rolconnlimit != connections:
        connection.exec_driver_sql(f'ALTER ROLE "{role}" CONNECTION LIMIT {connections}')
    if set(found.settings) != {f"{name}={value}" for name, value in wanted.items()}:
        connection.exec_driver_sql(f'ALTER ROLE "{role}" RESET ALL')
        for name, value in wanted.items():
            connection.exec_driver_sql(f"ALTER ROLE \"{role}\" SET {name} = '{value}'")
