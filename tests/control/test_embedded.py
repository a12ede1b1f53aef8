"""The embedded server: starts once, anywhere, survives what a laptop does to it, and answers on a socket, and analysts on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from spine.control import embedded
from spine.core.errors import ControlPlaneUnavailable

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="spine-embedded-"))
    yield root
    for found in root.rglob("postgres.lock"):
        embedded.stop(found.parent)
    shutil.rmtree(root, ignore_errors=True)


def databases(server: embedded.EmbeddedPostgres) -> set[str]:
    with psycopg.connect(server.uri_admin) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_starting_twice_gives_the_same_server_and_stopping_twice_is_harmless(folder: Path) -> None:
    first = embedded.start(folder, durable=False)
    assert embedded.start(folder) == first
    assert {"airflow", "spine"} <= databases(first)
    with psycopg.connect(first.uri_admin) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    embedded.stop(folder)
    embedded.stop(folder)
    assert embedded.running(folder) is None
    assert {"airflow", "spine"} <= databases(embedded.start(folder, durable=False))


@pytest.mark.parametrize(
    "deep", ["/".join(["a-rather-long-folder-name"] * 8), "with space, comma & ümlaut's"], ids=["very deep", "odd characters"]
)
def test_it_starts_in_a_folder_whose_path_no_socket_could_have(folder: Path, deep: str) -> None:
    server = embedded.start(folder / deep, durable=False)
    assert {"airflow", "spine"} <= databases(server)
    assert len(os.fsencode(server.socket_dir / embedded.SOCKET_NAME)) <= 107
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    embedded.stop(folder / deep)
    assert not server.socket_dir.exists()


def test_processes_that_start_it_at_once_share_one(folder: Path) -> None:
    code = f"from pathlib import Path; from spine.control import embedded; print(embedded.start(Path({str(folder)!r}), durable=False))"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate(timeout=120)[0] for process in started}
    assert len(answers) == 1
    assert embedded.running(folder) is not None  # it outlives the processes that started it


def test_after_a_crash_it_comes_back_with_its_data_even_if_its_number_is_now_another_programs(folder: Path) -> None:
    server = embedded.start(folder)
    with psycopg.connect(server.uri_admin, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    pid_file = folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postmaster = embedded._postmaster(folder)
    assert postmaster is not None
    children = postmaster.children(recursive=True)
    postmaster.send_signal(signal.SIGKILL)
    for process in [postmaster, *children]:
        process.wait(10)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert embedded.running(folder) is None
    with psycopg.connect(embedded.start(folder).uri_admin) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_half_made_data_folder_is_made_again(folder: Path) -> None:
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18")
    assert {"airflow", "spine"} <= databases(embedded.start(folder, durable=False))


def test_a_server_that_cannot_start_is_said_with_the_end_of_its_log(folder: Path) -> None:
    embedded.start(folder, durable=False)
    embedded.stop(folder)
    with (folder / "postgres" / "postgresql.conf").open("a") as conf:
        conf.write("\nno_such_setting = 1\n")
    with pytest.raises(ControlPlaneUnavailable, match="no_such_setting"):
        embedded.start(folder)


def test_airflow_is_no_superuser_and_owns_what_an_earlier_version_made_as_one(folder: Path) -> None:
    server = embedded.start(folder, durable=False)
    with psycopg.connect(server.uri("airflow"), autocommit=True) as before:
        before.execute("ALTER DATABASE airflow OWNER TO postgres")
        before.execute("CREATE TYPE mood AS ENUM ('good')")
        before.execute("CREATE TABLE log (id serial PRIMARY KEY, mood mood); INSERT INTO log (mood) VALUES ('good')")
        before.execute("CREATE VIEW seen AS SELECT * FROM log; CREATE SEQUENCE apart")
    assert embedded.start(folder) == server
    with psycopg.connect(server.uri("airflow", user="spine_airflow"), autocommit=True) as airflow:
        airflow.execute("ALTER TABLE log ADD COLUMN more text; ALTER TYPE mood ADD VALUE 'bad'")
        airflow.execute("DROP VIEW seen; ALTER SEQUENCE apart RESTART; CREATE TABLE other (id serial)")
        assert airflow.execute("SELECT nextval('log_id_seq'), rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (2, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            airflow.execute("COPY log TO PROGRAM 'cat'")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(server.uri("spine", user="spine_airflow"))


class TestNothingThatWasPreparedForRootIsFollowed:
    """Everybody may write into the temporary folder, and the server's user into the data folder: what lies there may be a link."""

    @pytest.fixture
    def victim(self, tmp_path: Path) -> Path:
        target = tmp_path / "victim"
        target.mkdir(mode=0o755)
        return target

    def test_a_link_in_place_of_the_sockets_folder_is_refused_and_its_target_stays_as_it_was(self, tmp_path: Path, victim: Path) -> None:
        before = victim.stat()
        (tmp_path / "spine-pg-x").symlink_to(victim)
        with pytest.raises(ControlPlaneUnavailable, match="is a link or no folder"):
            embedded._private_folder(tmp_path / "spine-pg-x")
        assert (victim.stat().st_uid, victim.stat().st_mode) == (before.st_uid, before.st_mode)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
    def test_a_folder_of_somebody_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "spine-pg-x").mkdir()
        os.chown(tmp_path / "spine-pg-x", 12_345, -1)
        with pytest.raises(ControlPlaneUnavailable, match="belongs to another user"):
            embedded._private_folder(tmp_path / "spine-pg-x")

    def test_a_link_in_place_of_the_list_of_who_may_log_in_is_not_written_through(self, tmp_path: Path, victim: Path) -> None:
        (victim / "shadow").write_text("kept")
        (tmp_path / "postgres").mkdir()
        (tmp_path / "postgres" / "pg_hba.conf.partial").symlink_to(victim / "shadow")
        before = (victim / "shadow").stat()
        embedded._say_who_may_log_in(tmp_path)
        assert (victim / "shadow").read_text() == "kept"
        assert (victim / "shadow").stat().st_uid == before.st_uid
        written = tmp_path / "postgres" / "pg_hba.conf"
        assert not written.is_symlink()
        assert "reject" in written.read_text()
