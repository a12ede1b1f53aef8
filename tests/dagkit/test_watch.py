"""The task of `watch_runs`: what it finds is told in the same run."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from spine.control import airflow_state, audit, events
from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.dagkit.watch import build_watch_dag
from spine.pipeline import services as services_module
from spine.pipeline.services import Services

pytestmark = pytest.mark.postgres


def test_a_cut_audit_log_is_told_with_the_next_look(
    database: Database, home: Path, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    made = Services(database, MemoryVariables(), lambda name: ConnectionInfo(name))
    monkeypatch.setattr(services_module, "services_from_environment", lambda: made)
    monkeypatch.setattr(airflow_state, "latest_scheduled_run", lambda _: None)
    look = build_watch_dag().get_task("watch").python_callable
    mine = database.of("default")
    audit.record(mine, audit.Entry("ana", "a", "b", "c"))
    assert look() == 0
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("DELETE FROM spine.audit_log WHERE tenant_id = 'default'")
    assert look() == 1
    (told,) = events.recent(mine)
    assert (told.event.kind, told.handed_at is not None) == ("audit.broken", True)
    assert look() == 0
