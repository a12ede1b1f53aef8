"""Refreshed OAuth tokens: encrypted per tenant, refreshed by one worker at a time, never shown."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from spine.control import audit
from spine.control.database import Database
from spine.control.keys import deployment_key
from spine.control.tokens import TokenVault, held
from spine.core.errors import ConfigError, ControlPlaneUnavailable
from spine.core.tokens import Token

pytestmark = pytest.mark.postgres
CONNECTION = "ipai_connector_salesforce"
EXPIRES = datetime(2030, 1, 31, 8, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())


def test_a_token_comes_back_as_it_was_saved(database: Database, tenant: str) -> None:
    vault = TokenVault(database.of(tenant), "run-1")
    assert vault.load(CONNECTION) is None
    token = Token("access", "refresh", EXPIRES, {"instance_url": "https://example.test"})
    vault.save(CONNECTION, token)
    assert vault.load(CONNECTION) == token
    vault.forget(CONNECTION)
    assert vault.load(CONNECTION) is None


def test_nothing_that_is_stored_printed_or_audited_shows_the_secret(database: Database, tenant: str) -> None:
    vault = TokenVault(database.of(tenant), "run-1")
    token = Token("s3cret-a", "s3cret-r", extra={"id_token": "s3cret-i"})
    vault.save(CONNECTION, token)
    vault.load(CONNECTION)
    with database.of(tenant).begin() as connection:
        stored = [
            str(connection.execute(text(f"SELECT * FROM spine.{name}")).all()) for name in ("oauth_tokens", "tenant_keys", "audit_log")
        ]
    assert "s3cret" not in " ".join([*stored, repr(token), repr(vault), repr(database)])


def test_each_read_and_each_rotation_is_audited(database: Database, tenant: str) -> None:
    vault = TokenVault(database.of(tenant), "run-7")
    vault.save(CONNECTION, Token("one"))
    vault.save(CONNECTION, Token("two", expires_at=EXPIRES))
    vault.load(CONNECTION)
    found = audit.entries(database.of(tenant))
    assert [(row["action"], row["user_id"], row["resource_id"]) for row in found] == [
        ("secret_read", "run-7", CONNECTION),
        ("token_rotated", "run-7", CONNECTION),
        ("token_rotated", "run-7", CONNECTION),
    ]
    assert found[1]["new_value"] == {"version": 2, "expires_at": "2030-01-31T08:15:00.000000Z", "grant_expires_at": None}


def test_when_a_grant_ends_is_known_without_opening_it(database: Database, tenant: str) -> None:
    vault = TokenVault(database.of(tenant), "run-7")
    token = Token("a", "r", EXPIRES, leeway=7.0, grant_expires_at=EXPIRES)
    vault.save(CONNECTION, token)
    assert vault.load(CONNECTION) == token
    (known,) = held(database.of(tenant))
    assert (known.connection_id, known.version, known.expires_at, known.grant_expires_at) == (CONNECTION, 1, EXPIRES, EXPIRES)
    assert len(audit.entries(database.of(tenant))) == 2  # saved and read


def test_a_token_of_an_older_or_newer_version_is_understood(database: Database, tenant: str) -> None:
    vault = TokenVault(database.of(tenant), "run-7")
    vault.save(CONNECTION, Token("a"))
    older = {"access_token": "old", "refresh_token": None, "expires_at": None, "extra": {}, "tenant": tenant, "connection": CONNECTION}
    for content in (older, {**older, "leeway": 5, "grant_expires_at": None, "of tomorrow": [1]}):
        with database.of(tenant).begin() as connection:
            key = vault._tenant_key(connection)
            sealed = key.encrypt(orjson.dumps(content)).decode()
            connection.execute(text("UPDATE spine.oauth_tokens SET ciphertext = :sealed"), {"sealed": sealed})
        found = vault.load(CONNECTION)
        assert found is not None
        assert found.access_token == "old"


def test_another_deployments_key_does_not_open_it(database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = TokenVault(database.of(tenant), "run-1")
    vault.save(CONNECTION, Token("access"))
    old = os.environ["SPINE_FERNET_KEY"]
    new = Fernet.generate_key().decode()
    monkeypatch.setenv("SPINE_FERNET_KEY", new)
    with pytest.raises(ConfigError, match="does not open"):
        vault.load(CONNECTION)
    monkeypatch.setenv("SPINE_FERNET_KEY", f"{new},{old}")
    assert vault.load(CONNECTION) == Token("access")


def test_one_tenants_ciphertext_is_useless_to_another_and_to_another_connection(database: Database, tenant: str) -> None:
    mine, theirs = TokenVault(database.of(tenant), "me"), TokenVault(database.of(f"{tenant}-b"), "them")
    mine.save(CONNECTION, Token("mine"))
    theirs.save(CONNECTION, Token("theirs"))
    move = text("UPDATE spine.oauth_tokens SET ciphertext = :sealed")
    with database.of(tenant).begin() as connection:
        sealed = connection.execute(text("SELECT ciphertext FROM spine.oauth_tokens")).scalar_one()
        connection.execute(text("UPDATE spine.oauth_tokens SET connection_id = 'ipai_connector_other'"))
        wrapped = connection.execute(text("SELECT wrapped_key FROM spine.tenant_keys")).scalar_one()
    with pytest.raises(ConfigError, match="another connection"):
        mine.load("ipai_connector_other")
    with database.of(f"{tenant}-b").begin() as connection:
        connection.execute(move, {"sealed": sealed})
    with pytest.raises(ConfigError, match="does not open"):
        theirs.load(CONNECTION)
    third = f"{tenant}-c"  # a whole stolen pair of key and ciphertext does not help either: the key names its tenant
    with database.of(third).begin() as connection:
        connection.execute(text("INSERT INTO spine.tenant_keys VALUES (:tenant, :key)"), {"tenant": third, "key": wrapped})
    with pytest.raises(ConfigError, match="another tenant"):
        TokenVault(database.of(third), "thief").save(CONNECTION, Token("x"))


def test_a_key_file_is_made_once_and_readable_by_its_owner_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPINE_FERNET_KEY")
    start = threading.Barrier(8)

    def seal(_: int) -> bytes:
        start.wait()
        return deployment_key().encrypt(b"x")

    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(seal, range(8)))
    assert {deployment_key().decrypt(one) for one in sealed} == {b"x"}
    assert stat.S_IMODE((home / "fernet.key").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["fernet.key"]


def test_a_malformed_key_is_named_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_FERNET_KEY", "too-short")
    with pytest.raises(ConfigError, match="malformed") as refused:
        deployment_key()
    assert "too-short" not in str(refused.value)


def test_of_many_workers_one_refreshes_a_single_use_token_and_the_others_take_its_result(database: Database, tenant: str) -> None:
    TokenVault(database.of(tenant), "setup").save(CONNECTION, Token("old", "single-use"))
    used: list[str] = []

    def work(number: int) -> str:
        with TokenVault(database.of(tenant), f"run-{number}").locked(CONNECTION) as held:
            token = held.load()
            assert token is not None
            if token.access_token == "old":
                used.append(str(token.refresh_token))
                time.sleep(0.05)
                held.save(Token("new", "next"))
            found = held.load()
            assert found is not None
            return found.access_token

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, range(6))) == {"new"}
    assert used == ["single-use"]


def test_waiting_for_a_refresh_ends_after_the_timeout_with_an_error_that_may_be_retried(database: Database, tenant: str) -> None:
    with TokenVault(database.of(tenant), "slow").locked(CONNECTION):
        with pytest.raises(ControlPlaneUnavailable) as late, TokenVault(database.of(tenant), "other").locked(CONNECTION, timeout=0.2):
            pytest.fail("two workers hold one token")
        with TokenVault(database.of(tenant), "other").locked("ipai_connector_other", timeout=0.2):
            pass
    assert late.value.retryable


def _refresh_and_die(url: str, tenant: str, when: str, reached: multiprocessing.synchronize.Event) -> None:
    with TokenVault(Database(url).of(tenant), "victim").locked(CONNECTION) as held:
        if when == "after":
            held.save(Token("new", "next"))
        reached.set()
        time.sleep(60)


@pytest.mark.parametrize(("when", "left"), [("before", "old"), ("after", "new")])
def test_a_worker_killed_in_the_middle_of_a_refresh_leaves_the_lock_free_and_a_whole_token(
    database: Database, control_url: str, tenant: str, when: str, left: str
) -> None:
    TokenVault(database.of(tenant), "setup").save(CONNECTION, Token("old", "single-use"))
    context = multiprocessing.get_context("fork")
    reached = context.Event()
    victim = context.Process(target=_refresh_and_die, args=(control_url, tenant, when, reached))
    victim.start()
    assert reached.wait(30)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    with TokenVault(database.of(tenant), "next").locked(CONNECTION, timeout=10) as held:
        token = held.load()
    assert token is not None
    assert token.access_token == left
