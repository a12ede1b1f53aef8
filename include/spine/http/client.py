"""Decides about each request: wait for the call budget, ask the breaker, sign, send, judge the answer, try again or give up."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from spine.core.errors import AuthFailed, ConnectorError, RateLimited, SourceRejected, SourceUnavailable
from spine.http.allowance import Allowance
from spine.http.auth import Signer
from spine.http.limits import silence_of, spent, wait_of
from spine.http.links import without_values
from spine.http.retry import Retry
from spine.http.rules import Restarted, Rule, Skipped, rule_for
from spine.http.transport import Request, Response, Transport, harmless, joined, origin_of
from spine.http.words import clean, said

RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_LIMITED = frozenset({420, 429})
_SHORT = 1.0  # seconds of a wait during which nobody need learn that the account was closed: a call on its way takes as long
_RENEWALS = 2  # a token that another worker left may be dead too; the second renewal asks for one of our own
_TELLING = 8  # letters of a secret: a shorter one may be anybody's value
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Bucket(Protocol):
    """The call budget of an account."""

    def take(self, *, max_wait: float = 3600.0) -> float:
        """Reserve a call; returns the seconds to wait before making it. Raises RateLimited if that is more than `max_wait`."""
        ...

    def pause(self, seconds: float) -> None:
        """The source asked for silence."""
        ...

    def closed(self) -> float:
        """Seconds for which the source still wants silence."""
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

    def take(self, *, max_wait: float = 3600.0) -> float:
        """No wait."""
        return 0.0

    def pause(self, seconds: float) -> None:
        """Nobody to tell."""

    def closed(self) -> float:
        """Never."""
        return 0.0


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
    """Requests to one account of one source; searches have a budget of their own besides.

    A worker sleeps up to the retries' cap; beyond that it raises RateLimited with the time, so that its task comes back then.
    It asks the host of `base_url`, those of `hosts`, and without credentials those of `open_hosts` (`*.example.com` is all below it).
    `inspect` sees each answer before it is judged and may raise one of our errors for what the source says in its own words. `others` make
    the signers of streams that sign in another way. `leave` is the part of the vendor's limit that is left to others.
    What `rules` say of an answer stands above what is usual.
    """

    base_url: str
    transport: Transport
    auth: Signer = field(default_factory=Signer)
    bucket: Bucket = field(default_factory=NoBucket)
    search_bucket: Bucket = field(default_factory=NoBucket)
    breaker: Breaker = field(default_factory=NoBreaker)
    retry: Retry = field(default_factory=Retry)
    headers: Mapping[str, str] = field(default_factory=dict)
    hosts: Sequence[str] = ()
    open_hosts: Sequence[str] = ()
    allowance: Allowance = field(default_factory=Allowance)
    rules: Sequence[Rule] = ()
    inspect: Callable[[Response], None] = lambda response: None
    sleep: Callable[[float], None] = time.sleep
    where: Mapping[str, Any] = field(default_factory=dict)
    leave: float = 0.0
    others: Mapping[str, Callable[[], Signer]] = field(default_factory=dict)
    _made: dict[str, Client] = field(default_factory=dict, repr=False)

    def of(self, stream: str) -> Client:
        """The same client as it signs the requests of this stream. Raises AuthFailed if the Connection lacks what that needs."""
        if stream not in self.others:
            return self
        if stream not in self._made:
            self._made[stream] = replace(self, auth=self.others[stream](), others={}, _made={})
        return self._made[stream]

    def get(self, path: str, params: Mapping[str, str | list[str]] | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """GET a path of the source, or an absolute URL on its host."""
        return self.request(Request("GET", path, params=params or {}, headers=headers or {}))

    def unsigned(self, link: str) -> str:
        """A link of the source's without our secrets, under whatever name it repeats them: links are kept where secrets are not."""
        link = self.auth.unsigned(link)
        if "?" not in link:
            return link
        signed = self.auth.sign(Request("GET", self.base_url))
        return without_values(link, {secret for secret in signed.secrets if len(secret) >= _TELLING} - signed.logins)

    def clean(self, words: str) -> str:
        """What the source says of one record, without our secrets and addresses of persons: it is kept and logged."""
        return clean(words, self.auth.sign(Request("GET", self.base_url)).secrets)

    def search(self, path: str, body: Any) -> Response:
        """POST a search, which may be repeated."""
        request = Request("POST", path, json=body, headers={"Content-Type": "application/json"}, idempotent=True)
        return self.request(request, self.search_bucket)

    def request(self, request: Request, *besides: Bucket) -> Response:
        """The successful answer, which is what the request expects or nothing. Raises a ConnectorError after our retries.

        Raises Skipped or Restarted where a rule says so.

        `besides` are budgets that such a call uses up besides the account's.
        """
        url, ours = self._url(request.url)
        accept = {} if any(name.lower() == "accept" for name in (*self.headers, *request.headers)) else {"Accept": "application/json"}
        told = accept | ({**self.headers, **request.headers} if ours else harmless(request.headers))
        request = replace(request, url=url, headers=told, unsigned=request.unsigned or not ours)
        self.breaker.before()
        attempts = Retrying(
            stop=stop_after_attempt(1 + max([self.retry.max_retries, *(rule.retries or 0 for rule in self.rules)])),
            wait=self._pause_before_next,
            retry=retry_if_exception(lambda error: self._again(request, error)),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return attempts(self._attempt, request, (*besides, self.bucket), Counter())
        except ConnectorError as error:
            for fact, value in self.where.items():
                error.where.setdefault(fact, value)
            error.args = (error.describe(),)
            raise

    def _url(self, path: str) -> tuple[str, bool]:
        """The address of a path below the Connection's, or a whole one of a host that may be asked; and whether it gets our credentials."""
        base = self.base_url.rstrip("/") + "/"
        url = path if _ABSOLUTE.match(path) else joined(base, f"./{path.lstrip('/')}")
        if base.startswith("https://") and url.lower().startswith("http://"):
            # Behind a proxy that ends TLS a source does not know its own scheme; the unencrypted address is never called.
            url = f"https{url[4:]}"
        # A next link to somewhere else must not take our credentials along.
        if origin_of(url) == origin_of(base) or self._listed(url, self.hosts):
            return url, True
        if self._listed(url, self.open_hosts):
            return url, False
        raise SourceRejected(
            "what the source refers to lies on another host",
            hint="Check the Connection's host, and `hosts` in the source's file",
            **self.where,
        )

    def _listed(self, url: str, hosts: Sequence[str]) -> bool:
        """Whether an address lies on one of the hosts, over TLS or as the Connection's own."""
        scheme, host, port = origin_of(url)
        if scheme not in ("https", origin_of(self.base_url)[0]) or not host:
            return False
        for listed in hosts:
            name, _, its = listed.partition(":")
            fits = host.endswith(name[1:]) if name.startswith("*.") else host == name
            if fits and port == (int(its) if its else 443):
                return True
        return False

    def _attempt(self, request: Request, buckets: tuple[Bucket, ...], tried: Counter[Rule]) -> Response:
        for bucket in buckets:
            self._wait_for(bucket)
        try:
            signed, response = self._signed(request)
            self.allowance.took(response.size)
            self._judge(signed, response, tried)
            self.allowance.turned()
        except (Skipped, Restarted):
            self.breaker.success()
            raise
        except SourceUnavailable as error:
            if error.foreseen:
                self.breaker.success()
            else:
                self.breaker.failure()
            raise
        except ConnectorError as error:
            if isinstance(error, RateLimited) and error.retry_after:
                self.bucket.pause(error.retry_after)  # for the whole time, and for all who share the account
            self.breaker.success()  # it answered, if not to our liking
            raise
        self.breaker.success()
        if asked := silence_of(response.headers, self.leave):
            self.bucket.pause(asked)  # rather than being refused: whoever shares the account waits, too
        return response

    def _wait_for(self, bucket: Bucket) -> None:
        """Sleep until the call may be made; the account may be closed meanwhile. Raises RateLimited beyond the cap."""
        wait = bucket.take(max_wait=self.retry.cap)
        while wait > 0:
            self.sleep(wait)
            wait = self.bucket.closed() if wait > _SHORT else 0.0
            if wait > self.retry.cap:
                raise RateLimited(f"the source wants no calls for {wait:.0f} s", retry_after=wait)

    def _signed(self, request: Request) -> tuple[Request, Response]:
        """Sign and send; once more as long as the answer refuses the signature and the signer can make another."""
        if request.unsigned:
            return request, self.transport.send(request)
        signed = self.auth.sign(request)
        response = self.transport.send(signed)
        for _ in range(_RENEWALS):
            if not self.auth.renew(signed, response):
                break
            signed = self.auth.sign(request)
            response = self.transport.send(signed)
        return signed, response

    def _judge(self, signed: Request, response: Response, tried: Counter[Rule]) -> None:
        try:
            self.inspect(response)
            rule = rule_for(self.rules, response)
            if rule is not None:
                rule.judge(response, tried)
            self._judge_status(signed, response)
        except ConnectorError as error:
            words = said(response.body, signed.secrets)
            if response.status >= 300 and words:
                error.message = f"{error.message}: {words}"
                error.args = (error.describe(),)
            raise

    def _judge_status(self, request: Request, response: Response) -> None:
        status = response.status
        if status < 300 and request.answer != "json":
            if response.for_people:
                raise SourceUnavailable(f"the answer of {response.place} is a page for people", status=status)
            return
        if status < 300:
            response.json()  # an answer that is none is a failure of this attempt: proxies say 200 when the source is down
            return
        retry_after = wait_of(response.headers)
        too_long = retry_after is not None and retry_after > self.retry.cap and status >= 500
        if status in _LIMITED or too_long or (status == 403 and (retry_after is not None or spent(response.headers))):
            raise RateLimited(f"{response.place} limits us ({status})", retry_after=retry_after)
        if status in (401, 403):
            raise AuthFailed(
                f"{response.place} refused our credentials ({status})", hint="Check the Connection's secrets and the account's rights"
            )
        if status in RETRYABLE or status >= 500:
            raise SourceUnavailable(f"{response.place} answered {status}", retry_after=retry_after)
        raise SourceRejected(f"{response.place} answered {status}", hint="Check path and parameters in the source's file")

    def _again(self, request: Request, error: BaseException) -> bool:
        if not isinstance(error, RateLimited | SourceUnavailable):
            return False
        if error.retry_after is not None and error.retry_after > self.retry.cap:
            return False  # the task comes back then, instead of a worker sleeping so long
        return request.repeatable or (isinstance(error, SourceUnavailable) and error.foreseen)

    def _pause_before_next(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ConnectorError) else None
        ceiling = min(self.retry.cap, self.retry.base * 2 ** (state.attempt_number - 1))
        jitter = random.uniform(0, ceiling)
        return jitter if asked is None else asked + min(jitter, 1.0)
