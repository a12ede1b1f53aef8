"""The compose file: what must outlive a container is in a volume or in `.env`, and everybody who logs in has a login."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy.engine import make_url

from spine.control.bootstrap import bootstrap
from spine.control.embedded import EmbeddedPostgres
from spine.core.settings import PROJECT
from spine.stack.files import secret_path

TEXT = (PROJECT / "docker-compose.yaml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image", "").startswith("connected-data-spine")}
# pragma: allowlist nextline secret
PASSWORDS = {"SPINE_APP_PASSWORD": "app-word", "SPINE_JOBS_PASSWORD": "jobs-word", "SPINE_ANALYST_PASSWORD": "analyst-word"}


VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:\?|:-)?")
LAKE = {"spark-worker-1", "spark-worker-2", "airflow-init", "airflow-api-server", "airflow-scheduler"}
# Which service may know a secret, by the variable of `.env` that holds it.
MAY_KNOW = {
    "POSTGRES_PASSWORD": {"postgres", "airflow-init"},
    "SPINE_ANALYST_PASSWORD": {"airflow-init"},
    "AIRFLOW_ADMIN_PASSWORD": {"airflow-init"},
    "SPINE_APP_PASSWORD": {"airflow-init", "airflow-scheduler"},
    "SPINE_JOBS_PASSWORD": {"airflow-init", "airflow-scheduler"},
    "SPINE_FERNET_KEY": {"airflow-init", "airflow-scheduler"},
    "AIRFLOW_DB_PASSWORD": {"airflow-init", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"},
    "AIRFLOW_FERNET_KEY": {"airflow-init", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"},
    "AIRFLOW_SECRET_KEY": {"airflow-init", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"},
    "AIRFLOW_JWT_SECRET": {"airflow-init", "airflow-api-server", "airflow-scheduler"},
    "SPINE_PROXY": {"airflow-init", "airflow-scheduler"},  # may hold a password
    "SPARK_SECRET": {"spark-master", "spark-worker-1", "spark-worker-2", "airflow-scheduler"},
    "S3_ACCESS_KEY": {"storage", "storage-init", *LAKE},
    "S3_SECRET_KEY": {"storage", "storage-init", *LAKE},
}
CONFIGS: dict[str, Any] = yaml.safe_load(TEXT)["configs"]


def known_to(name: str) -> set[str]:
    """The variables of `.env` that reach a service, by its environment, command or mounted configurations."""
    service = SERVICES[name]
    given = [service.get("environment"), service.get("command"), *(CONFIGS[one["source"]] for one in service.get("configs", []))]
    return {found[0] for found in VARIABLE.findall(str(given))}


def test_a_secret_reaches_the_services_that_need_it_and_no_other() -> None:
    secrets = {*re.findall(r"\$\{([A-Z0-9_]+):\?", TEXT), "SPINE_PROXY"}
    assert {secret: {name for name in SERVICES if secret in known_to(name)} for secret in secrets} == MAY_KNOW


def test_the_variables_of_the_file_and_of_the_example_are_the_same() -> None:
    example = set(re.findall(r"^([A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert {found[0] for found in VARIABLE.findall(TEXT)} == example


def test_nothing_but_the_first_service_and_the_server_itself_connects_as_an_administrator() -> None:
    as_admin = {name for name, service in SERVICES.items() if "postgres:$" in str(service.get("environment"))}
    assert as_admin == {"airflow-init"}
    assert {name for name, service in OURS.items() if "SPINE_ADMIN_URL" in service.get("environment", {})} == {"airflow-init"}


def test_no_secret_is_on_a_command_line() -> None:
    for name, service in SERVICES.items():
        asked = [service.get(word) for word in ("command", "entrypoint", "healthcheck")]
        assert not {found[0] for found in VARIABLE.findall(str(asked))} & set(MAY_KNOW), name


def test_spark_asks_for_a_secret_that_is_in_a_file_of_the_services_user() -> None:
    settings = dict(
        line.split(maxsplit=1) for line in CONFIGS["spark-defaults"]["content"].splitlines() if line and not line.startswith("#")
    )
    assert settings["spark.authenticate"] == settings["spark.network.crypto.enabled"] == "true"
    assert settings["spark.master.rest.enabled"] == "false"
    mounted = {name: service["configs"] for name, service in SERVICES.items() if service.get("configs")}
    assert set(mounted) == MAY_KNOW["SPARK_SECRET"]
    for name, (one,) in mounted.items():
        assert (one["uid"], one["mode"]) == ("50000", 0o400)
        assert Path(one["target"]).parent == Path(SERVICES[name]["environment"]["SPARK_CONF_DIR"])


def test_a_service_has_no_right_that_it_does_not_need() -> None:
    needed = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}, "airflow-init": {"CHOWN", "DAC_OVERRIDE", "FOWNER"}}
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", [])) == needed.get(name, set()), name
        assert not service.get("privileged"), name
        assert service.get("read_only") or name == "postgres", name
    assert {name for name, service in OURS.items() if service["user"] != "50000:50000"} == {"airflow-init"}


def test_what_is_opened_to_the_outside_is_opened_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.postgres
def test_the_first_service_makes_the_analysts_of_the_first_tenant(
    admin_url: str, postgres_server: EmbeddedPostgres, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SPINE_ADMIN_URL": admin_url, **PASSWORDS}.items():
        monkeypatch.setenv(name, value)
    let_in = runpy.run_path(str(PROJECT / "scripts" / "compose_init.py"))["let_in"]
    let_in()
    let_in()
    with psycopg.connect(admin_url) as admin:
        found = dict(admin.execute("SELECT rolname, rolpassword IS NOT NULL FROM pg_authid WHERE rolcanlogin").fetchall())
        tenants = admin.execute("SELECT tenant_id FROM gold.tenant_access WHERE role_name = 'analyst_default'").fetchall()
    assert (found["analyst_default"], found["spine_app"], tenants) == (True, True, [("default",)])
    assert not secret_path("").exists(), "its password is the deployment's, which keeps it"


@pytest.mark.postgres
def test_airflow_owns_its_database_and_nothing_else_also_where_the_administrator_made_it(
    admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SPINE_ADMIN_URL": admin_url, "AIRFLOW_DB_PASSWORD": "it's-airflows"}.items():  # pragma: allowlist secret
        monkeypatch.setenv(name, value)
    name = f"airflow_{os.urandom(4).hex()}"
    whole = make_url(admin_url).set(drivername="postgresql")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(whole.set(database=name).render_as_string(hide_password=False)) as former:
        former.execute("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE dag (id serial PRIMARY KEY, mood mood); CREATE SEQUENCE lone")
    open_store = runpy.run_path(str(PROJECT / "scripts" / "compose_init.py"))["open_store"]
    open_store(name)
    open_store(name)
    try:
        with psycopg.connect(whole.set(database=name, username=name).render_as_string(hide_password=False)) as airflow:
            airflow.execute("ALTER TABLE dag ADD COLUMN x int; ALTER TYPE mood ADD VALUE 'glad'; DROP SEQUENCE lone; CREATE TABLE new ()")
            rights = airflow.execute("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = %s", [name])
            assert rights.fetchone() == (False, False, False, False)
        with psycopg.connect(admin_url) as admin:
            word = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [name]).fetchone()
            assert word is not None
            assert word[0].startswith("SCRAM-SHA-256$")
        bootstrap(admin_url)
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(whole.set(username=name).render_as_string(hide_password=False))
    finally:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.execute(f"DROP ROLE {name}")
