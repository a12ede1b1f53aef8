"""A connection whose credentials were refused rests until somebody mends it."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from spine.control import audit, connections
from spine.control.airflow_state import ConnectionInfo
from spine.control.database import TenantDatabase
from spine.control.tokens import TokenVault
from spine.core import clock
from spine.core.errors import AuthFailed, ConnectorError, SourceUnavailable

pytestmark = pytest.mark.postgres
CONNECTION = "ipai_connector_hubspot"


def test_an_unknown_connection_is_active(control: TenantDatabase) -> None:
    connections.require_active(control, CONNECTION)


def test_refused_credentials_pause_it_and_the_next_run_is_told_why(control: TenantDatabase) -> None:
    connections.failed(control, CONNECTION, AuthFailed("401 from the token endpoint"))
    with pytest.raises(AuthFailed, match=r"Paused by spine since .*CONNECTOR_AUTH_FAILED"):
        connections.require_active(control, CONNECTION)
    assert connections.state(control, CONNECTION).last_error_message == "401 from the token endpoint"


def test_other_errors_are_kept_and_pause_nothing(control: TenantDatabase) -> None:
    connections.failed(control, CONNECTION, SourceUnavailable("timed out"))
    connections.succeeded(control, CONNECTION)
    connections.require_active(control, CONNECTION)
    found = connections.state(control, CONNECTION)
    assert found.last_error_code == "SOURCE_UNAVAILABLE"
    assert found.last_success_at is not None


def test_an_error_stands_until_the_connection_works_again(control: TenantDatabase) -> None:
    connections.failed(control, "conn-back", SourceUnavailable("503", hint="Wait"))
    connections.succeeded(control, "conn-back")
    found = connections.state(control, "conn-back")
    assert (found.last_error_code, found.standing_error) == ("SOURCE_UNAVAILABLE", "")
    connections.failed(control, "conn-back", SourceUnavailable("503", hint="Wait"))
    assert connections.state(control, "conn-back").standing_error == "SOURCE_UNAVAILABLE"


def test_pausing_and_resuming_by_hand_is_audited_once_each(control: TenantDatabase) -> None:
    for _ in range(2):
        connections.pause(control, CONNECTION, reason="contract ended", by="ana")
    with pytest.raises(ConnectorError, match="contract ended") as paused:
        connections.require_active(control, CONNECTION)
    assert not paused.value.retryable
    for _ in range(2):
        connections.resume(control, CONNECTION, by="bob")
    connections.require_active(control, CONNECTION)
    assert [(row["user_id"], row["action"]) for row in audit.entries(control)] == [
        ("bob", "connector_resumed"),
        ("ana", "connector_paused"),
    ]


class TestRefusedCredentials:
    """A pause by refused credentials ends once the source has taken them; a person's pause does not."""

    def test_a_later_answer_of_the_source_resumes(self, control: TenantDatabase) -> None:
        connections.failed(control, CONNECTION, AuthFailed("401"))
        connections.succeeded(control, CONNECTION)
        connections.require_active(control, CONNECTION)
        assert [row["action"] for row in audit.entries(control)] == ["connector_resumed", "connector_paused"]

    def test_an_answer_from_before_the_refusal_does_not(self, control: TenantDatabase) -> None:
        before = clock.now() - timedelta(minutes=1)
        connections.failed(control, CONNECTION, AuthFailed("401"))
        connections.succeeded(control, CONNECTION, before)
        assert connections.state(control, CONNECTION).refused

    def test_nothing_but_a_person_ends_a_persons_pause(self, control: TenantDatabase) -> None:
        connections.pause(control, CONNECTION, reason="contract ended", by="ana")
        connections.succeeded(control, CONNECTION)
        with pytest.raises(ConnectorError, match="spine connector resume"):
            connections.require_active(control, CONNECTION)

    def test_what_is_kept_of_the_refused_connection_tells_nothing_about_it(self, control: TenantDatabase, home: Path) -> None:
        del home
        one, other = (ConnectionInfo(CONNECTION, password=word) for word in ("hunter2", "hunter3"))  # pragma: allowlist secret
        vault = TokenVault(control, "test")
        kept = vault.fingerprint(one.content())
        assert kept == vault.fingerprint(one.content()) != vault.fingerprint(other.content())
        assert kept != hashlib.sha256(one.content()).hexdigest()
        assert kept != TokenVault(control.database.of("another"), "test").fingerprint(one.content())
