"""Events wait until they are handed to the declared notifiers, once; a notifier that fails holds up no other."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from spine.control import events
from spine.control.database import Database
from spine.core.errors import ConfigError, RunFailed
from spine.core.events import ConnectorPaused, SyncStarted
from spine.events.routes import Route, hand_on, routes

pytestmark = pytest.mark.postgres
PAUSED = ConnectorPaused("ipai_connector_crm", "CONNECTOR_AUTH_FAILED", "spine")


def test_each_route_gets_its_kinds_once(database: Database, tenant: str) -> None:
    events.record(database.of(tenant), SyncStarted("c", "r1", "full"))
    events.record(database.of(tenant), PAUSED)
    got: list[tuple[str, str]] = []
    declared = [Route(notifier="mail", kinds=("connector.paused",)), Route(notifier="log", kinds=("connector.paused", "sync.started"))]

    def send(route: Route, told: events.Told) -> None:
        got.append((route.notifier, told.event.kind))

    assert hand_on(database, [tenant], declared, send) == 2
    assert got == [("log", "sync.started"), ("mail", "connector.paused"), ("log", "connector.paused")]
    assert hand_on(database, [tenant], declared, send) == 0
    assert all(told.handed_at for told in events.recent(database.of(tenant)))


def test_a_notifier_gets_three_attempts_and_the_others_go_on(database: Database, tenant: str) -> None:
    events.record(database.of(tenant), PAUSED)
    got: list[str] = []

    def send(route: Route, told: events.Told) -> None:
        got.append(route.notifier)
        if route.notifier == "mail":
            raise OSError("no server")

    with pytest.raises(RunFailed, match=r"mail: OSError on connector\.paused"):
        hand_on(database, [tenant], [Route(notifier=name, kinds=(PAUSED.kind,)) for name in ("mail", "log")], send, pause=0)
    assert got == ["mail", "mail", "mail", "log"]
    assert not events.waiting(database.of(tenant))


def test_tenants_are_served_in_turn_and_a_broken_notifier_is_not_waited_for_again(database: Database, tenant: str) -> None:
    flood, calm = f"{tenant}a", f"{tenant}b"
    for number in range(20):
        events.record(database.of(flood), SyncStarted("c", f"r{number}", "full"))
    events.record(database.of(calm), SyncStarted("c", "r", "full"))
    got: list[str] = []

    def send(route: Route, told: events.Told) -> None:
        got.append(told.tenant)
        raise OSError("no server")

    with pytest.raises(RunFailed, match="OSError"):
        hand_on(database, [flood, calm], [Route(notifier="mail", kinds=("sync.started",))], send, pause=0)
    assert got[:5] == [flood, flood, flood, calm, flood]
    assert len(got) == 3 + 20


def test_an_event_that_nobody_can_read_is_its_own_tenants(database: Database, tenant: str, admin_url: str) -> None:
    odd, calm = f"{tenant}a", f"{tenant}b"
    with psycopg.connect(admin_url) as connection:
        connection.execute("INSERT INTO spine.events (tenant_id, kind, facts) VALUES (%s, 'of.nobody', '[]')", [odd])
    events.record(database.of(calm), PAUSED)
    got: list[str] = []
    with pytest.raises(RunFailed, match=f"events of {odd}"):
        hand_on(database, [odd, calm], [Route(notifier="m", kinds=(PAUSED.kind,))], lambda route, told: got.append(told.tenant), pause=0)
    assert got == [calm]


def test_the_shipped_routes_are_sound() -> None:
    assert routes()[0].notifier == "spine.dagkit.notifying.LogNotifier"


def test_an_unknown_kind_is_refused_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "notifiers.yaml"
    wrong.write_text("routes:\n  - notifier: a.B\n    kinds: [sync.finished]\n")
    monkeypatch.setenv("SPINE_NOTIFIERS", str(wrong))
    with pytest.raises(ConfigError, match=r"notifiers\.yaml:3: .*sync\.finished"):
        routes()
