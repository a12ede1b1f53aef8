"""Servers of protocols that are no HTTP, with records made from a stream's words: tables, collections, mailboxes, taps, folders.

A stand is what the vendor made from a file is to a source over HTTP: it knows what its records are, changes them, and gives readers that
know nothing of each other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson

from spine.core import clock, times
from spine.sandbox.vendor import NotCovered
from spine.sources.access import Access, Times
from spine.sources.drops import Folder
from spine.sources.loader import reader_for
from spine.sources.reading import Reader, Window, record_id
from spine.sources.spec import Source, Stream
from tests.connector_suite.bench import environment
from tests.sources.imap.mailserver import Box, MailServer, written

SECRET = "sesame-of-the-stand"  # pragma: allowlist secret
START = clock.parse("2026-01-01T00:00:00Z")
_SMALL = 10
# What a reader turns that gives no size of pages to choose.
_BATCHES = {"spine.sources.database.values.BATCH": _SMALL, "spine.sources.database.postgresql._BATCH_BYTES": 2000}


@dataclass
class Stand:
    """Records of one stream, by number; `where` says which servers there are. A subclass writes them to its server."""

    source: Source
    stream: Stream
    where: Mapping[str, Any]
    folder: Path
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    refuses = False  # whether it asks for a password

    @contextmanager
    def open(self) -> Iterator[Stand]:
        """The server, which stands within `with`."""
        yield self

    def write(self) -> None:
        """Let the server have these records and no others."""
        raise NotImplementedError

    def access(self, password: str) -> Access:
        return Access(password=password)

    def reader(self, password: str = SECRET) -> Reader:
        """A reader as a new process would make it."""
        return reader_for(self.source, access=self.access(password))

    def row(self, number: int, at: datetime, **more: Any) -> dict[str, Any]:
        """One record: its key, its cursor, and what else is said of it."""
        found: dict[str, Any] = {"note": f"note {number}", **more}
        for path in self.stream.key_fields:
            put(found, self.former(path), number)
        if self.stream.cursor is not None:
            put(found, self.former(self.stream.cursor.field), self.moment(at, number))
        return found

    def former(self, path: str) -> str:
        return {new: old for old, new in self.stream.rename.items()}.get(path, path)

    def moment(self, at: datetime, number: int) -> Any:
        cursor = self.stream.cursor
        assert cursor is not None
        return number if cursor.type == "number" else times.write(at, cursor.reads) if cursor.reads else self.time(at)

    def time(self, at: datetime) -> Any:
        """A time where the file does not say how it is written."""
        return clock.to_text(at)

    def fill(self, count: int, **more: Any) -> None:
        """So many records, a minute after each other."""
        self.rows = {number: self.row(number, START + timedelta(minutes=number), **more) for number in range(1, count + 1)}
        self.write()

    def add(self, number: int, at: datetime, **more: Any) -> None:
        self.rows[number] = self.row(number, at, **more)
        self.write()

    def name(self, number: int) -> str:
        """The id of a record in Bronze."""
        return record_id(self.stream, {path.partition(".")[0]: None for path in self.stream.key_fields} | self.renamed(number)) or ""

    def renamed(self, number: int) -> dict[str, Any]:
        return {self.stream.rename.get(name, name): value for name, value in self.rows[number].items()}

    def now(self) -> datetime:
        return START + timedelta(days=30)

    def full(self) -> Window:
        return Window(end=self.now(), full=True)


def put(record: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path."""
    *parents, last = path.split(".")
    for name in parents:
        record = record.setdefault(name, {})
    record[last] = value


class Table(Stand):
    """A table of SQLite or PostgreSQL; of another kind of server tests/sources/database has tests of its own."""

    @contextmanager
    def open(self) -> Iterator[Stand]:
        if self.source.reader not in ("sqlite", "postgresql") or self.source.reader not in self.where:
            raise NotCovered(f"no server of {self.source.reader} is here")
        with ExitStack() as stack:
            for name, value in _BATCHES.items():
                stack.enter_context(patch(name, value))
            yield self

    def access(self, password: str) -> Access:
        if self.source.reader == "sqlite":
            return Access(str(self.folder / "shop.db"))
        given: Access = self.where["postgresql"].access
        return given

    def time(self, at: datetime) -> Any:
        return at.isoformat()

    def write(self) -> None:
        table = self.stream.table
        postgres = self.source.reader == "postgresql"
        names = list(dict.fromkeys(name for row in self.rows.values() for name in row)) or list(self.row(1, START))
        columns = list(dict.fromkeys([*names, *(table.columns if table else ())]))
        cursor = self.former(self.stream.cursor.field) if self.stream.cursor else ""
        kinds = {name: "integer" if name in self.stream.key_fields else "text" for name in columns}
        if cursor and self.stream.cursor and not self.stream.cursor.reads:
            kinds[cursor] = "integer" if self.stream.cursor.type == "number" else "timestamptz" if postgres else "text"
        name = f'"{(table.name if table else None) or self.stream.name}"'
        keys = ", ".join(f'"{self.former(path)}"' for path in self.stream.key_fields)
        made = ", ".join(f'"{one}" {kinds[one]}' for one in columns)
        schema = f'"{table.schema_}"' if postgres and table and table.schema_ else ""
        name = f"{schema}.{name}" if schema else name
        said = [f"CREATE SCHEMA IF NOT EXISTS {schema}"] if schema else []
        said += [f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({made}, PRIMARY KEY ({keys}))"]
        values = [f"({', '.join('NULL' if row.get(one) is None else _quoted(row[one]) for one in columns)})" for row in self.rows.values()]
        said += [f"INSERT INTO {name} VALUES {', '.join(values)}"] if values else []
        if postgres:
            self.where["postgresql"].say(*said)
            return
        with sqlite3.connect(self.folder / "shop.db") as opened:
            for one in said:
                opened.execute(one)
        opened.close()


def _quoted(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


class Collection(Stand):
    """A collection of MongoDB."""

    @contextmanager
    def open(self) -> Iterator[Stand]:
        if "mongodb" not in self.where:
            raise NotCovered("no server of MongoDB is here")
        with environment(SYNC_BATCH_SIZE=str(_SMALL)):
            yield self

    def access(self, password: str) -> Access:
        return Access("127.0.0.1", self.where["mongodb"], "suite", times=Times(5, 20, 60))

    def time(self, at: datetime) -> Any:
        return at

    def write(self) -> None:
        from pymongo import MongoClient

        with MongoClient("127.0.0.1", self.where["mongodb"]) as client:
            name = self.stream.object or self.stream.name
            client["suite"].drop_collection(name)
            client["suite"].create_collection(name)
            if self.rows:
                client["suite"][name].insert_many([{"_id": number, **row} for number, row in self.rows.items()])


class Mailbox(Stand):
    """A folder of a mailbox."""

    refuses = True

    @contextmanager
    def open(self) -> Iterator[Stand]:
        with MailServer() as self.mail, environment(SYNC_BATCH_SIZE=str(_SMALL)):
            self.mail.users = {"ann@example.com": SECRET}
            yield self

    def access(self, password: str) -> Access:
        said = {"tls": "false", "since": "2020-01-01"}
        return Access(
            "127.0.0.1", self.mail.port, "", "ann@example.com", password, extra=said, values={"folders": ["INBOX"]}, times=Times(5, 20, 60)
        )  # fmt: skip

    def row(self, number: int, at: datetime, **more: Any) -> dict[str, Any]:
        return {"at": at, "text": str(more.get("note", f"note {number}")), "headers": {k: v for k, v in more.items() if k != "note"}}

    def write(self) -> None:
        self.mail.boxes = {"INBOX": Box()}
        for number, row in self.rows.items():
            self.mail.inbox.add(written(number, row["text"]), received=row["at"]).uid = number

    def name(self, number: int) -> str:
        return f"INBOX|1000|{number}"


class Tap(Stand):
    """A program in place of the file's tap, which writes the records as Singer says; its STATE is how many it has written."""

    @contextmanager
    def open(self) -> Iterator[Stand]:
        program = self.folder / "tap.py"
        program.write_text(_TAP.format(python=_python(), data=str(self.folder / "rows.json"), name=self.stream.object or self.stream.name))
        program.chmod(0o700)
        assert self.source.tap is not None
        tap = self.source.tap.model_copy(update={"executable": str(program), "requirements": (), "config": {"password": "{password}"}})
        self.source = self.source.model_copy(update={"tap": tap})
        with environment(SYNC_BATCH_SIZE=str(_SMALL)):
            yield self

    def access(self, password: str) -> Access:
        return Access(password=password, times=Times(5, 20, 60))

    def write(self) -> None:
        rows = list(self.rows.values())
        names = sorted({name for row in [self.row(1, START), *rows] for name in row})
        (self.folder / "rows.json").write_bytes(orjson.dumps({"names": names, "rows": rows}))


_TAP = """#!{python}
import json, sys
given = json.load(open({data!r}))
rows = given["rows"]
schema = {{"type": "object", "properties": {{name: {{}} for name in given["names"]}}}}
said = {{"tap_stream_id": {name!r}, "stream": {name!r}, "schema": schema, "metadata": []}}
if "--discover" in sys.argv:
    print(json.dumps({{"streams": [said]}}))
    sys.exit()
start = json.load(open(sys.argv[sys.argv.index("--state") + 1]))["done"] if "--state" in sys.argv else 0
print(json.dumps({{"type": "SCHEMA", "stream": {name!r}, "schema": schema, "key_properties": []}}))
for number, row in enumerate(rows[start:], start + 1):
    print(json.dumps({{"type": "RECORD", "stream": {name!r}, "record": row}}))
    print(json.dumps({{"type": "STATE", "value": {{"done": number}}}}))
"""


def _python() -> str:
    import sys

    return sys.executable


class Files(Stand):
    """A folder; each change brings a file."""

    @contextmanager
    def open(self) -> Iterator[Stand]:
        (self.folder / "drop").mkdir()
        self.given: dict[int, Any] = {}
        with environment(SYNC_BATCH_SIZE=str(_SMALL)):
            yield self

    def reader(self, password: str = SECRET) -> Reader:
        return reader_for(self.source, folder=Folder(str(self.folder / "drop"), {}))

    def now(self) -> datetime:
        return clock.now() + timedelta(days=1)  # by when the files were written

    def write(self) -> None:
        new = [row for number, row in self.rows.items() if self.given.get(number) != row]
        self.given = dict(self.rows)
        pattern = self.stream.path or "*"
        end = next((one for one in (".csv", ".jsonl", ".ndjson") if pattern.endswith(one)), "" if "." in pattern else ".jsonl")
        if not end:
            raise NotCovered(f"nobody writes files of {pattern} here")
        name = pattern.removesuffix(end).replace("*", f"part{len(list((self.folder / 'drop').iterdir()))}") + end
        if end == ".csv":
            names = list(dict.fromkeys(name for row in new for name in row)) or ["id"]
            lines = [",".join(names), *(",".join(json.dumps(str(row.get(one, ""))) for one in names) for row in new)]
        else:
            lines = [orjson.dumps(row).decode() for row in new]
        (self.folder / "drop" / name).write_text("\n".join([*lines, ""]))


STANDS: dict[str, Callable[..., Stand]] = {"database": Table, "mongodb": Collection, "imap": Mailbox, "singer": Tap, "files": Files}
