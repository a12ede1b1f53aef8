"""How a run ends: what of each tenant is written down, told and released."""

from __future__ import annotations

import pytest

from spine.control import connections, events, locks, runs
from spine.core.errors import AuthFailed, JobFailed, SchemaMismatch, SourceUnavailable
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.work import Sync

pytestmark = pytest.mark.postgres


def test_one_failing_stream_does_not_stop_the_others(make_spine):
    spine = make_spine()
    spine.server.sandbox.faults.add("server_error", vendor="hubspot", stream="companies", count=None)
    works = extract.plan(Sync("hubspot", tenants=spine.tenants, run_id="r1"), spine.services)
    done = {}
    for work in sorted(works, key=lambda work: work.stream == "companies"):
        try:
            done[work.stream] = extract.extract(work, spine.services).to_json()["status"]
        except SourceUnavailable:
            done[work.stream] = "unavailable"
    assert done.pop("companies") == "unavailable"
    assert {"contacts", "deals"} <= done.keys()
    assert set(done.values()) == {"success"}
    closed = closing.finish("hubspot", "r1", spine.tenants, spine.services)
    assert closed.status == "partial"
    assert closed.tenants[spine.tenants[0]].errors[0]["code"] == "SOURCE_UNAVAILABLE"


def test_a_stream_that_was_killed_is_closed_as_failed_and_finish_may_be_called_again(make_spine):
    spine = make_spine()
    extract.plan(Sync("hubspot", tenants=spine.tenants, streams=["deals"], run_id="r1"), spine.services)
    for _ in range(2):
        closed = closing.finish("hubspot", "r1", spine.tenants, spine.services)
        assert closed.status == "failed"
    assert locks.held(spine.services.database.of(spine.tenants[0]), connection_id("hubspot", spine.tenants[0])) is None


def test_errors_after_extraction_close_the_run_of_their_tenant(make_spine):
    spine = make_spine(count=2)
    one, two = spine.tenants
    for work in extract.plan(Sync("hubspot", tenants=[one, two], streams=["deals"], run_id="r1"), spine.services):
        extract.extract(work, spine.services)
    closed = closing.finish("hubspot", "r1", [one, two], spine.services, errors=[SchemaMismatch("bad", tenant=two).as_dict()])
    assert {name: item.status for name, item in closed.tenants.items()} == {one: "success", two: "partial"}
    assert closed.status == "partial"


def test_a_tenant_that_was_not_in_the_run_has_no_part_in_its_failure(make_spine):
    spine = make_spine(count=2)
    one, two = spine.tenants
    for work in extract.plan(Sync("hubspot", tenants=[one], streams=["deals"], run_id="r1"), spine.services):
        extract.extract(work, spine.services)
    closed = closing.finish("hubspot", "r1", [one, two], spine.services, errors=[JobFailed("normalize died")])
    assert {name: item.status for name, item in closed.tenants.items()} == {one: "partial", two: "skipped"}
    assert runs.recent_runs(spine.services.database.of(two)) == []
    assert connections.state(spine.services.database.of(two), connection_id("hubspot", two)).last_error_code == ""


def test_a_run_tells_how_it_began_and_ended(make_spine):
    spine = make_spine()
    mine = spine.services.database.of(spine.tenants[0])
    spine.sync("hubspot", "r1", streams=["deals"])
    spine.server.sandbox.faults.add("unauthorized", vendor="hubspot", count=None)
    with pytest.raises(AuthFailed):
        spine.sync("hubspot", "r2", streams=["deals"])
    assert [told.event.kind for told in reversed(events.recent(mine))] == [
        "sync.started", "sync.completed", "sync.started", "connector.paused", "sync.failed"
    ]  # fmt: skip
