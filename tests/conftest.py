"""Fixtures for all tests: a real PostgreSQL for the session, a fresh control plane per test module, folders per test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from spine.control import embedded
from spine.control.bootstrap import bootstrap
from spine.control.database import Database


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
