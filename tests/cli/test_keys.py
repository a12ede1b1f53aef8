"""What an operator types and sees of the deployment's keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner, Result

from spine.cli import world
from spine.cli.commands import app
from spine.control import audit_heads
from spine.control.database import Database
from spine.control.tokens import TokenVault
from spine.control.variables import MemoryVariables
from spine.core.tokens import Token

pytestmark = pytest.mark.postgres
Spine = Callable[..., Result]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> MemoryVariables:
    """In place of Airflow's, whose database would have to be made; `test_whole_path` rotates with those."""
    made = MemoryVariables()
    monkeypatch.setattr(world, "variables", lambda _url: made)
    return made


@pytest.fixture
def spine(admin_url: str, control_url: str, home: Path, variables: MemoryVariables, monkeypatch: pytest.MonkeyPatch) -> Spine:
    monkeypatch.setenv("SPINE_ADMIN_URL", admin_url)
    monkeypatch.delenv("SPINE_FERNET_KEY", raising=False)
    return lambda *words: CliRunner().invoke(app, ["keys", *words], prog_name="spine")


def test_a_rotation_from_first_to_last(spine: Spine, database: Database, variables: MemoryVariables, tenant: str, home: Path) -> None:
    TokenVault(database.of(tenant), "run").save("ipai_connector_x", Token("access"))
    assert audit_heads.check(database.of(tenant), variables).wrong == ""
    before = (home / "fernet.key").read_text()
    assert json.loads(spine("status", "--json").stdout)["newest"] == 1
    assert "1 tenants' keys are under key" in spine("rotate").stdout
    found = json.loads(spine("status", "--json").stdout)
    assert (found["newest"], found["older"], len(found["keys"])) == (1, 0, 2)
    assert "1 older keys forgotten" in spine("drop").stdout
    assert before not in (home / "fernet.key").read_text()
    assert TokenVault(database.of(tenant), "run").load("ipai_connector_x") == Token("access")
    assert audit_heads.check(database.of(tenant), variables).wrong == ""
    shown = spine("status").output
    assert tenant in shown
    assert before not in shown
    assert (home / "fernet.key").read_text() not in shown


def test_a_lost_key_is_named_and_nothing_happens_without_yes(
    spine: Spine, database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenVault(database.of(tenant), "run").save("ipai_connector_x", Token("access"))
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    assert re.search(rf"lost: [\w, ]*{tenant}", " ".join(spine("status").stdout.split()))
    assert f"{tenant}: key lost, tokens lost: ipai_connector_x" in spine("renew").stdout
    assert json.loads(spine("status", "--json").stdout)["lost"] >= 1
    assert "New keys are made" in spine("renew", "--yes").stdout
    assert json.loads(spine("status", "--json").stdout)["lost"] == 0


def test_without_an_administrator_it_says_whose_it_is(spine: Spine, control_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPINE_ADMIN_URL")
    monkeypatch.setenv("SPINE_POSTGRES", control_url)
    done = spine("rotate")
    assert done.exit_code == 2
    assert "SPINE_ADMIN_URL" in done.stderr
