"""Who waits for a busy connection and for other syncs, and who does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import orjson
import psycopg
import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from spine.control import runs
from spine.control.runs import SyncRun
from spine.control.variables import MemoryVariables
from spine.core.errors import SyncInProgress
from spine.core.names import ConnectionId
from spine.dagkit.waiting import gathering, waiting_unless_manual, waits_for_all
from spine.pipeline.services import Services


@pytest.mark.parametrize("kind", ["scheduled", "backfill", "asset_triggered"])
def test_a_run_that_nobody_waits_for_is_rescheduled(kind: str) -> None:
    with pytest.raises(AirflowRescheduleException) as caught, waiting_unless_manual(SimpleNamespace(run_type=kind)):
        raise SyncInProgress("busy")
    pause = caught.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=15) < pause < timedelta(seconds=45)


def test_a_person_is_refused() -> None:
    with pytest.raises(SyncInProgress), waiting_unless_manual(SimpleNamespace(run_type="manual")):
        raise SyncInProgress("busy")


@pytest.mark.parametrize(
    ("kind", "minutes", "waits"),
    [("scheduled", 1, True), ("scheduled", 6, False), ("backfill", 600, True), ("manual", 0, False)],
)
def test_a_scheduled_run_waits_for_one_tenant_for_a_while_only(kind: str, minutes: int, waits: bool) -> None:
    assert waits_for_all(SimpleNamespace(run_type=kind, start_date=datetime.now(UTC) - timedelta(minutes=minutes))) is waits


class TestGathering:
    """One resolve serves the sources that are under way when the first of them has ended."""

    SOURCES = ("hubspot", "salesforce", "people_files")

    @pytest.fixture
    def services(self, database, tenant, monkeypatch):
        variables = MemoryVariables({"spine.tenants": orjson.dumps({source: [tenant] for source in self.SOURCES}).decode()})
        services = Services(database, variables, lambda name: pytest.fail("needs no Connection"))
        monkeypatch.setattr("spine.pipeline.services.services_from_environment", lambda: services)
        return services

    @staticmethod
    def run(kind="asset_triggered", since=timedelta(0)):
        woken_by = SimpleNamespace(source_dag_id="sync_hubspot", source_run_id="scheduled__1")
        started = datetime.now(UTC) - since
        return {"dag_run": SimpleNamespace(run_type=kind, start_date=started), "triggering_asset_events": {"silver.hubspot": [woken_by]}}

    def test_it_waits_for_another_source(self, services, tenant):
        begin(services, tenant, "salesforce")
        with pytest.raises(AirflowRescheduleException):
            gathering("person")(self.run())

    def test_it_waits_neither_for_the_run_that_woke_it_nor_for_sources_of_other_entities(self, services, tenant):
        begin(services, tenant, "hubspot")
        begin(services, tenant, "people_files")  # has no organisations
        gathering("organization")(self.run())

    def test_it_does_not_wait_for_ever(self, services, tenant):
        begin(services, tenant, "salesforce")
        gathering("person")(self.run(since=timedelta(minutes=3)))

    def test_a_person_does_not_wait(self, services, tenant):
        begin(services, tenant, "salesforce")
        gathering("person")(self.run(kind="manual"))

    def test_a_run_that_has_ended_holds_up_nobody(self, services, tenant):
        runs.finish(services.database.of(tenant), begin(services, tenant, "salesforce"), "failed")
        gathering("person")(self.run())

    def test_a_dead_run_holds_up_nobody(self, services, tenant, admin_url):
        begin(services, tenant, "salesforce")
        with psycopg.connect(admin_url) as connection:
            connection.execute("UPDATE spine.sync_runs SET started_at = started_at - interval '61 minutes' WHERE tenant_id = %s", [tenant])
        gathering("person")(self.run())


def begin(services, tenant, source):
    run = SyncRun(source, "scheduled__1", str(ConnectionId(source, tenant)), "incremental")
    runs.start(services.database.of(tenant), run)
    return run
