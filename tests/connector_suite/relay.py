"""A server that stands before another one: the same checks of answers for readers of their own, whose vendor is a sandbox."""

from __future__ import annotations

import atexit
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from spine.core import clock
from spine.http.auth import Credentials
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer
from spine.sandbox.vendor import Answer, Call
from spine.sandbox.vendor.accounts import Holder
from spine.sources.spec import Source

_NOT_PASSED = frozenset({"connection", "accept-encoding", "content-length"})
_NOT_GIVEN = frozenset({"transfer-encoding", "connection", "content-length", "server", "date"})
Sandbox = Callable[[], tuple[str, Holder]]


@lru_cache(maxsize=1)
def _sandbox() -> SandboxServer:
    server = SandboxServer({"default": 60}).__enter__()
    atexit.register(server.__exit__, None, None, None)
    return server


def _salesforce() -> tuple[str, Holder]:
    secret = credentials("default")
    extra = {"refresh_token": secret.refresh_token, "objects": "*__c"}
    return _sandbox().url, Holder(secret.client_id, secret.client_secret, extra, (secret.client_secret, secret.refresh_token))


def _hubspot() -> tuple[str, Holder]:
    token = credentials("default").hubspot_token
    return _sandbox().url, Holder("", token, {"objects": "*"}, (token,))


SANDBOXES: dict[str, Sandbox] = {"salesforce": _salesforce, "hubspot": _hubspot}  # a reader of its own: its server, and an account there


KNOWN: dict[tuple[str, str], int] = {}  # how many records a first reading of a stream has shown


class Relay:
    """Passes calls on to a sandbox, unless `trouble` answers. It knows no more of the sandbox's records than a first reading shows."""

    def __init__(self, source: Source, url: str, holder: Holder) -> None:
        small = [stream.model_copy(update={"paging": stream.paging.model_copy(update={"size": 25})}) for stream in source.streams]
        self.source, self.holder, self.upstream = source.model_copy(update={"streams": tuple(small)}), holder, url
        self.base, self.values, self.now = url, dict[str, Any](), clock.now()
        self.trouble: Callable[[Call, int], Answer | None] = lambda call, number: None
        self.calls: list[Call] = []
        self.asked = 0
        self.leaks: list[str] = []
        self.lacks: list[str] = []
        self.broken: list[Exception] = []

    @property
    def credentials(self) -> Credentials:
        return self.holder.credentials(self.base)

    @property
    def secrets(self) -> list[str]:
        return list(self.holder.secrets)

    def fault(self) -> str:
        for error in self.broken:
            raise error
        return ""

    def expect(self, stream: str) -> None:
        """Its sandbox knows."""

    def rows(self, stream: str) -> int:
        return KNOWN.get((self.source.source, stream), 0)

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        if "oauth2" not in call.path:
            self.asked += 1
            if (trouble := self.trouble(call, self.asked - 1)) is not None:
                return trouble
        headers = {name: value for name, value in call.headers.items() if name not in _NOT_PASSED}
        request = urllib.request.Request(f"{self.upstream}{call.target}", call.body or None, headers, method=call.method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as given:
                return Answer(given.status, given.read(), _given(given.headers))
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, refusal.read(), _given(refusal.headers))


def _given(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_GIVEN}


def relay_of(source: Source) -> Relay:
    """The relay before a source's sandbox. Raises KeyError where nobody has one."""
    return Relay(source, *SANDBOXES[source.source]())
