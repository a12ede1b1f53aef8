"""The compose file: what must outlive a container is in a volume or in `.env`, and everybody who logs in has a login."""

from __future__ import annotations

import os
import re
import runpy
import sys
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
    "SPARK_SECRET": {"airflow-init"},  # which leaves it in a file, for those of SPARK
    "S3_ACCESS_KEY": {"storage", "storage-init", *LAKE},
    "S3_SECRET_KEY": {"storage", "storage-init", *LAKE},
}
SPARK = {"spark-master", "spark-worker-1", "spark-worker-2", "airflow-scheduler"}
INIT = runpy.run_path(str(PROJECT / "scripts" / "compose_init.py"))


def known_to(name: str) -> set[str]:
    """The variables of `.env` that reach a service, by its environment or command."""
    service = SERVICES[name]
    return {found[0] for found in VARIABLE.findall(str([service.get("environment"), service.get("command")]))}


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


def test_spark_asks_for_a_secret_that_is_in_a_file_of_the_services_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setattr(os, "chown", lambda path, user, group, **more: given.append((str(path), user, group)))  # who is not root may not
    for word in ("first", "second"):
        given: list[tuple[str, int, int]] = []
        monkeypatch.setenv("SPARK_SECRET", word)
        INIT["keep_spark_secret"]()
        (file,) = tmp_path.iterdir()
        assert (file.name, file.stat().st_mode & 0o777, tmp_path.stat().st_mode & 0o777) == ("spark-defaults.conf", 0o400, 0o700)
        assert {owner[1:] for owner in given} == {(50000, 50000)}
    lines = [line.split(maxsplit=1) for line in file.read_text().splitlines() if line and not line.startswith("#")]
    settings = dict(lines)
    assert settings["spark.authenticate"] == settings["spark.network.crypto.enabled"] == "true"
    assert settings["spark.authenticate.secret"] == "second"  # pragma: allowlist secret
    assert settings["spark.master.rest.enabled"] == "false"


def mounts(name: str) -> dict[str, str]:
    """What is mounted where in a service, anonymous volumes by an empty name."""
    found = {}
    for volume in SERVICES[name].get("volumes", []):
        source, _, target = volume.rpartition(":") if volume.count(":") < 2 else volume.removesuffix(":ro").rpartition(":")
        found[target] = source
    return found


def test_spark_s_file_reaches_the_services_that_need_it_and_one_writes_it() -> None:
    at = {name: where for name in SERVICES for where, source in mounts(name).items() if source == "spark-conf"}
    assert set(at) == SPARK | {"airflow-init"}
    for name, where in at.items():
        assert SERVICES[name]["environment"]["SPARK_CONF_DIR"] == where
        assert (f"spark-conf:{where}:ro" in SERVICES[name]["volumes"]) == (name in SPARK)
    waiting = {name: SERVICES[name].get("depends_on", {}) for name in SPARK}
    assert all("airflow-init" in after or "spark-master" in after for after in waiting.values())


def test_nothing_is_copied_into_a_container_that_is_read_only() -> None:
    """Compose cannot put a configuration with content, or a secret from a variable, into one, and refuses to start it."""
    assert not {
        name for name, service in SERVICES.items() if service.get("read_only") and (service.get("configs") or service.get("secrets"))
    }


def test_what_runs_spark_may_run_what_java_unpacks() -> None:
    """Docker mounts a tmpfs without that right, and Spark unpacks its native libraries (zstd, snappy, lz4) into /tmp."""
    for name in SPARK:
        (tmp,) = (one for one in SERVICES[name]["tmpfs"] if one.startswith("/tmp"))
        assert "exec" in tmp.partition(":")[2].split(",")


def test_a_server_that_is_still_setting_itself_up_is_not_taken_for_one_that_is_there() -> None:
    """PostgreSQL's image starts one on its socket alone first, and ends it again."""
    (_, command) = SERVICES["postgres"]["healthcheck"]["test"]
    assert "--host 127.0.0.1" in command


def test_every_service_starts_after_what_it_needs_and_the_first_one_after_nothing_that_needs_it() -> None:
    """Followed from each service to what it waits for; a circle, a name that is not there, or a condition that never comes true fails."""

    def before(name: str, path: tuple[str, ...] = ()) -> set[str]:
        assert name not in path, path
        found = set[str]()
        for other, how in SERVICES[name].get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], other
            assert how["condition"] != "service_completed_successfully" or SERVICES[other]["restart"] == "no", other
            found |= {other} | before(other, (*path, name))
        return found

    for name in OURS:
        assert before(name) >= {"postgres", "storage", "storage-init"} | ({"airflow-init"} if name != "airflow-init" else set()), name


def test_what_a_service_writes_is_a_volume_or_a_tmpfs_of_its_user() -> None:
    """On a read-only root; what the settings and Airflow call their folders."""
    for name in OURS:
        given = {**mounts(name), **{one.partition(":")[0]: "tmpfs" for one in SERVICES[name]["tmpfs"]}}
        wanted = {"/tmp", "/home/spine"}
        if name.startswith("airflow"):
            wanted |= {f"/opt/spine/.spine/{folder}" for folder in INIT["FOLDERS"]}
        if name in SPARK:
            local = SERVICES[name]["environment"]["SPARK_LOCAL_DIRS"]
            wanted.add(local)
            assert SERVICES[name]["environment"].get("SPARK_WORKER_DIR", local).startswith(local)
        assert wanted <= set(given), name
    declared = yaml.safe_load(TEXT)["volumes"]
    assert {source for name in SERVICES for source in mounts(name).values() if source} == set(declared)


def test_commands_are_there_and_name_what_the_image_has() -> None:
    """Entry points of the locked packages and files of the checkout."""
    bin_folder = Path(sys.executable).parent
    for name, service in OURS.items():
        first, *rest = service["command"]
        assert (bin_folder / Path(first).name).exists(), name
        assert all((PROJECT / word).exists() for word in rest if word.endswith(".py")), name


def test_every_setting_that_documents_name_can_be_made() -> None:
    said = (PROJECT / "docs" / "operations.md").read_text()
    settings = set(re.findall(r"`((?:SPINE|SYNC|IDENTITY|CONNECTOR)_[A-Z_]+)(?:=[^`]*)?`", said)) & read_by_settings()
    theirs = {"SPINE_HOME", "SPINE_SPARK_MEMORY", "SPINE_SPARK_JAVA_OPTIONS", "SPINE_NOTIFIERS", "SPINE_ADMIN_URL"}
    assert {"SPINE_BOUNDS", "SYNC_BATCH_SIZE", "SPINE_PROXY"} <= settings
    assert settings - theirs <= set(SERVICES["airflow-scheduler"]["environment"]) | {"SPINE_ANALYST_PASSWORD"}


def read_by_settings() -> set[str]:
    """The variables that the settings read."""
    code = (PROJECT / "include" / "spine" / "core" / "settings.py").read_text()
    return set(re.findall(r'"((?:SPINE|SYNC|IDENTITY|CONNECTOR)_[A-Z_]+)"', code))


def test_a_service_has_no_right_that_it_does_not_need() -> None:
    needed = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}, "airflow-init": {"CHOWN", "DAC_OVERRIDE", "FOWNER"}}
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", [])) == needed.get(name, set()), name
        assert not service.get("privileged"), name
        assert service.get("read_only") or name == "postgres", name
    assert {name for name, service in OURS.items() if service["user"] != "50000:50000"} == {"airflow-init"}


def test_what_a_service_is_made_to_say_fills_no_disk() -> None:
    for name, service in SERVICES.items():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "50m", "max-file": "5"}}, name


@pytest.mark.parametrize("linked", ["passwords.json", ".passwords.json.draft"])
def test_the_first_service_follows_no_link_that_others_have_put_in_place(tmp_path: Path, linked: str) -> None:
    keep = runpy.run_path(str(PROJECT / "scripts" / "compose_init.py"))["keep"]
    victim, passwords = tmp_path / "victim", tmp_path / "passwords.json"
    victim.write_text("whole")
    (tmp_path / linked).symlink_to(victim)
    keep(passwords, "{}")
    assert victim.read_text() == "whole"
    assert (passwords.read_text(), passwords.is_symlink(), passwords.stat().st_mode & 0o777) == ("{}", False, 0o600)


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
    let_in = INIT["let_in"]
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
    open_store = INIT["open_store"]
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
