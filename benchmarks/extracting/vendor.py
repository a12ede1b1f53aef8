"""A vendor in a process of its own: pages of JSON made before it opens, so that answering one is sending bytes.

`python -m benchmarks.extracting.vendor RECORDS SIZE LATENCY` prints its port. `/things?cursor=N` is a page of SIZE records, each of
some 290 bytes with texts, numbers, a list and an object in it; LATENCY are the seconds that an answer takes.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from benchmarks.extracting.records import records


def page(number: int, size: int, count: int) -> bytes:
    """An answer of the vendor, head and body."""
    start = number * size
    more = start + size < count
    body = orjson.dumps({"data": list(records(start, min(start + size, count))), "next_cursor": str(number + 1) if more else None})
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def serve(count: int, size: int, latency: float) -> None:
    """Answer until this process ends."""
    pages = [page(number, size, count) for number in range(-(-count // size))]
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, pages, latency), daemon=True).start()


def _answer(connection: socket.socket, pages: list[bytes], latency: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as told:
        while line := told.readline():
            while told.readline() not in (b"\r\n", b""):
                pass
            target = line.split()[1].decode()
            number = int(target.partition("cursor=")[2].partition("&")[0] or 0)
            time.sleep(latency)
            connection.sendall(pages[number])


@contextmanager
def vendor(count: int, size: int, latency: float = 0.0) -> Iterator[str]:
    """A vendor's address."""
    command = [sys.executable, "-m", "benchmarks.extracting.vendor", str(count), str(size), str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
