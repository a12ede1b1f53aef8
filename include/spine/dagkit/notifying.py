"""Events as Airflow notifiers get them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.module_loading import import_string

from spine.control.events import Told
from spine.core.errors import ConfigError
from spine.events.routes import Route


class LogNotifier(BaseNotifier):
    """Writes the event into the task's log."""

    def notify(self, context: Any) -> None:
        """One warning per event."""
        self.log.warning("%s (tenant=%s)", context["text"], context["tenant"])


def send(route: Route, told: Told) -> None:
    """Give an event to the route's notifier; `event`, `tenant` and `text` are there for its templates. Raises ConfigError."""
    try:
        kind = import_string(route.notifier)
    except ImportError as error:
        raise ConfigError(f"there is no notifier {route.notifier}", hint="Correct include/notifiers.yaml") from error
    if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
        raise ConfigError(f"{route.notifier} is not an Airflow notifier", hint="Name a class that is a BaseNotifier")
    kind(**route.arguments)({"event": told.event, "tenant": told.tenant, "text": told.event.describe()})
