"""Extraction end to end at the level of Bronze: vendors over real HTTP, real PostgreSQL, real Delta."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from deltalake import DeltaTable
from sqlalchemy import event

from spine.control import connections, events, locks, runs
from spine.core import clock
from spine.core.errors import (
    AuthFailed,
    CircuitOpen,
    ConfigError,
    DeleteSweepRefused,
    LakeError,
    RateLimited,
    SchemaMismatch,
    SourceUnavailable,
    SyncInProgress,
)
from spine.core.names import connection_id
from spine.pipeline import closing, extract
from spine.pipeline.budgets import account_of
from spine.pipeline.work import Sync
from spine.sources.reading import fingerprint
from spine.sources.spec import load_source

PROVES = "our sandbox"

pytestmark = pytest.mark.postgres

SOURCES = {
    "salesforce": ["contacts", "accounts", "opportunities"],
    "hubspot": ["contacts", "companies", "deals"],
    "people_files": ["people"],
}
STREAMS = [(source, stream) for source, streams in SOURCES.items() for stream in streams]


@pytest.fixture
def every_page(monkeypatch):
    """Commit after each page."""
    monkeypatch.setenv("SPINE_FLUSH_BYTES", "1")


def world_ids(spine, source, stream, tenant=None) -> tuple[set[str], set[str]]:
    """Ids of living and of deleted rows in the sandbox."""
    from spine.sandbox.tables import record_id, stream_of

    found = stream_of(source, stream)
    table = spine.server.sandbox.world(tenant or spine.tenants[0]).tables[found]
    ids = [(record_id(found, slot), bool(gone)) for slot, gone in enumerate(table.deleted.tolist())]
    return {name for name, gone in ids if not gone}, {name for name, gone in ids if gone}


def versions(spine, source, stream, run_id):
    return [row for row in spine.bronze(source, stream, ("record_id", "op", "cursor", "run_id", "payload")) if row[3] == run_id]


def contents(spine, source, run_id):
    """Payload and fingerprint of each contact of a run."""
    rows = spine.bronze(source, "contacts", ("record_id", "run_id", "payload", "schema_fingerprint"))
    return {row[0]: (orjson.loads(row[2]), row[3]) for row in rows if row[1] == run_id}


def drifted(record, source, field, change):
    """The record as the vendor sends it once the field is gone, has another name or another type."""
    fields = record["properties"] if source == "hubspot" else record
    kept = {name: value for name, value in fields.items() if name != field}
    if field in fields and change != "remove":
        kept |= {"other": fields[field]} if change == "rename" else {field: {"value": fields[field]}}
    return record | {"properties": kept} if source == "hubspot" else kept


def as_after_the_limit(spine, tenant=None):
    """The time of a limit has passed."""
    for source in ("salesforce", "hubspot"):
        info = spine.services.connections(connection_id(source, tenant or spine.tenants[0]))
        with spine.services.database.of(account_of(load_source(source), info, info.host)).begin() as connection:
            connection.exec_driver_sql("DELETE FROM spine.buckets")


def advance(spine, source, stream, tenant=None, **settings):
    return spine.server.sandbox.advance(source=source, stream=stream, tenant=tenant or spine.tenants[0], **settings)


@pytest.mark.parametrize("source", ["salesforce"])
def test_it_cds_001_salesforce_full_sync_loads_everything(make_spine, source):
    spine = make_spine(scale=300)
    results = spine.sync(source, "r1", mode="full")
    for result in results:
        if result["stream"] == "objects":  # the Connection names none
            assert result["rows"] == 0
            continue
        living, deleted = world_ids(spine, source, result["stream"])
        rows = spine.bronze(source, result["stream"], ("record_id", "op", "source", "stream", "tenant_id", "run_id", "connection_id"))
        assert {row[0] for row in rows if row[1] == "upsert"} == living
        assert {row[0] for row in rows if row[1] == "delete"} == deleted
        assert len(rows) == result["rows"] == len(living) + len(deleted)
        assert {row[2:] for row in rows} == {(source, result["stream"], spine.tenants[0], "r1", connection_id(source, spine.tenants[0]))}
        newest = max(row[2] for row in spine.bronze(source, result["stream"]))
        assert orjson.loads(spine.cursor(source, result["stream"]))["value"] == result["cursor_to"] == newest


@pytest.mark.parametrize(("source", "stream"), STREAMS)
def test_it_cds_002_only_changes_are_synced(make_spine, source, stream):
    spine = make_spine(scale=200)
    spine.sync(source, "r1", streams=[stream])
    change = advance(spine, source, stream, changed=7, created=2, deleted=0 if source == "people_files" else 1)
    (result,) = spine.sync(source, "r2", streams=[stream])
    rows = versions(spine, source, stream, "r2")
    expected = {(name, "upsert") for name in change["changed"] + change["created"]} | {(name, "delete") for name in change["deleted"]}
    overlap = {(row[0], row[1]) for row in rows} - expected
    assert {(row[0], row[1]) for row in rows} >= expected
    assert len(overlap) <= 3  # what the lookback window holds
    assert result["rows"] == len(rows)
    (again,) = spine.sync(source, "r3", streams=[stream])
    assert again["rows"] <= 10
    assert again["cursor_to"] == result["cursor_to"]


@pytest.mark.parametrize(("source", "stream"), STREAMS)
def test_every_declared_stream_reads_into_a_whole_envelope(make_spine, source, stream):
    spine = make_spine(scale=60)
    (result,) = spine.sync(source, "r1", streams=[stream])
    table = DeltaTable(f"{spine.lake}/raw_{source}_{stream}").to_pyarrow_table()
    assert table.num_rows == result["rows"] > 0
    assert table.schema.names == [
        "tenant_id", "source", "stream", "record_id", "emitted_at", "cursor", "op", "payload", "schema_fingerprint", "connection_id",
        "run_id", "emitted_date",
    ]  # fmt: skip
    assert all(table.column(name).null_count == 0 for name in table.schema.names)
    assert all(isinstance(orjson.loads(payload), dict) for payload in table.column("payload").to_pylist())
    assert DeltaTable(f"{spine.lake}/raw_{source}_{stream}").metadata().partition_columns == ["tenant_id", "emitted_date"]


def test_an_empty_result_writes_nothing_and_succeeds(make_spine):
    spine = make_spine()
    spine.server.sandbox.load(source="salesforce", stream="accounts", tenant=spine.tenants[0], records=[], replace=True)
    (result,) = spine.sync("salesforce", "r1", streams=["accounts"])
    assert (result["rows"], result["status"], result["bronze_version"]) == (0, "success", None)
    assert spine.bronze("salesforce", "accounts") == []
    assert spine.cursor("salesforce", "accounts") is None


def test_a_record_committed_late_is_caught_by_the_lookback(make_spine):
    spine = make_spine()
    spine.sync("salesforce", "r1", streams=["contacts"])
    late = advance(spine, "salesforce", "contacts", late=300, created=2)
    spine.sync("salesforce", "r2", streams=["contacts"])
    assert {row[0] for row in versions(spine, "salesforce", "contacts", "r2")} >= set(late["created"])


def test_what_changes_after_the_plan_waits_for_the_next_run(make_spine):
    spine = make_spine()
    spine.sync("hubspot", "r0", streams=["contacts"])
    (work,) = extract.plan(Sync("hubspot", tenants=spine.tenants, streams=["contacts"], run_id="r1"), spine.services)
    later = clock.now() + timedelta(seconds=60)
    change = advance(spine, "hubspot", "contacts", changed=3, at=clock.to_text(later))
    extract.extract(work, spine.services)
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
    assert not {row[0] for row in versions(spine, "hubspot", "contacts", "r1") if row[2] > work.window_end}
    assert orjson.loads(spine.cursor("hubspot", "contacts"))["value"] <= work.window_end
    assert change["changed"]


def test_a_full_read_of_a_list_never_puts_the_cursor_past_its_start(make_spine):
    spine = make_spine()
    (work,) = extract.plan(Sync("hubspot", tenants=spine.tenants, streams=["contacts"], mode="full", run_id="r1"), spine.services)
    advance(spine, "hubspot", "contacts", changed=3, at=clock.to_text(clock.now() + timedelta(seconds=60)))
    result = extract.extract(work, spine.services)
    assert result.counts.cursor_to == work.window_end
    closing.finish("hubspot", "r1", spine.tenants, spine.services)


@pytest.mark.parametrize(("source", "stream"), [("salesforce", "contacts"), ("hubspot", "contacts"), ("people_files", "people")])
def test_a_backfill_reads_exactly_its_interval_and_leaves_the_cursor_alone(make_spine, source, stream):
    spine = make_spine(scale=300)
    spine.sync(source, "r1", streams=[stream])
    before = spine.cursor(source, stream)
    rows = [(row[0], row[2], orjson.loads(row[4])) for row in versions(spine, source, stream, "r1")]
    if source == "people_files":
        rows = [(name, clock.to_text(clock.parse(item["updated_at"])) if "updated_at" in item else "", item) for name, _, item in rows]
    times = sorted(row[1] for row in rows if row[1])
    start, end = times[len(times) // 4], times[len(times) // 2]
    (result,) = spine.sync(source, "b1", streams=[stream], interval_start=clock.parse(start), interval_end=clock.parse(end))
    got = sorted(row[0] for row in versions(spine, source, stream, "b1") if "_error" not in row[4])
    assert got == sorted(row[0] for row in rows if start <= row[1] < end)
    assert len(got) > 3
    assert result["cursor_to"] == result["cursor_from"]
    assert spine.cursor(source, stream) == before


def test_what_was_left_alone_is_in_the_result(make_spine):
    spine = make_spine()
    folder = Path(spine.services.connections(connection_id("people_files", spine.tenants[0])).host)
    (folder / "notes.docx").write_bytes(b"no table of ours")
    (result,) = spine.sync("people_files", "r1", streams=["people"])
    assert "notes.docx is of no known kind and is left alone" in result["notes"]


def test_a_dry_run_counts_and_leaves_no_trace(make_spine):
    spine = make_spine()
    results = spine.sync("hubspot", "r1", dry_run=True)
    assert [result["stream"] for result in results if not result["rows"]] == ["schemas"], "the account has no objects of its own"
    assert all(result["bronze_version"] is None for result in results)
    assert spine.bronze("hubspot", "contacts") == []
    assert spine.services.variables.values == {}
    contacts = next(result for result in results if result["stream"] == "contacts")
    assert contacts["null_shares"]["email"] < 1
    assert "(cursor)" not in contacts["empty_fields"]
    assert not any("values" in result or "sample" in result for result in results), "no record's values in what Airflow keeps"


def test_renormalize_plans_no_extraction(make_spine):
    spine = make_spine()
    assert extract.plan(Sync("hubspot", tenants=spine.tenants, mode="renormalize", run_id="r1"), spine.services) == []
    assert closing.finish("hubspot", "r1", spine.tenants, spine.services).status == "skipped"


@pytest.mark.parametrize(
    "wrong", [{"mode": "sideways"}, {"streams": ["nothing"]}, {"interval_start": clock.now()}], ids=["mode", "stream", "half an interval"]
)
def test_a_plan_that_makes_no_sense_is_refused(make_spine, wrong):
    spine = make_spine()
    with pytest.raises(ConfigError):
        extract.plan(Sync("hubspot", tenants=spine.tenants, run_id="r1", **wrong), spine.services)


def test_two_tenants_share_no_row_cursor_or_token(make_spine):
    spine = make_spine(count=2)
    one, two = spine.tenants
    spine.sync("salesforce", "r1", tenants=[one, two], streams=["contacts"])
    rows = spine.bronze("salesforce", "contacts", ("tenant_id", "connection_id", "record_id", "payload"))
    assert {row[:2] for row in rows} == {(name, connection_id("salesforce", name)) for name in (one, two)}
    for name in (one, two):
        living, _ = world_ids(spine, "salesforce", "contacts", name)
        assert {row[2] for row in rows if row[0] == name} >= living
    assert spine.cursor("salesforce", "contacts", one) != spine.cursor("salesforce", "contacts", two)


def test_a_second_sync_of_a_connection_is_refused_and_other_tenants_go_on(make_spine):
    spine = make_spine(count=2)
    one, two = spine.tenants
    locks.acquire(spine.services.database.of(one), connection_id("hubspot", one), "other")
    with pytest.raises(SyncInProgress):
        extract.plan(Sync("hubspot", tenants=[one], run_id="r1"), spine.services)
    works = extract.plan(Sync("hubspot", tenants=[one, two], run_id="r1"), spine.services)
    assert {work.tenant for work in works} == {two}
    assert closing.finish("hubspot", "r1", [one, two], spine.services).tenants[one].status == "skipped"
    assert locks.held(spine.services.database.of(one), connection_id("hubspot", one)).holder == "other"


def test_a_whole_plan_takes_all_connections_or_none(make_spine):
    spine = make_spine(count=2)
    one, two = spine.tenants
    locks.acquire(spine.services.database.of(two), connection_id("hubspot", two), "other")
    with pytest.raises(SyncInProgress):
        extract.plan(Sync("hubspot", tenants=[one, two], run_id="r1"), spine.services, whole=True)
    assert locks.held(spine.services.database.of(one), connection_id("hubspot", one)) is None
    locks.release(spine.services.database.of(two), connection_id("hubspot", two), "other")
    works = extract.plan(Sync("hubspot", tenants=[one, two], run_id="r1"), spine.services, whole=True)
    assert {work.tenant for work in works} == {one, two}


def test_a_run_that_lost_its_lock_stops(make_spine):
    spine = make_spine()
    (work,) = extract.plan(Sync("hubspot", tenants=spine.tenants, streams=["deals"], run_id="r1"), spine.services)
    database, tenant, connection = spine.services.database, work.tenant, work.connection_id
    locks.release(database.of(tenant), connection, "r1")
    locks.acquire(database.of(tenant), connection, "r2")
    with pytest.raises(SyncInProgress):
        extract.extract(work, spine.services)


def test_a_lake_that_is_not_mounted_is_no_fresh_lake(make_spine):
    spine = make_spine()
    for source in SOURCES:
        spine.sync(source, "r1")
    rows, cursor = spine.bronze("salesforce", "contacts"), spine.cursor("salesforce", "contacts")
    lake = Path(spine.lake)
    lake.rename(f"{lake}.mounted")
    lake.mkdir()
    for source in SOURCES:
        with pytest.raises(LakeError, match="earlier runs wrote rows to it"):
            spine.sync(source, "r2")
    assert not list(lake.iterdir())
    lake.rmdir()
    Path(f"{lake}.mounted").rename(lake)
    spine.sync("salesforce", "r3")
    assert spine.bronze("salesforce", "contacts") == rows
    shutil.rmtree(lake)
    spine.sync("salesforce", "r4", mode="full")
    assert len(spine.bronze("salesforce", "contacts")) == len({row[0] for row in rows})
    assert spine.cursor("salesforce", "contacts") == cursor


def test_the_run_log_has_what_was_committed(make_spine):
    spine = make_spine()
    results = {result["stream"]: result for result in spine.sync("hubspot", "r1", triggered_by="ana")}
    rows = {row["stream"]: row for row in runs.stream_runs(spine.services.database.of(spine.tenants[0]), "hubspot", "r1")}
    for name, result in results.items():
        assert [rows[name][key] for key in ("status", "rows", "bytes", "pages", "job")] == [
            "success", result["rows"], result["bytes"], result["pages"], f"sync_hubspot_{name}_incremental"
        ]  # fmt: skip
    (summary,) = runs.recent_runs(spine.services.database.of(spine.tenants[0]))
    assert (summary.status, summary.rows_processed) == ("success", sum(result["rows"] for result in results.values()))
    assert connections.state(spine.services.database.of(spine.tenants[0]), connection_id("hubspot", spine.tenants[0])).last_success_at


class TestFaults:
    """Every failure of the sandbox ends in the right state: recovered, or failed with the right code; nothing lost or doubled."""

    @pytest.fixture
    def spine(self, make_spine, every_page, small_pages):
        return make_spine(scale=700)

    @pytest.mark.parametrize("source", ["salesforce", "hubspot"])
    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "rate_limit", "retry_after": 2, "nth": 2, "count": 2},
            {"kind": "server_error", "nth": 2, "count": 3},
            {"kind": "server_error", "status": 503, "nth": 2, "count": 2},
            {"kind": "cut", "nth": 2, "count": 2},
            {"kind": "hang", "nth": 2, "seconds": 2.0, "count": 1},
            {"kind": "page", "nth": 2, "count": 2},
            {"kind": "concurrent_limit", "nth": 2, "count": 2},
        ],
        ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
    )
    def test_passing_failures_recover(self, spine, source, fault, monkeypatch):
        monkeypatch.setattr("spine.sources.custom.salesforce.faults._CONCURRENT_PAUSE", 1.0)  # the sandbox counts faults and no seconds
        spine.server.sandbox.faults.add(vendor=source, **fault)
        (result,) = spine.sync(source, "r1", streams=["contacts"], mode="full")
        assert result["pages"] >= 3
        self.holds_everything_once(spine, source)

    def test_a_query_that_takes_too_long_is_asked_again_for_smaller_batches(self, spine, monkeypatch):
        from spine.core.settings import PROJECT

        monkeypatch.setenv("SPINE_SOURCES", str(PROJECT / "include" / "sources"))
        spine.server.sandbox.faults.add("query_timeout", vendor="salesforce", stream="contacts", count=3)
        (result,) = spine.sync("salesforce", "r1", streams=["contacts"])
        assert result["pages"] == 3  # of 250 rows, in place of one of 2,000
        self.holds_everything_once(spine, "salesforce")

    def test_a_query_that_takes_too_long_even_for_the_smallest_batch_is_left_to_the_retry(self, spine):
        spine.server.sandbox.faults.add("query_timeout", vendor="salesforce", stream="contacts", count=None)
        with pytest.raises(SourceUnavailable, match="Your query request was running for too long"):
            spine.sync("salesforce", "r1", streams=["contacts"])

    def test_maintenance_that_lasts_is_unavailable_and_opens_the_breaker(self, spine):
        spine.server.sandbox.faults.add("page", vendor="hubspot", count=None)
        with pytest.raises(SourceUnavailable, match="not JSON but text/html"):
            spine.sync("hubspot", "r1", streams=["contacts"])
        (work,) = extract.plan(Sync("hubspot", tenants=spine.tenants, streams=["contacts"], run_id="r2"), spine.services)
        with pytest.raises(CircuitOpen):
            extract.extract(work, spine.services)

    def holds_everything_once(self, spine, source, run_id="r1"):
        living, deleted = world_ids(spine, source, "contacts")
        rows = versions(spine, source, "contacts", run_id)
        assert sorted(row[0] for row in rows) == sorted(living | deleted)

    @pytest.mark.parametrize("kind", ["expire_tokens", "unauthorized"])
    def test_a_token_that_ends_mid_sync_is_refreshed(self, spine, kind):
        spine.server.sandbox.faults.add(kind, vendor="salesforce", nth=2)
        spine.sync("salesforce", "r1", streams=["contacts"])
        self.holds_everything_once(spine, "salesforce")

    def test_the_rotated_token_serves_the_next_run(self, spine):
        spine.sync("salesforce", "r1", streams=["accounts"])
        spine.server.sandbox.tokens.expire(spine.tenants[0])
        assert spine.sync("salesforce", "r2", streams=["accounts"])

    def test_refused_credentials_fail_at_once_and_pause_the_connection(self, spine):
        spine.server.sandbox.faults.add("unauthorized", vendor="hubspot", nth=3, count=None)
        with pytest.raises(AuthFailed):
            spine.sync("hubspot", "r1", streams=["contacts"])
        assert spine.slept == []
        connection = connection_id("hubspot", spine.tenants[0])
        assert not connections.state(spine.services.database.of(spine.tenants[0]), connection).active
        with pytest.raises(AuthFailed, match=r"Paused by spine .*the next run sees that it has changed"):
            extract.plan(Sync("hubspot", tenants=spine.tenants, run_id="r2"), spine.services)
        assert spine.cursor("hubspot", "contacts") is None
        assert len(versions(spine, "hubspot", "contacts", "r1")) == 200  # the two pages before it are kept

    @pytest.mark.parametrize("source", ["salesforce", "hubspot"])
    def test_the_daily_limit_goes_to_the_task_and_the_retry_goes_on_from_there(self, spine, source):
        spine.server.sandbox.faults.add("request_limit", vendor=source, nth=3)
        (work,) = extract.plan(Sync(source, tenants=spine.tenants, streams=["contacts"], run_id="r1"), spine.services)
        with pytest.raises(RateLimited) as caught:
            extract.extract(work, spine.services)
        assert caught.value.retry_after >= 900
        before = len(spine.server.sandbox.calls)
        with pytest.raises(RateLimited) as early:  # a task that comes too early, or another stream, makes no call and sleeps not at all
            extract.extract(work, spine.services)
        assert early.value.retry_after > 890
        assert (len(spine.server.sandbox.calls), spine.slept) == (before, [])
        as_after_the_limit(spine)
        assert extract.extract(work, spine.services).to_json()["status"] == "success"
        first = next(call for call in list(spine.server.sandbox.calls)[before:] if call.stream == "contacts")
        assert first.query.get("after") or "-" in first.path  # neither begins at the beginning
        self.holds_everything_once(spine, source)

    def test_a_source_that_stays_down_opens_the_breaker_and_the_retry_goes_on(self, spine, monkeypatch):
        # A pause of more than thirty seconds is slept in two parts, and the last one's jitter may be thirty-two.
        monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
        fault = spine.server.sandbox.faults.add("server_error", vendor="hubspot", nth=3, count=None)
        (work,) = extract.plan(Sync("hubspot", tenants=spine.tenants, streams=["contacts"], run_id="r1"), spine.services)
        with pytest.raises(SourceUnavailable, match=r"stream=contacts, page=3"):
            extract.extract(work, spine.services)
        assert len(spine.slept) == 5
        with pytest.raises(CircuitOpen) as caught:
            extract.extract(work, spine.services)
        assert 0 < caught.value.retry_after <= 60
        assert fault.fired == 6
        spine.server.sandbox.faults.clear()
        from spine.control.breaker import Breaker

        Breaker(spine.services.database.of(spine.tenants[0]), work.connection_id).success()
        extract.extract(work, spine.services)
        self.holds_everything_once(spine, "hubspot")

    @pytest.mark.parametrize(
        ("source", "lost"), [("salesforce", "LastName"), ("salesforce", "SystemModstamp"), ("salesforce", "IsDeleted")]
    )
    def test_a_required_field_that_vanishes_mid_sync_is_a_schema_mismatch_of_that_stream(self, spine, source, lost):
        spine.server.sandbox.faults.add("schema_change", vendor=source, stream="contacts", field=lost, nth=2)
        with pytest.raises(SchemaMismatch, match=lost):
            spine.sync(source, "r1", streams=["contacts"])
        assert len(versions(spine, source, "contacts", "r1")) == 200
        assert spine.sync(source, "r2", streams=["accounts"])[0]["status"] == "success"

    @pytest.mark.parametrize(("source", "field"), [("salesforce", "Title"), ("hubspot", "phone")])
    @pytest.mark.parametrize("change", ["remove", "rename", "type"])
    def test_an_optional_field_that_changes_mid_sync_is_kept_as_it_came(self, spine, source, field, change):
        """From the second page on the records say what the vendor says now, everything else in them is as in an undisturbed run."""
        spine.server.sandbox.faults.add("schema_change", vendor=source, stream="contacts", field=field, change=change, to="other", nth=2)
        spine.sync(source, "r1", streams=["contacts"], mode="full")
        self.holds_everything_once(spine, source)
        spine.server.sandbox.faults.clear()
        spine.sync(source, "r2", streams=["contacts"], mode="full")
        found, calm = (contents(spine, source, run_id) for run_id in ("r1", "r2"))
        changed = {name: drifted(record, source, field, change) for name, (record, _) in calm.items()}
        first_page = {name for name, content in found.items() if content == calm[name]}
        assert len(first_page) == {"salesforce": 200, "hubspot": 100}[source]
        told_apart = (source, change) != ("hubspot", "type")  # a property lies one level deep, where names alone are looked at
        for name in found.keys() - first_page:
            payload, print_ = found[name]
            assert payload == changed[name]
            assert print_ == fingerprint(changed[name])
            assert (print_ != calm[name][1]) == told_apart

    def test_a_cursor_that_changes_its_type_is_still_a_time(self, spine):
        spine.server.sandbox.faults.add("schema_change", vendor="salesforce", field="SystemModstamp", change="type", nth=2)
        spine.sync("salesforce", "r1", streams=["contacts"])
        self.holds_everything_once(spine, "salesforce")
        spine.server.sandbox.faults.clear()
        spine.sync("salesforce", "r2", streams=["contacts"], mode="full")
        rows = spine.bronze("salesforce", "contacts", ("run_id", "record_id", "cursor", "payload"))
        found, calm = ({row[1]: row[2] for row in rows if row[0] == run_id} for run_id in ("r1", "r2"))
        assert found == calm
        assert sum(isinstance(orjson.loads(row[3])["SystemModstamp"], int) for row in rows) == 500  # all but the first page

    def test_a_record_committed_late_mid_sync_comes_with_the_next_run(self, spine):
        spine.server.sandbox.faults.add("late_commit", vendor="salesforce", stream="contacts", nth=2, rows=3, lag=120)
        spine.sync("salesforce", "r1", streams=["contacts"])
        spine.sync("salesforce", "r2", streams=["contacts"])
        living, deleted = world_ids(spine, "salesforce", "contacts")
        assert {row[0] for row in spine.bronze("salesforce", "contacts")} == living | deleted

    def test_an_expired_locator_starts_again_after_the_last_record(self, spine):
        (work,) = extract.plan(Sync("salesforce", tenants=spine.tenants, streams=["contacts"], run_id="r1"), spine.services)
        spine.server.sandbox.faults.add("request_limit", vendor="salesforce", nth=3)
        with pytest.raises(RateLimited):
            extract.extract(work, spine.services)
        as_after_the_limit(spine)
        restarted = type(spine.server)({spine.tenants[0]: 700}, now=spine.server.sandbox.now)  # knows no locator any more
        with restarted:
            info = spine.services.connections(work.connection_id)
            moved = type(info)(**{**vars(info), "host": restarted.url})
            services = type(spine.services)(spine.services.database, spine.services.variables, lambda name: moved, lambda seconds: None)
            restarted.sandbox.tokens.generation.update(spine.server.sandbox.tokens.generation)
            extract.extract(work, services)
        self.holds_everything_once(spine, "salesforce")

    def test_no_log_line_holds_a_secret_or_a_record(self, spine, caplog):
        caplog.set_level("DEBUG")
        spine.server.sandbox.faults.add("server_error", vendor="salesforce", nth=2, count=2)
        spine.sync("salesforce", "r1", streams=["contacts"])
        info = spine.services.connections(connection_id("salesforce", spine.tenants[0]))
        email = next(orjson.loads(row[3])["Email"] for row in spine.bronze("salesforce", "contacts") if orjson.loads(row[3])["Email"])
        ours = "\n".join(record.getMessage() for record in caplog.records)
        assert not any(secret in ours for secret in (info.password, info.extra["refresh_token"], email))


class TestSystemChanges:
    """Salesforce's cursor is SystemModstamp: what LastModifiedDate does not tell is read too, and old cursors leave no gap."""

    def old_cursor(self, spine):
        """The cursor as the first version left it: of LastModifiedDate, which it does not say."""
        name = f"spine.cursor.{connection_id('salesforce', spine.tenants[0])}.contacts"
        content = orjson.loads(spine.services.variables.get(name))
        content.pop("field")
        spine.services.variables.set(name, orjson.dumps(content).decode())

    def test_a_change_by_the_system_is_read(self, make_spine):
        spine = make_spine()
        spine.sync("salesforce", "r1", streams=["contacts"])
        changed = advance(spine, "salesforce", "contacts", stamped=4)["changed"]
        spine.sync("salesforce", "r2", streams=["contacts"])
        rows = {row[0]: orjson.loads(row[4]) for row in versions(spine, "salesforce", "contacts", "r2")}
        assert rows.keys() >= set(changed)
        assert all(rows[name]["LastModifiedDate"] < rows[name]["SystemModstamp"] for name in changed)

    def test_records_migrated_with_old_audit_fields_before_the_old_cursor_are_read_once_it_carries_over(self, make_spine):
        spine = make_spine()
        spine.sync("salesforce", "r1", streams=["contacts"])
        migrated = {"LastName": "Migrated", "CreatedDate": "2015-03-01T00:00:00Z", "LastModifiedDate": "2015-03-02T00:00:00Z"}
        stamp = clock.to_text(spine.server.sandbox.now - timedelta(days=10))
        (name,) = spine.server.sandbox.load(
            source="salesforce", stream="contacts", tenant=spine.tenants[0], records=[migrated | {"SystemModstamp": stamp}]
        )["ids"]
        self.old_cursor(spine)
        (result,) = spine.sync("salesforce", "r2", streams=["contacts"])
        assert name in {row[0] for row in versions(spine, "salesforce", "contacts", "r2")}
        assert orjson.loads(spine.cursor("salesforce", "contacts"))["field"] == "SystemModstamp"
        (again,) = spine.sync("salesforce", "r3", streams=["contacts"])
        assert again["rows"] < 10 < result["rows"]  # everything is read again once only

    def test_a_cursor_set_by_hand_is_of_the_field_that_the_stream_has(self, make_spine):
        from spine.control.cursors import Cursors

        spine = make_spine(scale=200)
        database = spine.services.database.of(spine.tenants[0])
        Cursors(spine.services.variables, database, connection_id("salesforce", spine.tenants[0])).set(
            "contacts", clock.to_text(spine.server.sandbox.now - timedelta(days=2)), by="ana"
        )
        (result,) = spine.sync("salesforce", "r1", streams=["contacts"])
        assert 0 < result["rows"] < 60


class TestPurged:
    """Records deleted for good between two syncs are in no query."""

    def test_salesforce_is_asked_for_the_deleted_records_of_the_window(self, make_spine):
        spine = make_spine(scale=120)
        spine.sync("salesforce", "r1", streams=["contacts"])
        gone = advance(spine, "salesforce", "contacts", purged=3, deleted=2)["deleted"]
        (result,) = spine.sync("salesforce", "r2", streams=["contacts"])
        told = [(row[0], row[1]) for row in versions(spine, "salesforce", "contacts", "r2") if row[1] == "delete"]
        assert sorted(told) == sorted((name, "delete") for name in gone)  # each once, whichever way it was told
        assert result["deletes"] == 5
        (again,) = spine.sync("salesforce", "r3", streams=["contacts"])
        assert again["rows"] == 0

    def test_a_vendor_that_does_not_know_the_call_is_read_all_the_same(self, make_spine):
        spine = make_spine()
        spine.sync("salesforce", "r1", streams=["contacts"])
        spine.server.sandbox.faults.add("server_error", vendor="salesforce", path="/deleted/", status=404, count=None)
        changed = advance(spine, "salesforce", "contacts", changed=2, purged=1)["changed"]
        spine.sync("salesforce", "r2", streams=["contacts"])
        assert {row[0] for row in versions(spine, "salesforce", "contacts", "r2")} >= set(changed)

    @pytest.mark.parametrize("source", ["salesforce", "hubspot"])
    def test_a_full_read_sweeps_what_nobody_tells_any_more(self, make_spine, source):
        spine = make_spine(scale=120)
        spine.sync(source, "r1", streams=["contacts"])
        gone = set(advance(spine, source, "contacts", purged=4)["deleted"])
        spine.sync(source, "r2", streams=["contacts"], mode="full")
        rows = versions(spine, source, "contacts", "r2")
        seen = {row[0] for row in rows if row[4] != "{}"}
        assert {row[0] for row in rows if row[4] == "{}"} == gone
        assert not seen & gone
        spine.sync(source, "r3", streams=["contacts"], mode="full")
        assert not [row for row in versions(spine, source, "contacts", "r3") if row[4] == "{}"]

    def test_the_guard_holds_for_them_too(self, make_spine):
        spine = make_spine(scale=120)
        spine.sync("hubspot", "r1", streams=["contacts"])
        advance(spine, "hubspot", "contacts", purged=40)
        with pytest.raises(DeleteSweepRefused):
            spine.sync("hubspot", "r2", streams=["contacts"], mode="full")
        assert not [row for row in versions(spine, "hubspot", "contacts", "r2") if row[4] == "{}"]

    def test_what_changes_while_a_full_read_goes_on_is_not_taken_for_deleted(self, make_spine):
        spine = make_spine()
        spine.sync("salesforce", "r1", streams=["contacts"])
        (work,) = extract.plan(Sync("salesforce", "r2", spine.tenants, ["contacts"], "full"), spine.services)
        advance(spine, "salesforce", "contacts", changed=5, at=clock.to_text(clock.now() + timedelta(seconds=60)))
        assert extract.extract(work, spine.services).counts.cursor_to <= work.window_end
        closing.finish("salesforce", "r2", spine.tenants, spine.services)
        assert not [row for row in versions(spine, "salesforce", "contacts", "r2") if row[4] == "{}"]


def test_a_field_that_a_vendor_adds_is_told_once(make_spine, small_pages):
    spine = make_spine()
    mine = spine.services.database.of(spine.tenants[0])

    def drifts():
        return [told.event.message for told in events.recent(mine) if told.event.kind == "drift.detected"]

    spine.sync("salesforce", "r1", streams=["contacts"])
    assert drifts() == []
    text = (small_pages / "salesforce.yaml").read_text()
    (small_pages / "salesforce.yaml").write_text(text.replace("Title,", "Title, HasOptedOutOfEmail,"))
    for run_id in ("r2", "r3"):
        spine.sync("salesforce", run_id, streams=["contacts"], mode="full")
        assert drifts() == ["new fields: HasOptedOutOfEmail"]


class TestLookback:
    """What the look-back reads again is written again only if it is news."""

    @pytest.fixture
    def spine(self, make_spine):
        spine = make_spine(scale=120)
        spine.sync("hubspot", "r1", streams=["contacts"])
        advance(spine, "hubspot", "contacts", changed=60)
        spine.sync("hubspot", "r2", streams=["contacts"])
        return spine

    def test_after_a_bulk_load_nothing_is_appended_again(self, spine):
        assert len(versions(spine, "hubspot", "contacts", "r2")) >= 60
        before = spine.cursor("hubspot", "contacts")
        (again,) = spine.sync("hubspot", "r3", streams=["contacts"])
        assert (again["rows"], again["bronze_version"]) == (0, None)
        assert spine.cursor("hubspot", "contacts") == before
        changed = advance(spine, "hubspot", "contacts", changed=3)["changed"]
        spine.sync("hubspot", "r4", streams=["contacts"])
        assert sorted(row[0] for row in versions(spine, "hubspot", "contacts", "r4")) == sorted(changed)

    def test_a_version_that_a_delete_came_after_is_written_again(self, spine):
        from spine.lake.bronze import BronzeWriter, Envelope
        from spine.sources.reading import Record

        name, _, cursor, *_ = versions(spine, "hubspot", "contacts", "r2")[0]
        tenant, connection = spine.tenants[0], connection_id("hubspot", spine.tenants[0])
        writer = BronzeWriter(f"{spine.lake}/raw_hubspot_contacts", Envelope(tenant, "hubspot", "contacts", connection, "sweep"))
        for moment in (cursor, "2020-01-01T00:00:00.000000Z"):  # whatever the time that the delete tells
            writer.add([Record(name, "delete", moment, "{}", "")], None, None)
            writer.flush()
        spine.sync("hubspot", "r3", streams=["contacts"])
        assert [row[0] for row in versions(spine, "hubspot", "contacts", "r3")] == [name]


class TestSweep:
    """A full read of a source that tells nothing about deletes marks what it did not see, up to a share."""

    @pytest.fixture
    def spine(self, make_spine, monkeypatch, tmp_path):
        from spine.core.settings import PROJECT

        text = (PROJECT / "include/sources/hubspot.yaml").read_text()
        folder = tmp_path / "sources"
        folder.mkdir()
        (folder / "hubspot.yaml").write_text(text.replace("deletes: {detect: archived}", "deletes: {detect: sweep, max_share: 0.2}"))
        monkeypatch.setenv("SPINE_SOURCES", str(folder))
        return make_spine(scale=120)

    def test_what_is_gone_becomes_a_delete_once(self, spine):
        spine.sync("hubspot", "r1", streams=["contacts"], mode="full")
        gone = set(advance(spine, "hubspot", "contacts", deleted=5)["deleted"])
        (result,) = spine.sync("hubspot", "r2", streams=["contacts"], mode="full")
        assert result["deletes"] == 5
        assert {row[0] for row in versions(spine, "hubspot", "contacts", "r2") if row[1] == "delete"} == gone
        ended = {row[0]: row[2] for row in versions(spine, "hubspot", "contacts", "r1")}
        deletes = [row for row in versions(spine, "hubspot", "contacts", "r2") if row[1] == "delete"]
        assert all(row[2] == ended[row[0]] for row in deletes)  # so that a record which comes back as it was is newer again
        (again,) = spine.sync("hubspot", "r3", streams=["contacts"], mode="full")
        assert again["deletes"] == 0

    def test_more_than_the_share_is_refused_and_nothing_is_deleted(self, spine):
        spine.sync("hubspot", "r1", streams=["contacts"], mode="full")
        living, _ = world_ids(spine, "hubspot", "contacts")
        advance(spine, "hubspot", "contacts", deleted=len(living) // 2)
        with pytest.raises(DeleteSweepRefused):
            spine.sync("hubspot", "r2", streams=["contacts"], mode="full")
        assert not [row for row in spine.bronze("hubspot", "contacts") if row[1] == "delete"]


def test_a_hundred_requests_cost_the_control_plane_a_few_transactions(make_spine, small_pages):
    path = small_pages / "hubspot.yaml"
    generous = path.read_text().replace("requests: 100, per: 10s, burst: 100", "requests: 1000, per: 10s, burst: 1000")  # no call waits
    path.write_text(generous.replace("size: 100}", "size: 10}"))
    spine = make_spine(scale=1500)
    commits: list[object] = []
    event.listen(spine.services.database._engine, "commit", commits.append)
    (work,) = extract.plan(Sync("hubspot", "r1", spine.tenants, ["contacts"], "full"), spine.services)
    planned, began = len(commits), time.monotonic()
    pages = extract.extract(work, spine.services).counts.pages
    assert pages >= 100
    # What stream and run log cost, and then allotments of calls, which end after a second, and looks at the breaker.
    assert len(commits) - planned <= 25 + 1.3 * (time.monotonic() - began)
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
