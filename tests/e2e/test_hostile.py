"""A hostile tenant, vendor, drop and analyst beside a normal tenant: its tables, in every layer, are those of a run alone.

`SPINE_HOSTILE_SECONDS` says for how long (60; two rounds at least). Both deployments read the same vendors round by round.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import analyst_role
from spine.core.errors import SpineError
from spine.core.names import connection_id
from spine.gold import publish as publication
from spine.gold.publish import publish_each
from spine.pipeline import closing, extract
from spine.pipeline.normalize import normalize_each
from spine.pipeline.resolve import resolve_each
from tests.e2e.hostile import LINKS, HostileAnalyst, fill_drop, hostile_vendor

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]
NORMAL, HOSTILE = "normal", "hostile"
SECONDS = float(os.environ.get("SPINE_HOSTILE_SECONDS", "60"))
SESSIONS = 250  # more than the server has
STREAMS = {"hubspot": "contacts", "people_files": "people", "salesforce": "contacts"}
MINE = ("hubspot", "people_files")  # the normal tenant's
STREAM_SECONDS, TASK_SECONDS = 2.0, 6.0  # of a hostile stream: its own time, and that of its task
# What tells one run from another, and no more.
RUN = {
    "run_id", "emitted_at", "emitted_date", "updated_at", "quarantined_at", "replayed_at", "linked_at", "matched_at", "changed_at",
    "created_at", "first_seen_at", "valid_from", "learned_at",
}  # fmt: skip


def read(world: Any, source: str, run_id: str, tenants: list[str]) -> None:
    """The tasks `plan`, `extract` and `close`; each stream of the hostile tenant has a task's time-out, as Airflow gives it."""
    with world.here():
        for work in world.plan(source, run_id, tenants=tenants, streams=[STREAMS[source]]):
            if work.tenant == NORMAL:
                extract.extract(work, world.services)
                continue
            with suppress(SpineError, AirflowTaskTimeout), timeout(TASK_SECONDS):
                extract.extract(work, world.services, within=STREAM_SECONDS)
        closing.finish(source, run_id, tenants, world.services)


def run(world: Any, run_id: str, tenants: list[str]) -> None:
    """All of a round; whatever fails is the hostile tenant's."""
    failures: list[Any] = []
    for source in STREAMS if HOSTILE in tenants else MINE:
        if source in MINE:
            read(world, source, run_id, tenants)
        else:
            with suppress(SpineError):
                read(world, source, run_id, [HOSTILE])
        with world.here():
            failures += normalize_each(world.spark, source, run_id, database=world.services.database).failures
    with world.here():
        failures += resolve_each(None, "person", run_id, database=world.services.database).get("failures", [])
        failures += publish_each("person", run_id, url=world.url).get("failures", [])
    for failure in failures:
        where = failure["where"] if isinstance(failure, dict) else failure.where
        assert where["tenant"] == HOSTILE, failure


@pytest.fixture(scope="module")
def outcome(make_world, tmp_path_factory):
    """Both deployments after as many rounds as there was time for."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(publication, "LOCK_WAIT", "20s")
        among = make_world({NORMAL: 100, HOSTILE: 100})
        alone = make_world(beside=among)
        name = connection_id("hubspot", HOSTILE)
        evil = ConnectionInfo(name, "http", stack.enter_context(hostile_vendor()), password="x", extra={"allow_private": True})
        among.connections[name] = evil
        sandbox = among.server.sandbox
        drop = among.server.sandbox.drop
        run(among, "r0", [NORMAL, HOSTILE])
        run(alone, "r0", [NORMAL])
        stack.enter_context(HostileAnalyst(among.admin_url, analyst_role(HOSTILE), SESSIONS))
        started, rounds = time.monotonic(), 0
        while rounds < 2 or time.monotonic() - started < SECONDS:
            rounds += 1
            sandbox.advance(source="hubspot", stream="contacts", tenant=NORMAL, changed=6, created=3, deleted=1)
            sandbox.advance(source="people_files", stream="people", tenant=NORMAL, changed=5, created=2)
            sandbox.advance(source="salesforce", stream="contacts", tenant=HOSTILE, changed=80, created=20)
            fill_drop(drop / HOSTILE, drop / NORMAL, rounds)
            run(among, f"r{rounds}", [NORMAL, HOSTILE])
            run(alone, f"r{rounds}", [NORMAL])
        return SimpleNamespace(among=among, alone=alone, lake=(among.snapshot(), alone.snapshot()), rounds=rounds)


def rows_of(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as texts, without what tells one run from another, also within JSON."""
    texts = (repr({name: value for name, value in row.items() if name not in RUN}) for row in rows)
    return sorted(re.sub(r"""(['"]emitted_at['"]: ?)(['"]).*?\2""", r"\1", text) for text in texts)


def published(world: Any) -> dict[str, list[str]]:
    found = {}
    with psycopg.connect(world.admin_url, row_factory=psycopg.rows.dict_row) as connection:
        names = [row["tablename"] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'gold' ORDER BY 1")]
        for name in names:
            if name in ("publication_state", "publication_log"):  # of runs and versions
                continue
            query = f"SELECT * FROM gold.{name} WHERE tenant_id = %s"
            found[name] = rows_of(connection.execute(query, [NORMAL]).fetchall())  # type: ignore[arg-type]
    return found


def test_every_table_of_the_lake_has_the_normal_tenants_rows_as_if_it_were_alone(outcome):
    among, alone = outcome.lake
    names = {name for name, rows in alone.tables.items() if rows and "tenant_id" in rows[0]}
    assert {"raw_hubspot_contacts", "raw_people_files_people", "hubspot_person", "gold_party_person", "gold_identity_matches"} <= names
    for name in sorted(names):
        assert rows_of(among.of(name, NORMAL)) == rows_of(alone.of(name, NORMAL)), name


def test_every_published_table_has_them_too(outcome):
    among, alone = published(outcome.among), published(outcome.alone)
    assert among["party_person"]
    assert among == alone


def test_the_normal_tenants_runs_all_succeeded(outcome):
    with outcome.among.services.database.of(NORMAL).begin() as connection:
        rows = connection.exec_driver_sql("SELECT run_id, source, status FROM spine.sync_runs").all()
    assert {row.status for row in rows} == {"success"}
    assert len(rows) == len(MINE) * (outcome.rounds + 1)


def test_nothing_of_the_normal_tenant_or_the_worker_came_to_the_hostile_one(outcome):
    """A row's cursor names the file that it came from."""
    among, _ = outcome.lake
    theirs = among.of("raw_people_files_people", HOSTILE)
    assert theirs
    assert not [row["cursor"] for row in theirs if any(name in str(row["cursor"]) for name in LINKS)]
    assert not [row for row in theirs if re.search(r"(?:SPINE_\w+|PATH)=", row["payload"])]
