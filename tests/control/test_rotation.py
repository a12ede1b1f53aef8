"""Rotation of the deployment's key: under load, through kills, to the point where the old key opens nothing and nobody needs it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from spine.control import audit, keys
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.control.rotation import Keeper
from spine.control.tokens import TokenVault
from spine.core.errors import ConfigError, ControlPlaneUnavailable, SecretUnreadable
from spine.core.tokens import Token

pytestmark = pytest.mark.postgres
PROGRAM = Path(__file__).with_name("keys_process.py")
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


def vault(database: Database, tenant: str) -> TokenVault:
    return TokenVault(database.of(tenant), "run-1")


def store(database: Database) -> None:
    for tenant in TENANTS:
        vault(database, tenant).save(CONNECTION, Token(f"access-{tenant}", f"refresh-{tenant}"))


def opened(database: Database) -> list[str]:
    return [str(found.access_token) for tenant in TENANTS if (found := vault(database, tenant).load(CONNECTION))]


ALL = [f"access-{tenant}" for tenant in TENANTS]


def states(url: str) -> dict[str, str]:
    return {one.tenant: one.state for one in Keeper(url, "ops").status()}


def test_after_a_rotation_everything_opens_with_the_new_key_alone_and_nothing_with_the_old(
    plane: tuple[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, database = plane
    store(database)
    mark = vault(database, "alpha").fingerprint(b"refused")
    (old,) = keys.deployment_keys()
    assert Keeper(url, "ops").rotate() == list(TENANTS)
    new, kept = keys.deployment_keys()
    assert kept == old
    assert states(url) == dict.fromkeys(TENANTS, "newest")
    assert Keeper(url, "ops").drop() == 1
    assert keys.deployment_keys() == [new]
    assert opened(database) == ALL
    assert vault(database, "alpha").fingerprint(b"refused") == mark, "what is derived from a tenant's key outlives the deployment's"
    monkeypatch.setenv("SPINE_FERNET_KEY", old)
    assert states(url) == dict.fromkeys(TENANTS, "lost")
    assert [row["action"] for row in audit.entries(database.of("beta")) if row["user_id"] == "ops"] == ["key_rewrapped"]


def test_keys_of_the_environment_are_the_operators_and_the_older_one_is_counted_until_it_may_go(
    plane: tuple[str, Database], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    url, database = plane
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("SPINE_FERNET_KEY", old)
    store(database)
    assert Keeper(url, "ops").rotate() == []
    monkeypatch.setenv("SPINE_FERNET_KEY", f"{new}, {old}")
    assert states(url) == dict.fromkeys(TENANTS, "older")
    with pytest.raises(ConfigError, match="3 tenants' keys are still under an older key"):
        Keeper(url, "ops").drop()
    assert Keeper(url, "ops").rotate() == list(TENANTS)
    assert Keeper(url, "ops").drop() == 1
    monkeypatch.setenv("SPINE_FERNET_KEY", new)
    assert opened(database) == ALL
    assert not (home / "fernet.key").exists()


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("rotate", "keys.added"),
        ("rotate", "keys.rewrapped:1"),
        ("rotate", "keys.rewrapped:2"),
        ("rotate", "keys.rewrapped:3"),
        ("drop", "keys.dropping"),
    ],
)
def test_a_kill_in_the_middle_loses_nothing_and_the_next_try_ends_it(
    plane: tuple[str, Database], run_program: Callable[..., Any], word: str, place: str
) -> None:
    url, database = plane
    store(database)
    (old,) = keys.deployment_keys()
    if word == "drop":
        Keeper(url, "ops").rotate()
    died = run_program(PROGRAM, url, word, env={**os.environ, "SPINE_FAILPOINT": place})
    assert died.returncode == -9, died.stderr
    assert opened(database) == ALL
    assert old in keys.deployment_keys()
    assert len(keys.deployment_keys()) == 2
    for again in ("rotate", "drop"):
        done = run_program(PROGRAM, url, again, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
    assert opened(database) == ALL
    assert len(keys.deployment_keys()) == 1
    assert old not in keys.deployment_keys()


def test_workers_read_save_and_join_while_keys_are_rotated_and_dropped(plane: tuple[str, Database]) -> None:
    url, database = plane
    store(database)
    stop, failures, turns = threading.Event(), [], [0, 0]

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                mine, joined = vault(database, TENANTS[number]), f"new-{number}-{turns[number]}"
                mine.save(CONNECTION, Token(f"access-{TENANTS[number]}"))
                assert mine.load(CONNECTION)
                vault(database, joined).save(CONNECTION, Token("joined"))
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
        Keeper(url, "ops").rotate()
        Keeper(url, "ops").drop()
        rounds += 1
        while not failures and any(now <= then for now, then in zip(turns, before, strict=True)):
            stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(states(url).values()) == {"newest"}


def test_two_rotations_at_once_agree_on_one_new_key(plane: tuple[str, Database], run_program: Callable[..., Any]) -> None:
    url, database = plane
    store(database)
    (old,) = keys.deployment_keys()
    threads = [threading.Thread(target=run_program, args=(PROGRAM, url, "rotate"), kwargs={"env": dict(os.environ)}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys.deployment_keys()) == 2
    assert keys.deployment_keys()[1] == old
    assert opened(database) == ALL


def test_a_lost_key_says_what_is_lost_and_renewing_it_loses_nothing_else(
    plane: tuple[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, database = plane
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
    keeper = Keeper(url, "ops")
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


def test_a_damaged_token_alone_is_named_and_removed_alone(plane: tuple[str, Database]) -> None:
    url, database = plane
    store(database)
    with database.of("beta").begin() as connection:
        connection.execute(text("UPDATE spine.oauth_tokens SET ciphertext = 'gAAAAA'"))
    with pytest.raises(SecretUnreadable, match=f"{CONNECTION}.*tenant=beta"):
        vault(database, "beta").load(CONNECTION)
    assert [(one.tenant, one.state, one.lost_tokens) for one in Keeper(url, "ops").renew()] == [("beta", "newest", (CONNECTION,))]
    assert opened(database) == ["access-alpha", "access-gamma"]


def test_the_key_file_stays_readable_by_its_owner_only_and_leaves_no_draft(plane: tuple[str, Database], home: Path) -> None:
    url, database = plane
    store(database)
    Keeper(url, "ops").rotate()
    assert stat.S_IMODE((home / "fernet.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in home.iterdir()) == ["fernet.key", "fernet.lock"]


def test_the_application_may_not_do_it(plane: tuple[str, Database]) -> None:
    _, database = plane
    store(database)
    with pytest.raises(Exception, match=r"permission denied to set role|ControlPlane") as refused:
        Keeper(database.url.render_as_string(hide_password=False), "worker").rotate()
    assert not isinstance(refused.value, ControlPlaneUnavailable)
