"""Events are typed, kept per tenant, and those with a key are kept once."""

from __future__ import annotations

from dataclasses import fields

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from spine.control import connections, events
from spine.control.bootstrap import bootstrap
from spine.control.database import Database, TenantDatabase
from spine.control.migrations.run import migrate
from spine.core.events import (
    EVENTS,
    ChainBroken,
    ConnectorPaused,
    ConnectorResumed,
    CredentialExpiring,
    DeadlineMissed,
    Event,
    SyncCompleted,
    SyncStarted,
    event_of,
)  # fmt: skip

pytestmark = pytest.mark.postgres


def test_an_event_comes_back_as_it_was(control: TenantDatabase) -> None:
    told: list[Event] = [SyncStarted("c", "r1", "full"), SyncCompleted("c", "r1", 7)]
    for event in told:
        events.record(control, event)
    assert [found.event for found in reversed(events.recent(control))] == told
    assert {event_of(event.kind, event.facts()) for event in told} == set(told)


def test_the_kinds_are_those_that_are_documented() -> None:
    assert set(EVENTS) == {
        "sync.started", "sync.completed", "sync.failed", "connector.paused", "connector.resumed", "deadline.missed", "drift.detected",
        "credential.expiring", "audit.broken", "connector.connected", "weights.relearned", "identity.out_of_reach",
    }  # fmt: skip


def test_what_makes_an_event_the_same_again_is_as_earlier_versions_stored_it() -> None:
    told = (
        SyncStarted("c", "r", "full"),
        DeadlineMissed("d", "r", "standard", "2026-01-01", "failed"),
        CredentialExpiring("c", "2027-01-31"),
        ChainBroken(3, "h", "row 3 is gone"),
        ConnectorPaused("c", "why", "who"),
    )
    assert [event.key for event in told] == ["c r", "d r", "c 2027-01-31", "row 3 is gone", None]
    for kind in EVENTS.values():
        assert {field.name for field in fields(kind)} >= set(kind.once_per), kind


def test_what_has_a_key_is_told_once(control: TenantDatabase) -> None:
    for _ in range(2):
        events.record(control, SyncStarted("c", "r1", "full"))
        events.record(control, SyncCompleted("c", "r1", 7))
    assert sorted(found.event.kind for found in events.recent(control)) == ["sync.completed", "sync.completed", "sync.started"]


def test_a_pause_and_its_end_are_events(control: TenantDatabase) -> None:
    for _ in range(2):
        connections.pause(control, "c", reason="CONNECTOR_AUTH_FAILED", by="spine")
    connections.resume(control, "c", by="ana")
    kinds = [found.event for found in reversed(events.recent(control))]
    assert kinds == [ConnectorPaused("c", "CONNECTOR_AUTH_FAILED", "spine"), ConnectorResumed("c", "ana")]


def test_no_tenant_sees_anothers(control: TenantDatabase, database: Database) -> None:
    events.record(control, SyncStarted("c", "r1", "full"))
    assert events.recent(database.of(f"{control.tenant}x")) == []


def test_spark_jobs_may_tell_and_read_nothing(control: TenantDatabase, control_url: str) -> None:
    jobs = Database(control_url.replace("spine_app", "spine_jobs"))
    events.record(jobs.of(control.tenant), SyncStarted("c", "r1", "full"))
    assert [found.event for found in events.recent(control)] == [SyncStarted("c", "r1", "full")]
    with pytest.raises(ProgrammingError, match="permission denied"):
        events.recent(jobs.of(control.tenant))
    jobs.close()


def test_an_existing_control_plane_gets_the_table(postgres_server) -> None:  # type: ignore[no-untyped-def]
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE older")
    url = postgres_server.uri("older")
    bootstrap(url)
    with psycopg.connect(url, autocommit=True) as connection:  # as it was before there were events
        connection.execute("DROP TABLE spine.events")
        connection.execute("ALTER TABLE spine.connectors DROP COLUMN refused_fingerprint")
        connection.execute("DROP TABLE spine.audit_heads, spine.token_locks, spine.stream_states, spine.drift_events")
        connection.execute("DROP TABLE spine.push_runs, spine.push_changes, spine.push_records, spine.push_conflicts")
        connection.execute("DROP POLICY by_owner ON spine.tenant_keys; DROP POLICY by_owner ON spine.oauth_tokens")
        connection.execute("ALTER TABLE spine.oauth_tokens DROP COLUMN grant_expires_at")
        connection.execute("UPDATE spine.alembic_version SET version_num = '0001'")
        connection.execute("INSERT INTO spine.buckets VALUES ('t', 'b', 1, now())")
    migrate(url)
    database = Database(bootstrap(url))
    events.record(database.of("t"), SyncStarted("c", "r1", "full"))
    with database.of("t").begin() as connection:
        assert connection.exec_driver_sql("SELECT tokens FROM spine.buckets").scalar() == 1
    database.close()
