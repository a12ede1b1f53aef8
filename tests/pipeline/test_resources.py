"""What a step needs is gone in the middle of it: PostgreSQL, its connections, the lake's storage, room on the disk.

Each step fails with a code and says what to do. Once the cause is gone, the same step run again ends as an undisturbed run does, row for
row, and leaves no lock behind. The faults are real ones: a server that is stopped, a folder that is not there, a disk that is full.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deltalake import DeltaTable

from spine.control import embedded, locks
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.core.errors import ControlPlaneUnavailable, LakeError, PublishFailed, SpineError
from spine.core.names import connection_id
from spine.core.settings import PROJECT
from spine.gold.publish import publish
from spine.lake import amounts, gold
from spine.lake.paths import table_uri
from spine.pipeline import closing, extract
from spine.pipeline.normalize import normalize
from spine.pipeline.resolve import resolve
from spine.pipeline.work import StreamWork, Sync

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


class Server:
    """A PostgreSQL of this module's own, that may be stopped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.admin = embedded.start(home, durable=False).uri("spine")
        self.url = bootstrap(self.admin)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Stopped inside."""
        embedded.stop(self.home)
        try:
            yield
        finally:
            embedded.start(self.home, durable=False)

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Inside, the application gets no connection any more, and has lost those it had."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute("ALTER ROLE spine_app CONNECTION LIMIT 0")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'spine_app'")
            try:
                yield
            finally:
                connection.execute("ALTER ROLE spine_app CONNECTION LIMIT -1")

    @contextmanager
    def crowded(self, disk: Path) -> Iterator[None]:
        """Inside, no byte is left on the disk on which the application's new tables would lie."""
        folder = disk / "tables"
        folder.mkdir()
        owner = (self.home / "postgres").stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE crowded LOCATION '{folder}'")
            try:
                connection.execute("GRANT CREATE ON TABLESPACE crowded TO PUBLIC")
                for kind in ("default_tablespace", "temp_tablespaces"):
                    connection.execute(f"ALTER ROLE spine_app SET {kind} = crowded")
                with full(str(folder)):
                    yield
            finally:
                for kind in ("default_tablespace", "temp_tablespaces"):
                    connection.execute(f"ALTER ROLE spine_app RESET {kind}")
                connection.execute("DROP TABLESPACE crowded")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="spine-own-"))
    try:
        yield Server(home)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    found = Database(server.url)
    yield found
    found.close()


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk, where everybody may go, also PostgreSQL's user."""
    folder = Path(tempfile.mkdtemp(prefix="spine-disk-"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("only root may make a small disk, by mounting a tmpfs")
    folder.chmod(0o755)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
def lake(disk: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The lake on a small disk of its own."""
    (disk / "lake").mkdir()
    monkeypatch.setenv("SPINE_LAKE", str(disk / "lake"))
    return str(disk / "lake")


@contextmanager
def full(lake: str) -> Iterator[None]:
    """Inside, no byte is left on the lake's disk."""
    filler = Path(lake).parent / "filler"
    with filler.open("wb", buffering=0) as sink:
        for size in (1 << 20, 1 << 12):
            while True:
                try:
                    if sink.write(bytes(size)) < size:
                        break
                except OSError:
                    break
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def away(lake: str) -> Iterator[None]:
    """Inside, whoever asks for anything of the lake gets an error of input and output, as from a share that is not mounted."""
    kept = Path(lake).rename(f"{lake}.away")
    Path(lake).touch()
    try:
        yield
    finally:
        Path(lake).unlink()
        kept.rename(lake)


STORAGE = pytest.mark.parametrize("fault", [full, away], ids=["disk full", "storage away"])


def told(error: SpineError, code: str) -> None:
    """It has its code, may be tried again, and says what to do."""
    assert (error.code, error.retryable) == (code, True)
    assert error.hint
    assert str(error).startswith(f"[{code}]")


class Reading:
    """One stream of one tenant, that meets a fault after its first page has been committed."""

    def __init__(self, spine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spine, self.monkeypatch = spine, monkeypatch
        (self.work,) = extract.plan(Sync("salesforce", "r1", spine.tenants, ["contacts"]), spine.services)

    def interrupted(self, fault: Callable[[], Any], wanted: type[SpineError]) -> SpineError:
        whole = extract.open_reader
        with ExitStack() as stack, self.monkeypatch.context() as patch:

            def opened(*arguments: Any, **more: Any) -> Any:
                reader = whole(*arguments, **more)
                pages = reader.read

                def read(*asked: Any) -> Iterator[Any]:
                    for number, page in enumerate(pages(*asked)):
                        if number == 1:
                            stack.enter_context(fault())
                        yield page

                patch.setattr(reader, "read", read, raising=False)
                return reader

            patch.setattr(extract, "open_reader", opened)
            with pytest.raises(wanted) as caught:
                extract.extract(self.work, self.spine.services)
        return caught.value

    def again(self) -> None:
        """What the retry of the task does, then the task that closes."""
        extract.extract(StreamWork.from_json(self.work.to_json()), self.spine.services)
        assert closing.finish("salesforce", "r1", self.spine.tenants, self.spine.services).status == "success"

    def is_as_undisturbed(self) -> None:
        rows = self.spine.bronze("salesforce", "contacts")
        assert self.spine.cursor("salesforce", "contacts")
        assert locks.held(self.spine.services.database.of(self.work.tenant), connection_id("salesforce", self.work.tenant)) is None
        self.spine.sync("salesforce", "calm", streams=["contacts"], mode="full")
        every = self.spine.bronze("salesforce", "contacts", ("run_id", "record_id", "op", "cursor", "payload"))
        assert len(rows) > 400
        assert rows == [row[1:] for row in every if row[0] == "calm"]


@pytest.fixture
def reading(make_spine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Contacts in pages of 200, each of which is a commit."""
    (tmp_path / "sources").mkdir()
    text = (PROJECT / "include" / "sources" / "salesforce.yaml").read_text()
    (tmp_path / "sources" / "salesforce.yaml").write_text(text.replace("size: 2000}", "size: 200}"))
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path / "sources"))
    monkeypatch.setenv("SPINE_FLUSH_BYTES", "1")
    return Reading(make_spine(scale=520), monkeypatch)


@STORAGE
def test_extraction_that_loses_its_storage_goes_on_where_it_was(reading: Reading, lake: str, fault: Any) -> None:
    told(reading.interrupted(lambda: fault(lake), LakeError), "LAKE_FAILED")
    assert 0 < len(reading.spine.bronze("salesforce", "contacts")) < 400
    reading.again()
    reading.is_as_undisturbed()


@pytest.mark.parametrize("fault", ["gone", "spent"])
def test_extraction_that_loses_postgresql_goes_on_where_it_was(reading: Reading, server: Server, fault: str) -> None:
    error = reading.interrupted(getattr(server, fault), ControlPlaneUnavailable)
    told(error, "CONTROL_UNAVAILABLE")
    assert ("max_connections" in error.hint) == (fault == "spent")
    reading.again()
    reading.is_as_undisturbed()


def test_a_run_that_could_not_be_closed_leaves_no_lock_once_it_is(reading: Reading, server: Server) -> None:
    reading.interrupted(server.gone, ControlPlaneUnavailable)
    spine = reading.spine
    with server.gone(), pytest.raises(ControlPlaneUnavailable):
        closing.finish("salesforce", "r1", spine.tenants, spine.services)
    assert closing.finish("salesforce", "r1", spine.tenants, spine.services).status == "failed"
    assert locks.held(spine.services.database.of(reading.work.tenant), connection_id("salesforce", reading.work.tenant)) is None


def test_a_pool_without_a_free_connection_says_so(server: Server) -> None:
    database = Database(server.url)
    database._engine.pool._timeout = 0.2  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(database.begin())
        with pytest.raises(ControlPlaneUnavailable) as caught, database.of("acme").begin():
            pass
    told(caught.value, "CONTROL_UNAVAILABLE")
    assert "max_connections" in caught.value.hint
    with database.of("acme").begin() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    database.close()


@STORAGE
def test_resolving_that_loses_its_storage_ends_as_undisturbed(people: Any, lake: str, fault: Any) -> None:
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    resolve(None, "person", "r1")
    people.put("hubspot", [{"id": "9", **people.JANE}])
    before = people.versions()
    with fault(lake), pytest.raises(LakeError) as caught:
        resolve(None, "person", "r2")
    told(caught.value, "LAKE_FAILED")
    assert people.versions() == before
    resolve(None, "person", "r2")
    assert people.links()["9"] == people.links()["1"] != people.links()["2"]
    assert resolve(None, "person", "r3")["no_op"]


@STORAGE
def test_resolving_that_loses_its_storage_between_two_tables_is_completed(
    people: Any, lake: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    resolve(None, "person", "r1")
    people.put("hubspot", [{"id": "9", **people.JANE}, {"id": "8", **people.JIM}])
    with ExitStack() as stack, monkeypatch.context() as patch:
        patch.setattr(gold, "failpoint", lambda name: name == "resolve.before_links" and stack.enter_context(fault(lake)))
        with pytest.raises(LakeError) as caught:
            resolve(None, "person", "r2")
    told(caught.value, "LAKE_FAILED")
    assert "9" not in people.links()
    resolve(None, "person", "r3")
    assert (people.links()["9"], people.links()["8"]) == (people.links()["1"], people.links()["2"])
    assert len(people.rows(gold.LINKS)) == 4
    assert len(people.rows("gold_party_person")) == 2


def analysts_see(server: Server) -> list[Any]:
    with psycopg.connect(server.admin) as connection:
        return connection.execute("SELECT record_ref, entity_id FROM gold.identity_links ORDER BY 1").fetchall()


@pytest.fixture
def published(people: Any, server: Server) -> Iterator[list[Any]]:
    """What analysts see of two people; a third record waits to be published."""
    people.put("salesforce", [{"id": "1", **people.JANE}, {"id": "2", **people.JIM}])
    resolve(None, "person", "r1")
    publish("person", "r1", url=server.url)
    people.put("hubspot", [{"id": "9", **people.JANE}])
    resolve(None, "person", "r2")
    yield analysts_see(server)
    with psycopg.connect(server.admin) as connection:
        connection.execute("DROP SCHEMA gold CASCADE")
    bootstrap(server.admin)


def is_completed(people: Any, server: Server, before: list[Any]) -> None:
    assert analysts_see(server) == before, "no part of a publication is seen"
    assert publish("person", "r3", url=server.url)["published"]
    links = people.links()
    assert analysts_see(server) == sorted([*before, ("hubspot:contacts:9", links["9"])])
    assert not publish("person", "r4", url=server.url)["published"]


@pytest.mark.parametrize("place", ["publish.after_staging", "publish.before_swap"])
@pytest.mark.parametrize("fault", ["gone", "spent"])
def test_publishing_that_loses_postgresql_shows_the_former_publication(
    people: Any, server: Server, published: list[Any], monkeypatch: pytest.MonkeyPatch, place: str, fault: str
) -> None:
    with ExitStack() as stack, monkeypatch.context() as patch:
        patch.setattr("spine.gold.publish.failpoint", lambda name: name == place and stack.enter_context(getattr(server, fault)()))
        with pytest.raises(PublishFailed) as caught:
            publish("person", "r3", url=server.url)
        told(caught.value, "PUBLISH_FAILED")
    is_completed(people, server, published)


def test_publishing_into_a_full_disk_shows_the_former_publication(people: Any, server: Server, published: list[Any], disk: Path) -> None:
    with server.crowded(disk), pytest.raises(PublishFailed) as caught:
        publish("person", "r3", url=server.url)
    told(caught.value, "PUBLISH_FAILED")
    assert "disk is full" in caught.value.hint
    is_completed(people, server, published)


@pytest.mark.parametrize("fault", ["gone", "spent"])
def test_publishing_without_postgresql_is_refused(people: Any, server: Server, published: list[Any], fault: str) -> None:
    with getattr(server, fault)(), pytest.raises(ControlPlaneUnavailable) as caught:
        publish("person", "r3", url=server.url)
    told(caught.value, "CONTROL_UNAVAILABLE")
    is_completed(people, server, published)


def test_publishing_that_loses_the_lake_shows_the_former_publication(people: Any, server: Server, published: list[Any], lake: str) -> None:
    with away(lake), pytest.raises(SpineError) as caught:
        publish("person", "r3", url=server.url)
    told(caught.value, "LAKE_FAILED")
    is_completed(people, server, published)


def contact(number: int, name: str, email: str = "ann@b.org") -> dict[str, Any]:
    body = {"Id": str(number), "LastName": name, "Email": email}
    return {"record_id": str(number), "cursor": f"2026-01-31T0{number % 9}:00:00.000000Z", "payload": body}


def silver() -> list[tuple[Any, ...]]:
    rows = DeltaTable(table_uri("salesforce_person")).to_pyarrow_table().to_pylist()
    return sorted((row["record_ref"], row["family_name"], row["email"]) for row in rows)


def held() -> int:
    return int(DeltaTable(table_uri("quarantine_salesforce_person")).to_pyarrow_dataset().count_rows())


@pytest.mark.spark
def test_normalizing_that_loses_its_storage_ends_as_undisturbed(
    spark: Any, bronze: Any, lake: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The MERGE of delta-rs first, then Spark's, and with each of them a full disk and storage that is away."""
    wanted = []
    for round_, (few, fault) in enumerate([(amounts.FEW_ROWS, full), (amounts.FEW_ROWS, away), (-1, full), (-1, away)]):
        monkeypatch.setattr(amounts, "FEW_ROWS", few)
        number = 10 * round_
        bronze("salesforce", "contacts", [contact(number, "Lee"), contact(number + 1, "Ray"), contact(number + 2, "Bad", "nobody")])
        wanted += [(f"salesforce:contacts:{n}", name, "ann@b.org") for n, name in ((number, "Lee"), (number + 1, "Ray"))]
        if round_ == 0:
            normalize(spark, "salesforce", "r0")  # the tables are there
            bronze("salesforce", "contacts", [contact(5, "New"), contact(6, "Bad", "nobody")])
            wanted.append(("salesforce:contacts:5", "New", "ann@b.org"))
        before = silver()
        with ExitStack() as stack, monkeypatch.context() as patch:
            patch.setattr(
                "spine.pipeline.normalize.failpoint",
                lambda name, stack=stack, fault=fault: name == "normalize.before_merge" and stack.enter_context(fault(lake)),
            )
            with pytest.raises(LakeError) as caught:
                normalize(spark, "salesforce", f"r{round_}x")
        told(caught.value, "LAKE_FAILED")
        assert silver() == before
        normalize(spark, "salesforce", f"r{round_}x")
        assert silver() == sorted(wanted)
        assert held() == round_ + 2
