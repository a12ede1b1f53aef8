"""Every failure that the sandbox knows, up to Silver: recovered, or failed with the right code; nothing lost and nothing doubled.

Each failure has a tenant of its own, so that one Spark job per source judges them all. What a tenant's Silver should be is read from the
same vendors afterwards, undisturbed, into a second lake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson
import psycopg
import pytest

from spine.control import connections, ledger, runs
from spine.control.breaker import Breaker
from spine.core.errors import SpineError
from spine.core.names import connection_id
from spine.core.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]
SCALE = 520  # three pages of Salesforce contacts, four of HubSpot's
# Times and run ids differ between any two runs; the version of a row is told by its cursor and the hash of its payload.
RUN_COLUMNS = ("emitted_at", "updated_at", "run_id")


@dataclass(frozen=True)
class Case:
    """A failure of one source's contacts. `code`: how the first run fails; `again`: whether another run is needed to have all;
    `apart`: columns that rightly differ."""

    tenant: str
    source: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    again: bool = False
    apart: tuple[str, ...] = ()


PASSING = {
    "limited": ("rate_limit", {"retry_after": 2, "nth": 2, "count": 2}),
    "broken": ("server_error", {"nth": 2, "count": 3}),
    "silent": ("hang", {"nth": 2, "seconds": 2.0}),
    "severed": ("cut", {"nth": 2, "count": 2}),
}
CASES = [
    *(Case(f"{source[:3]}-{word}", source, *fault) for source in ("salesforce", "hubspot") for word, fault in PASSING.items()),
    Case("sal-expired", "salesforce", "expire_tokens", {"nth": 2}),
    Case(
        "sal-retyped",
        "salesforce",
        "schema_change",
        {"field": "SystemModstamp", "change": "type", "nth": 2},
        apart=("payload_hash", "row_hash", "custom_fields"),  # the payload is kept as it came
    ),
    Case("sal-late", "salesforce", "late_commit", {"nth": 2, "rows": 3, "lag": 120}, again=True),
    Case("sal-daily", "salesforce", "request_limit", {"nth": 3}, "CONNECTOR_RATE_LIMITED"),
    Case("hub-daily", "hubspot", "request_limit", {"nth": 3}, "CONNECTOR_RATE_LIMITED"),
    Case("sal-down", "salesforce", "server_error", {"nth": 3, "count": None}, "SOURCE_UNAVAILABLE"),
    Case("hub-down", "hubspot", "server_error", {"nth": 3, "count": None}, "SOURCE_UNAVAILABLE"),
    Case("hub-refused", "hubspot", "unauthorized", {"nth": 3, "count": None}, "CONNECTOR_AUTH_FAILED"),
    Case("sal-lost", "salesforce", "schema_change", {"field": "LastName", "nth": 2}, "SCHEMA_MISMATCH"),
]
OPTIONAL = [
    Case("hub-gone", "hubspot", "schema_change", {"field": "phone", "change": "remove", "nth": 2}),
    Case("hub-renamed", "hubspot", "schema_change", {"field": "phone", "change": "rename", "to": "telephone", "nth": 2}),
    Case("sal-renamed", "salesforce", "schema_change", {"field": "MailingCity", "change": "rename", "to": "Town__c", "nth": 2}),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.tenant)
each_failing = pytest.mark.parametrize("case", [case for case in CASES if case.code], ids=lambda case: case.tenant)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The declared sources with pages of 200 rows, short time-outs, and a required list that a lost optional field does not touch."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("salesforce", "hubspot"):
        text = (PROJECT / "include" / "sources" / f"{name}.yaml").read_text()
        text = text.replace("size: 2000}", "size: 200}").replace("tier: critical", "tier: critical\ntimeouts: {connect: 5, read: 1}")
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def rough(make_world, sources, monkeypatch_module):
    """Every tenant meets its failure, is tried again as often as it takes, and then goes through Spark together with the others."""
    world = make_world({case.tenant: SCALE for case in [*CASES, *OPTIONAL]}, sources=sources)
    monkeypatch_module.setenv("SPINE_FLUSH_BYTES", "1")
    failures, before = {}, {}
    for case in [*CASES, *OPTIONAL]:
        world.server.sandbox.faults.add(case.kind, **{"vendor": case.source, "tenant": case.tenant, "stream": "contacts"} | case.settings)
        failures[case.tenant] = attempt(world, case, "r1")
    for source in ("salesforce", "hubspot"):
        world.normalize(source, "r1")
        before[source] = world.table(f"{source}_person")
    world.server.sandbox.faults.clear()
    refused = {case.tenant: refusal(world, case) for case in CASES if case.code == "CONNECTOR_AUTH_FAILED"}
    for case in CASES:
        if case.code:
            mend(world, case)
        if case.code or case.again:
            assert attempt(world, case, "r2") == ""
    for source in ("salesforce", "hubspot"):
        world.normalize(source, "r2")
    return SimpleNamespace(world=world, failures=failures, before=before, refused=refused)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def calm(make_world, sources, rough):
    """The same vendors, read once more by a deployment that knows no failure."""
    world = make_world(beside=rough.world, sources=sources)
    world.server.sandbox.tokens.generation.clear()  # it begins with the first refresh token
    for source in ("salesforce", "hubspot"):
        mine = [case.tenant for case in [*CASES, *OPTIONAL] if case.source == source]
        world.extract(source, "calm", tenants=mine, streams=["contacts"], mode="full")
        world.normalize(source, "calm")
    return world


def attempt(world, case, run_id) -> str:
    """One run; the code of its failure, empty if there was none."""
    try:
        world.extract(case.source, run_id, tenants=[case.tenant], streams=["contacts"])
    except SpineError as error:
        return error.code
    return ""


def refusal(world, case) -> SimpleNamespace:
    """A run while the connection is paused, though the vendor would take the credentials again: how it is refused, and what was asked."""
    asked = world.server.sandbox.calls[-1].number
    with pytest.raises(SpineError) as caught:
        world.plan(case.source, "while paused", tenants=[case.tenant], streams=["contacts"])
    state = connections.state(world.services.database.of(case.tenant), connection_id(case.source, case.tenant))
    return SimpleNamespace(error=caught.value, calls=world.server.sandbox.calls[-1].number - asked, active=state.active)


def mend(world, case) -> None:
    """What the runbook says for this code."""
    if case.code == "CONNECTOR_AUTH_FAILED":
        assert world.spine("connector", "test", case.source, "--tenant", case.tenant, "--stream", "contacts") == 0
    database = world.services.database.of(case.tenant)
    Breaker(database, connection_id(case.source, case.tenant)).success()  # as after its open minute
    with psycopg.connect(world.admin_url, autocommit=True) as connection:
        connection.execute("DELETE FROM spine.buckets")  # as after the time of a limit


def silver(rows, tenant, apart=()) -> dict[str, dict[str, Any]]:
    kept = [row for row in rows if row["tenant_id"] == tenant]
    assert len({row["record_ref"] for row in kept}) == len(kept)
    return {row["record_ref"]: {name: value for name, value in row.items() if name not in (*RUN_COLUMNS, *apart)} for row in kept}


@each_case
def test_the_first_run_recovers_or_fails_with_its_code(rough, case):
    assert rough.failures[case.tenant] == case.code
    (found,) = [run for run in runs.recent_runs(rough.world.services.database.of(case.tenant)) if run.run_id == "r1"]
    assert found.status == ("failed" if case.code else "success")


@each_case
def test_silver_ends_as_after_an_undisturbed_run(rough, calm, case):
    found, wanted = (silver(world.table(f"{case.source}_person"), case.tenant, case.apart) for world in (rough.world, calm))
    assert len(wanted) > 300
    assert found == wanted


@each_failing
def test_what_was_read_before_the_failure_is_in_silver_and_whole(rough, calm, case):
    wanted = silver(calm.table(f"{case.source}_person"), case.tenant)
    early = silver(rough.before[case.source], case.tenant)
    assert 0 < len(early) < len(wanted)
    assert early == {ref: wanted[ref] for ref in early}


@each_case
def test_rows_are_conserved_in_every_run(rough, case):
    for run_id in ("r1", "r2"):
        for line in ledger.check(rough.world.services.database.of(case.tenant), run_id):
            assert line.quarantined == 0


def test_only_refused_credentials_pause_a_connection(rough):
    paused = [row for row in (audited(rough.world, case) for case in CASES) if row]
    assert paused == ["hub-refused"]


def test_a_connection_paused_for_its_credentials_stays_paused_and_says_what_to_do(rough):
    """It does not mend itself when the vendor would take the credentials again; the next run is refused before it asks anything."""
    found = rough.refused["hub-refused"]
    assert rough.refused.keys() == {"hub-refused"}
    assert (found.error.code, found.calls, found.active) == ("CONNECTOR_AUTH_FAILED", 0, False)
    assert "Paused by spine since" in str(found.error)
    assert "Mend the credentials in the Airflow Connection of this name: the next run sees that it has changed" in str(found.error)
    assert connection_id("hubspot", "hub-refused") in str(found.error)


def audited(world, case) -> str:
    with world.services.database.of(case.tenant).begin() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM spine.audit_log WHERE action = 'connector_paused'").scalar()
    return case.tenant if found else ""


@pytest.mark.parametrize("case", OPTIONAL, ids=lambda case: case.tenant)
def test_an_optional_field_that_goes_takes_no_other_value_with_it(rough, calm, case):
    """A renamed field is kept beside the mapped ones; what the vendor no longer sends is empty, and every other value stays."""
    assert rough.failures[case.tenant] == ""
    column = {"phone": "phone", "MailingCity": "city"}[case.settings["field"]]
    wanted, found = (silver(world.table(f"{case.source}_person"), case.tenant) for world in (calm, rough.world))
    assert found.keys() == wanted.keys()
    fields = ("given_name", "family_name", "email", "phone", "street", "city", "postcode", "country")
    moved = 0
    for ref, row in found.items():
        assert [row[name] for name in fields if name != column] == [wanted[ref][name] for name in fields if name != column]
        if row[column] != wanted[ref][column]:
            moved += 1
            assert row[column] is None
            if to := case.settings.get("to"):
                assert to in str(orjson.loads(row["custom_fields"]))
    assert moved > 50
