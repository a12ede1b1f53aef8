"""Rotation of the deployment's key: under load, through kills, to the point where the old key opens nothing and nobody needs it."""

from __future__ import annotations

import os
import runpy
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from spine.control import audit, audit_heads, keys
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.control.rotation import Keeper
from spine.control.tokens import TokenVault
from spine.core.errors import ConfigError, ControlPlaneUnavailable, SecretUnreadable
from spine.core.tokens import Token

pytestmark = pytest.mark.postgres
PROGRAM = Path(__file__).with_name("keys_process.py")
FileVariables = runpy.run_path(str(PROGRAM))["FileVariables"]
TENANTS = ("alpha", "beta", "gamma")
CONNECTION = "ipai_connector_salesforce"


@pytest.fixture
def plane(postgres_server: Any) -> Any:
    """A control plane of its own for each test, since a rotation is about all tenants of one."""
    name = f"k_{os.urandom(6).hex()}"
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        database = Database(bootstrap(postgres_server.uri(name)))
        yield postgres_server.uri(name), database
        database.close()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True)
def _key_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPINE_FERNET_KEY", raising=False)


@pytest.fixture
def variables(tmp_path: Path) -> Any:
    """The store outside PostgreSQL, where the heads of audit logs are."""
    (tmp_path / "variables").mkdir()
    return FileVariables(tmp_path / "variables")


@pytest.fixture
def keeper(plane: tuple[str, Database], variables: Any) -> Keeper:
    return Keeper(plane[0], "ops", variables)


def vault(database: Database, tenant: str) -> TokenVault:
    return TokenVault(database.of(tenant), "run-1")


def store(database: Database) -> None:
    for tenant in TENANTS:
        vault(database, tenant).save(CONNECTION, Token(f"access-{tenant}", f"refresh-{tenant}"))


def opened(database: Database) -> list[str]:
    return [str(found.access_token) for tenant in TENANTS if (found := vault(database, tenant).load(CONNECTION))]


ALL = [f"access-{tenant}" for tenant in TENANTS]


def states(keeper: Keeper) -> dict[str, str]:
    return {one.tenant: one.state for one in keeper.status()}


def heads(keeper: Keeper) -> dict[str, str]:
    return {one.tenant: one.audit_head for one in keeper.status()}


def look(database: Database, variables: Any) -> set[str]:
    """What a whole check of each log finds wrong."""
    return {audit_heads.check(database.of(tenant), variables).wrong for tenant in TENANTS}


def test_after_a_rotation_everything_opens_with_the_new_key_alone_and_nothing_with_the_old(
    plane: tuple[str, Database], keeper: Keeper, variables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, database = plane
    store(database)
    assert look(database, variables) == {""}
    mark = vault(database, "alpha").fingerprint(b"refused")
    (old,) = keys.deployment_keys()
    assert keeper.rotate() == list(TENANTS)
    new, kept = keys.deployment_keys()
    assert kept == old
    assert states(keeper) == heads(keeper) == dict.fromkeys(TENANTS, "newest")
    assert keeper.drop() == 1
    assert keys.deployment_keys() == [new]
    assert opened(database) == ALL
    assert look(database, variables) == {""}
    assert vault(database, "alpha").fingerprint(b"refused") == mark, "what is derived from a tenant's key outlives the deployment's"
    monkeypatch.setenv("SPINE_FERNET_KEY", old)
    assert states(keeper) == heads(keeper) == dict.fromkeys(TENANTS, "lost")
    assert [row["action"] for row in audit.entries(database.of("beta")) if row["user_id"] == "ops"] == ["key_rewrapped"]


def test_a_head_says_after_a_rotation_what_it_said_before(plane: tuple[str, Database], keeper: Keeper, variables: Any) -> None:
    """Sealing it anew takes nothing for right: rows that were cut are missed after it as before."""
    url, database = plane
    store(database)
    look(database, variables)
    with psycopg.connect(url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("DELETE FROM spine.audit_log WHERE tenant_id = 'beta'; DELETE FROM spine.audit_heads WHERE tenant_id = 'beta'")
    keeper.rotate()
    keeper.drop()
    assert [bool(audit_heads.check(database.of(tenant), variables).wrong) for tenant in TENANTS] == [False, True, False]


def test_a_head_that_an_older_key_sealed_keeps_that_key(plane: tuple[str, Database], keeper: Keeper, variables: Any) -> None:
    """As one of a worker that was still at it, or of a tenant whose key is under the newest since it was made."""
    _, database = plane
    store(database)
    keeper.rotate()
    new, old = keys.deployment_keys()
    keys.replace_file([old])
    look(database, variables)
    keys.replace_file([new, old])
    assert heads(keeper) == dict.fromkeys(TENANTS, "older")
    with pytest.raises(ConfigError, match=r"3 tenants' audit logs have a head that is sealed by an older key.*spine keys rotate"):
        keeper.drop()
    assert keys.deployment_keys() == [new, old]
    assert keeper.rotate() == []
    assert keeper.drop() == 1
    assert look(database, variables) == {""}


def test_a_tenant_that_has_a_head_and_no_key_is_none_that_has_lost_one(plane: tuple[str, Database], keeper: Keeper, variables: Any) -> None:
    audit.record(plane[1].of("alpha"), audit.Entry("ana", "a", "b", "c"))
    audit_heads.check(plane[1].of("alpha"), variables)
    assert [(one.state, one.audit_head) for one in keeper.status()] == [("none", "newest")]
    assert keeper.renew() == []


def test_a_head_that_nothing_opens_is_named_and_keeps_no_key(plane: tuple[str, Database], keeper: Keeper, variables: Any) -> None:
    store(plane[1])
    variables.set(f"{audit_heads.PREFIX}alpha", "forged")
    keeper.rotate()
    assert heads(keeper) == {"alpha": "lost", "beta": "none", "gamma": "none"}
    assert keeper.drop() == 1
    assert "not sealed" in audit_heads.check(plane[1].of("alpha"), variables).wrong


def test_keys_of_the_environment_are_the_operators_and_the_older_one_is_counted_until_it_may_go(
    plane: tuple[str, Database], keeper: Keeper, variables: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    _, database = plane
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("SPINE_FERNET_KEY", old)
    store(database)
    look(database, variables)
    assert keeper.rotate() == []
    monkeypatch.setenv("SPINE_FERNET_KEY", f"{new}, {old}")
    assert states(keeper) == dict.fromkeys(TENANTS, "older")
    with pytest.raises(ConfigError, match="3 tenants' keys are still under an older key"):
        keeper.drop()
    assert keeper.rotate() == list(TENANTS)
    assert keeper.drop() == 1
    monkeypatch.setenv("SPINE_FERNET_KEY", new)
    assert opened(database) == ALL
    assert look(database, variables) == {""}
    assert not list(home.iterdir()), "a container's home is read-only"


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("rotate", "keys.added"),
        ("rotate", "keys.rewrapped:1"),
        ("rotate", "keys.rewrapped:2"),
        ("rotate", "keys.rewrapped:3"),
        ("rotate", "keys.resealed:1"),
        ("rotate", "keys.resealed:3"),
        ("drop", "keys.dropping"),
    ],
)
def test_a_kill_in_the_middle_loses_nothing_and_the_next_try_ends_it(
    plane: tuple[str, Database], keeper: Keeper, variables: Any, run_program: Callable[..., Any], word: str, place: str
) -> None:
    url, database = plane
    store(database)
    look(database, variables)
    (old,) = keys.deployment_keys()
    if word == "drop":
        keeper.rotate()
    died = run_program(PROGRAM, url, word, str(variables.folder), env={**os.environ, "SPINE_FAILPOINT": place})
    assert died.returncode == -9, died.stderr
    assert opened(database) == ALL
    assert old in keys.deployment_keys()
    assert len(keys.deployment_keys()) == 2
    assert look(database, variables) == {""}
    for again in ("rotate", "drop"):
        done = run_program(PROGRAM, url, again, str(variables.folder), env=dict(os.environ))
        assert done.returncode == 0, done.stderr
    assert opened(database) == ALL
    assert len(keys.deployment_keys()) == 1
    assert old not in keys.deployment_keys()
    assert look(database, variables) == {""}


def test_workers_read_save_and_join_while_keys_are_rotated_and_dropped(plane: tuple[str, Database], keeper: Keeper, variables: Any) -> None:
    _, database = plane
    store(database)
    stop, failures, turns = threading.Event(), [], [0, 0]

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                mine, joined = vault(database, TENANTS[number]), f"new-{number}-{turns[number]}"
                mine.save(CONNECTION, Token(f"access-{TENANTS[number]}"))
                assert mine.load(CONNECTION)
                vault(database, joined).save(CONNECTION, Token("joined"))
                assert audit_heads.check(database.of(TENANTS[number]), variables, whole=False).wrong == ""
                turns[number] += 1
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    rounds = 0
    while rounds < 4 and not failures:
        before = list(turns)
        keeper.rotate()
        keeper.drop()
        rounds += 1
        while not failures and any(now <= then for now, then in zip(turns, before, strict=True)):
            stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(states(keeper).values()) == {"newest"}
    assert look(database, variables) == {""}


def test_two_rotations_at_once_agree_on_one_new_key(plane: tuple[str, Database], variables: Any, run_program: Callable[..., Any]) -> None:
    url, database = plane
    store(database)
    look(database, variables)
    (old,) = keys.deployment_keys()
    threads = [
        threading.Thread(target=run_program, args=(PROGRAM, url, "rotate", str(variables.folder)), kwargs={"env": dict(os.environ)})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys.deployment_keys()) == 2
    assert keys.deployment_keys()[1] == old
    assert opened(database) == ALL
    assert look(database, variables) == {""}


def test_a_lost_key_says_what_is_lost_and_renewing_it_loses_nothing_else(
    plane: tuple[str, Database], keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, database = plane
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("SPINE_FERNET_KEY", old)
    vault(database, "alpha").save(CONNECTION, Token("gone"))
    with database.of("alpha").begin() as connection:
        connection.execute(
            text("INSERT INTO spine.connectors (tenant_id, connection_id, refused_fingerprint) VALUES ('alpha', :name, 'f')"),
            {"name": CONNECTION},
        )
    monkeypatch.setenv("SPINE_FERNET_KEY", new)
    vault(database, "beta").save(CONNECTION, Token("kept"))
    with pytest.raises(SecretUnreadable, match=r"SECRET_UNREADABLE.* alpha .*spine keys renew.*fresh grant in the Connection"):
        vault(database, "alpha").load(CONNECTION)
    with pytest.raises(SecretUnreadable, match=r"tenant=alpha"):
        vault(database, "alpha").save(CONNECTION, Token("fresh"))
    assert [(one.tenant, one.state, one.lost_tokens) for one in keeper.status()] == [
        ("alpha", "lost", (CONNECTION,)),
        ("beta", "newest", ()),
    ]
    assert [one.tenant for one in keeper.renew()] == ["alpha"]
    assert keeper.renew() == []
    assert vault(database, "alpha").load(CONNECTION) is None
    vault(database, "alpha").save(CONNECTION, Token("fresh"))
    assert vault(database, "alpha").load(CONNECTION) == Token("fresh")
    assert vault(database, "beta").load(CONNECTION) == Token("kept")
    with database.of("alpha").begin() as connection:
        assert connection.execute(text("SELECT refused_fingerprint FROM spine.connectors")).scalars().all() == [""]
    assert audit.verify_chain(database.of("alpha")).intact


def test_a_damaged_token_alone_is_named_and_removed_alone(plane: tuple[str, Database], keeper: Keeper) -> None:
    _, database = plane
    store(database)
    with database.of("beta").begin() as connection:
        connection.execute(text("UPDATE spine.oauth_tokens SET ciphertext = 'gAAAAA'"))
    with pytest.raises(SecretUnreadable, match=f"{CONNECTION}.*tenant=beta"):
        vault(database, "beta").load(CONNECTION)
    assert [(one.tenant, one.state, one.lost_tokens) for one in keeper.renew()] == [("beta", "newest", (CONNECTION,))]
    assert opened(database) == ["access-alpha", "access-gamma"]


def test_the_key_file_stays_readable_by_its_owner_only_and_leaves_no_draft(plane: tuple[str, Database], keeper: Keeper, home: Path) -> None:
    _, database = plane
    store(database)
    keeper.rotate()
    assert stat.S_IMODE((home / "fernet.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in home.iterdir()) == ["fernet.key", "fernet.lock"]


def test_the_application_may_not_do_it(plane: tuple[str, Database], variables: Any) -> None:
    _, database = plane
    store(database)
    with pytest.raises(Exception, match=r"permission denied to set role|ControlPlane") as refused:
        Keeper(database.url.render_as_string(hide_password=False), "worker", variables).rotate()
    assert not isinstance(refused.value, ControlPlaneUnavailable)
