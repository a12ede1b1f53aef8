"""A hostile analyst's login can stop, slow or fool nobody else: neither by locks, nor by connections, nor by what everybody shares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from spine.control import audit, sessions
from spine.control.bootstrap import bootstrap, ensure_analyst
from spine.control.database import Database, TenantDatabase
from spine.control.embedded import EmbeddedPostgres
from spine.control.tokens import TokenVault
from spine.core.errors import ControlPlaneUnavailable
from spine.core.settings import AnalystLimits
from spine.core.tokens import Token
from spine.gold import publish as publishing
from spine.gold.publish import publish

pytestmark = pytest.mark.postgres
Login = Callable[..., psycopg.Connection]
CONNECTION = "ipai_connector_salesforce"
SET_UP, PUBLICATION = 0x5350494E45, 0x676F6C64  # advisory locks of an earlier version


@pytest.fixture
def analyst(admin_url: str, control_url: str) -> Iterator[Login]:
    """Opens sessions as the analysts of tenant `acme`, or of another one."""
    opened: list[psycopg.Connection] = []

    def login(tenant: str = "acme") -> psycopg.Connection:
        opened.append(psycopg.connect(admin_url, user=ensure_analyst(admin_url, tenant), autocommit=True))
        return opened[-1]

    yield login
    for session in opened:
        session.close()


@pytest.fixture
def published(admin_url: str, control_url: str, gold: Callable[..., None]) -> Iterator[str]:
    """The application's URL of a control plane in which Gold of people is published."""
    bootstrap(admin_url)
    gold("person", {"acme": 2, "bolt": 5})
    publish("person", "run-1", url=control_url)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("ANALYZE")
    yield control_url
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(usename, 'analyst_')")
        admin.execute("DROP SCHEMA gold CASCADE")
    bootstrap(admin_url)


@contextmanager
def as_on_a_managed_server(admin_url: str) -> Iterator[None]:
    """Whoever sets up is no superuser there, so advisory functions are everybody's."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog TO analyst_acme")
        yield
        admin.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM analyst_acme")


def test_advisory_locks_that_anybody_may_take_hold_up_neither_audit_nor_refresh_nor_publication_nor_set_up(
    analyst: Login, admin_url: str, published: str, gold: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
    hostile = analyst()
    gold("person", {"acme": 3})
    with as_on_a_managed_server(admin_url):
        for number in (SET_UP, PUBLICATION):
            hostile.execute("SELECT pg_advisory_lock(%s)", (number,))
        for name in ("spine.audit:bolt", f"spine.token:bolt:{CONNECTION}"):
            hostile.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
        began = time.monotonic()
        database = Database(published)
        mine = database.of("bolt")
        audit.record(mine, audit.Entry("ana", "a", "b", "c"))
        with TokenVault(mine, "run").locked(CONNECTION, timeout=5) as held:
            held.save(Token("fresh"))
        assert publish("person", "run-2", url=published)["published"]
        bootstrap(admin_url)
        database.close()
    assert time.monotonic() - began < 60


def test_an_audit_entry_waits_for_another_writer_of_its_tenant_but_not_for_ever(database: Database, tenant: str) -> None:
    entry = audit.Entry("ana", "a", "b", "c")
    with database.of(tenant).begin() as stuck:
        audit.record_in(stuck, tenant, entry)
        began = time.monotonic()
        with pytest.raises(ControlPlaneUnavailable, match="lock timeout") as late:
            audit.record(database.of(tenant), entry)
        assert 5 < time.monotonic() - began < 25
        audit.record(database.of(f"{tenant}-b"), entry)  # other tenants' logs are not held up
    assert late.value.retryable
    assert audit.verify_chain(database.of(tenant)) == audit.Chain(1, audit.entries(database.of(tenant))[0]["hash"], None)


def test_nobody_of_the_application_waits_for_a_lock_for_ever(database: Database) -> None:
    with database.begin() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "30s"
        assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "15min"


@pytest.mark.parametrize("statement", ["SELECT * FROM gold.person", "LOCK TABLE gold.party_person IN ACCESS SHARE MODE"])
def test_an_open_transaction_does_not_keep_gold_from_getting_a_new_column(
    analyst: Login, admin_url: str, published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setattr(publishing, "TURNS", 2)
    hostile, other = analyst(), analyst("bolt")
    hostile.execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")
    hostile.execute("BEGIN")
    hostile.execute(statement)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("UPDATE gold.publication_state SET fingerprint = 'of an earlier version'")
    assert publish("person", "run-2", url=published)["published"]
    with pytest.raises(psycopg.OperationalError):
        hostile.execute("SELECT 1")
    assert other.execute("SELECT count(*) FROM gold.person").fetchone() == (5,)  # only who was in the way is sent away


def test_a_short_question_is_waited_for_and_not_ended(
    analyst: Login, admin_url: str, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = analyst()
    asking.execute("BEGIN")
    asking.execute("SELECT * FROM gold.person")
    threading.Timer(2.0, lambda: asking.execute("COMMIT")).start()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("UPDATE gold.publication_state SET fingerprint = 'of an earlier version'")
    assert publish("person", "run-2", url=published)["published"]
    assert asking.execute("SELECT count(*) FROM gold.person").fetchone() == (2,)


def test_a_login_has_few_connections_and_cannot_give_itself_more(analyst: Login, admin_url: str) -> None:
    first = analyst()
    for statement in ("ALTER ROLE analyst_acme CONNECTION LIMIT -1", "ALTER ROLE CURRENT_USER CONNECTION LIMIT 1000"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            first.execute(statement)
    for _ in range(AnalystLimits().connections - 1):
        analyst()
    with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
        analyst()


def test_many_logins_together_leave_room_for_the_application(postgres_server: EmbeddedPostgres, admin_url: str, control_url: str) -> None:
    """As many tenants' logins as it takes, each with all that it may have."""
    opened: list[psycopg.Connection] = []
    try:
        logins = (ensure_analyst(admin_url, f"crowd-{number // AnalystLimits().connections}") for number in range(300))
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
            opened.extend(psycopg.connect(admin_url, user=role) for role in logins)
        assert len(opened) > 50
        for user in ("spine_app", "spine_jobs"):
            opened += [psycopg.connect(admin_url, user=user) for _ in range(20)]
        opened += [psycopg.connect(postgres_server.uri("airflow", user="spine_airflow")) for _ in range(20)]
    finally:
        for connection in opened:
            connection.close()


REFUSED = (
    "SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000000) n",  # fills the table of locks, which all share
    "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_creat(1)",
    "SELECT lo_unlink(1)",
    "SELECT pg_logical_emit_message(false, 'a', repeat('x', 1000000))",
    "SELECT pg_notify('a', 'b')",
    "SET temp_file_limit = -1",
    "ALTER ROLE CURRENT_USER SET temp_file_limit = -1",
    "ALTER ROLE CURRENT_USER CREATEDB",
    "ALTER ROLE analyst_bolt PASSWORD 'x'",
    "SELECT * FROM gold.person FOR KEY SHARE",
    "LOCK TABLE gold.party_person IN ROW SHARE MODE",
    "LOCK TABLE gold.tenant_access IN ACCESS SHARE MODE",
    "LOCK TABLE gold.publication_state IN ACCESS SHARE MODE",
    "LOCK TABLE spine.audit_heads IN ACCESS SHARE MODE",
    "LOCK TABLE spine.token_locks IN ACCESS SHARE MODE",
    "CREATE EXTENSION dblink",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE PUBLICATION p",
    "CREATE FOREIGN DATA WRAPPER w",
    "COMMENT ON TABLE gold.party_person IS 'x'",
    "COMMENT ON DATABASE spine IS 'x'",
    "GRANT analyst TO analyst_bolt",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "SELECT pg_ls_dir('.')",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_statistic_ext_data",
    "SELECT * FROM pg_largeobject",
    "SELECT pg_stat_get_live_tuples('gold.party_person'::regclass)",
    "SELECT n_live_tup FROM pg_stat_user_tables",
    "SELECT pg_switch_wal()",
    "SELECT pg_reload_conf()",
    "SELECT pg_promote()",
    "CHECKPOINT",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "LOAD 'auto_explain'",
    "SET session_replication_role = replica",
    "PREPARE TRANSACTION 'x'",
)
_PRIVILEGE, _NOT_THERE = {"42501"}, {"55000", "0A000", "42883", "25001"}


def test_what_everybody_shares_is_not_an_analysts_to_use_up(analyst: Login, published: str) -> None:
    analyst("bolt")
    hostile, allowed = analyst(), []
    for statement in REFUSED:
        try:
            with hostile.transaction() if statement.startswith(("LOCK", "PREPARE")) else nullcontext():
                hostile.execute(statement)  # type: ignore[arg-type]
            allowed.append(statement)
        except psycopg.Error as refused:
            if refused.sqlstate not in _PRIVILEGE | _NOT_THERE:
                allowed.append(f"{statement}: {refused}")
    assert allowed == []


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN FOR n IN 1..5 LOOP RAISE LOG '%', repeat('x', 1000000); END LOOP; END $$",
        "DO $$ BEGIN RAISE WARNING '%', repeat('x', 5000000); END $$",
        "SELECT repeat('x', 5000000)::int",
        "SET debug_print_plan = on; SELECT * FROM gold.person",
        f"SELECT {'(' * 50}{'x' * 100_000}",
    ],
)
def test_what_an_analyst_says_fills_no_log(analyst: Login, admin_url: str, published: str, statement: str) -> None:
    hostile = analyst()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        folder = admin.execute("SHOW data_directory").fetchone()
    assert folder is not None
    log = Path(folder[0]) / "log"
    before = log.stat().st_size
    with suppress(psycopg.Error):
        hostile.execute(statement)  # type: ignore[arg-type]
    assert log.stat().st_size - before < 10_000
    for name in ("log_min_messages", "log_min_error_statement", "log_statement", "log_duration", "log_min_duration_statement"):
        for word in ("SET", "ALTER ROLE CURRENT_USER SET"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                hostile.execute(f"{word} {name} = DEFAULT")  # type: ignore[arg-type]


def test_a_session_that_wants_all_memory_gets_an_error_and_ends_nobody_else(analyst: Login, database: Database) -> None:
    hostile = analyst()
    hostile.execute(
        "SET work_mem = '1TB'; SET hash_mem_multiplier = 1000; SET max_parallel_workers_per_gather = 0; SET temp_buffers = '1GB'"
    )
    with database.begin() as bystander:
        with pytest.raises(psycopg.errors.OutOfMemory):
            hostile.execute(
                "SELECT count(*) FROM (SELECT DISTINCT repeat('x', 1000000) || n AS v FROM generate_series(1, 20000) n OFFSET 0) s"
            )
        assert bystander.execute(text("SELECT 1")).scalar() == 1
    assert hostile.execute("SELECT 1").fetchone() == (1,)


def test_a_transaction_beyond_the_limits_is_ended_whatever_the_session_has_set(analyst: Login, database: Database) -> None:
    hostile, good, other = analyst(), analyst(), analyst("bolt")
    hostile.execute(
        "ALTER ROLE CURRENT_USER SET statement_timeout = 0; ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = 0"
    )
    hostile.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    for session in (hostile, other):
        session.execute("BEGIN")
        session.execute("SELECT pg_current_xact_id()")  # holds up the cleaning of every table
    time.sleep(0.1)
    assert sessions.end_beyond(database, AnalystLimits()) == []
    ended = sessions.end_beyond(database, AnalystLimits(minutes=0))
    assert {(one.login, one.why) for one in ended} == {
        (login, "a transaction of more than 0 minutes") for login in ("analyst_acme", "analyst_bolt")
    }
    for session in (hostile, other):
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert good.execute("SELECT 1").fetchone() == (1,)
    time.sleep(0.1)
    assert [one.why for one in sessions.end_beyond(database, AnalystLimits(idle=0))] == ["idle for more than 0 minutes"]


def test_a_statement_that_begins_ever_new_transactions_is_ended_all_the_same(analyst: Login, database: Database, admin_url: str) -> None:
    """It burns a processor and transaction ids, of which a server has four thousand million."""
    hostile, good, limits = analyst(), analyst("bolt"), AnalystLimits(minutes=1 / 30)  # type: ignore[arg-type]  # two seconds
    hostile.execute("SET statement_timeout = 0")
    ended = threading.Event()

    def run() -> None:
        with suppress(psycopg.Error):
            hostile.execute("DO $$ BEGIN LOOP PERFORM pg_current_xact_id(); PERFORM pg_sleep(0.01); COMMIT; END LOOP; END $$")
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        asked = "SELECT now() - query_start > '3s' AND now() - xact_start < '1s' FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        ends = time.monotonic() + 30
        while admin.execute(asked, (hostile.info.backend_pid,)).fetchone() != (True,) and time.monotonic() < ends:
            time.sleep(0.1)
    assert [(one.login, one.why[:11]) for one in sessions.end_beyond(database, limits)] == [("analyst_acme", "a statement")]
    assert ended.wait(10)
    assert good.execute("SELECT 1").fetchone() == (1,)


def test_what_a_login_has_set_for_itself_ends_with_the_next_set_up(analyst: Login, admin_url: str) -> None:
    analyst().execute("ALTER ROLE CURRENT_USER SET statement_timeout = 0; ALTER ROLE CURRENT_USER SET search_path = 'pg_temp'")
    bootstrap(admin_url)
    again = analyst()
    assert again.execute("SHOW statement_timeout").fetchone() == ("15min",)
    assert again.execute("SHOW search_path").fetchone() == ('"$user", public',)
    assert again.execute("SHOW temp_file_limit").fetchone() == ("1GB",)  # a tenth of what the login may take


def test_a_login_that_was_made_by_hand_is_named_and_ended_once_it_is_granted(
    admin_url: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    person = f"u_{uuid4().hex[:8]}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {person} LOGIN IN ROLE analyst")
        with closing(psycopg.connect(admin_url, user=person, autocommit=True)) as session:
            session.execute("BEGIN")
            time.sleep(0.1)
            assert sessions.end_beyond(database, AnalystLimits(minutes=0)) == []
            assert f"GRANT {person} TO spine_app" in caplog.text
            admin.execute(f"GRANT {person} TO spine_app WITH INHERIT FALSE, SET TRUE")
            assert [one.login for one in sessions.end_beyond(database, AnalystLimits(minutes=0))] == [person]
        admin.execute(f"DROP ROLE {person}")


def plan(session: psycopg.Connection, condition: str) -> str:
    return "\n".join(row[0] for row in session.execute(f"EXPLAIN SELECT * FROM gold.party_person WHERE {condition}"))  # type: ignore[arg-type]


@pytest.mark.parametrize("column", ["tenant_id", "family_name", "city", "email", "run_id"])
def test_estimates_tell_nothing_of_other_tenants_values(analyst: Login, admin_url: str, published: str, column: str) -> None:
    """Estimates of `=` tell how many rows have a value, those of `<` find by halving every value that was sampled."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for tenant, rows in (("acme", 1000), ("bolt", 2000)):
            facts = f"jsonb_build_object('tenant_id', '{tenant}', '{column}', '{tenant}', 'entity_id', 'many_{tenant}' || n)"
            admin.execute(f"""
                INSERT INTO gold.party_person SELECT made.* FROM generate_series(1, {rows}) n,
                LATERAL jsonb_populate_record((SELECT t FROM gold.party_person t LIMIT 1), {facts}) made
            """)
        admin.execute("ANALYZE gold.party_person")
    asking = analyst()
    try:
        told = {value: plan(asking, f"{column} = '{value}'").replace(value, "…") for value in ("bolt", "nobody")}
        assert told["bolt"] == told["nobody"]
        told = {value: plan(asking, f"{column} < '{value}'").replace(value, "…") for value in ("az", "bz")}
        assert told["az"] == told["bz"]
    finally:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("DELETE FROM gold.party_person WHERE entity_id LIKE 'many_%'")


def test_samples_that_an_earlier_version_kept_are_forgotten(admin_url: str, published: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE gold.party_person ALTER city SET STATISTICS -1, ALTER tenant_id SET STATISTICS -1")
        admin.execute("ANALYZE gold.party_person")
        admin.execute("UPDATE gold.publication_state SET fingerprint = 'of an earlier version'")
        kept = "SELECT count(*) FROM pg_stats WHERE schemaname = 'gold' AND tablename = 'party_person'"
        assert admin.execute(kept).fetchone() != (0,)
        publish("person", "run-2", url=published)
        assert admin.execute(kept).fetchone() == (0,)


def test_set_up_forgets_samples_of_columns_that_are_sampled_no_more(admin_url: str, published: str) -> None:
    """Before PostgreSQL 18 a publication has no function for it."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for target in (-1, 0):
            admin.execute(f"ALTER TABLE gold.party_person ALTER city SET STATISTICS {target}")
            admin.execute("ANALYZE gold.party_person")
        kept = "SELECT count(*) FROM pg_stats WHERE schemaname = 'gold' AND tablename = 'party_person'"
        assert admin.execute(kept).fetchone() != (0,)
        bootstrap(admin_url)
        assert admin.execute(kept).fetchone() == (0,)


def test_sessions_of_others_show_no_query_and_no_name_of_ours(analyst: Login, database: Database, control: TenantDatabase) -> None:
    with control.begin():
        seen = analyst().execute("SELECT usename, application_name, query, client_addr FROM pg_stat_activity").fetchall()
    foreign = [row for row in seen if row[0] not in (None, "analyst_acme")]
    assert foreign
    assert {row[2] for row in foreign} == {"<insufficient privilege>"}
    assert not [row for row in foreign if control.tenant in str(row)]
