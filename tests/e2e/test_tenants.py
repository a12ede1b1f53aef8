"""Two tenants through every layer: nothing of one is reachable by the other, or mentions it, though record ids and people are the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import orjson
import psycopg
import pytest

from spine.core.names import record_ref
from spine.lake.gold import CHANGES, LINKS, MATCHES, MODELS, REDIRECTS
from spine.lake.reading import query_engine
from spine.sources.spec import load_source

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]
ONE, TWO = "alderney", "brecon"
OTHER = {ONE: TWO, TWO: ONE}
each_tenant = pytest.mark.parametrize("tenant", [ONE, TWO])
CONTACTS = [
    {
        "FirstName": first,
        "LastName": f"{last}worth",
        "Email": f"{first}.{last}@shared.example".lower(),
        "Phone": f"+44 20 7946 0{place:03d}",
    }
    for place, (first, last) in enumerate((first, last) for first in ("Ada", "Bela", "Cleo", "Dara", "Eli") for last in ("Hol", "Wen"))
]


class Lines(logging.Handler):
    """Every log line of the run; a handler of our own, since the run outlives the test that caplog belongs to."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name} {record.levelname} {record.getMessage()}")


@contextmanager
def listening() -> Iterator[list[str]]:
    """All of the spine's lines, and those of the libraries from INFO."""
    handler, logger = Lines(), logging.getLogger("spine")
    level = logger.level
    logging.getLogger().addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler.texts
    finally:
        logging.getLogger().removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture(scope="module")
def world(make_world):
    """The same ten people are contacts of both tenants, in different systems; every tenant has one record that names the tenant itself."""
    world = make_world({ONE: 160, TWO: 160})
    sandbox = world.server.sandbox
    for tenant, source in ((ONE, "salesforce"), (TWO, "hubspot"), (TWO, "salesforce")):
        mark = {"FirstName": "Mark", "LastName": f"Of{tenant}", "Email": f"mark@{tenant}.example", "Phone": None}
        records = [*CONTACTS, mark]
        if source == "hubspot":
            names = {"FirstName": "firstname", "LastName": "lastname", "Email": "email", "Phone": "phone"}
            records = [{names[key]: value for key, value in record.items()} for record in records]
        sandbox.load(source=source, stream="contacts", tenant=tenant, records=records, truth=[f"shared {n}" for n in range(len(records))])
    sandbox.faults.add("server_error", vendor="hubspot", tenant=ONE, nth=2)
    sandbox.faults.add("rate_limit", vendor="salesforce", tenant=TWO, nth=2, retry_after=1)
    return world


@pytest.fixture(scope="module")
def run(world):
    with listening() as lines:
        results = world.run("r1")
        for tenant in (ONE, TWO):
            world.advance("salesforce", "contacts", tenant, changed=3, created=2, deleted=2)
        world.run("r2", ("salesforce",), ("person",))
        leave_out(world, ONE, "r3")
        leave_out(world, TWO, "r4")
    return SimpleNamespace(results=results, lines=lines, after=world.snapshot())


def leave_out(world, tenant, run_id):
    """A run of all tenants while one has its connection paused, which is said in a line."""
    assert world.spine("connector", "pause", "hubspot", "--tenant", tenant, "--reason", "holiday") == 0
    world.extract("hubspot", run_id, streams=["deals"])
    assert world.spine("connector", "resume", "hubspot", "--tenant", tenant) == 0


@each_tenant
def test_no_row_of_any_table_mentions_the_other(run, tenant):
    tables = {name: rows for name, rows in run.after.tables.items() if rows and "tenant_id" in rows[0]}
    assert {"raw_salesforce_contacts", "salesforce_person", "quarantine_people_files_person", LINKS, MATCHES, CHANGES, MODELS} <= set(
        tables
    )
    for name, rows in tables.items():
        mine = [row for row in rows if row["tenant_id"] == tenant]
        assert mine or name == REDIRECTS, name
        assert not [row for row in mine if OTHER[tenant] in repr(row).lower()], name
    assert any(tenant in repr(row["email"]) for row in run.after.of("salesforce_person", tenant))


def test_record_ids_overlap_and_yet_no_id_is_shared(run):
    for entity in ("person", "organization"):
        one, two = run.after.links(entity, ONE), run.after.links(entity, TWO)
        assert len(one.keys() & two.keys()) > 10
        assert not set(one.values()) & set(two.values())
    for name, key in ((CHANGES, "change_id"), (REDIRECTS, "from_id")):
        assert not {row[key] for row in run.after.of(name, ONE)} & {row[key] for row in run.after.of(name, TWO)}
    held = [{row["quarantine_id"] for row in run.after.of("quarantine_people_files_person", tenant)} for tenant in (ONE, TWO)]
    assert all(held)
    assert not held[0] & held[1]


def test_the_same_people_are_joined_within_a_tenant_and_never_across(world, run):
    links = {tenant: run.after.links("person", tenant) for tenant in (ONE, TWO)}
    truth = {
        tenant: {
            record_ref(source, stream, key): label for (_, source, stream, key), label in world.server.sandbox.world(tenant).truth().items()
        }
        for tenant in (ONE, TWO)
    }
    shared = {f"shared {n}" for n in range(len(CONTACTS))}
    entities = {
        tenant: {
            label: {links[tenant][ref] for ref, its in truth[tenant].items() if its == label and ref in links[tenant]} for label in shared
        }
        for tenant in (ONE, TWO)
    }
    within = [len(entities[TWO][label]) for label in shared]
    assert within.count(1) >= 8  # two systems of one tenant have them, which the engine joins
    assert all(not entities[ONE][label] & entities[TWO][label] for label in shared)
    every = {(tenant, entity): run.after.links(entity, tenant) for tenant in (ONE, TWO) for entity in ("person", "organization")}
    for row in run.after.tables[MATCHES]:
        mine = every[row["tenant_id"], row["entity"]]
        assert row["left_ref"] in mine
        assert row["right_ref"] in mine


@each_tenant
def test_a_golden_record_is_made_of_the_tenants_own_records(run, tenant):
    refs = set(run.after.links("person", tenant))
    golden = run.after.of("gold_party_person", tenant)
    told = {step["record_ref"] for row in golden for step in orjson.loads(row["provenance"]).values()}
    assert told <= refs
    assert sum(row["record_count"] for row in golden) == len(refs)


@each_tenant
def test_the_control_plane_shows_a_tenant_its_own_rows(world, run, tenant):
    del run
    with world.services.database.of(tenant).begin() as connection:
        names = connection.exec_driver_sql(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'spine' AND column_name = 'tenant_id'"
        )
        filled = 0
        for (name,) in names.fetchall():
            rows = [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM spine.{name}").mappings()]
            filled += bool(rows)
            assert {row["tenant_id"] for row in rows} <= {tenant}, name
            assert not [row for row in rows if OTHER[tenant] in repr(row)], name
    assert filled >= 5  # runs, streams, ledger, buckets, tokens, …


@each_tenant
def test_cursors_name_their_tenant_alone(world, run, tenant):
    mine = {key: value for key, value in world.services.variables.values.items() if "cursor" in key and tenant in key}
    streams = [stream for name in run.results["normalized"] for stream in load_source(name).streams]
    assert len(mine) == sum(stream.cursor is not None and stream.found is None for stream in streams)
    assert not [key for key, value in mine.items() if OTHER[tenant] in key + value]


@each_tenant
def test_a_validation_page_shows_one_tenant_or_none(run, tenant):
    seen = 0
    for source in run.results["normalized"].values():
        for facts in source.values():
            validation = facts["validation"]
            if validation is None:
                continue  # no row came
            for path in (Path(validation["pages"][tenant]), Path(validation["pages"][tenant]).with_suffix(".json")):
                text = path.read_text()
                assert tenant in text
                assert OTHER[tenant] not in text
                seen += 1
            common = Path(validation["page"]).read_text() + Path(validation["json"]).read_text()
            assert tenant not in common
    assert seen >= 2 * sum(len(load_source(name).entities) for name in run.results["normalized"]), "page and JSON of each entity's table"


def test_no_log_line_mentions_both_and_none_holds_a_record(run):
    lines = run.lines
    assert any(ONE in line for line in lines)
    assert any(TWO in line for line in lines)
    ours = [line for line in lines if line.startswith("spine")]
    assert ours
    assert [line for line in lines if ONE in line and TWO in line] == []
    assert [line for line in ours if "shared.example" in line or "mark@" in line] == []


@each_tenant
def test_a_query_over_the_lake_reaches_one_tenant(world, run, tenant):
    with world.here():
        engine = query_engine(tenant)
        names = [row[0] for row in engine.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
        names = names or [name for name in run.after.tables if not name.startswith("_")]
        for name in names:
            found = engine.execute(f'SELECT DISTINCT tenant_id FROM "{name}"').fetchall()
            assert found in ([], [(tenant,)]), name
        assert engine.execute("SELECT count(*) FROM gold_party_person").fetchone() > (0,)


@each_tenant
def test_analysts_see_their_own_tenant_in_every_relation(world, run, tenant):
    relations = world.ask(
        tenant,
        "SELECT relname, has_table_privilege(c.oid, 'SELECT') AS allowed FROM pg_class c "
        "WHERE relnamespace = 'gold'::regnamespace AND relkind IN ('r', 'v')",
    )
    readable = sorted(row["relname"] for row in relations if row["allowed"])
    assert {"person", "person_sources", "person_matches", "organization", "changes", "redirects", "publications"} <= set(readable)
    for name in readable:
        rows = world.ask(tenant, f"SELECT * FROM gold.{name}")
        assert {row["tenant_id"] for row in rows} <= {tenant}, name
        assert not [row for row in rows if OTHER[tenant] in repr(row).lower()], name
    seen = {row["entity_id"] for row in world.ask(tenant, "SELECT entity_id FROM gold.person")}
    assert seen == set(run.after.links("person", tenant).values())
    foreign = next(iter(run.after.links("person", OTHER[tenant]).values()))
    assert world.ask(tenant, f"SELECT * FROM gold.person WHERE entity_id = '{foreign}'") == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        world.ask(tenant, "SELECT * FROM spine.ledger")
