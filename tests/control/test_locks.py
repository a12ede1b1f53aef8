"""Only one run at a time may read a connection; a dead run does not hold it for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from spine.control import locks
from spine.control.database import Database, TenantDatabase
from spine.core.errors import SyncInProgress

pytestmark = pytest.mark.postgres
CONNECTION = "ipai_connector_salesforce"


def test_the_second_run_is_refused_and_told_who_holds_the_connection_since_when(control: TenantDatabase) -> None:
    lease = locks.acquire(control, CONNECTION, "run-1")
    with pytest.raises(SyncInProgress) as refused:
        locks.acquire(control, CONNECTION, "run-2")
    assert "run-1" in str(refused.value)
    assert f"{lease.acquired_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" in str(refused.value)


def test_the_same_run_may_take_it_again_and_keeps_its_start(control: TenantDatabase) -> None:
    first = locks.acquire(control, CONNECTION, "run-1", ttl=10)
    again = locks.acquire(control, CONNECTION, "run-1", ttl=100)
    assert again.acquired_at == first.acquired_at
    assert again.expires_at > first.expires_at


def test_an_expired_lease_may_be_taken_and_its_former_holder_notices(control: TenantDatabase) -> None:
    locks.acquire(control, CONNECTION, "dead", ttl=-1)
    assert locks.held(control, CONNECTION) is None
    assert locks.acquire(control, CONNECTION, "next").holder == "next"
    with pytest.raises(SyncInProgress, match="next"):
        locks.renew(control, CONNECTION, "dead")


def test_a_late_holder_may_renew_while_nobody_took_the_connection(control: TenantDatabase) -> None:
    locks.acquire(control, CONNECTION, "slow", ttl=-1)
    assert locks.renew(control, CONNECTION, "slow").expires_at > datetime.now(UTC)


def test_only_the_holder_releases(control: TenantDatabase) -> None:
    locks.acquire(control, CONNECTION, "run-1")
    assert not locks.release(control, CONNECTION, "run-2")
    assert locks.release(control, CONNECTION, "run-1")
    with pytest.raises(SyncInProgress, match="lost"):
        locks.renew(control, CONNECTION, "run-1")
    locks.acquire(control, CONNECTION, "run-2")


def test_tenants_do_not_block_each_other(control: TenantDatabase, database: Database, tenant: str) -> None:
    locks.acquire(control, CONNECTION, "run-1")
    locks.acquire(database.of(f"{tenant}-b"), CONNECTION, "run-2")


@pytest.mark.parametrize("start", ["free", "expired"])
def test_of_many_workers_exactly_one_gets_the_connection(control: TenantDatabase, start: str) -> None:
    if start == "expired":
        locks.acquire(control, CONNECTION, "dead", ttl=-1)

    def attempt(number: int) -> bool:
        try:
            locks.acquire(control, CONNECTION, f"run-{number}")
        except SyncInProgress:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(attempt, range(24))) == 1
