"""Only one run at a time may read a connection; a dead run does not hold it for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from spine.control import locks
from spine.control.database import Database
from spine.core.errors import SyncInProgress

pytestmark = pytest.mark.postgres
CONNECTION = "ipai_connector_salesforce"


def test_the_second_run_is_refused_and_told_who_holds_the_connection_since_when(database: Database, tenant: str) -> None:
    lease = locks.acquire(database, tenant, CONNECTION, "run-1")
    with pytest.raises(SyncInProgress) as refused:
        locks.acquire(database, tenant, CONNECTION, "run-2")
    assert "run-1" in str(refused.value)
    assert f"{lease.acquired_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" in str(refused.value)


def test_the_same_run_may_take_it_again_and_keeps_its_start(database: Database, tenant: str) -> None:
    first = locks.acquire(database, tenant, CONNECTION, "run-1", ttl=10)
    again = locks.acquire(database, tenant, CONNECTION, "run-1", ttl=100)
    assert again.acquired_at == first.acquired_at
    assert again.expires_at > first.expires_at


def test_an_expired_lease_may_be_taken_and_its_former_holder_notices(database: Database, tenant: str) -> None:
    locks.acquire(database, tenant, CONNECTION, "dead", ttl=-1)
    assert locks.held(database, tenant, CONNECTION) is None
    assert locks.acquire(database, tenant, CONNECTION, "next").holder == "next"
    with pytest.raises(SyncInProgress, match="next"):
        locks.renew(database, tenant, CONNECTION, "dead")


def test_a_late_holder_may_renew_while_nobody_took_the_connection(database: Database, tenant: str) -> None:
    locks.acquire(database, tenant, CONNECTION, "slow", ttl=-1)
    assert locks.renew(database, tenant, CONNECTION, "slow").expires_at > datetime.now(UTC)


def test_only_the_holder_releases(database: Database, tenant: str) -> None:
    locks.acquire(database, tenant, CONNECTION, "run-1")
    assert not locks.release(database, tenant, CONNECTION, "run-2")
    assert locks.release(database, tenant, CONNECTION, "run-1")
    with pytest.raises(SyncInProgress, match="lost"):
        locks.renew(database, tenant, CONNECTION, "run-1")
    locks.acquire(database, tenant, CONNECTION, "run-2")


def test_tenants_do_not_block_each_other(database: Database, tenant: str) -> None:
    locks.acquire(database, tenant, CONNECTION, "run-1")
    locks.acquire(database, f"{tenant}-b", CONNECTION, "run-2")


@pytest.mark.parametrize("start", ["free", "expired"])
def test_of_many_workers_exactly_one_gets_the_connection(database: Database, tenant: str, start: str) -> None:
    if start == "expired":
        locks.acquire(database, tenant, CONNECTION, "dead", ttl=-1)

    def attempt(number: int) -> bool:
        try:
            locks.acquire(database, tenant, CONNECTION, f"run-{number}")
        except SyncInProgress:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(attempt, range(24))) == 1
