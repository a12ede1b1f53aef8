"""A connection whose credentials were refused rests until somebody mends it."""

from __future__ import annotations

import pytest

from spine.control import audit, connectors
from spine.control.database import Database
from spine.core.errors import AuthFailed, ConnectorError, SourceUnavailable

pytestmark = pytest.mark.postgres
CONNECTION = "ipai_connector_hubspot"


def test_an_unknown_connection_is_active(database: Database, tenant: str) -> None:
    connectors.require_active(database, tenant, CONNECTION)


def test_refused_credentials_pause_it_and_the_next_run_is_told_why(database: Database, tenant: str) -> None:
    connectors.failed(database, tenant, CONNECTION, AuthFailed("401 from the token endpoint"))
    with pytest.raises(AuthFailed, match=r"Paused by spine since .*CONNECTOR_AUTH_FAILED"):
        connectors.require_active(database, tenant, CONNECTION)
    assert connectors.state(database, tenant, CONNECTION).last_error_message == "401 from the token endpoint"


def test_other_errors_are_kept_and_pause_nothing(database: Database, tenant: str) -> None:
    connectors.failed(database, tenant, CONNECTION, SourceUnavailable("timed out"))
    connectors.succeeded(database, tenant, CONNECTION)
    connectors.require_active(database, tenant, CONNECTION)
    found = connectors.state(database, tenant, CONNECTION)
    assert found.last_error_code == "SOURCE_UNAVAILABLE"
    assert found.last_success_at is not None


def test_pausing_and_resuming_by_hand_is_audited_once_each(database: Database, tenant: str) -> None:
    for _ in range(2):
        connectors.pause(database, tenant, CONNECTION, reason="contract ended", by="ana")
    with pytest.raises(ConnectorError, match="contract ended") as paused:
        connectors.require_active(database, tenant, CONNECTION)
    assert not paused.value.retryable
    for _ in range(2):
        connectors.resume(database, tenant, CONNECTION, by="bob")
    connectors.require_active(database, tenant, CONNECTION)
    assert [(row["user_id"], row["action"]) for row in audit.entries(database, tenant)] == [
        ("bob", "connector_resumed"),
        ("ana", "connector_paused"),
    ]
