"""First service of docker-compose: roles, analysts, Airflow's database, passwords in files, the connectors' pool. Safe to repeat."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from spine.control.bootstrap import bootstrap
from spine.core.names import DEFAULT_TENANT
from spine.core.settings import settings
from spine.stack.analysts import login_of

SERVICES_UID = 50000
# Tables take their indexes and the sequences of their columns along.
_NOT_ITS_OWN = """
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'S') AND c.relowner <> to_regrole(%(role)s)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
UNION ALL
SELECT 'TYPE', n.nspname, t.typname
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd') AND t.typowner <> to_regrole(%(role)s)
"""
FOLDERS = ("airflow", "validations", "results")
_SPARK = """\
spark.authenticate true
spark.authenticate.secret {secret}
spark.network.crypto.enabled true
# The other door of a master: it would take jobs from anybody who reaches it.
spark.master.rest.enabled false
spark.ui.killEnabled false
"""


def let_in() -> None:
    """The application, and the analysts of the first tenant; those of others come with `spine tenant add` in this service."""
    words = {"app_password": os.environ["SPINE_APP_PASSWORD"], "jobs_password": os.environ["SPINE_JOBS_PASSWORD"]}
    bootstrap(os.environ["SPINE_ADMIN_URL"], **words)
    login_of(DEFAULT_TENANT)


def open_store(name: str = "airflow") -> None:
    """Airflow's database, and a role that owns it and nothing else; what an earlier version made as the administrator becomes its own."""
    admin, role = make_url(os.environ["SPINE_ADMIN_URL"]).set(drivername="postgresql"), sql.Identifier(name)
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS").format(role))
        word = connection.pgconn.encrypt_password(os.environ["AIRFLOW_DB_PASSWORD"].encode(), name.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(word)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(role))
        connection.execute(sql.SQL("ALTER DATABASE {0} OWNER TO {0}").format(role))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {}, postgres, template1 FROM PUBLIC").format(role))
        connection.execute(sql.SQL("GRANT pg_use_reserved_connections TO {}").format(role))
    with psycopg.connect(admin.set(database=name).render_as_string(hide_password=False)) as connection:
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(role))
        for kind, schema, thing in connection.execute(_NOT_ITS_OWN, {"role": name}).fetchall():
            connection.execute(sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(kind), sql.Identifier(schema, thing), role))


def main() -> None:
    """Everything the other services wait for."""
    let_in()
    open_store()
    passwords = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    keep(passwords, json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
    keep_spark_secret()
    subprocess.run(["airflow", "db", "migrate"], check=True)
    subprocess.run(["airflow", "pools", "set", "spine_connectors", str(settings().pool_size), "Connector tasks at once"], check=True)
    for folder in FOLDERS:
        hand_over(settings().home / folder)


def keep_spark_secret() -> None:
    """Spark's secret on no command line and in no variable of a running service: a file that the services' user alone reads."""
    folder = Path(os.environ["SPARK_CONF_DIR"])
    draft = folder / ".spark-defaults.conf"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(_SPARK.format(secret=os.environ["SPARK_SECRET"]))
    folder.chmod(0o700)
    hand_over(folder)
    draft.replace(folder / "spark-defaults.conf")


def keep(path: Path, content: str) -> None:
    """A file for its owner alone, in place of whatever has its name: the services may have put a link there, and this is root."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(content)
    draft.replace(path)


def hand_over(folder: Path) -> None:
    """A folder and all in it to the services; links in it, which the services may have made, are themselves handed over, not followed."""
    os.chown(folder, SERVICES_UID, SERVICES_UID, follow_symlinks=False)
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, SERVICES_UID, SERVICES_UID, dir_fd=descriptor, follow_symlinks=False)


if __name__ == "__main__":
    main()
