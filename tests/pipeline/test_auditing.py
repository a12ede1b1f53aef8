"""Every tenant's audit log is looked at, what is wrong is told once, and the check ends red."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from spine.cli import world
from spine.cli.commands import app
from spine.control import audit, events
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core.errors import AuditBroken, ConfigError
from spine.pipeline.auditing import require_sound, verify
from spine.pipeline.services import Services

pytestmark = pytest.mark.postgres


@pytest.fixture
def services(database: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    def none(name: str) -> None:
        raise ConfigError(f"no {name}")

    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    made = Services(database, MemoryVariables(), none)  # type: ignore[arg-type]
    monkeypatch.setattr(world, "services", lambda: made)
    return made


@pytest.fixture
def tenants(services: Services, tenant: str) -> tuple[str, str]:
    """Two tenants whose logs have been seen once; the first one's is then cut by somebody with an administrator's rights."""
    both = (tenant, f"{tenant}-b")
    for name in both:
        for number in range(3):
            audit.record(services.database.of(name), audit.Entry("ana", "a", "b", str(number)))
    assert [checked.wrong for checked in verify(services, both)] == ["", ""]
    return both


def cut(admin_url: str, tenant: str) -> None:
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("DELETE FROM spine.audit_log WHERE tenant_id = %s AND id > 1", (tenant,))
        admin.execute("DELETE FROM spine.audit_heads WHERE tenant_id = %s", (tenant,))


@pytest.mark.parametrize("whole", [True, False], ids=["nightly", "every five minutes"])
def test_a_log_that_was_cut_is_told_once_and_other_tenants_are_checked_all_the_same(
    services: Services, tenants: tuple[str, str], admin_url: str, whole: bool
) -> None:
    cut(admin_url, tenants[0])
    for _ in range(2):
        found = verify(services, whole=whole)  # of all tenants: those whose head is kept are known by it
        assert {(checked.tenant, bool(checked.wrong)) for checked in found} >= {(tenants[0], True), (tenants[1], False)}
    told = [one.event for one in events.recent(services.database.of(tenants[0]))]
    assert [event.kind for event in told] == ["audit.broken"]
    assert events.recent(services.database.of(tenants[1])) == []
    with pytest.raises(AuditBroken, match=tenants[0]) as broken:
        require_sound(found)
    assert "spine audit accept" in broken.value.hint


def test_the_command_shows_each_log_and_fails_if_one_is_wrong(services: Services, tenants: tuple[str, str], admin_url: str) -> None:
    names = [word for name in tenants for word in ("--tenant", name)]
    sound = CliRunner().invoke(app, ["audit", "verify", *names, "--json"])
    assert (sound.exit_code, sound.stdout.count('"sound": true')) == (0, 2)
    cut(admin_url, tenants[0])
    broken = CliRunner().invoke(app, ["audit", "verify", *names])
    assert broken.exit_code == 1
    assert "[AUDIT_BROKEN]" in broken.stderr
    assert CliRunner().invoke(app, ["audit", "accept", tenants[0], "--reason", "a restore"]).exit_code == 0
    assert CliRunner().invoke(app, ["audit", "verify", *names]).exit_code == 0
