"""Budget of calls, shared by all workers of an account (a token bucket): how long must this call wait so that the budget holds?

A taker that must wait has already reserved its calls (the balance goes below zero), so waiters are served in order. A worker has
several calls allotted at once, so that it need not ask the database before each request.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from spine.control.database import TenantDatabase
from spine.core.errors import ConfigError, RateLimited


@dataclass(frozen=True)
class Quota:
    """`calls` in each span of `seconds`, of which one begins `begins` seconds after midnight UTC."""

    calls: float
    seconds: float
    begins: float = 0.0

    @property
    def name(self) -> str:
        """What its counter is called: quotas of one span are one."""
        return f"quota {self.seconds:g} s"


@dataclass(frozen=True)
class Bucket:
    """`capacity` calls at once, `refill_per_second` calls per second after that, and no more than each of the `quotas` allows.

    `leave` is the part of everything that is left to others, who are more important. Time is the database's unless `clock` is given.
    """

    database: TenantDatabase
    name: str
    capacity: float
    refill_per_second: float
    clock: Callable[[], datetime] | None = None
    quotas: tuple[Quota, ...] = ()
    leave: float = 0.0

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.refill_per_second <= 0:
            raise ConfigError(
                f"Bucket {self.name} needs a capacity of at least 1 and a positive refill",
                capacity=self.capacity,
                refill_per_second=self.refill_per_second,
            )

    def take(self, n: float = 1, *, max_wait: float = 3600.0) -> float:
        """Reserve `n` calls; returns the seconds to sleep before making them (0 = now).

        Raises RateLimited, with nothing reserved, if that would be more than `max_wait` seconds; ConfigError for a bad `n`.
        """
        if not 0 < n <= self.capacity:
            raise ConfigError(f"Cannot take {n} from bucket {self.name} of {self.capacity}", hint="Take between 1 and its capacity")
        return self._reserve(n, 0.0, n, max_wait)[-1]

    def allot(self, n: int, *, back: float = 0.0, max_wait: float = 3600.0) -> list[float]:
        """Give `back` calls that were not made, and reserve `n`; the seconds to sleep before each of them.

        Raises RateLimited, with nothing reserved or given back, if the first would have to wait for more than `max_wait` seconds.
        """
        return self._reserve(n, back, 1, max_wait)

    def _reserve(self, n: float, back: float, needed: float, max_wait: float) -> list[float]:
        """Reserve `n` calls, of which `needed` have to be possible within `max_wait`; the waits of the 1st, 2nd, … and the last of them."""
        with self.database.begin() as connection:
            for quota in sorted(
                self.quotas, key=lambda quota: quota.seconds
            ):  # always in this order, so that takers cannot lock each other
                self._count(connection, quota, n, back)
            # One statement, so takers cannot overlap; raising below rolls it back.
            balance = connection.execute(
                text("""
                INSERT INTO spine.buckets AS b (tenant_id, bucket, tokens, updated_at)
                VALUES (:tenant, :bucket, :capacity - :n, coalesce(CAST(:now AS timestamptz), clock_timestamp()))
                ON CONFLICT (tenant_id, bucket) DO UPDATE
                SET tokens = least(:capacity, b.tokens + :back
                                              + :rate * greatest(0, extract(epoch FROM excluded.updated_at - b.updated_at))) - :n,
                    updated_at = greatest(b.updated_at, excluded.updated_at)
                RETURNING tokens, (
                    SELECT extract(epoch FROM c.updated_at - coalesce(CAST(:now AS timestamptz), clock_timestamp()))
                    FROM spine.buckets AS c WHERE c.tenant_id = :tenant AND c.bucket = :closed
                ) AS closed
                """),
                {**self._facts(), "n": float(n), "back": float(back)},
            ).one()
            left_to_others = min(self.leave * self.capacity, self.capacity - 1)
            before, closed = float(balance.tokens) + n - left_to_others, float(balance.closed or 0)
            counts = [*range(1, math.ceil(n)), n]
            waits = [max(0.0, (count - before) / self.refill_per_second, closed) for count in counts]
            wait = waits[math.ceil(needed) - 1]
            if wait > max_wait:
                raise RateLimited(
                    f"The call budget {self.name} is used up for {wait:.0f} s",
                    hint="Wait, or raise the connection's share of the account's limit",
                    retry_after=wait,
                    bucket=self.name,
                )
        return waits

    def _count(self, connection: Connection, quota: Quota, n: float, back: float) -> None:
        """Count `n` calls in the span that it is, and `back` fewer. Raises RateLimited, with the time until the next span."""
        found = connection.execute(
            text("""
            WITH t AS (SELECT extract(epoch FROM coalesce(CAST(:now AS timestamptz), clock_timestamp())) AS now),
                 span AS (SELECT now, :begins + floor((now - :begins) / :seconds) * :seconds AS start FROM t)
            INSERT INTO spine.buckets AS b (tenant_id, bucket, tokens, updated_at)
            SELECT :tenant, :quota, :n, to_timestamp(start) FROM span
            ON CONFLICT (tenant_id, bucket) DO UPDATE
            SET tokens = CASE WHEN b.updated_at < excluded.updated_at THEN excluded.tokens ELSE greatest(0, b.tokens - :back) + :n END,
                updated_at = greatest(b.updated_at, excluded.updated_at)
            RETURNING tokens, extract(epoch FROM updated_at) + :seconds - (SELECT now FROM span) AS left
            """),
            {
                **self._facts(), "n": float(n), "back": float(back), "quota": quota.name,
                "seconds": float(quota.seconds), "begins": float(quota.begins),
            },
        ).one()  # fmt: skip
        if float(found.tokens) > quota.calls * (1 - self.leave):
            raise RateLimited(
                f"The quota of {quota.calls:,.0f} calls in {quota.seconds:,.0f} s is used up for {float(found.left):,.0f} s",
                hint="What was read is kept; it goes on by itself",
                retry_after=max(1.0, float(found.left)),
                bucket=self.name,
            )

    def pause(self, seconds: float) -> None:
        """The source asked for silence (Retry-After): nobody gets a call before `seconds` have passed."""
        with self.database.begin() as connection:
            connection.execute(
                text("""
                INSERT INTO spine.buckets AS b (tenant_id, bucket, tokens, updated_at)
                VALUES (:tenant, :bucket, 1 - :seconds * :rate, coalesce(CAST(:now AS timestamptz), clock_timestamp()))
                ON CONFLICT (tenant_id, bucket) DO UPDATE
                SET tokens = least(b.tokens + :rate * greatest(0, extract(epoch FROM excluded.updated_at - b.updated_at)),
                                   excluded.tokens),
                    updated_at = greatest(b.updated_at, excluded.updated_at)
                """),
                {**self._facts(), "seconds": float(seconds)},
            )

            connection.execute(
                text("""
                INSERT INTO spine.buckets AS b (tenant_id, bucket, tokens, updated_at)
                VALUES (:tenant, :closed, 0, coalesce(CAST(:now AS timestamptz), clock_timestamp()) + make_interval(secs => :seconds))
                ON CONFLICT (tenant_id, bucket) DO UPDATE SET updated_at = greatest(b.updated_at, excluded.updated_at)
                """),
                {**self._facts(), "seconds": float(seconds)},
            )

    def closed(self) -> float:
        """Seconds for which nobody may call, as the source has said; 0 if it has not."""
        # The end of the silence is a row of its own: calls that wait in the bucket for their turn are no silence.
        with self.database.begin() as connection:
            seconds = connection.execute(
                text("""
                SELECT extract(epoch FROM updated_at - coalesce(CAST(:now AS timestamptz), clock_timestamp()))
                FROM spine.buckets WHERE tenant_id = :tenant AND bucket = :closed
                """),
                self._facts(),
            ).scalar()
        return max(0.0, float(seconds or 0))

    def _facts(self) -> dict[str, Any]:
        return {
            "tenant": self.database.tenant,
            "bucket": self.name,
            "closed": f"{self.name} closed",
            "capacity": float(self.capacity),
            "rate": float(self.refill_per_second),
            "now": self.clock() if self.clock else None,
        }


@dataclass(frozen=True)
class _Held:
    """An allotted call, by this process's clock: it may be made from one moment to another."""

    begins: float
    ends: float


class Allotments:
    """A worker's calls of a bucket, allotted by about as many as it used lately; the next allotment gives back what it did not use.

    A reserved call has to be made within `hold` seconds, and so much refill is left out of the bucket's capacity: in any span no more
    calls are made than with single ones, whoever holds what. A killed worker loses an allotment: the refill of `hold` seconds at most.
    """

    HOLD = 1.0

    def __init__(self, bucket: Bucket, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.hold = min(self.HOLD, (bucket.capacity - 1) / (2 * bucket.refill_per_second))
        self.bucket = replace(bucket, capacity=bucket.capacity - self.hold * bucket.refill_per_second)
        self._most = max(1, math.floor(self.hold * bucket.refill_per_second))
        self._held: deque[_Held] = deque()
        self._size = self._unused = 0
        self._monotonic, self._lock = monotonic, threading.Lock()

    def take(self, *, max_wait: float = 3600.0) -> float:
        """The seconds to sleep before the next call (0 = now). Raises RateLimited, with nothing taken, if they are more than `max_wait`."""
        with self._lock:
            while self._held:
                call, now = self._held.popleft(), self._monotonic()
                if now <= call.ends:
                    return max(0.0, call.begins - now)
                self._unused += 1
            return self._allotted(max_wait)

    def _allotted(self, max_wait: float) -> float:
        used = self._size - self._unused
        size = min(self._most, max(1, used if self._unused else 2 * used))
        asked = self._monotonic()
        try:
            first, *others = self.bucket.allot(size, back=self._unused, max_wait=max_wait)
        except RateLimited:
            if size == 1:
                raise
            size = 1  # a quota may have less left than a whole allotment
            first, *others = self.bucket.allot(size, back=self._unused, max_wait=max_wait)
        granted = self._monotonic()  # the waits are counted from a moment between the two
        self._held.extend(_Held(granted + wait, asked + wait + self.hold) for wait in others)
        self._size, self._unused = size, 0
        return first

    def pause(self, seconds: float) -> None:
        """The source asked for silence: nobody gets a call before `seconds` have passed."""
        with self._lock:
            self._held.clear()
            self.bucket.pause(seconds)

    def closed(self) -> float:
        """Seconds for which nobody may call, as the source has said; 0 if it has not."""
        return self.bucket.closed()
