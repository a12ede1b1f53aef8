"""A stream that takes too long, or whose task is ended from outside: it ends with its code, holds nothing, and the next run goes on."""

from __future__ import annotations

from collections import Counter

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from spine.control import locks, runs
from spine.core.errors import StreamStopped
from spine.core.names import connection_id
from spine.pipeline import closing, extract, planning
from spine.pipeline.work import StreamWork, Sync

pytestmark = pytest.mark.postgres


@pytest.fixture
def spine(make_spine, small_pages, monkeypatch):
    """Two tenants with six pages of contacts each; the first tenant's vendor takes most of a second for each page from the third on."""
    monkeypatch.setenv("SPINE_FLUSH_BYTES", "1")
    made = make_spine(scale=1200, count=2)
    made.server.sandbox.faults.add("hang", vendor="salesforce", tenant=made.tenants[0], nth=3, count=None, seconds=0.7)
    return made


def plan(spine, run_id, **options):
    return planning.plan(Sync("salesforce", run_id, spine.tenants, ["contacts"], **options), spine.services)


def read(spine, run_id, within=0.5):
    """A run in which the first tenant's stream is stopped."""
    slow, quick = plan(spine, run_id)
    with pytest.raises(StreamStopped, match=f"{connection_id('salesforce', spine.tenants[0])}.*goes on from its last committed page"):
        extract.extract(slow, spine.services, within=within)
    extract.extract(quick, spine.services, within=60.0)
    return closing.finish("salesforce", run_id, spine.tenants, spine.services)


def ids(spine, tenant):
    return Counter(row[0] for row in spine.bronze("salesforce", "contacts", ("record_id", "tenant_id")) if row[1] == tenant)


def asked(spine):
    """Pages that the slow tenant's vendor was asked for until now."""
    return sum(call.tenant == spine.tenants[0] and "query" in call.path for call in spine.server.sandbox.calls)


def test_the_others_are_whole_and_the_next_runs_go_on_from_the_last_page(spine):
    slow, quick = spine.tenants
    closed = read(spine, "r1")
    assert {tenant: found.status for tenant, found in closed.tenants.items()} == {slow: "failed", quick: "success"}
    assert closed.tenants[slow].errors[0]["code"] == "STREAM_STOPPED"
    first, whole = ids(spine, slow), ids(spine, quick)
    assert 0 < len(first) < len(whole)
    assert spine.cursor("salesforce", "contacts", slow) is None
    read(spine, "r2")
    second = ids(spine, slow)
    assert len(first) < len(second)
    spine.server.sandbox.faults.clear()
    pages = asked(spine)
    (work, _) = plan(spine, "r3")
    assert work.continues == "r1"
    done = extract.extract(work, spine.services)
    assert asked(spine) - pages < 6, "pages that are committed are not asked for again"
    assert set(ids(spine, slow).values()) == {1}, "nothing is written twice"
    assert len(ids(spine, slow)) == done.counts.rows
    assert spine.cursor("salesforce", "contacts", slow) is not None
    closing.finish("salesforce", "r3", spine.tenants, spine.services)
    assert plan(spine, "r4")[0].continues == ""


def test_a_cursor_that_was_set_since_begins_anew(spine):
    read(spine, "r1")
    name = connection_id("salesforce", spine.tenants[0])
    spine.services.variables.set(f"spine.cursor.{name}.contacts", '{"value": "2026-01-01T00:00:00Z", "updated_at": "", "run_id": "x"}')
    assert plan(spine, "r2")[0].continues == ""


@pytest.mark.parametrize("options", [{"mode": "full"}, {"dry_run": True}])
def test_another_kind_of_run_begins_anew(spine, options):
    read(spine, "r1")
    assert plan(spine, "r2", **options)[0].continues == ""


def test_what_airflow_ends_in_the_middle_of_a_request_leaves_no_lock_and_goes_on(spine):
    """Airflow's own time-out, which may come at any line, also one that waits for a socket."""
    slow = spine.tenants[0]
    database, name = spine.services.database.of(slow), connection_id("salesforce", slow)
    spine.server.sandbox.faults.clear()
    spine.server.sandbox.faults.add("hang", vendor="salesforce", tenant=slow, nth=3, count=None, seconds=9.0)
    work = plan(spine, "r1")[0]
    with pytest.raises(AirflowTaskTimeout), timeout(3):  # time enough for the token, also on a busy machine
        extract.extract(work, spine.services)
    (row,) = runs.stream_runs(database, "salesforce", "r1")
    assert (row["status"], row["error_code"]) == ("failed", "STREAM_STOPPED")
    closing.finish("salesforce", "r1", spine.tenants, spine.services)
    assert locks.held(database, name) is None
    again = plan(spine, "r2")[0]
    assert again.continues == "r1"
    spine.server.sandbox.faults.clear()
    extract.extract(again, spine.services)
    assert set(ids(spine, slow).values()) == {1}


def test_a_bug_in_one_tenants_stream_says_where_and_quotes_nothing(spine, monkeypatch):
    """Whatever is raised becomes one of ours, so that nobody who reads streams one after the other stops at it."""
    from spine.sources.shape import ShapeWatch

    def stumble(self, records):
        raise ValueError("invalid literal: 'ada.lee@example.org'")

    monkeypatch.setattr(ShapeWatch, "see", stumble)
    with pytest.raises(extract.SpineError, match=r"JOB_FAILED. ValueError in test_extract_stopped\.py:\d+") as caught:
        extract.extract(plan(spine, "r1")[1], spine.services)
    assert "ada.lee" not in str(caught.value)


def test_slots_are_asked_for_in_turn():
    def works(tenant, count):
        return [
            StreamWork("s", f"{tenant}{n}", tenant, "c", "full", "r", None, "", True, False, False, "") for n in range(count)
        ]  # fmt: skip

    order = planning.in_turn([*works("a", 4), *works("b", 1), *works("c", 2)])
    assert [work.stream for work in order] == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
