"""The compose file: what must outlive a container is in a volume or in `.env`, and everybody who logs in has a login."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from spine.control.embedded import EmbeddedPostgres
from spine.core.settings import PROJECT
from spine.stack.files import secret_path

TEXT = (PROJECT / "docker-compose.yaml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image", "").startswith("connected-data-spine")}
PASSWORDS = {"SPINE_APP_PASSWORD": "app-word", "SPINE_ANALYST_PASSWORD": "analyst-word"}  # pragma: allowlist secret


def test_the_key_of_the_tokens_is_given_to_every_service_and_lives_in_none() -> None:
    assert {service["environment"].get("SPINE_FERNET_KEY") for service in OURS.values()} == {"${SPINE_FERNET_KEY:?see .env.example}"}


def test_every_value_that_is_asked_for_is_in_the_example() -> None:
    example = set(re.findall(r"^([A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z0-9_]+):\?", TEXT)) <= example


def test_only_the_first_service_may_make_logins() -> None:
    secrets = {"SPINE_ADMIN_URL", "SPINE_ANALYST_PASSWORD"}
    assert {name for name, service in OURS.items() if secrets & set(service["environment"])} == {"airflow-init"}
    assert secrets <= set(SERVICES["airflow-init"]["environment"])


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
