"""A folder of an SFTP server is a drop like any other: each file once, changed ones again; and only of the server that is meant."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.core.errors import AuthFailed, ConfigError, SourceUnavailable
from spine.pipeline.services import folder_of
from spine.sources.files import Reader
from spine.sources.places import Place
from spine.sources.reading import State, Window
from spine.sources.spec import load_source

PROVES = "asyncssh's SFTP server"
SOURCE = load_source("people_files")
HEADER = "employee_id,first_name,updated_at\n"
SECRET = "the-drop's-password"  # pragma: allowlist secret


class _Files(asyncssh.SFTPServer):
    """A server's files; where it is `sparse`, it tells no more of them than it has to."""

    sparse = False

    async def scandir(self, path: bytes) -> Any:
        async for entry in super().scandir(path):
            if self.sparse:
                line = (b"d" if entry.attrs.permissions is not None and entry.attrs.permissions & 0o40000 else b"-") + b"rw-r--r-- 1 hr hr"
                entry = asyncssh.SFTPName(entry.filename, line, asyncssh.SFTPAttrs(size=entry.attrs.size))
            yield entry


class _Login(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("hr", SECRET)


@dataclass
class Server:
    """A running server: its folder, its port, its key and the key that it lets in."""

    folder: Path
    port: int
    key: str
    private: str

    def folder_of(self, password: str = SECRET, path: str = "/in", **sftp: Any) -> Any:
        extra = {"sftp": {"host_key": self.key, **sftp}}
        info = ConnectionInfo("c", "sftp", f"sftp://127.0.0.1:{self.port}{path}", login="hr", password=password, extra=extra)
        return folder_of(info, Place())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("sftp")
    (root / "in").mkdir()
    host, client = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    (root / "authorized").write_bytes(client.export_public_key())
    loop, started, found = asyncio.new_event_loop(), threading.Event(), []

    async def serve() -> None:
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=_Login, server_host_keys=[host], authorized_client_keys=str(root / "authorized"),
            sftp_factory=lambda channel: _Files(channel, chroot=str(root)), allow_scp=False,
        )  # fmt: skip
        found.append(server.sockets[0].getsockname()[1])
        started.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert started.wait(20)
    yield Server(root / "in", found[0], host.export_public_key().decode(), client.export_private_key().decode())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def server(running: Server) -> Server:
    for path in running.folder.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    return running


def read(folder: Any, cursor: str | None = None) -> tuple[list[Any], str | None]:
    pages = list(Reader(SOURCE, folder, 1000).read(SOURCE.stream("people"), State(cursor), Window()))
    return [orjson.loads(record.payload) for page in pages for record in page.records], pages[-1].high_water


def test_each_file_is_read_once_and_a_changed_one_again(server: Server) -> None:
    (server.folder / "a.csv").write_text(HEADER + "E1,Ann,\n")
    pq.write_table(pa.table({"employee_id": ["E2"], "first_name": ["Bo"]}), server.folder / "b.parquet")
    os.symlink("/etc/passwd", server.folder / "c.csv")
    rows, cursor = read(server.folder_of())
    assert sorted(row["employee_id"] for row in rows) == ["E1", "E2"]
    assert read(server.folder_of(), cursor)[0] == []
    (server.folder / "a.csv").write_text(HEADER + "E1,Ann,\nE3,Cy,\n")
    os.utime(server.folder / "a.csv", (1.6e9, 1.6e9))
    assert [row["employee_id"] for row in read(server.folder_of(), cursor)[0]] == ["E1", "E3"]


def test_files_of_a_server_that_tells_no_permissions_are_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Files, "sparse", True)
    (server.folder / "a.csv").write_text(HEADER + "E1,Ann,\n")
    (server.folder / "old.csv").mkdir()
    assert [row["employee_id"] for row in read(server.folder_of())[0]] == ["E1"]


def test_a_large_file_arrives_whole(server: Server) -> None:
    (server.folder / "large.csv").write_text(HEADER + "".join(f"E{number},{'x' * 40},\n" for number in range(60_000)))
    rows, _ = read(server.folder_of())
    assert (len(rows), rows[-1]["employee_id"]) == (60_000, "E59999")


def test_a_key_logs_in(server: Server) -> None:
    (server.folder / "a.csv").write_text(HEADER + "E1,Ann,\n")
    assert len(read(server.folder_of("", private_key=server.private))[0]) == 1


def test_only_the_server_that_is_meant_is_told_the_password(server: Server) -> None:
    with pytest.raises(ConfigError, match="does not say which key") as caught:
        read(server.folder_of(host_key=""))
    assert server.key.split()[1] in caught.value.hint, "so that a person can compare it"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(AuthFailed, match="is not the server whose key"):
        read(server.folder_of(host_key=other))
    with pytest.raises(ConfigError, match="is no key"):
        read(server.folder_of(host_key="ssh-ed25519 %%%"))


def test_what_is_wrong_is_told_without_secrets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthFailed, match="refuses the login") as caught:
        read(server.folder_of("wrong-secret"))  # pragma: allowlist secret
    assert "wrong-secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="no key that opens"):
        read(server.folder_of(private_key="-----BEGIN nothing"))
    with pytest.raises(ConfigError, match="there is no folder"):
        read(server.folder_of(path="/nowhere"))
    with pytest.raises(ConfigError, match="other words"):
        server.folder_of(proxy="x")
    monkeypatch.setenv("SPINE_PRIVATE_NETWORKS", "10.0.0.0/8")
    with pytest.raises(ConfigError, match="no address that may be called"):
        read(server.folder_of())


def test_a_server_that_is_not_there_is_told(server: Server) -> None:
    info = ConnectionInfo("c", "sftp", "sftp://127.0.0.1:1/in", extra={"sftp": {"host_key": server.key}})
    with pytest.raises(SourceUnavailable, match="takes no connection"):
        read(folder_of(info, Place()))
