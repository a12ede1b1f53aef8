"""What an administrator of PostgreSQL does to the audit log is seen, since its head is kept elsewhere under the deployment's key."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from cryptography.fernet import Fernet

from spine.control import audit, audit_heads
from spine.control.audit_heads import PREFIX
from spine.control.bootstrap import bootstrap
from spine.control.database import Database, TenantDatabase
from spine.control.embedded import EmbeddedPostgres
from spine.control.migrations.run import migrate
from spine.control.tokens import TokenVault
from spine.control.variables import MemoryVariables
from spine.core.errors import ConfigError
from spine.core.tokens import Token

pytestmark = pytest.mark.postgres
Tamper = Callable[..., None]
# As whoever may do anything in PostgreSQL would: triggers off, hashes computed anew by the database's own function.
CUT = """
    DELETE FROM spine.audit_log WHERE tenant_id = '{tenant}' AND id > 2;
    UPDATE spine.audit_heads h SET (id, hash) = (SELECT id, hash FROM spine.audit_log a WHERE a.tenant_id = h.tenant_id AND id = 2)
    WHERE tenant_id = '{tenant}';
"""
REWRITE = """
    DO $do$ DECLARE entry spine.audit_log; former text := ''; BEGIN
        FOR entry IN SELECT * FROM spine.audit_log WHERE tenant_id = '{tenant}' ORDER BY id LOOP
            entry.user_id := 'eve'; entry.previous_hash := former; former := spine.audit_digest(entry);
            UPDATE spine.audit_log SET user_id = 'eve', previous_hash = entry.previous_hash, hash = former
            WHERE tenant_id = '{tenant}' AND id = entry.id;
        END LOOP;
        UPDATE spine.audit_heads SET hash = former WHERE tenant_id = '{tenant}';
    END $do$;
"""
EMPTY = "DELETE FROM spine.audit_log WHERE tenant_id = '{tenant}'; DELETE FROM spine.audit_heads WHERE tenant_id = '{tenant}';"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())


@pytest.fixture
def variables(control: TenantDatabase) -> MemoryVariables:
    """The store outside PostgreSQL, after a first look at a log of four rows and the one that says so."""
    store = MemoryVariables()
    write(control, 4)
    assert audit_heads.check(control, store).wrong == ""
    return store


@pytest.fixture
def tamper(admin_url: str, tenant: str) -> Tamper:
    def run(statements: str) -> None:
        with psycopg.connect(admin_url) as admin:
            admin.execute("SET session_replication_role = replica")
            admin.execute(statements.format(tenant=tenant))  # type: ignore[arg-type]

    return run


def write(control: TenantDatabase, count: int) -> None:
    for number in range(count):
        audit.record(control, audit.Entry("ana", "mapping_approved", "mapping", str(number)))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "quick"])
def test_a_log_that_goes_on_is_sound(control: TenantDatabase, variables: MemoryVariables, whole: bool) -> None:
    for rows in (6, 7):
        write(control, 1)
        found = audit_heads.check(control, variables, whole=whole)
        assert (found.wrong, found.rows, found.head) == ("", rows, audit.entries(control)[0]["hash"])


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "quick"])
@pytest.mark.parametrize("how", [CUT, REWRITE, EMPTY], ids=["tail cut", "chain made anew", "emptied"])
def test_what_leaves_a_chain_that_fits_together_is_seen_from_outside(
    control: TenantDatabase, variables: MemoryVariables, tamper: Tamper, how: str, whole: bool
) -> None:
    tamper(how)
    assert audit.verify_chain(control).intact, "in the database alone nothing is to be seen"
    assert "row 5, which was there, is gone or is another one" in audit_heads.check(control, variables, whole=whole).wrong
    write(control, 6)  # nor does it help to write on until there are as many rows as before
    assert audit_heads.check(control, variables, whole=whole).wrong


def test_a_row_that_was_edited_long_ago_is_seen_by_the_whole_check(
    control: TenantDatabase, variables: MemoryVariables, tamper: Tamper
) -> None:
    tamper("UPDATE spine.audit_log SET user_id = 'eve' WHERE tenant_id = '{tenant}' AND id = 2")
    assert audit_heads.check(control, variables, whole=False).wrong == ""
    assert audit_heads.check(control, variables).wrong.startswith("row 2 ")


def test_a_tail_that_was_cut_before_anybody_looked_is_seen_by_the_head_in_the_database(control: TenantDatabase, tamper: Tamper) -> None:
    write(control, 3)
    tamper("DELETE FROM spine.audit_log WHERE tenant_id = '{tenant}' AND id = 3")
    assert audit_heads.check(control, MemoryVariables()).wrong.startswith("row 3 ")


def test_a_head_cannot_be_made_moved_or_removed_by_who_lacks_the_key(
    control: TenantDatabase, database: Database, tenant: str, variables: MemoryVariables
) -> None:
    kept = variables.values.pop(PREFIX + tenant)
    assert audit_heads.check(control, variables).wrong == f"Variable {PREFIX}{tenant} is gone"
    forged = Fernet(Fernet.generate_key()).encrypt(b'{"audit_head": "x", "id": 0, "hash": ""}').decode()
    for value in (forged, "nonsense", kept[:-4] + "AAA="):
        variables.values[PREFIX + tenant] = value
        assert "not sealed" in audit_heads.check(control, variables).wrong
    other = database.of(f"{tenant}-b")
    write(other, 6)
    audit_heads.check(other, variables)
    variables.values[PREFIX + tenant] = variables.values[f"{PREFIX}{tenant}-b"]
    assert "not sealed" in audit_heads.check(control, variables).wrong
    variables.values[PREFIX + tenant] = kept
    assert audit_heads.check(control, variables).wrong == ""


def test_a_whole_check_seals_with_the_newest_key_so_that_the_old_one_may_go(
    control: TenantDatabase, variables: MemoryVariables, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("SPINE_FERNET_KEY", old)
    audit_heads.accept(control, variables, by="ana", reason="another key")
    for keys in (f"{new},{old}", new):
        monkeypatch.setenv("SPINE_FERNET_KEY", keys)
        assert audit_heads.check(control, variables).wrong == ""


def test_after_a_restore_somebody_says_that_it_is_right_and_that_is_in_the_log(
    control: TenantDatabase, variables: MemoryVariables, tamper: Tamper
) -> None:
    tamper(CUT)
    audit_heads.accept(control, variables, by="ana", reason="backup of Sunday")
    assert audit_heads.check(control, variables).wrong == ""
    accepted = next(row for row in audit.entries(control) if row["action"] == "audit_accepted")
    assert (accepted["user_id"], accepted["new_value"]) == ("ana", {"reason": "backup of Sunday"})


def test_the_application_can_set_no_head_back(control: TenantDatabase) -> None:
    write(control, 1)
    for statement in (
        "UPDATE spine.audit_heads SET id = 0",
        "DELETE FROM spine.audit_heads",
        "INSERT INTO spine.audit_heads VALUES ('x', 1, '')",
    ):
        with pytest.raises(Exception, match="permission denied"), control.begin() as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("key", ["another", "malformed"])
def test_a_secret_that_could_not_be_opened_was_asked_for_all_the_same(
    control: TenantDatabase, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    TokenVault(control, "run-1").save("c", Token("access"))
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode() if key == "another" else "short")
    with pytest.raises(ConfigError):
        TokenVault(control, "run-2").load("c")
    found = [(row["action"], row["user_id"]) for row in audit.entries(control)]
    assert found == [("secret_read_failed", "run-2"), ("secret_read", "run-2"), ("token_rotated", "run-1")]


def test_a_chain_of_an_earlier_version_goes_on(postgres_server: EmbeddedPostgres, control_url: str) -> None:
    """`control_url` has made the roles, which belong to the whole server."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            url = postgres_server.uri(name)
            with psycopg.connect(url) as owner:
                owner.execute("CREATE SCHEMA spine AUTHORIZATION spine_owner; GRANT USAGE ON SCHEMA spine TO spine_app")
                owner.execute("CREATE SCHEMA gold AUTHORIZATION spine_publisher")
            migrate(url, "0003")
            database = Database(postgres_server.uri(name, user="spine_app"))
            for tenant, count in (("acme", 3), ("bolt", 1)):
                write(database.of(tenant), count)
            database.close()
            database = Database(bootstrap(url))
            for tenant, count in (("acme", 4), ("bolt", 2), ("new", 1)):
                assert audit.verify_chain(database.of(tenant)).intact
                write(database.of(tenant), 1)
                assert audit.verify_chain(database.of(tenant)) == audit.Chain(count, audit.entries(database.of(tenant))[0]["hash"], None)
            database.close()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
