"""Who means harm to a tenant: a vendor, a file drop, and an analyst with a login. All of it over real sockets and files."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import psycopg

LINKS = ("people_link", "environ", "zero", "itself", "above")
BOMB = gzip.compress(b"[" + b"0," * 20_000_000 + b"0]")  # 40 MB from 40 kB


class HostileVendor(BaseHTTPRequestHandler):
    """Answers each request in another bad way."""

    protocol_version = "HTTP/1.1"
    turn = count()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        ways = (self.again, self.drips, self.bomb, self.odd, self.deep, self.never, self.lies, self.away)
        with suppress(OSError):
            ways[next(self.turn) % len(ways)]()

    do_GET = do_POST = do_HEAD = _answer

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def again(self) -> None:
        """The same page for ever."""
        moment = "2026-01-01T00:00:00Z"
        row = {"id": "1", "properties": {"firstname": "A", "lastmodifieddate": moment}, "updatedAt": moment}
        self._send(orjson.dumps({"results": [row], "paging": {"next": {"after": "1", "link": "x"}}}))

    def drips(self) -> None:
        """A byte in a while, which no time-out between bytes ends."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        for _ in range(1200):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def bomb(self) -> None:
        """Little that becomes much."""
        self._send(BOMB, Content_Encoding="gzip")

    def odd(self) -> None:
        """JSON of another kind than was asked for."""
        self._send(b'{"results": {"id": NaN, "a": "\\ud800", "b": 1e99999, "id": []}, "paging": []}')

    def deep(self) -> None:
        """Arrays in arrays."""
        self._send(b'{"results":' + b"[" * 50_000 + b"]" * 50_000 + b"}")

    def never(self) -> None:
        """Come back in a hundred years."""
        self._send(b"{}", 429, Retry_After="3153600000")

    def lies(self) -> None:
        """More bytes promised than sent."""
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"results": [')
        self.close_connection = True

    def away(self) -> None:
        """To the machine's own metadata."""
        self._send(b"", 302, Location="http://169.254.169.254/latest/meta-data/")


@contextmanager
def hostile_vendor() -> Iterator[str]:
    """The address of such a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HostileVendor)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fill_drop(folder: Path, other: Path, number: int) -> None:
    """Put into a drop what no HR system would: links, pipes, sockets, bombs, and rows that no rule passes."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = next(iter(sorted(other.glob("*.csv"))), other)
    targets = (mine, Path("/proc/self/environ"), Path("/dev/zero"), folder / "itself.csv", folder / ".." / other.name)
    for name, target in zip(LINKS, targets, strict=True):
        with suppress(FileExistsError):
            (folder / f"{name}.csv").symlink_to(target)
    with suppress(FileExistsError):
        os.mkfifo(folder / "pipe.csv")
    with suppress(OSError), socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "door.csv"))
    with suppress(FileExistsError):
        (folder / "folder.csv").mkdir()
    (folder / f"bomb{number}.csv.gz").write_bytes(gzip.compress(b"employee_id,last_name\n1," + b"x" * 30_000_000))
    (folder / f"wide{number}.csv").write_text(",".join(f"c{column}" for column in range(20_000)) + "\n")
    (folder / f"liar{number}.parquet").write_bytes(b"PAR1" + os.urandom(500) + b"PAR1")
    bad = [f'{{"employee_id": "{"k" * 5000}{row}", "email": "no address", "updated_at": "9999-12-31T23:59:59-18:00"}}' for row in range(80)]
    (folder / f"rows{number}.jsonl").write_text("\n".join(["{" * 5000, '{"employee_id": "\\u0000"}', *bad]) + "\n")


class HostileAnalyst:
    """Opens as many sessions as it gets, takes what locks it can, and keeps the server busy, until it is told to stop."""

    LOCKS = (0x676F6C64, 0, 1, 42)
    QUERIES = (
        "SELECT count(*) FROM generate_series(1, 400000000)",
        "SELECT count(*) FROM gold.person_matches a, gold.person_matches b, gold.person_matches c",
        "BEGIN; SELECT * FROM gold.person; SELECT * FROM gold.person_sources FOR SHARE",
        "CREATE TEMPORARY TABLE t AS SELECT repeat('x', 1000) FROM generate_series(1, 100000)",
        "SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_sleep(3600)",
        "DELETE FROM gold.publication_log; SELECT * FROM spine.tenants",
    )

    def __init__(self, conninfo: str, user: str, sessions: int) -> None:
        self._conninfo, self._user, self._stop = conninfo, user, threading.Event()
        self._held: list[Any] = []
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(6)]
        self._sessions = sessions

    def __enter__(self) -> HostileAnalyst:
        for number in range(self._sessions):
            with suppress(psycopg.Error):
                session = psycopg.connect(self._conninfo, user=self._user, connect_timeout=5)
                self._held.append(session)
                session.execute("SELECT pg_try_advisory_lock(%s)", [self.LOCKS[number % len(self.LOCKS)]])
        for thread in self._threads:
            thread.start()
        return self

    def _work(self, number: int) -> None:
        while not self._stop.wait(0.2):
            with suppress(psycopg.Error), psycopg.connect(self._conninfo, user=self._user, connect_timeout=5, autocommit=True) as session:
                self._held.append(session)
                session.execute(self.QUERIES[number % len(self.QUERIES)])  # type: ignore[call-overload]

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for session in self._held:
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=1)
            session.close()
