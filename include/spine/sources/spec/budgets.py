"""Words for how fast, how long and how much a source may be asked."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from spine.core.declarations import Strict
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


class RateLimit(Budget):
    """Token bucket per connection, shared by all its streams and workers; `share` is the part of the vendor's limit we may use.

    `search` is a second limit that searches keep besides.

    Example:
        requests: 1500
        per: 60s
        share: 0.3
    """

    share: float = Field(default=1.0, gt=0, le=1, description="The part of the vendor's limit that we use")
    search: Budget | None = Field(default=None, description="A second limit, of searches")


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
