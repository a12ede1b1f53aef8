"""Looks at one page of a source with nothing around it: no Airflow, no control plane, no lake. What is shown holds no secret.

The Connection comes from the environment, under the name that Airflow itself looks for, or from a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import orjson

from spine.control.airflow_state import ConnectionInfo
from spine.core import clock
from spine.core.errors import ConfigError, RateLimited, SpineError
from spine.core.masking import HIDDEN, hidden
from spine.core.names import connection_id
from spine.core.tokens import MemoryTokens
from spine.http.allowance import Allowance
from spine.http.auth import Account, Auth, Signer
from spine.http.transport import Request, Response, Transport
from spine.pipeline.services import access_of, bearer_of, client_of, credentials_of, folder_of
from spine.sources.access import Times
from spine.sources.coverage import Watch
from spine.sources.finding import example_of
from spine.sources.loader import UNCALLED, reader_for
from spine.sources.places import Place
from spine.sources.reading import Page, Reader, Record, State, Window
from spine.sources.shape import Shape, ShapeWatch
from spine.sources.spec import Source, Stream
from spine.sources.variables import values_of

_SHOWN = 4000  # letters of an answer
_PATIENCE = 10.0  # seconds that a limit may make us wait: a person looks on
_QUIET = frozenset({"date", "server", "connection", "content-encoding", "transfer-encoding", "vary", "keep-alive"})


@dataclass(frozen=True)
class Exchange:
    """One request and its answer as they may be shown."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    status: int
    answer_headers: Mapping[str, str]
    answer: str


@dataclass(frozen=True)
class Look:
    """What one stream answered: what was sent, its records, and their fields with types and whether the mapping uses them.

    `payloads` are those that live, as they may be shown.
    """

    stream: str
    exchanges: tuple[Exchange, ...] = ()
    records: tuple[Record, ...] = ()
    more: bool = False
    payloads: tuple[str, ...] = ()
    fields: tuple[tuple[str, str, bool], ...] = ()
    notes: tuple[str, ...] = ()
    error: SpineError | None = None


class _Recording(Transport):
    """Keeps what was sent and answered."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[tuple[Request, Response]] = []

    def send(self, request: Request) -> Response:
        response = super().send(request)
        self.seen.append((request, response))
        return response


@dataclass
class Trial:
    """A source on one account. Raises ConfigError or AuthFailed where the Connection is incomplete."""

    source: Source
    info: ConnectionInfo
    tenant: str
    transport: _Recording = field(init=False)
    _tokens: dict[str, MemoryTokens] = field(default_factory=dict)
    _secrets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        retry = self.source.retry.model_copy(update={"max_retries": min(1, self.source.retry.max_retries)})
        self.source = self.source.model_copy(update={"retry": retry})
        times = self.source.timeouts
        self.transport = _Recording(connect=times.connect, read=times.read, total=times.total)
        self._secrets.update(self.info.secrets())
        self._reader = self._open()

    def look(self, stream: Stream) -> Look:
        """The first page of a stream that has a record, or its first one; its parents are asked for as few as that needs."""
        self.transport.seen.clear()
        pages: list[Page] = []
        failure: SpineError | None = None
        try:
            for page in self._reader.read(self._asked(stream), State(), Window(end=clock.now(), full=True)):
                pages.append(page)
                if len(page.records) or len(pages) >= 20:
                    break
        except SpineError as error:
            error.where = {"source": self.source.source, "stream": stream.name, **error.where}
            failure = error
        records = tuple(pages[-1].records) if pages else ()
        notes = tuple(note for page in pages for note in page.notes) + tuple(f"skipped: {page.skipped}" for page in pages if page.skipped)
        more = bool(pages) and pages[-1].next_token is not None
        secrets = self._known_secrets()
        exchanges = tuple(_shown(request, response, secrets) for request, response in self.transport.seen)
        payloads = tuple(hidden(record.payload, secrets) for record in records if record.op == "upsert")
        return Look(stream.name, exchanges, records, more, payloads, _fields(stream, records), notes, failure)

    def _asked(self, stream: Stream) -> Stream:
        return example_of(self.source, stream, self._reader, values_of(self.source, self.info.extra), clock.now())

    def _open(self) -> Reader:
        place = Place(self.tenant, frozenset({self.tenant}))
        if self.source.kind == "files":
            return reader_for(self.source, folder=folder_of(self.info, place))
        if self.source.kind in UNCALLED:
            limits, waits = self.source.timeouts, Allowance(self.source.limits)
            times = Times(limits.connect, limits.total, self.source.stream_time.total_seconds())
            access = access_of(self.source, self.info, times, waits, place)
            bearer = bearer_of(self.source, self.info, self._tokens.setdefault(self.info.conn_id, MemoryTokens()))
            return reader_for(self.source, access=replace(access, hashed=lambda _: HIDDEN, bearer=bearer))
        credentials, asking = credentials_of(self.info, self.source), Transport(total=60.0)

        def signer(auth: Auth, name: str) -> Signer:
            return auth.signer(Account(credentials, self._tokens.setdefault(name, MemoryTokens()), asking.send))

        client = client_of(self.source, self.info, self.transport, _impatient, signer)
        return reader_for(self.source, client=client, extra=self.info.extra, hashed=lambda _: HIDDEN)

    def _known_secrets(self) -> list[str]:
        for request, _ in self.transport.seen:
            self._secrets.update(secret for secret in request.secrets if len(secret) > 3 and secret not in request.headers.values())
        tokens = {memory.token.access_token for memory in self._tokens.values() if memory.token}
        return [secret for secret in self._secrets | tokens if len(secret) > 3]


def connection_of(source: str, tenant: str, file: Path | None = None) -> ConnectionInfo:
    """The Connection of an account: that of a file, or of the environment variable that Airflow looks for. Raises ConfigError."""
    name = connection_id(source, tenant)
    variable = f"AIRFLOW_CONN_{name.upper()}"
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} cannot be read: {error}", hint="Name a file with the Connection as JSON or as a URI") from None
    else:
        text = os.environ.get(variable, "").strip()
    if not text:
        hint = f"Set {variable} to a URI or JSON, or name a file by --connection; `spine connector fields {source}` says what it holds"
        raise ConfigError(f"there is no Connection {name} in the environment", hint=hint)
    try:
        return _of_json(name, text) if text.startswith("{") else _of_uri(name, text)
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(f"the Connection {name} is neither a URI nor JSON", hint="Write it as Airflow reads it") from None


def _of_json(name: str, text: str) -> ConnectionInfo:
    said = orjson.loads(text)
    extra = said.get("extra") or {}
    extra = orjson.loads(extra) if isinstance(extra, str) else dict(extra)
    port = said.get("port")
    words = {word: str(said.get(word) or "") for word in ("conn_type", "host", "schema", "login", "password")}
    return ConnectionInfo(name, **words, port=int(port) if port else None, extra=extra)


def _of_uri(name: str, text: str) -> ConnectionInfo:
    """Airflow's own notation: type, login, password, host, port, schema as an address has them, percent-encoded; the query is the extra."""
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError(text)
    extra: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "__extra__" in extra:
        extra = orjson.loads(extra["__extra__"])
    host = unquote(parts.hostname or "")
    return ConnectionInfo(
        name, parts.scheme, host, parts.port, unquote(parts.path.lstrip("/")), unquote(parts.username or ""),
        unquote(parts.password or ""), extra,
    )  # fmt: skip


def _impatient(seconds: float) -> None:
    """Sleeps as long as a person may wait. Raises RateLimited beyond that."""
    if seconds > _PATIENCE:
        raise RateLimited(f"the source asks for {seconds:.0f} s of silence", hint="Try it again after that", retry_after=seconds)
    import time

    time.sleep(seconds)


def _fields(stream: Stream, records: Sequence[Record]) -> tuple[tuple[str, str, bool], ...]:
    shape, watch = ShapeWatch(), Watch(stream)
    shape.see(records)
    watch.see(records)
    found, _ = shape.against(Shape())
    unused = frozenset(watch.result().unmapped)
    used = {name: not any(name == one or one.startswith(f"{name}.") for one in unused) for name in found.ever}
    return tuple((name, " or ".join(sorted(found.types.get(name, ()))) or "null", used[name]) for name in sorted(found.ever))


def _shown(request: Request, response: Response, secrets: Sequence[str]) -> Exchange:
    """An exchange without what signs it, and without the secrets wherever else they stand."""
    pairs = [(name, one) for name, value in request.params.items() for one in (value if isinstance(value, list) else [value])]
    url = request.url + ("&" if "?" in request.url else "?") * bool(pairs) + urlencode(pairs)
    url += "".join(f"{'&' if '?' in url else '?'}{name}={HIDDEN}" for name in request.secret_params)
    headers = {name: hidden(str(value), secrets) for name, value in request.headers.items()} | dict.fromkeys(request.secret_headers, HIDDEN)
    said = orjson.dumps(request.json, default=str).decode() if request.json is not None else urlencode(request.form or {})
    said += "".join(f" {name}={HIDDEN}" for name in request.secret_body)
    answered = {
        name: hidden(value, secrets)
        for name, value in response.headers.items()
        if name.lower() not in _QUIET and "cookie" not in name.lower()
    }
    text = "(a file)" if response.file is not None else response.body.decode("utf-8", "replace")
    return Exchange(
        request.method, hidden(url, secrets), headers, hidden(said, secrets), response.status, answered, _cut(hidden(text, secrets))
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} letters in all)"
