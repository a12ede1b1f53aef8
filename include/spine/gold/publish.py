"""Copies an entity's Gold tables to PostgreSQL's schema `gold` and swaps them in one transaction, changing only rows that differ.

Reads Delta by delta-rs and streams Arrow batches into temporary tables by COPY (ADBC). Everything is one transaction on one
connection: a process that dies leaves analysts with the former publication and nothing to clean up. No Spark.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from psycopg import sql
from sqlalchemy.engine import make_url

from spine.control.database import Database
from spine.control.sessions import end_blocking
from spine.core.entities import load_entity
from spine.core.errors import (
    ConfigError,
    ControlPlaneUnavailable,
    LakeError,
    PublishFailed,
    SpineError,
    as_ours,
    error_from_dict,
    together,
)
from spine.core.failpoints import failpoint
from spine.core.foreign import told
from spine.core.screen import logger
from spine.gold import ddl as gold_ddl
from spine.gold.publish_lookup import publish_lookup
from spine.gold.records import silver_tables
from spine.gold.schema import Shape, Table, shape_of
from spine.lake import gold
from spine.lake.reading import batches, dataset, open_table, reading, storage

log = logger(__name__)
LOCK_WAIT = "10min"
# A change of columns waits for analysts' queries in short turns, since other queries queue behind it meanwhile. Whoever still holds a
# table after that has their session ended.
TURN, TURNS, PAUSE = "1s", 10, 2.0  # how long a turn waits, how many there are, seconds between them
LAST_TURN, LOOK = "30s", 0.3  # how long the last one waits, and how often it looks for who is in its way
_LOCK_NOT_AVAILABLE = "55P03"
_DATA = ("22", "P0")  # SQLSTATEs of errors whose first line quotes a value
# On this side an error would end the transaction.
_TRY = """
DO $$ BEGIN
    {};
    PERFORM set_config('spine.taken', 'yes', true);
EXCEPTION WHEN lock_not_available THEN
    PERFORM set_config('spine.taken', 'no', true);
END $$
"""


def publish(entity: str, run_id: str, *, url: str, versions: dict[str, int] | None = None) -> dict[str, Any]:
    """Make the published tables of `entity` equal to Gold as `publish_each` does, and raise at the end whose rows PostgreSQL refused.

    Raises ConfigError where there is no Gold yet, LakeError, PublishFailed, ControlPlaneUnavailable.
    """
    result = publish_each(entity, run_id, url=url, versions=versions)
    if result.get("failures"):
        raise together([error_from_dict(found) for found in result["failures"]])
    return result


@storage("Gold")
def publish_each(entity: str, run_id: str, *, url: str, versions: dict[str, int] | None = None) -> dict[str, Any]:
    """Make the published tables of `entity` equal to Gold; `versions` picks Delta versions by table (default: newest).

    Returns `published` (False if these versions are what analysts see already), `versions`, rows `inserted`, `updated`, `deleted`, and
    `failures` of tenants whose rows cannot be published: they keep their former publication, the others have the new one.
    Raises ConfigError where there is no Gold yet, LakeError, PublishFailed, ControlPlaneUnavailable.
    """
    try:
        return _publish(entity, run_id, url, versions or {})
    except Exception as error:
        if not _about_rows(error):
            raise
        log.warning("%s: tenants are published apart, since together they fail: %s", entity, as_ours(error).message)
        first = error
    try:
        tenants = _tenants(entity, url, versions or {})
    except ControlPlaneUnavailable:  # what failed was PostgreSQL, not somebody's rows
        raise first from None
    done: list[dict[str, Any]] = []
    failures: list[SpineError] = []
    for tenant in tenants:
        try:
            done.append(_publish(entity, run_id, url, versions or {}, tenant))
        except Exception as error:
            if not _about_rows(error):
                raise
            failures.append(as_ours(error, tenant=tenant, entity=entity))
    if not done:
        raise first
    return _sum(done) | {"failures": [error.as_dict() for error in failures]}


def _publish(entity: str, run_id: str, url: str, versions: dict[str, int], tenant: str | None = None) -> dict[str, Any]:
    """One publication of everybody's rows, or of one `tenant`'s: one transaction."""
    declared = load_entity(entity)
    shape = shape_of(declared)
    with _transaction(url) as execute:
        execute("SET LOCAL ROLE spine_publisher")
        execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        execute("SET LOCAL idle_in_transaction_session_timeout = '1h'")  # standardising records takes this process a while
        # Two publications never run at once, whatever their entities, since they share tables. Nobody else may touch this one.
        execute("LOCK TABLE gold.publication_state IN SHARE ROW EXCLUSIVE MODE")
        tables = _settled(shape, versions)  # after the lock: a rival may have published newer ones meanwhile
        sources = silver_tables(entity) if shape.matched else {}
        found = {name: [table.metadata().id, table.version()] for name, table in {**tables, **sources}.items()}
        result = {"entity": entity, "published": False, "versions": {name: found[name][1] for name in tables}}
        state = _state(execute, entity)
        fingerprint = gold_ddl.fingerprint(shape)
        if state == (fingerprint, found):
            return {**result, "inserted": 0, "updated": 0, "deleted": 0, "tables": {}}
        staged = {table.name: _stage(execute, table, tables.get(table.delta), entity, tenant) for table in shape.tables}
        failpoint("publish.after_staging")
        if state is None or state[0] != fingerprint:
            _take_tables(execute, shape, url)
            gold_ddl.apply(shape, execute.query)
        changes = {table.name: {"rows": staged[table.name], **_swap(execute, table, entity, tenant)} for table in shape.tables}
        if shape.matched:
            changes |= publish_lookup(execute, declared, run_id, tables[gold.LINKS], sources, tenant)
        _remember(execute, shape, run_id, fingerprint, found, whole=tenant is None)
        failpoint("publish.before_swap")
    totals = {word: sum(counts[word] for counts in changes.values()) for word in ("inserted", "updated", "deleted")}
    return {**result, "published": True, **totals, "tables": changes}


def _take_tables(execute: _Session, shape: Shape, url: str) -> None:
    """Lock what the change of columns will touch before it is begun, if need be by ending the analysts' sessions that hold it."""
    names = [name for (name,) in (row for wanted in gold_ddl.relations(shape) for row in execute(wanted)) if name]
    if not names:
        return
    lock = f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE"
    execute(f"SET LOCAL lock_timeout = '{TURN}'")
    for _ in range(TURNS):
        execute(_TRY.format(lock))
        if execute("SELECT current_setting('spine.taken') = 'yes'")[0][0]:
            return
        time.sleep(PAUSE)
    with _ending_blockers(url, int(execute("SELECT pg_backend_pid()")[0][0])):
        execute(f"SET LOCAL lock_timeout = '{LAST_TURN}'")
        execute(lock)


@contextmanager
def _ending_blockers(url: str, pid: int) -> Iterator[None]:
    """While the server's process `pid` waits, end the analysts' sessions that it waits for."""
    database, done = Database(url), threading.Event()

    def watch() -> None:
        while not done.wait(LOOK):
            end_blocking(database, pid)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            done.set()
            wait([watching])
            database.close()


def _tenants(entity: str, url: str, versions: dict[str, int]) -> list[str]:
    """Everybody who has rows in Gold, or had some when it was last published."""
    tables = _settled(shape_of(load_entity(entity)), versions)
    lake = {str(part["tenant_id"]) for table in tables.values() for part in table.partitions()}
    words = sql.SQL("SELECT DISTINCT tenant_id FROM gold.publication_log WHERE entity = {}").format(sql.Literal(entity))
    with _transaction(url) as execute:
        execute("SET LOCAL ROLE spine_publisher")
        known = execute("SELECT to_regclass('gold.publication_log') IS NOT NULL")[0][0]
        return sorted(lake | ({row[0] for row in execute(words)} if known else set()))


def _sum(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several tenants' publications did."""
    tables: dict[str, Counter[str]] = {}
    for result in done:
        for table, counts in result["tables"].items():
            tables.setdefault(table, Counter()).update(counts)
    totals = {word: sum(result[word] for result in done) for word in ("inserted", "updated", "deleted")}
    return {**done[-1], **totals, "published": True, "tables": {table: dict(counts) for table, counts in tables.items()}}


class _Session:
    """Statements of one transaction."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor

    def __call__(self, statement: str | sql.Composed) -> list[tuple[Any, ...]]:
        return self.query(statement if isinstance(statement, str) else statement.as_string(None))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query, nothing for other statements."""
        self.cursor.execute(statement)
        return list(self.cursor.fetchall()) if self.cursor.description else []

    def count(self, statement: sql.Composed) -> int:
        """Rows that an INSERT, UPDATE or DELETE touched."""
        return int(self(sql.SQL("WITH touched AS ({} RETURNING 1) SELECT count(*) FROM touched").format(statement))[0][0])


@contextmanager
def _transaction(url: str) -> Iterator[_Session]:
    """One transaction, committed at the end and rolled back by any failure. Raises PublishFailed, ControlPlaneUnavailable."""
    import adbc_driver_manager
    from adbc_driver_postgresql import dbapi

    plain = make_url(url).set(drivername="postgresql").update_query_dict({"application_name": "spine publish"})
    try:
        connection = dbapi.connect(plain.render_as_string(hide_password=False))
    except adbc_driver_manager.Error as error:
        raise ControlPlaneUnavailable(_reason(error), hint="Check that PostgreSQL runs", database=plain.render_as_string()) from None
    try:
        with connection.cursor() as cursor:
            yield _Session(cursor)
        connection.commit()
    except adbc_driver_manager.Error as error:
        raise _failure(error) from None
    finally:
        connection.close()  # without a commit this rolls back


# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html that are about values: data, constraints, limits of a row.
_VALUES = ("21", "22", "23", "54")


def _about_rows(error: Exception) -> bool:
    """Whether a failure may be that of some tenant's rows, so that the others can do without them."""
    if isinstance(error, PublishFailed):  # without a state it is the driver's, which could not send a value
        return "unsettled" not in error.where and str(error.where.get("sqlstate", _VALUES[0])).startswith(_VALUES)
    return not isinstance(error, ConfigError | ControlPlaneUnavailable)


def _failure(error: Any) -> PublishFailed:
    hint = "Analysts keep the former publication; a retry is safe"
    state = str(getattr(error, "sqlstate", "") or "")
    if state == "2BP01":
        hint = "Somebody built a view on one of ours whose column goes away; drop that view and publish again"
    elif state in {"23505", "23502"}:
        hint = "Gold holds a key twice or not at all; resolve the entity again"
    elif state == _LOCK_NOT_AVAILABLE:
        hint = "Somebody holds a table of Gold, or another publication runs: look at pg_locks, end that session, then publish again"
    elif state == "53100":
        hint = "PostgreSQL's disk is full: make room there, then publish again. Analysts keep the former publication"
    return PublishFailed(_reason(error), hint=hint, sqlstate=state or None)


def _reason(error: Any) -> str:
    """PostgreSQL's own first line, never its detail, which quotes values; nor what it quotes where the data is wrong."""
    details = dict(getattr(error, "details", None) or ())
    primary = details.get("PG_DIAG_MESSAGE_PRIMARY") or details.get(b"PG_DIAG_MESSAGE_PRIMARY")
    text = str(primary.decode() if isinstance(primary, bytes) else primary or error)
    return text.splitlines()[0][:300] if primary and not str(getattr(error, "sqlstate", "")).startswith(_DATA) else told(text)


def _settled(shape: Shape, versions: dict[str, int]) -> dict[str, DeltaTable]:
    """The Delta tables as one finished resolution left them, never between two. Raises ConfigError, PublishFailed.

    A resolution enters its journal before it writes the first table and after it has written the last.
    """
    before = gold.last_entry(shape.entity)
    tables = _open(shape, versions)
    if gold.last_entry(shape.entity) != before or (before is not None and before.status != "applied" and not versions):
        raise PublishFailed(
            f"Gold of {shape.entity} is being written, or its resolution was killed",
            hint=f"Run `spine resolve {shape.entity}`, then publish",
            unsettled="yes",
        )
    return tables


def _open(shape: Shape, versions: dict[str, int]) -> dict[str, DeltaTable]:
    """The Delta tables of the shape; matches, changes and redirects may not exist yet. Raises ConfigError."""
    opened = {table.delta: open_table(table.delta, versions.get(table.delta)) for table in shape.tables}
    missing = [table.delta for table in shape.tables if table.required and opened[table.delta] is None]
    if missing:
        command = f"spine {'resolve' if shape.matched else 'unite'} {shape.entity}"
        raise ConfigError(f"There is no Gold of {shape.entity} yet: no {missing[0]}", hint=f"Run `{command}` first")
    return {name: table for name, table in opened.items() if table is not None}


def _state(execute: _Session, entity: str) -> tuple[str, dict[str, Any]] | None:
    rows = execute(sql.SQL("SELECT fingerprint, versions::text FROM gold.publication_state WHERE entity = {}").format(sql.Literal(entity)))
    return (rows[0][0], orjson.loads(rows[0][1])) if rows else None


def _stage(execute: _Session, table: Table, delta: DeltaTable | None, entity: str, tenant: str | None) -> int:
    """Fill a temporary table with the Delta table's rows of `entity` (and of one tenant); returns their number.

    A key that is there twice is refused.
    """
    name = sql.Identifier(f"staged_{table.name}")
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL("text" if c.type == "json" else c.sql)) for c in table.columns
    )
    execute(sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(name, columns))
    if delta is not None:
        with reading(table.delta):
            shared = [("entity", "=", entity)] if table.shared else []
            source = dataset(delta, shared + ([("tenant_id", "=", tenant)] if tenant else []))
            rows = batches(source, _arrow_schema(table, source))
            execute.cursor.adbc_ingest(f"staged_{table.name}", rows, mode="append", temporary=True)
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, key))
    execute(sql.SQL("ANALYZE {}").format(name))
    return int(execute(sql.SQL("SELECT count(*) FROM {}").format(name))[0][0])


def _arrow_schema(table: Table, source: pads.Dataset) -> pa.Schema:
    """What is sent: the declared types, decimals with the scale they have. Raises LakeError where Gold is of another declaration."""
    fields = []
    for wanted in table.schema:
        have = source.schema.field(wanted.name).type if wanted.name in source.schema.names else wanted.type
        if pa.types.is_string(have) != pa.types.is_string(wanted.type):
            raise LakeError(
                f"{table.delta}.{wanted.name} is {have}, but declared is {wanted.type}",
                hint="The entity's declaration changed: resolve it again with --relearn, then publish",
            )
        fields.append(pa.field(wanted.name, have if pa.types.is_decimal(have) else wanted.type))
    return pa.schema(fields)


def _swap(execute: _Session, table: Table, entity: str, tenant: str | None) -> dict[str, int]:
    """Delete, update and insert what differs from the staged rows (of one tenant); an equal row is not touched."""
    name, staged = sql.Identifier("gold", table.name), sql.Identifier(f"staged_{table.name}")
    same = sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(key)) for key in table.key)
    terms = {"entity": entity if table.shared else None, "tenant_id": tenant}
    narrowed = [sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in terms.items() if value]
    mine = sql.SQL(" AND ").join(narrowed) if narrowed else sql.SQL("true")
    values = [c for c in table.columns if c.name not in table.key]
    incoming = {c.name: sql.SQL("s.{}::jsonb" if c.type == "json" else "s.{}").format(sql.Identifier(c.name)) for c in table.columns}
    comma = partial(sql.SQL(", ").join)
    deleted = sql.SQL("DELETE FROM {} AS t WHERE {} AND NOT EXISTS (SELECT FROM {} AS s WHERE {})").format(name, mine, staged, same)
    updated = sql.SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {} AND {} AND ({}) IS DISTINCT FROM ({})").format(
        name,
        comma(sql.SQL("{} = {}").format(sql.Identifier(c.name), incoming[c.name]) for c in values),
        staged,
        mine,
        same,
        comma(sql.SQL("t.{}").format(sql.Identifier(c.name)) for c in values),
        comma(incoming[c.name] for c in values),
    )
    inserted = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {} AND {})").format(
        name, comma(sql.Identifier(c) for c in incoming), comma(incoming.values()), staged, name, mine, same
    )
    return {"deleted": execute.count(deleted), "updated": execute.count(updated), "inserted": execute.count(inserted)}


def _remember(execute: _Session, shape: Shape, run_id: str, fingerprint: str, found: dict[str, Any], *, whole: bool) -> None:
    """The publisher's memory, and for each tenant a row that says what it now has.

    If not everybody has these versions, it remembers none, and the next publication looks at all rows again.
    """
    entity, run = sql.Literal(shape.entity), sql.Literal(run_id)
    execute(
        sql.SQL(
            "INSERT INTO gold.publication_state VALUES ({}, {}, {}::jsonb, {}, statement_timestamp()) "
            "ON CONFLICT (entity) DO UPDATE SET fingerprint = excluded.fingerprint, versions = excluded.versions, "
            "run_id = excluded.run_id, published_at = excluded.published_at"
        ).format(entity, sql.Literal(fingerprint), sql.Literal(orjson.dumps(found if whole else {}).decode()), run)
    )
    counted = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT tenant_id, {}, count(*) AS n FROM {} GROUP BY tenant_id").format(
            sql.Literal(table.name), sql.Identifier(f"staged_{table.name}")
        )
        for table in shape.tables
    )
    versions = orjson.dumps({name: pair[1] for name, pair in found.items()}).decode()
    execute(
        sql.SQL(
            "INSERT INTO gold.publication_log (tenant_id, entity, published_at, run_id, rows, delta_versions) "
            "SELECT tenant_id, {}, statement_timestamp(), {}, jsonb_object_agg(name, n), {}::jsonb "
            "FROM ({}) AS counted (tenant_id, name, n) GROUP BY tenant_id"
        ).format(entity, run, sql.Literal(versions), counted)
    )
