"""What a vendor made from a source's file has, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from threading import RLock
from typing import Any
from urllib.parse import urlsplit

from spine.core.errors import ConfigError, SpineError
from spine.core.placeholders import alone, needed, written
from spine.http.paging.none import NoPaging
from spine.http.paging.odata import PAGE_SIZE, PREFER
from spine.sandbox.vendor import matching, tokens  # noqa: F401  # its guards
from spine.sandbox.vendor.accounts import holder_of
from spine.sandbox.vendor.calls import Answer, Call
from spine.sandbox.vendor.changes import Log
from spine.sandbox.vendor.encoding import encoded
from spine.sandbox.vendor.guards import Guard, guard_of
from spine.sandbox.vendor.jobs import JobDesk
from spine.sandbox.vendor.matching import GO, Match
from spine.sandbox.vendor.records import unkept
from spine.sandbox.vendor.tables import Row, Scope, Table, now, scaled, spacing_of, within
from spine.sandbox.vendor.turning import Asked, Turn, turned
from spine.sandbox.vendor.writing import put, reached
from spine.sources.rest.requester import host_of
from spine.sources.spec import Asking, Source, Stream
from spine.sources.variables import values_of

Trouble = Callable[[Call, int], Answer | None]
_PREFERRED = re.compile(rf"{re.escape(PAGE_SIZE)}=(\d{{1,9}})")
USUAL = "https://vendor.example"  # the address of accounts whose source has none
_BOUNDS = ("start", "end", "page", "fields", "item")


class Vendor:
    """A vendor with one account. `source` is the file's with the numbers of a small vendor, `holder` what a Connection holds.

    `trouble` sees each call for records, with its number, and may answer in the vendor's place; `change` sees each record before it is
    sent. `count` is how many records a stream has, of a parent or a partition `few`. What went wrong here is in `lacks` (what is not
    covered), `broken` and `strange` (calls that are none of the file's).
    """

    def __init__(self, source: Source, *, base: str = "", size: int = 2, count: int = 5, few: int = 3) -> None:
        self.now = now()
        self.source = scaled(source, size=size, now=self.now)
        self.holder = holder_of(self.source)
        self.values = values_of(self.source, self.holder.extra, self.now)
        self.base = (base or (host_of(source.host, self.values) if source.host else USUAL)).rstrip("/")
        credentials = self.holder.credentials(self.base)
        self.credentials = type(credentials)(
            self.base, credentials.login, credentials.password, {**self.values, **credentials.extra}, credentials.connection
        )
        self.size, self.trouble, self.change = size, _no_trouble, _no_change
        self.calls: list[Call] = []
        self.lacks: list[str] = []
        self.broken: list[Exception] = []
        self.strange: list[str] = []
        self.leaks: list[str] = []
        self.starts: list[tuple[str, Any]] = []  # the lower bounds that calls had, by stream
        self.asked = 0
        self.tables = {stream.name: self._table(stream, count, few) for stream in self.source.streams}
        self.jobs = JobDesk(self.address)
        self.log = Log(self.tables, self.address)
        self._guards: dict[str, Guard] = {}
        self._addresses: dict[str, tuple[str, str, dict[str, Any]]] = {}
        self._given: dict[tuple[str, str, str], str] = {}
        self._lock = RLock()
        self._expected: set[str] = set()

    def _table(self, stream: Stream, count: int, few: int) -> Table:
        parents = {other.parent.stream for other in self.source.streams if other.parent}
        parents |= {entry.stream for other in self.source.streams for entry in other.partitions.values() if entry.stream}
        parents |= {other.found.stream for other in self.source.streams if other.found}
        many = 1 if stream.key == "singleton" else few if stream.parent or stream.partitions or stream.name in parents else count
        return Table(self.source, stream, many, self.now, spacing_of(stream, many))

    def guard(self, stream: Stream | None) -> Guard:
        """What judges calls for a stream."""
        auth = self.source.auth_of(stream, self.holder.extra)
        key = auth.model_dump_json()
        if key not in self._guards:
            self._guards[key] = guard_of(auth, self.credentials)
        return self._guards[key]

    @property
    def guards(self) -> list[Guard]:
        """All of them."""
        return list({id(found): found for stream in self.source.streams if (found := self.guard(stream))}.values())

    @property
    def secrets(self) -> list[str]:
        """What of the account must be seen nowhere."""
        return [*self.holder.secrets, *(secret for guard in self.guards for secret in guard.secrets)]

    def address(self, kind: str, stream: Stream, names: dict[str, Any]) -> str:
        """A whole address, which leads to a request of a stream with these values."""
        with self._lock:
            known = (kind, stream.name, repr(sorted(names.items())))
            if known not in self._given:
                self._given[known] = str(len(self._given) + 1)
            token = self._given[known]
            self._addresses[token] = (kind, stream.name, names)
        base = self.base
        if kind == "file" and self.source.open_hosts:
            base = f"https://{needed(self.source.open_hosts[0], self.values).replace('*.', 'files.')}"
        return f"{urlsplit(base).scheme}://{urlsplit(base).netloc}{GO}{token}"

    def answer(self, call: Call) -> Answer:
        """What the vendor says. Raises NotCovered."""
        with self._lock:
            return self._answer(call)

    def _answer(self, call: Call) -> Answer:
        self.calls.append(call)
        for guard in self.guards:
            if (told := guard.endpoint(call)) is not None:
                return told
        found = self._found(call)
        if found is None or found.wrong:
            why = f"{call.method} {call.path}: {', '.join(found.wrong) if found else 'no such path'}"
            self.strange.append(why)
            return Answer.of({"message": f"strange call: {why}"}, 400 if found else 404)
        if found.what in ("read", "file"):
            self.asked += 1
            if (trouble := self.trouble(call, self.asked - 1)) is not None:
                return trouble
        if self._open(call):
            self._look_for_credentials(call)
        else:
            judge = self.guard(found.stream)
            if not judge.passes(call):
                return judge.refused()
        return self._told(found, call)

    def _open(self, call: Call) -> bool:
        here = call.host.partition(":")[0]
        opened = [needed(host, self.values) for host in self.source.open_hosts]
        return any(here.endswith(host[1:]) if host.startswith("*.") else here == host for host in opened)

    def _look_for_credentials(self, call: Call) -> None:
        sent = " ".join((call.target, *call.headers.values(), call.body.decode("utf-8", "replace")))
        self.leaks += [f"{call.host} got a secret" for secret in self.secrets if secret in sent]

    def _found(self, call: Call) -> Match | None:
        """The request of the file that a call is, the one that it fits best."""
        if call.path.startswith(GO):
            kind, name, names = self._addresses.get(call.path.removeprefix(GO), ("", "", {}))
            if not kind:
                return None
            stream = self.source.stream(name)
            if kind == "changes":
                later = stream.asked(first=False)
                return Match("read", later, later, dict(names))
            asking = {"poll": stream.job.poll, "cancel": stream.job.cancel}.get(kind, stream) if stream.job else stream
            return Match(kind, asking or stream, stream, dict(names))
        fitting = [match for match in self._requests() if self._fits(match, call)]
        return min(fitting, key=lambda match: (len(match.wrong), -match.same, match.stream.name not in self._expected), default=None)

    def expect(self, name: str) -> None:
        """Say which stream is about to be read: several may ask for the same and take different parts of the answer."""
        self._expected = {name}
        while (parent := self.source.stream(name).parent) is not None:
            name = parent.stream
            self._expected.add(name)

    def _fits(self, match: Match, call: Call) -> bool:
        paging = getattr(match.asking, "paging", None)
        return matching.matched(match, call, self.base, self.values, paging)

    def _requests(self) -> Iterator[Match]:
        for stream in self.source.streams:
            yield Match("read", stream, stream)
            if stream.later is not None:
                later = stream.asked(first=False)
                yield Match("read", later, later)
            if stream.changes is not None and stream.changes.first is not None:
                yield Match("first", stream.changes.first, stream)
            if stream.field_list is not None and stream.field_list.path:
                yield Match("names", stream.field_list, stream)
            if stream.job is not None:
                for kind, asking in (("create", stream.job.create), ("poll", stream.job.poll), ("cancel", stream.job.cancel)):
                    if asking is not None:
                        yield Match(kind, asking, stream)

    def _told(self, found: Match, call: Call) -> Answer:
        stream, job = found.stream, found.stream.job
        if found.what == "names" and stream.field_list is not None:
            return Answer.of(put(str(stream.field_list.names), None, self.tables[stream.name].fields))
        if found.what == "first" and stream.changes is not None and stream.changes.first is not None:
            return Answer.of(put(stream.changes.first.token, None, self.log.token(stream)))
        if job is not None and found.what == "create":
            return self.jobs.create(stream, job, self._noted(found, call))
        if job is None:
            return self._page(found, call, dict(found.names))
        try:
            ordered = self.jobs.of(stream, found.names)
        except KeyError:
            return Answer.of({"message": "no such job"}, 404)
        if found.what == "poll":
            return self.jobs.poll(ordered, job)
        if found.what == "cancel":
            ordered.cancelled = True
            return Answer(204)
        return self._page(found, call, {**ordered.names, **found.names})

    def _noted(self, found: Match, call: Call) -> dict[str, Any]:
        """What a call's placeholders stand for, with the bounds that have parameters of their own."""
        cursor, names = found.stream.cursor, dict(found.names)
        if cursor is not None:
            for name, param in (("start", cursor.since), ("end", cursor.until)):
                if param and (told := call.param(param)) is not None:
                    names[name] = told
        return names

    def _page(self, found: Match, call: Call, names: dict[str, Any]) -> Answer:
        stream, asking = found.stream, found.stream
        names = {**names, **self._noted(found, call)}
        self.starts += [(stream.name, names["start"])] if names.get("start") is not None else []
        scopes = list(_scopes(names, stream))
        since = self.log.since(call, found, names)
        if since is not None and since.refused is not None:
            return since.refused
        rows = [row for scope in scopes for row in self.tables[stream.name].of(scope) if since is None or since.has(row)]
        if stream.cursor is not None:
            try:
                rows = [row for row in rows if within(stream.cursor, row, names.get("start"), names.get("end"))]
            except ConfigError as error:
                self.strange.append(error.message)
                return Answer.of({"message": error.message}, 400)
        windows = stream.cursor.windows if stream.cursor else None
        total = len(rows)
        if windows is not None and windows.ceiling is not None:
            rows = rows[: windows.ceiling]
        records = [self._asked_for(self._sent(stream, row), names, stream) for row in rows]
        part = names.get("file")
        if part is not None:
            half = -(-len(records) // 2)
            records = records[:half] if part == 0 else records[half:]
        paging = asking.paging
        if found.what == "file" or isinstance(paging, NoPaging):
            turn = Turn(records)
        else:
            page = str(names["page"]) if names.get("page") is not None else None
            size = self._size(call, stream)
            turn = turned(paging, Asked(call, page, records, size, asking.records, since.page if since else None))
        if since is not None:
            self.log.tell(stream, turn, since, scopes)
        if windows is not None and windows.total is not None:
            turn.says[windows.total] = total
        return encoded(asking, turn.records, turn.says, turn.headers)

    def _size(self, call: Call, stream: Stream) -> int:
        """The size of a page: as it is asked for, else our own."""
        param = stream.paging.size_param
        preferred = _PREFERRED.search(call.headers.get(PREFER.lower(), ""))
        told = (call.param(param) or call.inside(param)) if param else preferred[1] if preferred else None
        return int(told) if told is not None and str(told).isdigit() else self.size

    def _sent(self, stream: Stream, row: Row) -> dict[str, Any]:
        """The record with the addresses of what is below it."""
        record = row.record
        for child in self.source.streams:
            if child.parent is not None and child.parent.stream == stream.name and alone(child.path):
                name = child.path[1:-1].removeprefix("parent.")
                record = reached(record, name, self.address("read", child, {"parent.address": row.name}))
        return self.change(stream, record)

    @staticmethod
    def _asked_for(record: dict[str, Any], names: Mapping[str, Any], stream: Stream) -> dict[str, Any]:
        """Of a record the fields that were asked for, where fields are."""
        asked = names.get("fields")
        if asked is None or stream.field_list is None:
            return record
        wanted = set(asked if isinstance(asked, list) else str(asked).split(","))
        return {name: value for name, value in record.items() if name in wanted}

    def rows(self, stream: str) -> int:
        """How many records there are of a stream, as far as somebody has asked for them."""
        return sum(len(rows) for rows in self.tables[stream].rows.values())

    def unkept(self, stream: Stream, row: Row) -> None:
        """Change a record so that the stream's filters keep it no more."""
        row.record = unkept(stream, row.record)

    def fault(self) -> str:
        """What went wrong on the vendor's own side, empty if nothing did. Raises the mistake of its code."""
        for error in self.broken:
            if not isinstance(error, SpineError):
                raise error
        return "; ".join([*self.strange, *map(str, self.broken)])


def _scopes(names: Mapping[str, Any], stream: Stream) -> Iterator[Scope]:
    """The parents and partitions that a call is about; several where they share a request."""
    told: list[list[tuple[str, str]]] = []
    for name, value in names.items():
        if name in _BOUNDS or name.startswith(("job.", "changes.")) or name == "file":
            continue
        grouped = isinstance(value, list) or _grouped(name, stream)
        many = value if isinstance(value, list) else str(value).split(",") if grouped else [value]
        told.append([(name, written(one)) for one in many])
    return (tuple(sorted(chosen)) for chosen in product(*told))


def _grouped(name: str, stream: Stream) -> bool:
    if name.startswith("parent."):
        return stream.parent is not None and stream.parent.group > 1
    partition = stream.partitions.get(name.removeprefix("partition."))
    return partition is not None and partition.group > 1


def _no_trouble(call: Call, number: int) -> Answer | None:
    return None


def _no_change(stream: Stream, record: dict[str, Any]) -> dict[str, Any]:
    return record


__all__ = ["USUAL", "Asking", "Vendor"]
