"""A source, a vendor made from its file, and readings of it: what each check of the suite works with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from spine.core.placeholders import needed
from spine.core.tokens import MemoryTokens
from spine.http.auth import Account
from spine.http.client import Client
from spine.http.transport import Transport
from spine.sandbox.vendor import NotCovered, Vendor, VendorServer
from spine.sources.finding import example_of
from spine.sources.loader import reader_for
from spine.sources.reading import MALFORMED, Page, Reader, State, Window
from spine.sources.rest.requester import listed_host
from spine.sources.spec import Source, Stream
from tests.connector_suite.relay import Relay, relay_of

GRANTS: dict[str, dict[str, MemoryTokens]] = {}  # of sandboxes, which live as long as this process and rotate what they grant


@dataclass
class Bench:
    """A vendor that runs, and readers of its source with a token store that outlives them. `slept` is how long they waited."""

    vendor: Any  # a Vendor, or a Relay before another server
    slept: list[float] = field(default_factory=list)
    stores: dict[str, MemoryTokens] = field(default_factory=dict)
    transport: Transport = field(default_factory=lambda: Transport(connect=20, read=20, total=60))

    @property
    def source(self) -> Source:
        return self.vendor.source

    def reader(self) -> Reader:
        """A reader as a new process would make it."""
        return reader_for(self.source, client=self.client(), extra=self.vendor.holder.extra, hashed=lambda value: f"hashed-{len(value)}")

    def client(self) -> Client:
        source, values = self.source, self.vendor.values
        transport = self.transport
        credentials = self.vendor.credentials

        def signer(stream: Stream | None) -> Any:
            auth = source.auth_of(stream, credentials.extra)
            kept = GRANTS.setdefault(source.source, {}) if isinstance(self.vendor, Relay) else self.stores
            store = kept.setdefault(auth.model_dump_json(), MemoryTokens())
            return auth.signer(Account(credentials, store, transport.send))  # type: ignore[arg-type]

        own = {stream.name: (lambda stream=stream: signer(stream)) for stream in source.streams if stream.auth}
        return Client(
            self.vendor.base, transport, signer(None), others=own, retry=source.retry, sleep=self.slept.append,
            headers={name: needed(said, values) for name, said in source.headers.items()},
            hosts=tuple(listed_host(host, values) for host in source.hosts),
            open_hosts=tuple(listed_host(host, values) for host in source.open_hosts),
        )  # fmt: skip

    def full(self) -> Window:
        return Window(end=self.vendor.now, full=True)

    def pages(self, name: str, state: State | None = None, window: Window | None = None) -> list[Page]:
        """All pages of a stream, read in one go."""
        return list(self.reader().read(self.source.stream(name), state or State(), window or self.full()))

    def killed(self, name: str, state: State | None = None, window: Window | None = None) -> list[Page]:
        """All pages, with a new reader that begins behind each of them and knows only what was committed."""
        found: list[Page] = []
        state = state or State()
        while True:
            page = next(iter(self.reader().read(self.source.stream(name), state, window or self.full())))
            found.append(page)
            if page.next_token is None:
                return found
            assert len(found) < 2000, "a reading that begins anew has no end"
            state = State(None, page.next_token, page.high_water, state.parts, answered=True, within=page.parents)

    def rows(self, name: str) -> int:
        """How many records the vendor has of a stream, as far as it was asked for them."""
        found: int = self.vendor.rows(name)
        return found


@contextmanager
def bench_of(source: Source, patience: float = 20, **vendor: Any) -> Iterator[Bench]:
    """A bench with a vendor of its own, reached by the hosts that the file names; that of a reader of its own stands before its sandbox.

    At its end no host has got credentials that it must not have.
    """
    made = Vendor(source, **vendor) if source.kind == "generic" else relay_of(source)
    with VendorServer(made) as server, environment(SPINE_PROXY=server.proxy, REQUESTS_CA_BUNDLE=server.bundle):
        if isinstance(made, Relay):
            made.base = server.url
        try:
            yield Bench(made, transport=Transport(connect=20, read=patience, total=60))
        except Exception as error:
            if made.lacks:
                raise NotCovered("; ".join(dict.fromkeys(made.lacks))) from error
            raise
    assert made.leaks == []


def concrete(source: Source) -> Source:
    """The source with the first of the streams that each template stands for in its place."""
    if all(stream.found is None for stream in source.streams):
        return source
    with bench_of(source) as bench:
        made = bench.vendor
        values = {**made.values, **{stream.found.variable: ["*"] for stream in source.streams if stream.found and stream.found.variable}}
        found = []
        for stream in source.streams:
            made.expect(stream.found.stream if stream.found else stream.name)
            found.append(example_of(made.source, stream, bench.reader(), values, made.now))
    pairs = zip(source.streams, found, strict=True)
    streams = tuple(stream.found_as(one.name, one.named["found"]) if one.found else stream for stream, one in pairs)
    return source.model_copy(update={"streams": streams})


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Settings for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def ids(pages: list[Page]) -> list[str]:
    """The ids of all records, in order."""
    return [record.record_id for page in pages for record in page.records]


def said(pages: list[Page]) -> list[tuple[str, str, Any]]:
    """What all records say."""
    return [(record.record_id, record.op, orjson.loads(record.payload)) for page in pages for record in page.records]


def malformed(pages: list[Page]) -> list[str]:
    """Payloads of records that could not be read."""
    return [record.payload for page in pages for record in page.records if record.fingerprint == MALFORMED]
