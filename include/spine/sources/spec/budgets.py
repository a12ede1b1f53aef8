"""Words for how fast, how long and how much a source may be asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.texts import Duration


class Budget(Strict):
    """A token bucket: so many requests in a time, and at most `burst` at once.

    Example:
        requests: 5
        per: 1s
        burst: 5
    """

    requests: int = Field(default=100, ge=1, description="How many requests in the time of `per`")
    per: Duration = Field(default=timedelta(seconds=60), gt=timedelta(), description="The time in which they are counted")
    burst: int = Field(default=150, ge=1, description="How many at once, after a silence")


class Quota(Strict):
    """So many requests in each span of time that the vendor counts by the clock, as a day. What is spent comes back with the next span.

    Example:
        requests: 15000
        per: 1d
        share: 0.3
        begins: 8h
    """

    requests: int = Field(ge=1, description="How many requests in each span")
    per: Duration = Field(default=timedelta(days=1), ge=timedelta(seconds=1), description="How long a span is")
    share: float = Field(default=1.0, gt=0, le=1, description="The part of it that we use")
    begins: Duration = Field(default=timedelta(), description="How long after midnight UTC a span begins, as 8h for midnight in California")


class RateLimit(Budget):
    """The budget of a vendor's account: a bucket, and `quotas` besides, each of which must have a call left.

    One budget is shared by all streams, workers, DAGs and tenants whose Connections have the same credentials. `shared: client` is for
    limits of an app (the same host and login), `shared: host` for limits of an address. A name in the Connection's extra, `rate_account`,
    stands for the account where several credentials belong to one. Sources that share an account should state the same limits.

    Example:
        requests: 1500
        per: 60s
        share: 0.3
        quotas: [{requests: 15000, per: 1d, share: 0.3}]
    """

    strategy: Literal["token_bucket", "leaky_bucket"] = Field(
        default="token_bucket", description="`leaky_bucket` spaces calls evenly: no burst, also after a silence"
    )
    share: float = Field(default=1.0, gt=0, le=1, description="The part of the vendor's limit that we use")
    quotas: tuple[Quota, ...] = Field(default=(), description="Further limits, counted by the clock")
    search: Budget | None = Field(default=None, description="A second limit, of searches")
    shared: Literal["credentials", "client", "host"] = Field(default="credentials", description="Who shares the budget")
    reserve: float = Field(
        default=0.0,
        ge=0,
        le=0.45,
        description="The part that tier `standard` leaves to `critical` ones of the same account; `best_effort` twice that",
    )
    leave: float = Field(
        default=0.0, ge=0, lt=1, description="Stop when the vendor's headers say that less than this part of a limit is left"
    )

    @property
    def ours(self) -> bool:
        """Whether nothing of the vendor's limits is left to others, from whom a call that turns out to be of no use would take."""
        return self.share == 1 and self.leave == 0 and all(quota.share == 1 for quota in self.quotas)

    @model_validator(mode="after")
    def _apart(self) -> RateLimit:
        spans = [quota.per for quota in self.quotas]
        refuse(type(self), [
            (("quotas", number, "per"), "another quota has the same span") for number, span in enumerate(spans) if span in spans[:number]
        ])  # fmt: skip
        return self


class Timeouts(Strict):
    """Seconds to connect, to wait for the next bytes, and for a request in all, its redirects and its last byte included.

    `total` is below the time for which a run holds its connection without a word, so that no other run begins meanwhile.

    `stream` is how long one stream may be read in one run of the DAG (`40m`), by default 10 minutes, 1 hour or 6 hours by tier: the other
    tenants' rows wait for it. What takes longer ends with STREAM_STOPPED, and the next run goes on from its last committed page.

    Example:
        read: 120
        total: 600
        stream: 2h
    """

    connect: float = Field(default=30.0, gt=0, allow_inf_nan=False, description="Seconds to connect")
    read: float = Field(default=60.0, gt=0, allow_inf_nan=False, description="Seconds without a byte")
    total: float = Field(default=300.0, gt=0, le=600, description="Seconds for a request in all")
    stream: Duration | None = Field(default=None, gt=timedelta(), description="How long one stream is read in one run; by the tier")
