"""How a token endpoint is asked, and what its answer says: RFC 6749, and what vendors make of it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import jmespath
from pydantic import Field

from spine.core import clock, jsontext
from spine.core.declarations import Strict
from spine.core.errors import AuthFailed, ConfigError, ConnectorError, RateLimited, SourceUnavailable
from spine.core.texts import Duration, JmesPath
from spine.core.tokens import LEEWAY, Token
from spine.http.auth.signing import Account, Credentials
from spine.http.auth.values import Value, filled, looking_up
from spine.http.limits import wait_of
from spine.http.transport import Request, Response, require_encrypted

_MOST = 1024 * 1024  # bytes of a token endpoint's answer
_LONGEST = 365 * 86_400.0  # seconds; a token that lives longer is renewed by then, or when it is refused
_EPOCH_LONGEST = 253_402_300_799.0  # seconds since 1970 at the end of year 9999
# Words of an error that is the endpoint's own and no refusal (RFC 6749, 4.1.2.1); all others refuse what was offered.
_PASSING = frozenset({"temporarily_unavailable", "server_error", "internal_error", "service_unavailable"})
_LIMITING = frozenset({"slow_down", "rate_limit_exceeded", "rate_limited", "ratelimited", "too_many_requests"})
ExpiresAs = Literal["seconds", "milliseconds", "epoch", "epoch_milliseconds", "time"]


class TokenRequest(Strict):
    """How the token endpoint is asked and where its answer says what. Paths into the answer are JMESPath."""

    method: Literal["POST", "GET", "PUT"] = Field(default="POST", description="The method of the request")
    encoding: Literal["form", "json", "query"] = Field(default="form", description="How its fields are sent")
    client: Literal["body", "basic", "id", "none"] = Field(
        default="body",
        description="Where client id and secret go: fields, Basic credentials, the id as a field and no secret, nowhere",
    )
    headers: dict[str, Value] = Field(default_factory=dict, description="Further headers")
    fields: dict[str, Value | None] = Field(default_factory=dict, description="Further fields; null leaves out one of the grant's own")
    token: JmesPath = Field(default="access_token", description="The token in the answer")
    refresh: JmesPath = Field(default="refresh_token", description="The next refresh token in the answer")
    expires: JmesPath = Field(default="expires_in", description="When the token ends")
    expires_as: ExpiresAs = Field(default="seconds", description="What that is: a time to live, or a moment")
    grant_expires: JmesPath = Field(
        default="refresh_token_expires_in || refresh_expires_in || x_refresh_token_expires_in",
        description="Seconds that the refresh token lives",
    )
    lifetime: Duration | None = Field(default=None, gt=timedelta(), description="How long a token lives whose answer does not say")
    grant_lifetime: Duration | None = Field(default=None, gt=timedelta(), description="The same of a refresh token")
    keep: dict[str, JmesPath] = Field(default_factory=dict, description="Further facts of the answer, as `{token.<name>}` in `send`")

    def ask(self, url: str, grant: Mapping[str, str], account: Account, refresh_token: str | None = None) -> Token:
        """The token for these fields. Raises AuthFailed, RateLimited, SourceUnavailable, ConfigError (address)."""
        response = account.send(self.request(url, grant, account))
        return self.token_of(response, refresh_token, account.credentials.connection)

    def request(self, url: str, grant: Mapping[str, str], account: Account) -> Request:
        """The request with the fields of a grant. Raises AuthFailed for a field that the Connection lacks."""
        lookup = looking_up(account.credentials)
        fields = {**grant, **self._client_fields(account.credentials)}
        for name, value in self.fields.items():
            fields.pop(name, None)
            if value is not None:
                fields[name] = filled(value, lookup)
        secret = {name: filled(value, lookup) for name, value in self.headers.items()}
        if self.client == "basic":
            secret["Authorization"] = basic(lookup("login"), account.credentials.password)
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if self.encoding == "json" else {})
        return Request(
            self.method, url,
            headers=headers,
            secret_headers=secret,
            secret_params=fields if self.encoding == "query" else {},
            secret_body={} if self.encoding == "query" else fields,
            json={} if self.encoding == "json" else None,
            most=_MOST,
        )  # fmt: skip

    def _client_fields(self, credentials: Credentials) -> dict[str, str]:
        """Only what there is: a public client has no secret."""
        client = {"client_id": credentials.login} if self.client in ("body", "id") else {}
        client |= {"client_secret": credentials.password} if self.client == "body" else {}
        return {name: value for name, value in client.items() if value}

    def token_of(self, response: Response, refresh_token: str | None = None, connection: str = "") -> Token:
        """The token in an answer. Raises AuthFailed for an error in it, RateLimited, SourceUnavailable for what is no answer to us."""
        answer = content_of(response)
        word = error_word(answer)
        if not 200 <= response.status < 300 or word:
            raise _failure(response, word, connection)
        given = _at(self.token, answer)
        # Of printable ASCII without spaces (RFC 6749, A.12), since it goes into a header.
        if not isinstance(given, str) or not given.isascii() or not given.isprintable() or not given or " " in given:
            raise SourceUnavailable("the token endpoint gave no access token", connection=connection)
        rotated = _at(self.refresh, answer)
        expires_at = self._expires_at(_at(self.expires, answer))
        seconds = (expires_at - clock.now()).total_seconds() if expires_at else None
        return Token(
            access_token=given,
            refresh_token=rotated if isinstance(rotated, str) and rotated else refresh_token,
            expires_at=expires_at,
            extra={name: str(found) for name, path in self.keep.items() if (found := _at(path, answer)) is not None},
            leeway=LEEWAY if seconds is None else max(0.0, min(LEEWAY, seconds / 5)),
            grant_expires_at=self._grant_expires_at(_at(self.grant_expires, answer)),
        )

    def _expires_at(self, said: Any) -> datetime | None:
        """When the token ends; None for what is no such moment: then it is used until it is refused."""
        now = clock.now()
        seconds = self._lifetime(said, now)
        if seconds is None and self.lifetime is not None:
            seconds = self.lifetime.total_seconds()
        return now + timedelta(seconds=min(seconds, _LONGEST)) if seconds is not None else None

    def _lifetime(self, said: Any, now: datetime) -> float | None:
        if self.expires_as == "time":
            try:
                left = (clock.parse(str(said)) - now).total_seconds() if said else None
            except (ConfigError, OverflowError):
                left = None
            return left if left is not None and left > 0 else None
        number = _number(said)
        if number is None:
            return None
        if self.expires_as in ("milliseconds", "epoch_milliseconds"):
            number /= 1000
        if self.expires_as.startswith("epoch"):
            if number > _EPOCH_LONGEST:
                return _LONGEST
            number = (datetime.fromtimestamp(number, UTC) - now).total_seconds()
        return number if number > 0 else None

    def _grant_expires_at(self, said: Any) -> datetime | None:
        seconds = _number(said)
        if seconds is None and self.grant_lifetime is not None:
            seconds = self.grant_lifetime.total_seconds()
        return clock.now() + timedelta(seconds=min(seconds, 100 * _LONGEST)) if seconds else None


def basic(login: str, password: str) -> str:
    """Basic credentials of a client, each part form-encoded as RFC 6749, 2.3.1 wants it."""
    pair = f"{quote_plus(login)}:{quote_plus(password)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def content_of(response: Response) -> Any:
    """An answer of a token endpoint: JSON, or a form, as some send unless asked in their own way; None for anything else."""
    try:
        return jsontext.parse(response.body)
    except ValueError:
        pass
    text = response.body.decode("utf-8", "replace").strip()
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded" or (kind == "text/plain" and "=" in text and "\n" not in text):
        return dict(parse_qsl(text))
    return None


def error_word(answer: Any) -> str:
    """The error that an answer tells, whatever its status; empty for none. Some say 200 and `ok: false`, some an object."""
    if not isinstance(answer, Mapping):
        return ""
    said = answer.get("error") or answer.get("errorCode") or answer.get("error_code")
    if isinstance(said, Mapping):
        said = said.get("code") or said.get("type") or said.get("status") or said.get("error") or "error"
    if not said and answer.get("ok") is False:
        said = "error"
    word = str(said or "")[:60]
    return word if not word or word.replace("_", "").replace("-", "").replace(".", "").isalnum() else "error"


def _failure(response: Response, word: str, connection: str) -> ConnectorError:
    status = response.status
    if status == 429 or word.lower() in _LIMITING:
        return RateLimited("the token endpoint limits us", retry_after=wait_of(response.headers), connection=connection)
    if status >= 500 or status in (408, 425) or word.lower() in _PASSING:
        return SourceUnavailable("the token endpoint fails", status=status, retry_after=wait_of(response.headers), connection=connection)
    return AuthFailed(
        f"the token endpoint refused: {word or f'status {status}'}",
        hint="Authorise the connection again (`spine auth`), or put a new grant into the Connection's extra",
        connection=connection,
    )


def _at(path: str, answer: Any) -> Any:
    if not isinstance(answer, Mapping | list):
        return None
    try:
        return jmespath.search(path, answer)
    except jmespath.exceptions.JMESPathError:
        return None


def _number(said: Any) -> float | None:
    """A positive number, as a number or a text; None for anything else."""
    try:
        number = float(said) if isinstance(said, int | float | str) and not isinstance(said, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if number > 0 and not math.isnan(number) else None


def endpoint(path: str, credentials: Credentials, given: str = "") -> str:
    """An endpoint's address: what the extra names `given`, else the path below the Connection's host, or the whole address that it is.

    Raises AuthFailed for a field that the Connection lacks, ConfigError if secrets would travel unencrypted.
    """
    written = filled(path, looking_up(credentials))
    url = str(credentials.extra.get(given) or "") or (written if "://" in written else f"{credentials.base_url}/{written.lstrip('/')}")
    require_encrypted(url, connection=credentials.connection)
    return url


def quoted(url: str, params: Mapping[str, str]) -> str:
    """An address with these parameters besides its own, as a browser may open it."""
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items())
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"
