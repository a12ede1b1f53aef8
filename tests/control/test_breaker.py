"""The breaker: closed, open after five failures in a row, one probe at a time after a minute."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from spine.control.breaker import Breaker, Watched
from spine.control.database import TenantDatabase
from spine.core.errors import CircuitOpen

pytestmark = pytest.mark.postgres
START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(control: TenantDatabase, clock: Clock) -> Breaker:
    return Breaker(control, "ipai_connector_hubspot", clock=clock)


def fail(breaker: Breaker, times: int) -> list[str]:
    return [breaker.failure() for _ in range(times)]


def test_it_opens_at_the_fifth_failure_in_a_row_and_says_for_how_long(breaker: Breaker, clock: Clock) -> None:
    assert fail(breaker, 5) == ["closed"] * 4 + ["open"]
    clock.pass_(20)
    with pytest.raises(CircuitOpen) as refused:
        breaker.before()
    assert refused.value.retry_after == pytest.approx(40)


def test_a_success_in_between_starts_the_count_again(breaker: Breaker) -> None:
    fail(breaker, 4)
    breaker.success()
    assert fail(breaker, 4)[-1] == "closed"
    breaker.before()


def test_after_a_minute_one_probe_passes_and_its_success_closes_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.pass_(60)
    assert breaker.state() == "half-open"
    breaker.before()
    with pytest.raises(CircuitOpen):
        breaker.before()
    breaker.success()
    assert breaker.state() == "closed"
    breaker.before()


def test_a_failed_probe_opens_it_for_another_minute(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.pass_(61)
    breaker.before()
    assert breaker.failure() == "open"
    clock.pass_(59)
    with pytest.raises(CircuitOpen):
        breaker.before()
    clock.pass_(1)
    breaker.before()


def test_a_probe_that_died_is_replaced(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.pass_(60)
    breaker.before()
    clock.pass_(60)
    breaker.before()


def test_late_failures_do_not_keep_it_open(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.pass_(50)
    breaker.failure()
    clock.pass_(10)
    breaker.before()


def test_workers_share_it_and_only_one_becomes_the_probe(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.pass_(60)

    def attempt(_: int) -> bool:
        try:
            breaker.before()
        except CircuitOpen:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_failures_of_workers_at_once_are_all_counted(control: TenantDatabase) -> None:
    breaker = Breaker(control, "ipai_connector_hubspot")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: breaker.failure(), range(5)))
    assert breaker.state() == "open"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["call ok", "call fails", "20 s", "60 s"]), max_size=25))
def test_it_never_lets_a_call_through_within_a_minute_of_opening(breaker: Breaker, steps: list[str]) -> None:
    clock = Clock()
    mine = replace(breaker, database=breaker.database.database.of(f"t{uuid4().hex[:12]}"), clock=clock)
    failures, opened = 0, None
    for step in steps:
        if step.endswith(" s"):
            clock.pass_(float(step.split()[0]))
            continue
        may_call = opened is None or clock.now >= opened + timedelta(seconds=60)
        if not may_call:
            with pytest.raises(CircuitOpen):
                mine.before()
            continue
        mine.before()
        if step == "call ok":
            mine.success()
            failures, opened = 0, None
        else:
            failures += 1
            opened = clock.now if failures >= 5 else None
            assert mine.failure() == ("open" if opened else "closed")


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def commits(control: TenantDatabase) -> Callable[[], int]:
    """Counts the transactions of the control plane from now on."""
    counted: list[int] = []
    event.listen(control.database._engine, "commit", lambda _: counted.append(1))
    return lambda: len(counted)


def test_a_closed_breaker_is_looked_at_from_time_to_time_and_told_of_no_success(control: TenantDatabase) -> None:
    seconds, made = Seconds(), commits(control)
    watched = Watched(Breaker(control, "c"), seconds)
    for _ in range(100):
        watched.before()
        watched.success()
        seconds.now += 0.1
    assert made() <= 10 / Watched.LOOK + 1


def test_a_success_after_any_failure_is_told(control: TenantDatabase) -> None:
    seconds, shared = Seconds(), Breaker(control, "c")
    mine, other = Watched(shared, seconds), Watched(shared, seconds)
    for watched in (mine, other):
        watched.before()
        watched.success()
    for _ in range(4):
        mine.failure()
    seconds.now += Watched.LOOK
    other.before()
    other.success()
    assert shared.failure() == "closed"  # it counts from one again


def test_a_breaker_that_another_has_opened_is_seen_at_the_next_look(control: TenantDatabase) -> None:
    seconds, shared = Seconds(), Breaker(control, "c")
    mine, other = Watched(shared, seconds), Watched(shared, seconds)
    mine.before()
    mine.success()
    fail(shared, 5)
    with pytest.raises(CircuitOpen):
        other.before()
    mine.before()
    seconds.now += Watched.LOOK
    for _ in range(2):
        with pytest.raises(CircuitOpen):
            mine.before()


def test_the_worker_that_opens_it_stops_at_once_and_its_probe_closes_it(control: TenantDatabase, clock: Clock) -> None:
    watched = Watched(Breaker(control, "c", clock=clock), Seconds())
    watched.before()
    assert [watched.failure() for _ in range(5)][-1] == "open"
    with pytest.raises(CircuitOpen):
        watched.before()
    clock.pass_(60)
    watched.before()
    watched.success()
    assert watched.breaker.state() == "closed"
