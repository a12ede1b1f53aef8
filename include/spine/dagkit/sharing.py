"""Slots of the connector pool are shared: neither one source nor one tenant, however many connections it has, takes them all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import timezone
from airflow.sdk.exceptions import AirflowRescheduleException

from spine.core.screen import logger
from spine.core.settings import settings

if TYPE_CHECKING:
    from spine.pipeline.services import Services
    from spine.pipeline.work import StreamWork

log = logger(__name__)
_AGAIN = (10.0, 20.0)  # seconds; apart, so that waiting tasks do not all ask at once
_CHANCE = random.SystemRandom()


def share() -> int:
    """How many slots one source or one tenant may have at once: all but a quarter, one at least."""
    size = settings().pool_size
    return max(1, size - max(1, size // 4))


@contextmanager
def own_share(work: StreamWork, services: Services, *, longest: timedelta) -> Iterator[None]:
    """Hold one of the tenant's slots; if it has them all already, give this one back and come again later.

    A task that dies with a slot leaves it after `longest`, its retry takes it over. A tenant that is alone shares with nobody.
    """
    from spine.control import locks  # a DAG file is read without SQLAlchemy
    from spine.pipeline.watch import all_tenants

    if len(all_tenants(services)) < 2:
        yield
        return
    database, holder = services.database.of(work.tenant), f"{work.source} {work.stream} {work.run_id}"
    name = locks.acquire_any(database, [f"slot {number}" for number in range(share())], holder, ttl=longest.total_seconds())
    if name is None:
        later = timezone.utcnow() + timedelta(seconds=_CHANCE.uniform(*_AGAIN))
        log.info("%s has %d streams under way, which is its share of the pool: this one waits", work.tenant, share())
        raise AirflowRescheduleException(later)
    try:
        yield
    finally:
        locks.release(database, name, holder)
