"""A line that is cut or falls silent, a login that is refused, a file that is not the tenant's."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from spine.core.errors import AuthFailed, ConfigError, FileRefused, SourceRejected, SourceUnavailable
from spine.core.settings import settings
from spine.sources.access import Access, Times
from spine.sources.places import Place
from spine.sources.reading import State
from tests.sources.database.conftest import FULL, Reading


@pytest.fixture
def many(postgresql):
    """A table of some megabytes."""
    postgresql.say("DROP TABLE IF EXISTS many", "CREATE TABLE many AS SELECT id, repeat('x', 900) AS t FROM generate_series(1, 40000) id")
    postgresql.say("ALTER TABLE many ADD PRIMARY KEY (id)")
    yield postgresql
    postgresql.relay.drop()


def test_a_cut_line_leaves_pages_from_which_it_goes_on(many):
    reading = many.reading(table={"name": "many"})
    many.relay.cut_after, pages = 20_000_000, []
    with pytest.raises(SourceUnavailable):
        pages.extend(iter_into(reading, State(), pages))
    assert pages
    many.relay.cut_after = None
    rest = reading.records(state=State(None, pages[-1].next_token, None))
    read = [record.record_id for page in pages for record in page.records] + [record.record_id for record in rest]
    assert read == [str(number) for number in range(1, 40001)]


def iter_into(reading, state, pages):
    for page in reading.reader.read(reading.stream, state, FULL):
        pages.append(page)
    return []


def test_a_server_that_falls_silent_is_not_waited_for_without_an_end(many):
    many.relay.silent_after = 10_000_000
    reading = Reading(replace(many.access, times=Times(5, 1, 60)), "postgresql", table={"name": "many"})
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="nothing for 1 s"):
        reading.records()
    assert time.monotonic() - began < 20


def test_memory_stays_flat_and_a_reading_that_nobody_wants_ends(many):
    reading = many.reading(table={"name": "many"})
    pages = reading.reader.read(reading.stream, State(), FULL)
    assert 1000 < len(next(pages).records) < 12_000
    pages.close()
    assert many.reading(table={"name": "many", "columns": ["id"]}).records()


@pytest.fixture(scope="module")
def strict():
    """A PostgreSQL that asks for passwords, if the servers are there."""
    folder = os.environ.get("SPINE_SERVERS")
    if not folder:
        pytest.skip("SPINE_SERVERS is not set")
    done = subprocess.run([Path(folder) / "start_postgres.sh", "55471"], capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"the server did not start: {done.stderr[-200:]}")
    words = done.stdout.split()
    yield words[words.index("ready") + 1]
    subprocess.run([Path(folder) / "stop.sh", words[words.index("pid") + 1]], check=False, capture_output=True)


def test_wrong_credentials_are_refused_credentials(strict):
    from urllib.parse import urlsplit

    parts = urlsplit(strict)
    good = Access("127.0.0.1", parts.port, parts.path.strip("/"), parts.username or "", parts.password or "")
    table = {"schema": "information_schema", "name": "schemata"}
    assert Reading(good, "postgresql", key=["schema_name"], table=table).records()
    with pytest.raises(AuthFailed) as caught:
        Reading(replace(good, password="wrong-secret"), "postgresql", table=table).records()  # pragma: allowlist secret
    assert "wrong-secret" not in str(caught.value)
    with pytest.raises(SourceRejected, match="database is not there"):
        Reading(replace(good, name="nowhere"), "postgresql", table=table).records()


def test_a_socket_of_this_machine_is_no_host(postgresql):
    with pytest.raises((ConfigError, SourceUnavailable)):
        Reading(replace(postgresql.access, host="/tmp"), "postgresql").records()


def test_what_is_not_encrypted_does_not_leave_the_listed_networks(postgresql, monkeypatch):
    from spine.sources.database.postgresql import conninfo_of

    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "10.0.0.0/8")
    assert "sslmode=require" in conninfo_of(postgresql.access, "203.0.113.9")
    for mode in ("disable", "prefer"):
        with pytest.raises(ConfigError, match="in clear"):
            conninfo_of(replace(postgresql.access, extra={"sslmode": mode}), "203.0.113.9")
    assert "sslmode=prefer" in conninfo_of(postgresql.access, "10.1.1.1")
    assert "passfile=/dev/null" in conninfo_of(postgresql.access, "10.1.1.1")


def test_a_file_of_sqlite_is_the_tenants_own(sqlite, tmp_path):
    sqlite.say("CREATE TABLE people (id integer PRIMARY KEY)")
    own = tmp_path / "acme"
    own.mkdir()
    (own / "shop.db").write_bytes(Path(sqlite.access.host).read_bytes())

    def read(path: Path) -> None:
        Reading(Access(str(path), place=Place("acme", frozenset({"acme", "other"}))), "sqlite").records()

    read(own / "shop.db")
    with pytest.raises(ConfigError, match="no folder of tenant acme"):
        read(tmp_path / "shop.db")
    (own / "link.db").symlink_to(own / "shop.db")
    with pytest.raises(FileRefused):
        read(own / "link.db")
    (own / "text.db").write_text("no database at all, " * 99)
    with pytest.raises(SourceRejected, match="no sound database"):
        read(own / "text.db")
    with pytest.raises(SourceUnavailable):
        read(own / "none.db")
    assert settings().private_networks.allowed
