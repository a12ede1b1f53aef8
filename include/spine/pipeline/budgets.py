"""The call budget of a vendor's account, which all share who call it: streams, workers, DAGs and tenants."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import orjson

from spine.control import bucket, keys
from spine.control.airflow_state import ConnectionInfo
from spine.control.bucket import Allotments, Quota
from spine.control.database import Database, TenantDatabase
from spine.http.client import Bucket, NoBucket
from spine.http.transport import origin_of
from spine.sources.spec import Budget, RateLimit, Source, Tier

_LEVEL: Mapping[Tier, int] = {"critical": 0, "standard": 1, "best_effort": 2}
_CALLS, _SEARCHES = "calls", "searches"


def account_of(source: Source, info: ConnectionInfo, url: str) -> str:
    """Who a vendor counts the calls of a Connection for, as a name that tells nothing of it.

    A keyed hash: an account is a tenant of its own in the table of counters, which shows a row to whoever has its name alone. So who
    shares an account shares its counters, sees nothing else of each other, and nobody finds an account who lacks its credentials.
    """
    shared = source.rate_limit.shared
    named = str(info.extra.get("rate_account") or "")
    who = {
        "host": [],
        "client": [info.login or info.password],
        "credentials": [info.login, info.password, str(info.extra.get("refresh_token") or "")],
    }[shared]
    content = orjson.dumps([shared, *origin_of(url), named] + ([] if named else who))
    key = keys.deployment_keys()[-1]  # the oldest, so that a rotation loses no count until it is dropped
    return f"account-{hmac.new(key.encode(), content, hashlib.sha256).hexdigest()[:32]}"


def budgets_of(source: Source, info: ConnectionInfo, url: str, database: Database) -> tuple[Bucket, Bucket]:
    """The budget of all calls, and that of searches besides."""
    limit, account = source.rate_limit, database.of(account_of(source, info, url))
    leave = limit.reserve * _LEVEL[source.tier]
    quotas = tuple(
        Quota(max(1.0, quota.requests * quota.share), quota.per.total_seconds(), quota.begins.total_seconds()) for quota in limit.quotas
    )
    calls = _bucket(account, _CALLS, limit, limit, quotas, leave)
    return calls, _bucket(account, _SEARCHES, limit.search, limit, (), leave) if limit.search else NoBucket()


def _bucket(
    account: TenantDatabase, name: str, budget: Budget, limit: RateLimit, quotas: tuple[Quota, ...], leave: float
) -> Allotments:  # fmt: skip
    most = 1.0 if limit.strategy == "leaky_bucket" else max(1.0, budget.burst * limit.share)
    refill = budget.requests * limit.share / budget.per.total_seconds()
    return Allotments(bucket.Bucket(account, name, most, refill, quotas=quotas, leave=leave))
