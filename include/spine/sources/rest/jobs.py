"""Orders jobs of a vendor, waits for them, and finds their results. What has to outlive this process is kept by whoever asks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import jmespath

from spine.core import clock
from spine.core.errors import ConnectorError, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.placeholders import names_in
from spine.http.client import Client
from spine.http.paging import Fetched, Paging
from spine.http.paging.pages import at_link, resolved, search
from spine.http.transport import Request, Response
from spine.sources.rest.requester import request_of
from spine.sources.spec import Asking, Job, Stream

_SINCE = "ordered"  # of what is kept of a job: when it was ordered
_STATES = 60  # letters of a state that a message quotes


class Stale(Exception):
    """A job of before is of no use any more: it failed, it took too long, or the vendor does not know it."""


@dataclass(frozen=True)
class Done:
    """A job that is done: what its placeholders name, and its files if it has some; `empty` if it has no record at all."""

    values: Mapping[str, Any]
    paging: Paging | None = None
    empty: bool = False


class Files(Paging):
    """The files of a result, one page each, by their number; their addresses are asked for anew, since they end."""

    type: Literal["files"] = "files"
    addresses: tuple[str, ...] = ()

    def at(self, request: Request, token: str | None) -> Request:
        """The address of a file."""
        return at_link(request, self.addresses[int(token or 0)])

    def next_token(self, page: Fetched) -> str | None:
        """The number of the next file."""
        number = int(page.token or 0) + 1
        return str(number) if number < len(self.addresses) else None


class Jobs:
    """The jobs of one stream. `values` are those of a step's placeholders."""

    def __init__(self, client: Client, stream: Stream, job: Job) -> None:
        self._client, self._stream, self._job = client, stream, job
        asked = [job.poll, job.cancel, stream]
        wanted = {name for one in asked if one is not None for name in names_in(_texts(one))}
        self._kept = {name.removeprefix("job.") for name in wanted if name.startswith("job.")} - {"key"}

    def order(self, values: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Order a job; what is needed to find it again. `key` tells this order from all others."""
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        response = self._client.request(request_of(self._job.create, {**values, "job": {"key": digest}}))
        told = _told(response)
        kept = {path: found for path in sorted(self._kept) if (found := _at(told, path)) is not None}
        return {**kept, _SINCE: clock.to_text(clock.now())}

    def wait(self, kept: Mapping[str, Any], values: Mapping[str, Any], *, ours: bool) -> Done:
        """The job when it is done. Raises Stale for one of a process before (not `ours`) that will never be, else SourceUnavailable."""
        end = clock.parse(str(kept[_SINCE])) + self._job.within
        known = _nested(kept)
        while True:
            if not ours and clock.now() >= end:
                raise Stale
            try:
                told = _told(self._client.request(_again(request_of(self._job.poll, {**values, "job": known}))))
            except SourceRejected as error:
                if not ours:
                    raise Stale from error
                raise
            state = self._state(told)
            if state in _lower(self._job.done) or state in _lower(self._job.empty):
                return self._done(told, {**told, **known}, empty=state in _lower(self._job.empty))
            if state in _lower(self._job.failed):
                if not ours:
                    raise Stale
                raise SourceUnavailable(f"the job of the source ended as {state[:_STATES]!r}", hint="The next attempt orders another one")
            if clock.now() + self._job.every > end:
                self.cancel(known, values)
                raise SourceUnavailable(
                    f"the job was not done within {self._job.within}; it is {state[:_STATES]!r}",
                    hint="Raise `job.within` if it takes so long",
                )
            self._client.sleep(self._job.every / timedelta(seconds=1))

    def cancel(self, known: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """End a job, as well as the vendor lets us."""
        if self._job.cancel is not None:
            with suppress(ConnectorError):
                self._client.request(replace(_again(request_of(self._job.cancel, {**values, "job": known})), answer="bytes"))

    def _state(self, told: Mapping[str, Any]) -> str:
        found = search(jmespath.compile(self._job.status), told)
        if not isinstance(found, str | int | bool):
            raise SchemaMismatch(
                f"the job's answer has no state at {self._job.status!r}", hint="Check `job.status`", stream=self._stream.name
            )
        return str(found).lower()

    def _done(self, told: Mapping[str, Any], known: Mapping[str, Any], *, empty: bool) -> Done:
        if empty or self._job.files is None:
            return Done({"job": known}, empty=empty)
        found = search(jmespath.compile(self._job.files), told)
        addresses = [found] if isinstance(found, str) else (found or [])
        if not all(isinstance(address, str) and address for address in addresses):
            raise SchemaMismatch(f"the job has no addresses at {self._job.files!r}", hint="Check `job.files`", stream=self._stream.name)
        size = self._stream.paging.size
        return Done({"job": known}, Files(addresses=tuple(addresses), size=size), empty=not addresses)


def _again(request: Request) -> Request:
    """A request that asks about a job, or ends it, may be sent twice."""
    return replace(request, idempotent=True) if request.idempotent is None else request


def _told(response: Response) -> dict[str, Any]:
    """What an answer says of a job; the address in its Location header is `location`."""
    body = response.json()
    found = dict(body) if isinstance(body, dict) else {"items": body}
    place = response.headers.get("location")
    if place:
        found.setdefault("location", resolved(Fetched(Request("GET", response.url), response, None, []), place))
    return found


def _at(told: Any, path: str) -> Any:
    for part in path.split("."):
        told = told.get(part) if isinstance(told, Mapping) else None
    return told if isinstance(told, str | int | float) else None


def _nested(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept by paths, as the vendor's answer had it."""
    found: dict[str, Any] = {}
    for path, value in kept.items():
        *outer, last = path.split(".")
        holder = found
        for part in outer:
            holder = holder.setdefault(part, {})
        holder[last] = value
    return found


def _lower(states: tuple[str, ...]) -> set[str]:
    return {state.lower() for state in states}


def _texts(asking: Asking) -> Any:
    return asking.model_dump(include={"path", "host", "params", "headers", "body"}, exclude_none=True)
