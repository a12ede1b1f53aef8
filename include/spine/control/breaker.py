"""Circuit breaker per connection, shared by all workers: stops calling a source that keeps failing.

closed --5 failures in a row--> open --60 s--> half-open: one probe at a time --success--> closed, --failure--> open.
While all is well a worker looks from time to time only, and has nothing to tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from spine.control.database import TenantDatabase
from spine.core.errors import CircuitOpen

FAILURES = 5
RECOVERY = 60.0  # seconds from opening to half-open, and for which a probe keeps the others away

Circuit = Literal["closed", "open", "half-open"]


@dataclass(frozen=True)
class Breaker:
    """The breaker of one connection: call `before` ahead of a request, then `success` or `failure`.

    Time is the database's unless `clock` is given.
    """

    database: TenantDatabase
    connection_id: str
    failures: int = FAILURES
    recovery: float = RECOVERY
    clock: Callable[[], datetime] | None = None

    def before(self) -> bool:
        """Pass, or raise CircuitOpen with the seconds to wait. In half-open state the caller becomes the one probe.

        True if no failure is counted, so that a success would change nothing.
        """
        with self.database.begin() as connection:
            seconds = 1.0
            for _ in range(2):  # whoever loses the race for the probe looks again
                counted, wait = self._wait(connection)
                if wait is None or (wait <= 0 and self._become_probe(connection)):
                    return not counted
                seconds = max(wait, 1.0)
        raise CircuitOpen(
            f"The source failed {self.failures} times in a row; not calling it for another {seconds:.0f} s",
            hint="Look at the connection's last error; the next attempt comes by itself",
            retry_after=seconds,
            connection=self.connection_id,
        )

    def _wait(self, connection: Connection) -> tuple[bool, float | None]:
        """Whether failures are counted, and seconds until a probe may go; None when closed."""
        found = connection.execute(
            text("""
            SELECT CASE WHEN opened_at IS NOT NULL THEN
                extract(epoch FROM greatest(opened_at + make_interval(secs => :recovery), probe_until)
                                   - coalesce(CAST(:now AS timestamptz), clock_timestamp())) END AS wait
            FROM spine.breakers WHERE connection_id = :connection
            """),
            self._facts(),
        ).first()
        return found is not None, None if found is None or found.wait is None else float(found.wait)

    def _become_probe(self, connection: Connection) -> bool:
        probe = connection.execute(
            text("""
            UPDATE spine.breakers SET probe_until = t.now + make_interval(secs => :recovery)
            FROM (SELECT coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS now) t
            WHERE connection_id = :connection
              AND greatest(opened_at + make_interval(secs => :recovery), probe_until) <= t.now RETURNING 1
            """),
            self._facts(),
        )
        return probe.first() is not None

    def success(self) -> None:
        """The source answered: close the breaker."""
        with self.database.begin() as connection:
            connection.execute(text("DELETE FROM spine.breakers WHERE connection_id = :connection"), {"connection": self.connection_id})

    def failure(self) -> Circuit:
        """The source failed once more; returns the state after that."""
        # A late failure of a call made before the breaker opened must not prolong its being open.
        with self.database.begin() as connection:
            connection.execute(
                text("""
                WITH t AS (SELECT coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS now)
                INSERT INTO spine.breakers AS b (tenant_id, connection_id, failures, opened_at)
                SELECT :tenant, :connection, 1, CASE WHEN :limit <= 1 THEN t.now END FROM t
                ON CONFLICT (tenant_id, connection_id) DO UPDATE
                SET failures = b.failures + 1,
                    opened_at = CASE
                        WHEN b.failures + 1 < :limit THEN NULL
                        WHEN b.opened_at + make_interval(secs => :recovery) > (SELECT now FROM t) THEN b.opened_at
                        ELSE (SELECT now FROM t) END,
                    probe_until = NULL
                """),
                self._facts(),
            )
        return self.state()

    def state(self) -> Circuit:
        """closed, open or half-open, as seen now."""
        with self.database.begin() as connection:
            row = connection.execute(
                text("""
                SELECT opened_at + make_interval(secs => :recovery) > coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS shut
                FROM spine.breakers WHERE connection_id = :connection AND opened_at IS NOT NULL
                """),
                self._facts(),
            ).first()
        if row is None:
            return "closed"
        return "open" if row.shut else "half-open"

    def _facts(self) -> dict[str, Any]:
        return {
            "tenant": self.database.tenant,
            "connection": self.connection_id,
            "limit": self.failures,
            "recovery": self.recovery,
            "now": self.clock() if self.clock else None,
        }


class Watched:
    """A worker's view of a breaker: it looks every `LOOK` seconds while no failure is counted, and before each call once one is.

    A success is told only where failures are counted. A breaker that others have opened is seen at the next look.
    """

    LOOK = 5.0

    def __init__(self, breaker: Breaker, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.breaker, self._monotonic = breaker, monotonic
        self._calm, self._looked = False, 0.0

    def before(self) -> None:
        """Pass, or raise CircuitOpen with the seconds to wait."""
        now = self._monotonic()
        if self._calm and now - self._looked < self.LOOK:
            return
        self._calm = False
        self._calm, self._looked = self.breaker.before(), now

    def success(self) -> None:
        """The source answered: close the breaker unless nothing is counted."""
        if not self._calm:
            self.breaker.success()
            self._calm = True

    def failure(self) -> Circuit:
        """The source failed once more; returns the state after that."""
        self._calm = False
        return self.breaker.failure()
