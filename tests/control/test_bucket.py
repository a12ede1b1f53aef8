"""The call budget of an account holds however many workers share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.control.bucket import Allotments, Bucket, Quota
from spine.control.database import Database, TenantDatabase
from spine.core.errors import ConfigError, RateLimited

pytestmark = pytest.mark.postgres
START = datetime(2026, 1, 1, tzinfo=UTC)


def frozen(control: TenantDatabase, capacity: float = 3, rate: float = 2.0) -> Bucket:
    return Bucket(control, "salesforce", capacity, rate, clock=lambda: START)


def test_a_full_bucket_serves_its_capacity_at_once_and_then_by_its_rate(control: TenantDatabase) -> None:
    bucket = frozen(control)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]


def test_it_refills_with_time_up_to_its_capacity(control: TenantDatabase) -> None:
    bucket = frozen(control)
    bucket.take(3)
    later = Bucket(control, "salesforce", 3, 2.0, clock=lambda: START + timedelta(hours=1))
    assert [later.take() for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_clock_that_goes_back_gives_nothing(control: TenantDatabase) -> None:
    frozen(control).take(3)
    earlier = Bucket(control, "salesforce", 3, 2.0, clock=lambda: START - timedelta(hours=1))
    assert earlier.take() == 0.5


def test_too_long_a_wait_is_refused_and_reserves_nothing(control: TenantDatabase) -> None:
    bucket = frozen(control)
    bucket.take(3)
    for _ in range(3):
        with pytest.raises(RateLimited) as refused:
            bucket.take(2, max_wait=0.9)
        assert refused.value.retry_after == 1.0
    assert bucket.take() == 0.5


@pytest.mark.parametrize("before", [0, 3], ids=["full", "empty"])
def test_after_the_source_asked_for_silence_nobody_calls_before_its_end(control: TenantDatabase, before: int) -> None:
    bucket = frozen(control)
    for _ in range(before):
        bucket.take()
    bucket.pause(30)
    assert bucket.take() == pytest.approx(30)


def test_a_shorter_pause_does_not_cut_a_longer_wait(control: TenantDatabase) -> None:
    bucket = frozen(control)
    bucket.pause(30)
    bucket.pause(1)
    assert bucket.take() == pytest.approx(30)


def test_who_waits_for_its_turn_can_see_that_the_account_is_closed(control: TenantDatabase) -> None:
    bucket = frozen(control, 1, 1.0)
    bucket.take()
    assert bucket.take() == pytest.approx(1)
    assert bucket.closed() == 0  # a queue is no silence
    bucket.pause(900)
    assert bucket.closed() == pytest.approx(900)


def test_a_closed_account_gives_no_call_to_who_cannot_wait_so_long_and_keeps_none_for_it(control: TenantDatabase) -> None:
    bucket = frozen(control)
    bucket.pause(900)
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            bucket.take(max_wait=300)
        assert caught.value.retry_after == pytest.approx(900)


@pytest.mark.parametrize(("capacity", "rate"), [(0, 1.0), (5, 0.0), (5, -1.0)])
def test_a_bucket_that_could_never_serve_is_refused(control: TenantDatabase, capacity: float, rate: float) -> None:
    with pytest.raises(ConfigError, match="positive refill"):
        frozen(control, capacity, rate)


@pytest.mark.parametrize("n", [0, -1, 4])
def test_a_bad_number_of_calls_is_refused(control: TenantDatabase, n: float) -> None:
    with pytest.raises(ConfigError, match="Cannot take"):
        frozen(control).take(n)


def test_workers_at_once_get_different_places(control: TenantDatabase) -> None:
    bucket = frozen(control, capacity=5, rate=1.0)
    with ThreadPoolExecutor(10) as pool:
        waits = sorted(pool.map(lambda _: bucket.take(), range(25)))
    assert waits == [0.0] * 5 + [float(number) for number in range(1, 21)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    capacity=st.integers(1, 6),
    rate=st.sampled_from([0.5, 1.0, 4.0]),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 6)), max_size=15),
)
def test_in_any_span_of_time_no_more_calls_are_made_than_capacity_plus_refill(
    database: Database, capacity: int, rate: float, steps: list[tuple[float, int]]
) -> None:
    moment = START
    bucket = Bucket(database.of(f"t{uuid4().hex[:12]}"), "b", capacity, rate, clock=lambda: moment)
    calls: list[tuple[float, int]] = []
    for pause, wanted in steps:
        moment += timedelta(seconds=pause)
        n = min(wanted, capacity)
        calls.append(((moment - START).total_seconds() + bucket.take(n), n))
    for index, (begin, _) in enumerate(calls):
        for last in range(index, len(calls)):
            spent = sum(n for _, n in calls[index : last + 1])
            assert spent <= capacity + rate * (calls[last][0] - begin) + 1e-3


class Worker:
    """A taker of allotments whose clock, and that of the database, stand still unless they are moved."""

    def __init__(self, control: TenantDatabase, capacity: float, rate: float) -> None:
        self.now = 0.0
        self.asked = 0
        self.bucket = Bucket(control, "b", capacity, rate, clock=self._moment)
        self.calls = Allotments(self.bucket, monotonic=lambda: self.now)

    def _moment(self) -> datetime:
        self.asked += 1
        return START + timedelta(seconds=self.now)

    def call(self) -> float:
        """Make the next call; the moment of it."""
        self.now += self.calls.take()
        return self.now


def test_a_worker_asks_once_for_many_calls(control: TenantDatabase) -> None:
    worker = Worker(control, capacity=100, rate=10)
    for _ in range(200):
        worker.call()
        worker.now += 0.02
    assert worker.asked <= 25
    assert worker.now >= (200 - 100) / 10


def test_who_needs_few_calls_takes_few_and_gives_back_what_it_did_not_make(control: TenantDatabase) -> None:
    fast, slow = Worker(control, 100, 10), Worker(control, 100, 10)
    for _ in range(20):
        slow.call()
        slow.now += 0.9
    slow.call()
    fast.now = slow.now
    assert fast.bucket.take() == 0  # the bucket is still as good as full
    assert [fast.bucket.take() for _ in range(85)] == [0.0] * 85


def test_a_worker_that_dies_costs_the_others_an_allotment_and_no_more(control: TenantDatabase) -> None:
    dead, other = Worker(control, 100, 10), Worker(control, 100, 10)
    for _ in range(16):
        dead.call()
    free = sum(other.bucket.take() == 0 for _ in range(100))
    assert 100 - 16 - 10 - 10 <= free <= 100 - 16


def test_two_streams_take_turns(control: TenantDatabase) -> None:
    workers = [Worker(control, 11, 10), Worker(control, 11, 10)]
    made = [0, 0]
    while min(worker.now for worker in workers) < 20:
        place = min((0, 1), key=lambda number: workers[number].now)
        workers[place].call()
        made[place] += 1
    assert made[0] == pytest.approx(made[1], abs=12)
    assert sum(made) == pytest.approx(20 * 10, abs=25)


def test_calls_in_hand_are_not_made_once_the_source_asked_for_silence(control: TenantDatabase) -> None:
    mine, other = Worker(control, 100, 10), Worker(control, 100, 10)
    for _ in range(4):
        mine.call()
        other.call()
    mine.calls.pause(900)
    assert mine.calls.take() == pytest.approx(900)
    other.now += Allotments.HOLD + 0.01  # what another has in hand ends soon
    assert other.calls.take() == pytest.approx(900, abs=2)


def test_a_bucket_that_holds_one_call_gives_single_ones(control: TenantDatabase) -> None:
    worker = Worker(control, 1, 2.0)
    assert [worker.call() for _ in range(4)] == [0, 0.5, 1.0, 1.5]
    assert worker.asked == 4


def test_an_allotment_whose_first_call_would_wait_too_long_is_refused_and_reserves_nothing(control: TenantDatabase) -> None:
    worker = Worker(control, 10, 1.0)
    worker.bucket.take(10)
    for _ in range(3):
        with pytest.raises(RateLimited):
            worker.calls.take(max_wait=0.5)
    assert worker.bucket.take() == pytest.approx(1, abs=0.5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    capacity=st.integers(1, 12),
    rate=st.sampled_from([0.5, 4.0, 20.0]),
    steps=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.01, 0.1, 0.4, 1.0, 3.0])), max_size=60),
)
def test_two_workers_with_allotments_never_make_more_calls_than_the_limit_allows(
    database: Database, capacity: int, rate: float, steps: list[tuple[int, float]]
) -> None:
    control = database.of(f"t{uuid4().hex[:12]}")
    workers = [Worker(control, capacity, rate), Worker(control, capacity, rate)]
    calls: list[float] = []
    for place, pause in steps:
        worker = workers[place]
        # What one worker does in its future cannot be known to the other: time is that of whoever is behind.
        worker = min(workers, key=lambda each: each.now) if abs(workers[0].now - workers[1].now) > 0 else worker
        calls.append(worker.call())
        worker.now += pause
    calls.sort()
    for index, begin in enumerate(calls):
        for last in range(index, len(calls)):
            assert last - index + 1 <= capacity + rate * (calls[last] - begin) + 1e-3


DAY = 86_400.0


class Day:
    """A clock that is moved by hand."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def counted(control: TenantDatabase, clock: Day, *quotas: Quota, capacity: float = 100, leave: float = 0.0) -> Bucket:
    return Bucket(control, "b", capacity, 100.0, clock=clock, quotas=quotas, leave=leave)


def test_a_quota_is_spent_once_and_comes_back_with_the_next_span(control: TenantDatabase) -> None:
    clock = Day(START + timedelta(hours=20))
    bucket = counted(control, clock, Quota(3, DAY))
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    for _ in range(2):
        with pytest.raises(RateLimited) as refused:
            bucket.take()
        assert refused.value.retry_after == pytest.approx(4 * 3600)
    clock.now = START + timedelta(days=1)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]


def test_a_span_begins_when_the_vendors_day_does(control: TenantDatabase) -> None:
    clock = Day(START + timedelta(hours=7))
    bucket = counted(control, clock, Quota(1, DAY, begins=8 * 3600))
    bucket.take()
    with pytest.raises(RateLimited) as refused:
        bucket.take()
    assert refused.value.retry_after == pytest.approx(3600)
    clock.now += timedelta(hours=1)
    assert bucket.take() == 0


def test_of_several_windows_each_must_have_a_call_left_and_a_refusal_counts_in_none(control: TenantDatabase) -> None:
    clock = Day()
    bucket = counted(control, clock, Quota(5, DAY), Quota(2, 60.0))
    bucket.take(2)
    for _ in range(4):
        with pytest.raises(RateLimited) as refused:
            bucket.take()
        assert refused.value.retry_after == pytest.approx(60)
    for minute in (1, 2):
        clock.now = START + timedelta(minutes=minute)
        bucket.take()
    with pytest.raises(RateLimited):
        bucket.take(2)  # one is left of the day
    clock.now += timedelta(minutes=1)
    bucket.take()
    with pytest.raises(RateLimited) as refused:
        bucket.take()
    assert refused.value.retry_after > 3600


def test_workers_at_once_never_spend_more_than_the_quota(control: TenantDatabase) -> None:
    workers = [Allotments(counted(control, Day(), Quota(40, DAY), Quota(1000, 60.0), capacity=1000)) for _ in range(6)]

    def spend(worker: Allotments) -> int:
        made = 0
        try:
            while True:
                worker.take()
                made += 1
        except RateLimited:
            return made

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(spend, workers))
    assert 40 - 6 <= sum(made) <= 40  # what a worker has reserved and not used is given back at its next allotment only


def test_an_allotment_is_smaller_where_a_quota_has_less_left(control: TenantDatabase) -> None:
    calls = Allotments(counted(control, Day(), Quota(11, DAY), capacity=1000))
    assert [calls.take() for _ in range(11)] == [0.0] * 11
    with pytest.raises(RateLimited):
        calls.take()


def test_what_is_left_to_the_more_important_is_theirs_alone(control: TenantDatabase) -> None:
    clock = Day()
    lesser = Bucket(control, "b", 10, 1.0, clock=clock, quotas=(Quota(100, DAY),), leave=0.4)
    critical = replace(lesser, leave=0.0)
    assert [lesser.take() for _ in range(6)] == [0.0] * 6
    assert lesser.take() == pytest.approx(1)  # it waits, though four are there
    assert [critical.take() for _ in range(3)] == [0.0] * 3
    clock.now += timedelta(hours=1)
    for _ in range(50):
        critical.take()
        clock.now += timedelta(seconds=1)
    with pytest.raises(RateLimited, match="quota"):
        lesser.take()  # sixty of a hundred are spent
    assert critical.take() == 0
