"""Decides about each request: wait for the call budget, ask the breaker, sign, send, judge the answer, try again or give up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urljoin

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from spine.core import clock
from spine.core.errors import AuthFailed, ConnectorError, RateLimited, SourceRejected, SourceUnavailable
from spine.http.auth import Signer
from spine.http.retry import Retry
from spine.http.transport import Request, Response, Transport

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})


class Bucket(Protocol):
    """The call budget of an account."""

    def take(self, n: float = 1) -> float:
        """Reserve calls; returns the seconds to wait before making them."""
        ...

    def pause(self, seconds: float) -> None:
        """The source asked for silence."""
        ...


class Breaker(Protocol):
    """Stops calls to a source that keeps failing."""

    def before(self) -> None:
        """Pass, or raise CircuitOpen."""
        ...

    def success(self) -> None:
        """The source answered."""
        ...

    def failure(self) -> object:
        """The source failed."""
        ...


class NoBucket:
    """A budget without a limit."""

    def take(self, n: float = 1) -> float:
        """No wait."""
        return 0.0

    def pause(self, seconds: float) -> None:
        """Nobody to tell."""


class NoBreaker:
    """A breaker that never opens."""

    def before(self) -> None:
        """Pass."""

    def success(self) -> None:
        """Not counted."""

    def failure(self) -> None:
        """Not counted."""


@dataclass
class Client:
    """Requests to one account of one source.

    `inspect` sees each answer before it is judged and may raise one of our errors for what the source says in its own words.
    """

    base_url: str
    transport: Transport
    auth: Signer = field(default_factory=Signer)
    bucket: Bucket = field(default_factory=NoBucket)
    breaker: Breaker = field(default_factory=NoBreaker)
    retry: Retry = field(default_factory=Retry)
    headers: Mapping[str, str] = field(default_factory=dict)
    inspect: Callable[[Response], None] = lambda response: None
    sleep: Callable[[float], None] = time.sleep
    where: Mapping[str, Any] = field(default_factory=dict)

    def get(self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """GET a path of the source, or an absolute URL on its host."""
        return self.request(Request("GET", path, params=params or {}, headers=headers or {}))

    def search(self, path: str, body: Any) -> Response:
        """POST a search, which may be repeated."""
        return self.request(Request("POST", path, json=body, headers={"Content-Type": "application/json"}, idempotent=True))

    def request(self, request: Request) -> Response:
        """The successful answer. Raises a ConnectorError after the retries that are left to us."""
        request = replace(request, url=self._url(request.url), headers={"Accept": "application/json", **self.headers, **request.headers})
        self.breaker.before()
        attempts = Retrying(
            stop=stop_after_attempt(1 + self.retry.max_retries),
            wait=self._pause_before_next,
            retry=retry_if_exception(lambda error: self._again(request, error)),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return attempts(self._attempt, request)
        except ConnectorError as error:
            for fact, value in self.where.items():
                error.where.setdefault(fact, value)
            error.args = (error.describe(),)
            raise

    def _url(self, path: str) -> str:
        url = urljoin(self.base_url.rstrip("/") + "/", path.lstrip("/") if "://" not in path else path)
        # A next link to somewhere else must not take our credentials along.
        if not url.startswith(self.base_url.rstrip("/") + "/") and url != self.base_url:
            raise SourceRejected("the source's next page lies on another host", hint="Check the Connection's host", **self.where)
        return url

    def _attempt(self, request: Request) -> Response:
        wait = self.bucket.take()
        if wait > 0:
            self.sleep(wait)
        try:
            response = self._signed(request)
            self._judge(response)
        except SourceUnavailable:
            self.breaker.failure()
            raise
        except ConnectorError as error:
            if isinstance(error, RateLimited) and error.retry_after:
                self.bucket.pause(min(error.retry_after, self.retry.cap))
            self.breaker.success()  # it answered, if not to our liking
            raise
        self.breaker.success()
        return response

    def _signed(self, request: Request) -> Response:
        """Sign and send; once more if the answer refuses the signature and the signer can make another."""
        signed = self.auth.sign(request)
        response = self.transport.send(signed)
        if self.auth.renew(signed, response):
            response = self.transport.send(self.auth.sign(request))
        return response

    def _judge(self, response: Response) -> None:
        self.inspect(response)
        status = response.status
        if status < 300:
            return
        if status in (401, 403):
            raise AuthFailed(
                f"{response.place} refused our credentials ({status})", hint="Check the Connection's secrets and the account's rights"
            )
        retry_after = parse_retry_after(response.headers.get("retry-after"))
        if status == 429 or (retry_after and retry_after > self.retry.cap):
            raise RateLimited(f"{response.place} limits us", hint="It is tried again later", retry_after=retry_after)
        if status in RETRYABLE or status >= 500:
            raise SourceUnavailable(f"{response.place} answered {status}", hint="It is tried again", retry_after=retry_after)
        raise SourceRejected(f"{response.place} answered {status}", hint="Check path and parameters in the source's file")

    def _again(self, request: Request, error: BaseException) -> bool:
        if not isinstance(error, RateLimited | SourceUnavailable):
            return False
        if error.retry_after is not None and error.retry_after > self.retry.cap:
            return False  # the task comes back then, instead of a worker sleeping so long
        return request.repeatable

    def _pause_before_next(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ConnectorError) else None
        ceiling = min(self.retry.cap, self.retry.base * 2 ** (state.attempt_number - 1))
        jitter = random.uniform(0, ceiling)
        return jitter if asked is None else asked + min(jitter, 1.0)


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date (RFC 9110, 10.2.3); None if absent or unreadable."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - (now or clock.now())).total_seconds())
