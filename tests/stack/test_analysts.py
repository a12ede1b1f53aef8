"""Analysts come in by loopback with a password of their own, and see the Gold of their tenant and nothing else."""

from __future__ import annotations

import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from spine.control import embedded
from spine.control.bootstrap import bootstrap, ensure_analyst
from spine.core.ports import LOOPBACK
from spine.stack.analysts import AnalystLogin, let_in, login_of

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.EmbeddedPostgres]:
    """A server of its own, named by SPINE_HOME, whose Gold has a row of two tenants."""
    home = Path(tempfile.mkdtemp(prefix="spine-analysts-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINE_HOME", str(home))
        for name in ("SPINE_ADMIN_URL", "SPINE_ANALYST_PASSWORD"):
            patch.delenv(name, raising=False)
        started = embedded.start(home, durable=False)
        bootstrap(started.uri_admin)
        with psycopg.connect(started.uri_admin) as admin:
            admin.execute("CREATE TABLE gold.t AS SELECT unnest(ARRAY['acme', 'bolt']) AS tenant_id")
            admin.execute("ALTER TABLE gold.t ENABLE ROW LEVEL SECURITY")
            admin.execute("CREATE POLICY tenant ON gold.t USING (tenant_id = ANY ((SELECT gold.my_tenants())::text[]))")
            admin.execute("GRANT SELECT ON gold.t TO analyst")
        try:
            yield started
        finally:
            embedded.stop(home)
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def acme(server: embedded.EmbeddedPostgres) -> AnalystLogin:
    return let_in(server, "acme")


def seen(login: AnalystLogin) -> list[str]:
    with psycopg.connect(login.url) as connection:
        return [row[0] for row in connection.execute("SELECT tenant_id FROM gold.t")]


def refused(url: str, **changed: object) -> str:
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect(url, **changed)  # type: ignore[arg-type]
    return str(raised.value)


def passfile(login: AnalystLogin) -> Path:
    return Path(str(conninfo_to_dict(login.url)["passfile"]))


def test_the_right_password_opens_the_gold_of_its_tenant_and_nothing_else(server: embedded.EmbeddedPostgres, acme: AnalystLogin) -> None:
    assert seen(acme) == ["acme"]
    assert seen(let_in(server, "bolt")) == ["bolt"]
    with psycopg.connect(acme.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM spine.connectors")
    assert "rejects connection" in refused(acme.url, dbname="airflow")


def test_a_wrong_password_or_none_is_refused(acme: AnalystLogin) -> None:
    assert "password authentication failed" in refused(acme.url, password="wrong")  # pragma: allowlist secret
    assert "no password supplied" in refused(acme.url, passfile="/nowhere")


@pytest.mark.parametrize("role", ["postgres", "spine_app", "spine_owner", "analyst"])
def test_nobody_else_comes_in_by_loopback(acme: AnalystLogin, role: str) -> None:
    assert "rejects connection" in refused(acme.url, user=role)


def test_the_password_is_in_a_file_of_its_own_and_in_nothing_that_is_printed(acme: AnalystLogin) -> None:
    file = passfile(acme)
    password = file.read_text().strip().rpartition(":")[2]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(password) >= 32
    assert password not in acme.command
    assert str(file) in acme.command


def test_a_restart_keeps_port_and_password(server: embedded.EmbeddedPostgres, acme: AnalystLogin) -> None:
    home = passfile(acme).parents[1]
    embedded.stop(home)
    data = home / "postgres"
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")  # as an earlier version left it
    again = embedded.start(home, durable=False)
    assert again == server
    assert seen(acme) == ["acme"]
    assert "rejects connection" in refused(acme.url, user="postgres")
    assert let_in(again, "acme") == acme


def test_a_port_that_another_program_has_taken_is_given_up(server: embedded.EmbeddedPostgres, acme: AnalystLogin) -> None:
    home = passfile(acme).parents[1]
    embedded.stop(home)
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind((LOOPBACK, server.port))
        rival.listen()
        moved = embedded.start(home, durable=False)
        try:
            assert moved.port != server.port
            assert seen(let_in(moved, "acme")) == ["acme"]
            assert psycopg.connect(moved.uri_admin).execute("SELECT 1").fetchone() == (1,)
        finally:
            embedded.stop(home)
    (home / "postgres.port").write_text(f"{server.port}\n")
    embedded.start(home, durable=False)


def test_the_deployments_own_administrator_and_password_are_used_where_they_are_named(
    server: embedded.EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPINE_ANALYST_PASSWORD", "chosen:by\\us")
    chosen = login_of("acme")
    assert chosen is not None
    assert seen(chosen) == ["acme"]
    monkeypatch.setenv("SPINE_ADMIN_URL", server.uri_admin)
    assert login_of("north-wind") == AnalystLogin("analyst_north_wind", "")
    assert ensure_analyst(server.uri_admin, "acme") == "analyst_acme"


def test_where_there_is_no_server_there_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_HOME", str(tmp_path))
    monkeypatch.delenv("SPINE_ADMIN_URL", raising=False)
    assert login_of("acme") is None
