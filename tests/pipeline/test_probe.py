"""A connection that refused credentials have paused comes back by what an operator does: a test, a changed Connection, a cleared task."""

from __future__ import annotations

import dataclasses

import pytest

from spine.control import connections
from spine.core.errors import AuthFailed, ConnectorError
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.probe import probe
from spine.pipeline.work import Sync

pytestmark = pytest.mark.postgres


@pytest.fixture
def spine(make_spine, small_pages):
    del small_pages
    return make_spine(scale=250)


def state(spine):
    tenant = spine.tenants[0]
    return connections.state(spine.services.database.of(tenant), connection_id("hubspot", tenant))


@pytest.fixture
def refused(spine):
    """HubSpot has refused the credentials, and takes them again from now on."""
    spine.server.sandbox.faults.add("unauthorized", vendor="hubspot", count=None)
    with pytest.raises(AuthFailed):
        spine.sync("hubspot", "r1", streams=["contacts"])
    assert state(spine).refused
    spine.server.sandbox.faults.clear()
    return spine


def change(spine, **fields) -> None:
    """What an operator does in Airflow's form; the Connections are the very dictionary that the services ask."""
    known = spine.services.connections.__self__
    name = connection_id("hubspot", spine.tenants[0])
    known[name] = dataclasses.replace(known[name], **fields)


@pytest.mark.parametrize("source", ["salesforce", "hubspot", "people_files"])
def test_every_stream_says_whether_it_answers_and_with_which_fields(spine, source):
    found = probe(source, spine.tenants[0], spine.services, "test")
    assert found.error is None
    empty = [one.stream for one in found.streams if not (one.records and one.fields)]
    assert set(empty) <= {"object", "objects", "schemas"}, "the account has no objects of its own"
    assert not found.resumed


def test_what_a_connection_says_in_vain_is_told_by_a_test_and_by_each_run(spine, caplog):
    name = connection_id("hubspot", spine.tenants[0])
    change(spine, extra={**spine.services.connections(name).extra, "allow_private": True})
    (told,) = probe("hubspot", spine.tenants[0], spine.services, "test").remarks
    assert "allow_private" in told
    assert "SPINE_PRIVATE_NETWORKS" in told
    (read,) = spine.sync("hubspot", "r1", streams=["contacts"])
    assert list(read["notes"]) == [told]
    assert [record.getMessage() for record in caplog.records].count(told) == 1
    change(spine, extra={})
    assert probe("hubspot", spine.tenants[0], spine.services, "test").remarks == ()


def test_a_stream_that_fails_hides_none_that_answers(spine):
    spine.server.sandbox.faults.add("schema_change", vendor="hubspot", stream="contacts", field="email", change="remove")
    spine.server.sandbox.faults.add("server_error", vendor="hubspot", stream="deals", count=None)
    found = {one.stream: one for one in probe("hubspot", spine.tenants[0], spine.services, "test").streams}
    assert found["companies"].records
    assert found["deals"].error is not None
    assert found["deals"].error.code == "SOURCE_UNAVAILABLE"


def test_a_test_keeps_nothing_and_moves_nothing(spine):
    probe("hubspot", spine.tenants[0], spine.services, "test")
    assert spine.bronze("hubspot", "contacts") == []
    assert spine.cursor("hubspot", "contacts") is None


def test_a_good_test_resumes(refused):
    assert probe("hubspot", refused.tenants[0], refused.services, "test").resumed
    assert refused.sync("hubspot", "r2", streams=["contacts"])


def test_a_test_that_is_refused_does_not(refused):
    refused.server.sandbox.faults.add("unauthorized", vendor="hubspot", count=None)
    found = probe("hubspot", refused.tenants[0], refused.services, "test")
    assert isinstance(found.error, AuthFailed)
    assert state(refused).refused


def test_a_good_test_leaves_a_persons_pause(spine):
    database, name = spine.services.database.of(spine.tenants[0]), connection_id("hubspot", spine.tenants[0])
    connections.pause(database, name, reason="contract ended", by="ana")
    assert not probe("hubspot", spine.tenants[0], spine.services, "test").resumed
    with pytest.raises(ConnectorError, match="contract ended"):
        spine.sync("hubspot", "r1")


def test_the_next_run_sees_that_the_connection_has_changed(refused):
    with pytest.raises(AuthFailed, match="Paused by spine"):
        refused.sync("hubspot", "r2", streams=["contacts"])
    change(refused, extra={"note": "renewed"})
    assert refused.sync("hubspot", "r3", streams=["contacts"])
    assert state(refused).active


def test_a_change_before_the_run_had_ended_is_seen_too(spine):
    """The operator is quick: the task has failed, other tasks of the run go on, and the pause comes only at its end."""
    spine.server.sandbox.faults.add("unauthorized", vendor="hubspot", count=None)
    (work,) = extract.plan(Sync("hubspot", "r1", spine.tenants, ["contacts"]), spine.services)
    with pytest.raises(AuthFailed):
        extract.extract(work, spine.services)
    change(spine, extra={"note": "renewed"})
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
    assert state(spine).refused
    spine.server.sandbox.faults.clear()
    assert spine.sync("hubspot", "r2", streams=["contacts"])


def test_a_cleared_task_that_succeeds_resumes_when_its_run_closes(spine):
    spine.server.sandbox.faults.add("unauthorized", vendor="hubspot", count=None)
    (work,) = extract.plan(Sync("hubspot", "r1", spine.tenants, ["contacts"]), spine.services)
    with pytest.raises(AuthFailed):
        extract.extract(work, spine.services)
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
    assert state(spine).refused
    spine.server.sandbox.faults.clear()
    extract.extract(work, spine.services)
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
    assert state(spine).active
