"""What lies in a drop or stands in a Connection opens no other file of the worker; what is refused is named, and the rest is read."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.errors import ConfigError, FileRefused, SourceUnavailable
from spine.core.settings import PROJECT
from spine.pipeline.services import Services, open_reader
from spine.sources.drops import Folder
from spine.sources.files import Reader
from spine.sources.reading import State, Window
from spine.sources.spec import load_source

SOURCE = load_source("people_files")
PEOPLE = SOURCE.stream("people")
HEADER = "employee_id,first_name\n"


def contents(folder: Path | str, tenant: str = "", window: Window | None = None, drop: Folder | None = None) -> tuple[list[str], list[str]]:
    """Names that were read, and the notes of the run."""
    pages = list(Reader(SOURCE, drop or Folder(str(folder), {})).read(PEOPLE, State(), window or Window()))
    rows = [orjson.loads(record.payload) for page in pages for record in page.records]
    return [row["first_name"] for row in rows if "_error" not in row], [note for page in pages for note in page.notes]


@pytest.fixture
def drop(tmp_path) -> Path:
    folder = tmp_path / "drop" / "acme"
    folder.mkdir(parents=True)
    (folder / "good.csv").write_text(HEADER + "E1,Ann\n")
    return folder


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A file of somebody else."""
    folder = tmp_path / "drop" / "other"
    folder.mkdir(parents=True)
    (folder / "secret.csv").write_text(HEADER + "E9,Secret\n")
    return folder / "secret.csv"


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):  # a socket's path has to be short
        server.bind(path.name)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")


class TestAFileThatIsNone:
    """Only plain files of one name are opened."""

    KINDS: ClassVar[dict[str, Callable[[Path, Path], object]]] = {
        "a link": lambda path, foreign: path.symlink_to(foreign),
        "a link with steps": lambda path, foreign: path.symlink_to("../other/secret.csv"),
        "a link to a link": lambda path, foreign: (path.with_name(".step").symlink_to(foreign), path.symlink_to(".step")),
        "a link to a process": lambda path, foreign: path.symlink_to("/proc/self/environ"),
        "a link to nothing": lambda path, foreign: path.symlink_to("/nothing"),
        "a hard link": lambda path, foreign: path.hardlink_to(foreign),
        "a pipe": lambda path, foreign: os.mkfifo(path),
        "a socket": lambda path, foreign: bound(path),
        "a device": lambda path, foreign: device(path),
    }

    @pytest.fixture(params=KINDS)
    def planted(self, request, drop, foreign) -> str:
        path = drop / "planted.csv"
        self.KINDS[request.param](path, foreign)
        return path.name

    def test_it_is_named_and_the_rest_is_read(self, drop, planted):
        read, notes = contents(drop)
        assert read == ["Ann"]
        assert len(notes) == 1
        assert notes[0].startswith("planted.csv: [FILE_REFUSED] planted.csv is a")

    def test_it_is_refused_even_if_it_was_a_file_when_the_folder_was_listed(self, drop, planted):
        with Folder(str(drop), {}).open() as found, pytest.raises(FileRefused):
            found.open(planted)

    def test_a_full_read_says_that_it_did_not_see_everything(self, drop, planted):
        """Otherwise the rows of a file that is refused since yesterday would be taken for deleted."""
        pages = list(Reader(SOURCE, Folder(str(drop), {})).read(PEOPLE, State(), Window(full=True)))
        malformed = [record for page in pages for record in page.records if record.record_id.startswith("planted.csv")]
        assert [orjson.loads(record.payload)["_error"][:14] for record in malformed] == ["[FILE_REFUSED]"]


def test_a_file_that_is_swapped_for_a_link_while_it_is_read_is_never_followed(drop, foreign):
    """The swap runs against the reading, some hundred times: whatever is met, it is the tenant's own."""
    target, spare = drop / "swapped.csv", drop / ".spare"
    target.write_text(HEADER + "E2,Bob\n")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            spare.symlink_to(foreign)
            spare.replace(target)
            spare.write_text(HEADER + "E2,Bob\n")
            spare.replace(target)

    thread = threading.Thread(target=swap)
    thread.start()
    met: set[str] = set()
    try:
        for _ in range(300):
            try:
                met.update(contents(drop)[0])
            except SourceUnavailable:  # the file was gone for a moment
                continue
    finally:
        ended.set()
        thread.join()
    assert "Ann" in met
    assert "Secret" not in met


def test_a_folder_that_is_swapped_for_a_link_stays_the_folder_that_was_opened(drop, foreign):
    with Folder(str(drop), {}).open() as found:
        drop.rename(drop.with_name("moved"))
        drop.symlink_to(foreign.parent)
        assert [file.name for file in found.list()[0]] == ["good.csv"]
        with found.open("good.csv") as stored:
            assert b"Ann" in stored.read()


@pytest.mark.parametrize("name", [b"\xff.csv", b"a\nb.csv", b"a\x1b[31m.csv"], ids=["no text", "two lines", "an escape"])
def test_a_name_that_cannot_be_shown_is_escaped_and_not_read(drop, name):
    with open(os.path.join(os.fsencode(drop), name), "w") as file:
        file.write(HEADER + "E2,Bob\n")
    read, notes = contents(drop)
    assert read == ["Ann"]
    assert len(notes) == 1
    assert notes[0].isprintable()


def test_a_time_that_no_clock_shows_costs_that_file_alone(drop):
    (drop / "late.csv").write_text(HEADER)
    os.utime(drop / "late.csv", (2**40, 2**40))
    read, notes = contents(drop)
    assert read == ["Ann"]
    assert any(note.startswith("late.csv:") for note in notes) or (drop / "late.csv").stat().st_mtime < 2**40  # some disks cut it


def test_a_folder_of_too_many_files_is_refused(drop, monkeypatch):
    monkeypatch.setenv("SPINE_BOUNDS", "files=3")
    for number in range(4):
        (drop / f"{number}.csv").write_text(HEADER)
    with pytest.raises(FileRefused, match="more than 3 files"):
        contents(drop)


def test_a_file_has_the_version_that_earlier_releases_gave_it(drop):
    """Cursors that were saved name it; another one would read everything again."""
    from pyarrow import fs

    for nanoseconds in (1_700_000_000_123_456_789, 1_699_999_999_999_999_999, 1, 4_102_444_800_000_000_500):
        os.utime(drop / "good.csv", ns=(nanoseconds, nanoseconds))
        info = fs.LocalFileSystem().get_file_info(str(drop / "good.csv"))
        with Folder(str(drop), {}).open() as found:
            (file,) = found.list()[0]
        assert (file.changed, file.size, file.name) == (info.mtime, info.size, info.base_name)


def reading(tenant: str, host: str, tenants: tuple[str, ...] = ("default", "acme", "other"), **extra) -> list[str]:
    info = ConnectionInfo("c", host=host, extra=extra)
    variables = MemoryVariables({"spine.tenants": orjson.dumps({"people_files": list(tenants)}).decode()})
    reader = open_reader(SOURCE, tenant, info, "run", Services(None, variables, lambda name: info), lambda seconds: None)
    pages = list(reader.read(PEOPLE, State(), Window()))
    return [orjson.loads(record.payload)["first_name"] for page in pages for record in page.records]


class TestAConnectionThatNamesAnotherFolder:
    """A tenant's Connection reaches no folder but the tenant's, with and without roots that the operator has set."""

    @pytest.fixture(params=["", "{tmp}/drop/{tenant}", "/srv/{tenant}, {tmp}/drop/{tenant}"], ids=["unset", "one root", "two roots"])
    def rooted(self, request, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("SPINE_DROPS", request.param.replace("{tmp}", str(tmp_path)))

    @pytest.mark.parametrize(
        "host",
        ["{tmp}/drop/other", "{tmp}/drop/acme/../other", "{tmp}/drop/acme/link", "file://{tmp}/drop/other", "/etc", "/proc/self", "/",
         "{project}", "{home}", "{tmp}/drop", "{tmp}/drop/acme-not", "file://{tmp}/drop/acme/%2e%2e/other", "hdfs://name:1/x", "gs://b/x"],
    )  # fmt: skip
    def test_it_is_refused(self, rooted, host, drop, foreign, tmp_path, home):
        (drop / "link").symlink_to(foreign.parent)
        (tmp_path / "drop" / "acme-not").mkdir()
        with pytest.raises(ConfigError):
            reading("acme", host.format(tmp=tmp_path, project=PROJECT, home=home))

    @pytest.mark.parametrize("host", ["{tmp}/drop/acme", "{tmp}/drop/acme/", "file://{tmp}/drop/acme", "{tmp}/drop/acme/in"])
    def test_its_own_is_read(self, rooted, host, drop, tmp_path):
        (drop / "in").mkdir()
        (drop / "in" / "good.csv").write_text(HEADER + "E1,Ann\n")
        assert reading("acme", host.format(tmp=tmp_path)) == ["Ann"]

    def test_the_extra_is_no_way_around(self, rooted, drop, foreign):
        with pytest.raises(ConfigError):
            reading("acme", str(drop), path=str(foreign.parent))

    def test_nor_is_a_tenant_whose_name_is_part_of_the_others_path(self, rooted, drop, tmp_path):
        with pytest.raises(ConfigError):
            reading("drop", str(drop), tenants=("default", "acme", "drop"))

    def test_the_operators_own_links_are_followed(self, monkeypatch, drop, tmp_path):
        (tmp_path / "mount").symlink_to(tmp_path / "drop")
        monkeypatch.setenv("SPINE_DROPS", f"{tmp_path}/mount/{{tenant}}")
        assert reading("acme", f"{tmp_path}/mount/acme") == ["Ann"]
        assert reading("acme", f"{tmp_path}/drop/acme") == ["Ann"]


def test_the_only_tenant_names_its_folder_as_it_likes(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.csv").write_text(HEADER + "E1,Ann\n")
    assert reading("default", str(tmp_path / "in"), tenants=("default",)) == ["Ann"]


def test_the_default_tenant_has_no_folder_of_another(drop):
    with pytest.raises(ConfigError):
        reading("default", str(drop))


def test_the_sandbox_is_a_place_of_drops(home):
    folder = home / "sandbox" / "drop" / "default"
    folder.mkdir(parents=True)
    (folder / "good.csv").write_text(HEADER + "E1,Ann\n")
    assert reading("default", str(folder)) == ["Ann"]


def test_a_prefix_of_a_bucket_lies_below_the_operators(monkeypatch):
    monkeypatch.setenv("SPINE_DROPS", "s3://bucket/{tenant}")
    for uri in ("s3://bucket/other", "s3://bucket/acme-not", "s3://bucket/acme/../other", "s3://bucket"):
        with pytest.raises(ConfigError, match="no prefix of tenant acme"):
            reading("acme", uri)


@pytest.mark.parametrize("extra", [{"s3": ["x"]}, {"settle_seconds": "soon"}, {"settle_seconds": "inf"}, {"settle_seconds": "nan"}])
def test_an_extra_of_another_shape_is_said(drop, extra):
    with pytest.raises(ConfigError, match="extra"):
        reading("acme", str(drop), **extra)
