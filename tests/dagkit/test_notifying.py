"""Events reach real Airflow notifiers, with their templates filled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseNotifier

from spine.control.events import Told
from spine.core.errors import ConfigError
from spine.core.events import ConnectorPaused
from spine.dagkit.notifying import send
from spine.events.routes import Route

TOLD = Told(1, "acme", ConnectorPaused("ipai_connector_crm", "CONNECTOR_AUTH_FAILED", "spine"), datetime(2026, 1, 1, tzinfo=UTC), None)


class Kept(BaseNotifier):
    """Keeps what it is given."""

    template_fields = ("subject",)
    got: ClassVar[list[str]] = []

    def __init__(self, subject: str) -> None:
        super().__init__()
        self.subject = subject

    def notify(self, context: Any) -> None:
        self.got.append(self.subject)


def route(notifier: str, **arguments: str) -> Route:
    return Route(notifier=notifier, kinds=("connector.paused",), arguments=arguments)


def test_a_notifiers_templates_know_the_event_and_its_tenant() -> None:
    send(route(f"{__name__}.Kept", subject="{{ event.kind }} of {{ tenant }}: {{ event.reason }}"), TOLD)
    assert Kept.got == ["connector.paused of acme: CONNECTOR_AUTH_FAILED"]


def test_the_log_notifier_takes_any_event() -> None:
    send(route("spine.dagkit.notifying.LogNotifier"), TOLD)


@pytest.mark.parametrize(("name", "why"), [("no.such.Thing", "there is no notifier"), ("pathlib.Path", "not an Airflow notifier")])
def test_what_is_no_notifier_is_refused(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        send(route(name), TOLD)
