"""Who is told of what: `include/notifiers.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from pydantic import Field, field_validator
from tenacity import Retrying, stop_after_attempt, wait_exponential

from spine.control import events
from spine.control.database import Database
from spine.control.events import Told
from spine.core.declarations import Strict, load_declaration
from spine.core.errors import ControlPlaneUnavailable, RunFailed
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

    Tenants are served in turn, an event each, so that none waits for another's many. A notifier gets three attempts, and one once it has
    failed. What it did not take is not sent again, since the others have it.
    """
    queues, failures = [], []
    for tenant in tenants:
        try:
            queues.append(events.waiting(database.of(tenant)))
        except ControlPlaneUnavailable:
            raise
        except Exception as error:  # an event of a kind that nobody knows
            failures.append(f"events of {tenant}: {type(error).__name__}")
    told, broken = 0, set[str]()
    for event in (event for turn in zip_longest(*queues) for event in turn if event is not None):
        for route in (route for route in declared if event.event.kind in route.kinds):
            attempts = stop_after_attempt(1 if route.notifier in broken else _ATTEMPTS)
            try:
                Retrying(stop=attempts, wait=wait_exponential(pause), reraise=True)(send, route, event)
            except Exception as error:  # a notifier is anybody's code
                broken.add(route.notifier)
                failures.append(f"{route.notifier}: {type(error).__name__} on {event.event.describe()}")
        events.handed(database.of(event.tenant), event.event_id)
        told += 1
    if failures:
        raise RunFailed("; ".join(failures)[:1000], hint="Correct the route in include/notifiers.yaml or what it leads to")
    return told
