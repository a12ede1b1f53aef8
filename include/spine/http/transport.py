"""Sends one HTTP request over pooled, verified connections: the only module that imports `requests`.

Every way of failing becomes one of our errors here, once, and none of them has a library's exception behind it: those hold the request
and quote its query. Redirects to another origin carry nothing but the address. What is below a request is in `line`.
"""

from __future__ import annotations

import re
import ssl
import threading
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from os import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Literal, cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from spine.core import jsontext
from spine.core.addresses import Networks, loopback
from spine.core.errors import ConfigError, SourceRejected, SourceUnavailable, SpineError
from spine.core.settings import settings
from spine.http import links
from spine.http.line import Line, Overdue, Refused, TooMuch, Unreachable, pools
from spine.http.tunnel import ProxyAway, ProxyRefused

MAX_BODY = 256 * 1024 * 1024  # bytes of one answer; a page beyond that is a mistake of the spec's page size
MAX_REDIRECTS = 5
_AROUND = 1024 * 1024  # bytes of an answer besides its body: http.client takes 100 headers of 64 KiB, nobody sends that
_CHUNK = 256 * 1024
_IN_MEMORY = 8 * 1024 * 1024  # bytes of a file that need no disk
_KINDS = frozenset({"no content type", "application/json", "application/xml", "text/html", "text/plain", "text/xml", "text/csv"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2 and 5.5
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_RAW = "/?:@!$'()*,;=+%"  # what a query may hold unencoded (RFC 3986, 3.4), without `&` and `#`
_START = 512  # bytes in which a page of HTML tells that it is one
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(?:<!--.*?-->\s*+)?<(?:!doctype\s++html|html)[\s>]", re.IGNORECASE | re.DOTALL)
_WITHOUT_BODY = {204, 205}
_REDIRECTS = {301, 302, 303, 307, 308}
_HARMLESS = frozenset({"accept", "content-type"})  # headers that say nothing of us
_PORTS = {"http": 80, "https": 443}
_NO_ADDRESS = (
    requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema,
    LocationValueError, UnicodeError,
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request. `secret_headers` and `secret_params` sign it; they and its other headers go to its own origin only.

    Of `params` those named in `raw` are sent as they are written, all others percent-encoded. `secret_body` is merged into form or JSON.
    `idempotent` says that it may be sent twice; None decides by the method. `most` bytes may come back. `hidden` are secrets that stand
    inside longer values, `token` the one that it was signed with; neither is sent. One that is
    `unsigned` goes without our credentials. `answer` is what a good one has to be; a `file` is kept on disk and may be longer than memory.
    `asked` is the place that was asked first, where redirects have led here: what a vendor writes in them is told to nobody.
    `called` is what messages say in place of an address that is itself a secret.
    """

    method: str
    url: str
    params: Mapping[str, str | list[str]] = field(default_factory=dict, repr=False)
    raw: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    idempotent: bool | None = None
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_body: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    token: str = field(default="", repr=False)
    most: int | None = None
    unsigned: bool = False
    answer: Literal["json", "bytes", "file"] = "json"
    asked: str = ""
    called: str = ""

    @property
    def secrets(self) -> list[str]:
        """The secrets in it, each alone: without the name of its scheme, and as parts where it has several.

        A source's file may hold a key among its headers, so what they say counts too.
        """
        found = [*self.hidden, *self.secret_body.values()]
        plain = [value for name, value in self.headers.items() if name.lower() not in _HARMLESS]
        for value in (*self.secret_headers.values(), *self.secret_params.values(), *plain):
            found += [value, *(word for word in value.split() if word not in ("Bearer", "Basic", "Token"))]
            with suppress(ValueError):
                found += b64decode(value.split()[-1], validate=True).decode().split(":") if value.startswith("Basic ") else []
        return [secret for secret in found if secret]

    @property
    def logins(self) -> set[str]:
        """What stands before the colon of a login and its password, which is no secret by itself."""
        found = set()
        for value in self.secret_headers.values():
            with suppress(ValueError):
                found |= {b64decode(value.split()[-1], validate=True).decode().partition(":")[0]} if value.startswith("Basic ") else set()
        return found

    @property
    def content(self) -> bytes | None:
        """The body as it is sent. Raises ConfigError where a secret has no place in it."""
        if self.json is None:
            form = {**(self.form or {}), **self.secret_body}
            return urlencode(form).encode("utf-8", "surrogatepass") if form or self.form is not None else None
        if self.secret_body and not isinstance(self.json, dict):
            raise ConfigError("a secret belongs into a body that is no object", hint="Send it as a header, or write the body as an object")
        return orjson.dumps({**self.json, **self.secret_body} if self.secret_body else self.json)

    @property
    def query(self) -> list[tuple[str, str]]:
        """Its own parameters, secret ones included and each value of a list apart; those of its address are not among them."""
        plain = [(name, one) for name, value in self.params.items() for one in _all(value)]
        return [*plain, *self.secret_params.items()]

    @property
    def told(self) -> dict[str, str]:
        """The headers as they are sent, secret ones included."""
        told = {**self.headers, **self.secret_headers}
        if self.content is not None and not any(name.lower() == "content-type" for name in told):
            told["Content-Type"] = "application/x-www-form-urlencoded" if self.json is None else "application/json"
        return told

    @property
    def repeatable(self) -> bool:
        """True if sending it twice does no harm: reads, and what is declared so (a search by POST)."""
        return self.method in {"GET", "HEAD", "OPTIONS"} if self.idempotent is None else self.idempotent

    @property
    def place(self) -> str:
        """Method, host and path, without the query, which may hold secrets."""
        if self.asked:
            return f"{self.asked} (redirected)"
        if self.called:
            return self.called
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return f"{self.method} of an address that is none"
        return f"{self.method} {parts.hostname}{parts.path}"


@dataclass(frozen=True)
class Response:
    """An answer with its whole body. `url` is the address that gave it, without our own parameters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    place: str
    url: str = field(default="", repr=False)
    file: BinaryIO | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        if self.file is None:
            return len(self.body)
        self.file.seek(0, SEEK_END)
        count = self.file.tell()
        self.file.seek(0)
        return count

    def json(self) -> Any:
        """The body as JSON, None where the source says that there is none (204).

        Raises SourceUnavailable: proxies answer in HTML when the source is down.
        """
        return self._parsed

    @cached_property
    def _parsed(self) -> Any:
        if self.status in _WITHOUT_BODY:
            return None
        with suppress(ValueError):
            return jsontext.parse(self.body)
        # Outside of the handler: the parser's error holds the body.
        said = self.headers.get("content-type", "no content type").partition(";")[0].strip().lower()
        kind = said if said in _KINDS else "another type"  # a vendor may write there what it likes
        what = f"not JSON but {kind}, {len(self.body)} bytes" if self.body else "empty"
        raise SourceUnavailable(f"the answer of {self.place} is {what}", status=self.status)

    @property
    def for_people(self) -> bool:
        """Whether the body is a page of HTML, as proxies give with success when the source is down, whatever its header says."""
        start = self.body[:_START]
        if self.file is not None:
            start = self.file.read(_START)
            self.file.seek(0)
        return _HTML.match(start) is not None

    def link(self, relation: str) -> str | None:
        """The target of a Link header with that relation (RFC 8288)."""
        return links.target(self.headers.get("link", ""), relation)


NOTHING = Response(204, {}, b"", "nothing")  # where no request was needed


class _Adapter(HTTPAdapter):
    """Connects by a line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        self.poolmanager = pools(self._line, num_pools=connections, maxsize=maxsize, block=block, **options)


class Transport:
    """Pooled sessions, one per thread, to public addresses and those of `private` networks, which are the settings' unless given.

    `connect` and `read` are seconds for a step, `total` for a request with all its redirects. The one proxy is the operator's, SPINE_PROXY;
    the environment's are meant for other programs, and a machine's own logins (`.netrc`) are not its users'.
    """

    def __init__(self, *, connect: float = 30.0, read: float = 60.0, total: float = 300.0, private: Networks | None = None) -> None:
        self._connect, self._read, self._total = connect, read, total
        self._private = settings().private_networks if private is None else private
        self._local = threading.local()

    def send(self, request: Request) -> Response:
        """The answer, whatever its status. Raises SourceUnavailable, SourceRejected (TLS, redirects, size) or ConfigError (address)."""
        line, session = self._thread()
        line.begin(self._total, _AROUND + _most(request))
        origin = origin_of(request.url)
        for _ in range(MAX_REDIRECTS + 1):
            require_encrypted(request.url)
            _require_headers(request)
            response = self._send_once(request, line, session)
            target = response.headers.get("location")
            if response.status not in _REDIRECTS or request.method != "GET" or not target:
                return response
            request = _redirected(request, target, origin)
        raise SourceRejected(f"{request.place} redirects in circles", hint="Check the Connection's host")

    def _send_once(self, request: Request, line: Line, session: requests.Session) -> Response:
        try:
            return self._exchange(request, session)
        except Exception as error:  # whatever a library raises here holds the request
            failure = self._failure(request, line, error)
        raise failure  # outside of the handler, so that nothing hangs on it

    def _exchange(self, request: Request, session: requests.Session) -> Response:
        with session.request(
            request.method,
            _with_raw(request),
            params=_encoded(request) or None,
            headers=request.told,
            data=request.content,
            timeout=(self._connect, self._read),
            allow_redirects=False,
            stream=True,
        ) as answer:
            headers = CaseInsensitiveDict(answer.headers)
            if request.answer == "file" and answer.status_code < 300:
                return Response(answer.status_code, headers, b"", request.place, request.url, _kept(answer, request))
            return Response(answer.status_code, headers, _body(answer, request), request.place, request.url)

    def _failure(self, request: Request, line: Line, error: Exception) -> SpineError:
        place = request.place
        if isinstance(error, SpineError):
            return error
        if isinstance(error, Refused):
            return ConfigError(
                f"{place}: the host has no address that may be called",
                hint="Private networks are the operator's to allow, by SPINE_PRIVATE_NETWORKS; a Connection's `allow_private` does nothing",
            )
        if isinstance(error, ProxyRefused | ProxyAway):
            return _proxy_failure(place, error)
        if isinstance(error, TooMuch):
            return SourceRejected(f"{place} answers with more than {_most(request)} bytes", hint="Lower the page size")
        if isinstance(error, Overdue) or line.overdue:
            return SourceUnavailable(
                f"{place} did not answer in time: {self._total:g} s are over",
                hint="If its answers really take so long, raise `timeouts.total` in the source's file",
            )
        # One message for all ways in which there is no connection: which it was would tell closed ports from filtered ones.
        if isinstance(error, Unreachable | requests.exceptions.ConnectTimeout):
            return SourceUnavailable(f"{place}: no connection to the host could be made")
        if isinstance(error, requests.exceptions.SSLError | ssl.SSLError):
            return SourceRejected(f"{place}: the host has no certificate that we trust", hint="Check host and certificate")
        if isinstance(error, requests.exceptions.Timeout):
            return SourceUnavailable(f"{place} did not answer in time")
        if isinstance(error, _NO_ADDRESS):
            return ConfigError(f"{place} is not an address", hint="Check the Connection's host")
        return SourceUnavailable(f"{place}: the connection failed or was cut ({type(error).__name__})")

    def _thread(self) -> tuple[Line, requests.Session]:
        if not hasattr(self._local, "session"):
            line, session = Line(self._private, self._connect, self._read, settings().proxy), requests.Session()
            session.trust_env = False
            session.auth = _unsigned  # an address may hold a login of its own
            session.verify = settings().ca_bundle or True
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            adapter = _Adapter(line)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._local.line, self._local.session = line, session
        return self._local.line, self._local.session


def origin_of(url: str) -> tuple[str | None, str | None, int | None]:
    """Scheme, host and port of an address as the sender understands them. Raises ConfigError for what is none.

    By urllib3's own parser: where two parsers differ, as about `\\` and `@`, a secret could go to a host that was not looked at.
    """
    with suppress(ValueError, LocationValueError):
        parts = parse_url(url)
        scheme = (parts.scheme or "").lower()
        return scheme, (parts.host or "").lower().rstrip("."), parts.port or _PORTS.get(scheme)
    raise ConfigError("the address is none", hint="Check the Connection's host")


def joined(base: str, link: str) -> str:
    """A link as a whole address: it is relative to the address that gave it (RFC 3986, 5). Raises SourceRejected for what is none."""
    with suppress(ValueError):
        return urljoin(base, link)
    raise SourceRejected("a link is no address", hint="Check the Connection's host, and the paging of the source's file")


def require_encrypted(url: str, **where: Any) -> None:
    """Raise ConfigError for an address without TLS, unless it is this machine's: secrets would travel readable. `where` goes along."""
    scheme, host, _ = origin_of(url)
    if scheme == "http" and host and host != "localhost" and not loopback(host.strip("[]")):
        raise ConfigError("the address is not encrypted", hint="Use https; http is for addresses of this machine alone", **where)


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the headers that another host may get: a source's file may hold its key in one, and others say who asks."""
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}


def _redirected(request: Request, target: str, origin: tuple[str | None, str | None, int | None]) -> Request:
    url, new = joined(request.url, target), None
    with suppress(ConfigError):
        new = origin_of(url)
    if new is None or new[0] not in _PORTS or not new[1]:
        raise SourceRejected(f"{request.place} redirects to what is no address", hint="Check the Connection's host")
    if origin_of(request.url)[0] == "https" and new[0] != "https":
        raise SourceRejected(f"{request.place} redirects to an unencrypted address", hint="Check the Connection's host")
    request = replace(request, url=url, params={}, asked=request.asked or request.place)
    if new == origin:
        return request
    return replace(
        request,
        headers=harmless(request.headers),
        json=None,
        form=None,
        secret_headers={},
        secret_params={},
        secret_body={},
        hidden=(),
        token="",
    )


def _require_headers(request: Request) -> None:
    """Raise ConfigError for a header with letters that none may hold: a library would quote it, or send it as more than one."""
    told = {**request.headers, **request.secret_headers}
    if not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in told.items()):
        raise ConfigError(
            f"{request.place} cannot be asked: a header would hold a line break or a letter that no header may hold",
            hint="Check the secrets of the Connection, and `headers` in the source's file",
        )


def _with_raw(request: Request) -> str:
    """The address with those parameters that are sent as they are; only what would end the query is encoded."""
    told = [(name, value) for name in sorted(request.raw.intersection(request.params)) for value in _all(request.params[name])]
    query = "&".join(f"{quote(name, safe='[]$')}={quote(value, safe=_RAW)}" for name, value in told)
    return f"{request.url}{'&' if '?' in request.url else '?'}{query}" if query else request.url


def _encoded(request: Request) -> str:
    """All other parameters. A space is `%20` (RFC 3986), since not every server takes the `+` of forms for one: OData's do not."""
    told = {**{name: value for name, value in request.params.items() if name not in request.raw}, **request.secret_params}
    return urlencode([(name, one) for name, value in told.items() for one in _all(value)], quote_via=quote)


def _all(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _proxy_failure(place: str, error: ProxyRefused | ProxyAway) -> SpineError:
    if isinstance(error, ProxyRefused):
        return ConfigError(f"{place}: the deployment's proxy does not take its credentials", hint="Correct SPINE_PROXY")
    return SourceUnavailable(f"{place}: the deployment's proxy takes no connection", hint="Look at SPINE_PROXY and at the proxy")


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _most(request: Request) -> int:
    if request.most is not None:
        return request.most
    return settings().bounds.file if request.answer == "file" else MAX_BODY


def _kept(answer: requests.Response, request: Request) -> BinaryIO:
    """The body in a file that is gone when nobody holds it any more. Raises TooMuch."""
    file: Any = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # whoever reads it lets it go
    for chunk in answer.iter_content(_CHUNK):
        file.write(chunk)
        if file.tell() > _most(request):
            raise TooMuch
    file.seek(0)
    return cast(BinaryIO, file)


def _body(answer: requests.Response, request: Request) -> bytes:
    """The body, unpacked; a chunk at a time, so that little that grows much is noticed early. Raises TooMuch."""
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        body += chunk
        if len(body) > _most(request):
            raise TooMuch
    return bytes(body)
