"""Budget of calls, shared by all workers of an account (a token bucket): how long must this call wait so that the budget holds?

A taker that must wait has already reserved its calls (the balance goes below zero), so waiters are served in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from spine.control.database import TenantDatabase
from spine.core.errors import ConfigError, RateLimited


@dataclass(frozen=True)
class Bucket:
    """`capacity` calls at once, `refill_per_second` calls per second after that. Time is the database's unless `clock` is given."""

    database: TenantDatabase
    name: str
    capacity: float
    refill_per_second: float
    clock: Callable[[], datetime] | None = None

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
        with self.database.begin() as connection:
            # One statement, so takers cannot overlap; raising below rolls it back.
            balance = connection.execute(
                text("""
                INSERT INTO spine.buckets AS b (tenant_id, bucket, tokens, updated_at)
                VALUES (:tenant, :bucket, :capacity - :n, coalesce(CAST(:now AS timestamptz), clock_timestamp()))
                ON CONFLICT (tenant_id, bucket) DO UPDATE
                SET tokens = least(:capacity, b.tokens + :rate * greatest(0, extract(epoch FROM excluded.updated_at - b.updated_at)))
                             - :n,
                    updated_at = greatest(b.updated_at, excluded.updated_at)
                RETURNING tokens, (
                    SELECT extract(epoch FROM c.updated_at - coalesce(CAST(:now AS timestamptz), clock_timestamp()))
                    FROM spine.buckets AS c WHERE c.tenant_id = :tenant AND c.bucket = :closed
                ) AS closed
                """),
                {**self._facts(), "n": float(n)},
            ).one()
            wait = max(0.0, -float(balance.tokens) / self.refill_per_second, float(balance.closed or 0))
            if wait > max_wait:
                raise RateLimited(
                    f"The call budget {self.name} is used up for {wait:.0f} s",
                    hint="Wait, or raise the connection's share of the account's limit",
                    retry_after=wait,
                    bucket=self.name,
                )
        return wait

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
