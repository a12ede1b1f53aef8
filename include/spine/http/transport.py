"""Sends one HTTP request over pooled, verified connections: the only module that imports `requests`.

Cut bodies, time-outs and connection errors become SourceUnavailable here, once. Redirects to another origin carry no secret.
User-supplied addresses reach public addresses only, checked on the connected socket, so that DNS cannot change its mind.
"""

from __future__ import annotations

import ipaddress
import threading
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from spine.core import jsontext
from spine.core.errors import ConfigError, SourceRejected, SourceUnavailable
from spine.http import links

MAX_BODY = 256 * 1024 * 1024  # bytes of one answer; a page beyond that is a mistake of the spec's page size
MAX_REDIRECTS = 5
_CHUNK = 256 * 1024
_WITHOUT_BODY = {204, 205}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Request:
    """One request. `secret_headers` and `secret_params` sign it and go to its own origin only.

    `idempotent` says that it may be sent twice; None decides by the method.
    """

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = field(default=None, repr=False)
    idempotent: bool | None = None
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_params: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> list[str]:
        """The secrets in it, each alone: without the name of its scheme, and as parts where it has several."""
        found = []
        for value in (*self.secret_headers.values(), *self.secret_params.values()):
            found += [value, *(word for word in value.split() if word not in ("Bearer", "Basic", "Token"))]
            with suppress(ValueError):
                found += b64decode(value.split()[-1], validate=True).decode().split(":") if value.startswith("Basic ") else []
        return [secret for secret in found if secret]

    @property
    def repeatable(self) -> bool:
        """True if sending it twice does no harm: reads, and what is declared so (a search by POST)."""
        return self.method in {"GET", "HEAD", "OPTIONS"} if self.idempotent is None else self.idempotent

    @property
    def place(self) -> str:
        """Method, host and path, without the query, which may hold secrets."""
        parts = urlsplit(self.url)
        return f"{self.method} {parts.hostname}{parts.path}"


@dataclass(frozen=True)
class Response:
    """An answer with its whole body. `url` is the address that gave it, without our own parameters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    place: str
    url: str = field(default="", repr=False)

    def json(self) -> Any:
        """The body as JSON, None where the source says that there is none (204).

        Raises SourceUnavailable: proxies answer in HTML when the source is down.
        """
        return self._parsed

    @cached_property
    def _parsed(self) -> Any:
        if self.status in _WITHOUT_BODY:
            return None
        try:
            return jsontext.parse(self.body)
        except ValueError as error:
            kind = self.headers.get("content-type", "no content type").partition(";")[0]
            what = f"not JSON but {kind}, {len(self.body)} bytes" if self.body else "empty"
            raise SourceUnavailable(f"the answer of {self.place} is {what}", status=self.status) from error

    def link(self, relation: str) -> str | None:
        """The target of a Link header with that relation (RFC 8288)."""
        return links.target(self.headers.get("link", ""), relation)


class _PrivateAddress(Exception):
    """A connected socket's peer is not public."""


def _refuse_private(connection: HTTPConnection) -> None:
    address = str(connection.sock.getpeername()[0]) if connection.sock else ""
    if not ipaddress.ip_address(address.partition("%")[0]).is_global:
        connection.close()
        raise _PrivateAddress


class _PublicHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _refuse_private(self)


class _PublicHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _refuse_private(self)


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


class _PublicAdapter(HTTPAdapter):
    """Connects to public addresses only; a configured proxy is the operator's own and is not checked."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}


class Transport:
    """Pooled sessions, one per thread. `connect` and `read` are seconds; `allow_private` lets it call addresses of inner networks."""

    def __init__(self, *, connect: float = 30.0, read: float = 60.0, allow_private: bool = False) -> None:
        self._timeout = (connect, read)
        self._allow_private = allow_private
        self._local = threading.local()

    def send(self, request: Request) -> Response:
        """The answer, whatever its status. Raises SourceUnavailable, SourceRejected (TLS, redirects, size) or ConfigError (address)."""
        origin = _origin(request.url)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send_once(request)
            target = response.headers.get("location")
            if response.status not in _REDIRECTS or request.method != "GET" or not target:
                return response
            request = self._redirected(request, urljoin(request.url, target), origin)
        raise SourceRejected(f"{request.place} redirects in circles", hint="Check the Connection's host")

    @staticmethod
    def _redirected(request: Request, url: str, origin: tuple[str, str | None, int | None]) -> Request:
        if urlsplit(request.url).scheme == "https" and urlsplit(url).scheme != "https":
            raise SourceRejected(f"{request.place} redirects to an unencrypted address", hint="Check the Connection's host")
        if _origin(url) == origin:
            return replace(request, url=url, params={})
        return replace(request, url=url, params={}, secret_headers={}, secret_params={})

    def _send_once(self, request: Request) -> Response:
        try:
            with self._session().request(
                request.method,
                request.url,
                params={**request.params, **request.secret_params} or None,
                headers={**request.headers, **request.secret_headers},
                data=orjson.dumps(request.json) if request.json is not None else request.form,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                headers = CaseInsensitiveDict(answer.headers)
                return Response(answer.status_code, headers, _body(answer, request), request.place, request.url)
        except _PrivateAddress:
            raise ConfigError(
                f"{urlsplit(request.url).hostname} is an address of an inner network",
                hint="Give the Connection the extra `allow_private: true` if that is meant",
            ) from None
        except requests.exceptions.SSLError as error:
            raise SourceRejected(f"{request.place} has no certificate that we trust", hint="Check host and certificate") from error
        except requests.exceptions.Timeout as error:
            raise SourceUnavailable(f"{request.place} did not answer in time") from error
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema) as error:
            raise ConfigError(f"{request.place} is not an address", hint="Check the Connection's host") from error
        except requests.exceptions.RequestException as error:
            raise SourceUnavailable(
                f"{request.place}: the connection failed or was cut ({type(error).__name__})"
            ) from None  # the library's own text may quote the query string

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.auth = _unsigned  # otherwise a .netrc of the machine would sign our requests
            adapter = HTTPAdapter() if self._allow_private else _PublicAdapter()
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._local.session = session
        return session


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _body(answer: requests.Response, request: Request) -> bytes:
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        body += chunk
        if len(body) > MAX_BODY:
            raise SourceRejected(f"{request.place} answers with more than {MAX_BODY} bytes", hint="Lower the page size")
    return bytes(body)
