"""Who is told of what: `include/notifiers.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator
from tenacity import Retrying, stop_after_attempt, wait_exponential

from spine.control import events
from spine.control.database import Database
from spine.control.events import Told
from spine.core.declarations import Strict, load_declaration
from spine.core.errors import RunFailed
from spine.core.events import EVENTS
from spine.core.settings import settings

Send = Callable[["Route", Told], None]
_ATTEMPTS = 3


class Route(Strict):
    """Events of these kinds go to one Airflow notifier: a class by its dotted name, and the arguments to make it with."""

    notifier: str
    kinds: tuple[str, ...]
    arguments: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in EVENTS]
        if unknown:
            raise ValueError(f"no kind of event: {', '.join(unknown)}; there are {', '.join(EVENTS)}")
        return kinds


class Routes(Strict):
    """The whole file."""

    routes: tuple[Route, ...] = ()


def routes() -> Sequence[Route]:
    """The declared routes. Raises ConfigError with file, line and field."""
    return load_declaration(settings().notifiers, Routes).routes


def hand_on(database: Database, tenants: Sequence[str], declared: Sequence[Route], send: Send, *, pause: float = 1.0) -> int:
    """Send what waits to every route that wants it, once; the number of events. Raises RunFailed at the end if a notifier failed.

    A notifier gets three attempts. What it did not take is not sent again, since the others have it.
    """
    told, failures = 0, []
    for tenant in tenants:
        mine = database.of(tenant)
        for event in events.waiting(mine):
            for route in (route for route in declared if event.event.kind in route.kinds):
                try:
                    Retrying(stop=stop_after_attempt(_ATTEMPTS), wait=wait_exponential(pause), reraise=True)(send, route, event)
                except Exception as error:  # a notifier is anybody's code
                    failures.append(f"{route.notifier}: {type(error).__name__} on {event.event.describe()}")
            events.handed(mine, event.event_id)
            told += 1
    if failures:
        raise RunFailed("; ".join(failures)[:1000], hint="Correct the route in include/notifiers.yaml or what it leads to")
    return told
