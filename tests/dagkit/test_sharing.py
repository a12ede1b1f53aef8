"""No tenant takes all slots of the connector pool, and what it held is free again."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import orjson
import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from spine.control.variables import MemoryVariables
from spine.dagkit.sharing import own_share, share
from spine.pipeline.services import Services
from spine.pipeline.work import StreamWork

HOUR = timedelta(hours=1)


def work(tenant, stream, run_id="r1"):
    return StreamWork("salesforce", stream, tenant, "c", "incremental", run_id, None, "", True, False, False, "")


@pytest.fixture
def services(database, tenant):
    listed = {"salesforce": [tenant], "hubspot": [tenant, "other"]}
    return Services(database, MemoryVariables({"spine.tenants": orjson.dumps(listed).decode()}), lambda name: pytest.fail(name))


@pytest.fixture
def four_slots(monkeypatch):
    monkeypatch.setenv("CONNECTOR_POOL_SIZE", "4")


@pytest.mark.parametrize(("size", "allowed"), [(1, 1), (2, 1), (4, 3), (10, 8), (100, 75)])
def test_a_share_is_all_but_a_quarter(monkeypatch, size, allowed):
    monkeypatch.setenv("CONNECTOR_POOL_SIZE", str(size))
    assert share() == allowed


def test_a_tenant_waits_once_it_has_its_share_and_the_others_do_not(services, tenant, four_slots):
    with ExitStack() as busy:
        for number in range(3):
            busy.enter_context(own_share(work(tenant, f"s{number}"), services, longest=HOUR))
        with pytest.raises(AirflowRescheduleException), own_share(work(tenant, "s4"), services, longest=HOUR):
            pytest.fail("it went on")
        with own_share(work("other", "s1"), services, longest=HOUR):
            pass
    with own_share(work(tenant, "s4"), services, longest=HOUR):
        pass


def test_a_retry_takes_over_the_slot_of_the_attempt_that_was_killed(services, tenant, monkeypatch):
    monkeypatch.setenv("CONNECTOR_POOL_SIZE", "1")
    killed = own_share(work(tenant, "s1"), services, longest=HOUR)
    killed.__enter__()
    with pytest.raises(AirflowRescheduleException), own_share(work(tenant, "s2"), services, longest=HOUR):
        pytest.fail("it went on")
    with own_share(work(tenant, "s1"), services, longest=HOUR):
        pass
    with own_share(work(tenant, "s2"), services, longest=HOUR):
        pass


def test_a_slot_ends_with_the_longest_time_of_its_task(services, tenant, monkeypatch):
    monkeypatch.setenv("CONNECTOR_POOL_SIZE", "1")
    dead = own_share(work(tenant, "s1"), services, longest=timedelta(0))
    dead.__enter__()
    with own_share(work(tenant, "s2"), services, longest=HOUR):
        pass


def test_whoever_is_alone_has_all_slots(database, tenant, monkeypatch):
    monkeypatch.setenv("CONNECTOR_POOL_SIZE", "1")
    alone = Services(database, MemoryVariables({}), lambda name: pytest.fail(name))
    with own_share(work("default", "s1"), alone, longest=HOUR), own_share(work("default", "s2"), alone, longest=HOUR):
        pass
