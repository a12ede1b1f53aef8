"""Failures on demand: which request fails, how, and how often. Set by `POST /_sandbox/faults` or `Faults.add`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import count as counter
from threading import Lock
from typing import Any

from spine.core import clock
from spine.core.errors import ConfigError, SpineError

KINDS = {
    "rate_limit": "429; `retry_after` seconds sets the Retry-After header",
    "request_limit": "the daily limit: Salesforce 403 REQUEST_LIMIT_EXCEEDED, HubSpot 429 DAILY",
    "concurrent_limit": "too many calls at one time: Salesforce 403 REQUEST_LIMIT_EXCEEDED, HubSpot 429 SECONDLY",
    "query_timeout": "Salesforce 400 QUERY_TIMEOUT",
    "job_failed": "Salesforce: the bulk job that is asked about has failed",
    "page": "a page for people with status 200, as a proxy answers during maintenance",
    "server_error": "`status` (500 unless told), before any data",
    "unauthorized": "401 as for a token that is unknown or expired",
    "hang": "`seconds` of silence before the normal answer",
    "cut": "headers and the first half of the body, then the connection is closed",
    "expire_tokens": "after the nth request all Salesforce access tokens of the tenant end",
    "schema_change": "`field` is removed, renamed to `to`, or changes its type, from the nth request on",
    "late_commit": "after the nth request `rows` appear whose times lie `lag` seconds before the newest row",
}
CHANGES = ("remove", "rename", "type")
_FOREVER = ("schema_change",)


@dataclass
class Call:
    """One request to a vendor, as counted and shown by `GET /_sandbox/requests`. Never holds a token."""

    number: int
    vendor: str
    tenant: str | None
    method: str
    path: str
    query: dict[str, str]
    stream: str | None
    body: Any = None
    status: int = 0

    @property
    def text(self) -> str:
        """Path and query, in which a fault's `path` is looked for."""
        return "&".join([self.path, *(f"{key}={value}" for key, value in self.query.items())])


@dataclass
class Fault:
    """One failure. It counts the requests that fit `vendor`, `tenant`, `stream` and `path` (a part of path and query) and
    fires from the `nth` of them, `count` times (None: for ever). Token requests fit only if `path` contains `oauth2`."""

    kind: str
    vendor: str | None = None
    tenant: str | None = None
    stream: str | None = None
    path: str | None = None
    nth: int = 1
    count: int | None = 1
    status: int = 500
    retry_after: float | None = None
    seconds: float = 30.0
    field: str | None = None
    change: str = "remove"
    to: str | None = None
    rows: int = 1
    lag: float = 60.0
    number: int = 0
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"unknown fault {self.kind!r}", hint=f"Use one of {', '.join(KINDS)}")
        if self.kind == "schema_change" and (not self.field or self.change not in CHANGES):
            raise ConfigError("a schema_change needs `field` and a `change`", hint=f"change is one of {', '.join(CHANGES)}")
        if self.kind == "schema_change" and self.change == "rename" and not self.to:
            raise ConfigError("a rename needs `to`, the new name")

    def fits(self, call: Call) -> bool:
        """Whether this request counts for this fault."""
        if "oauth2" in call.path and "oauth2" not in (self.path or ""):
            return False
        pairs = ((self.vendor, call.vendor), (self.tenant, call.tenant), (self.stream, call.stream))
        return all(wanted in (None, seen) for wanted, seen in pairs) and (self.path or "") in call.text


@dataclass
class Faults:
    """All failures that are set. Safe to use from a test's thread while the server runs."""

    items: list[Fault] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: counter(1))
    _lock: Lock = field(default_factory=Lock)

    def add(self, kind: str, **settings: Any) -> Fault:
        """Set a failure; see KINDS and Fault. Raises ConfigError for an unknown kind or setting."""
        if kind in _FOREVER:
            settings.setdefault("count", None)
        try:
            fault = Fault(kind, **settings)
        except TypeError as error:
            raise ConfigError(f"a fault cannot take that: {error}") from error
        with self._lock:
            fault.number = next(self._numbers)
            self.items.append(fault)
        return fault

    def clear(self) -> None:
        """Fail no more."""
        with self._lock:
            self.items.clear()

    def fire(self, call: Call) -> list[Fault]:
        """The failures that hit this request."""
        hits = []
        with self._lock:
            for fault in self.items:
                if not fault.fits(call):
                    continue
                fault.seen += 1
                if fault.seen >= fault.nth and (fault.count is None or fault.fired < fault.count):
                    fault.fired += 1
                    hits.append(fault)
        return hits

    def as_list(self) -> list[dict[str, Any]]:
        """All failures with how often they were seen and fired."""
        return [asdict(fault) for fault in self.items]


def change_shape(row: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The row after the schema changes among these faults."""
    for fault in faults:
        if fault.kind != "schema_change" or fault.field not in row:
            continue
        row = dict(row)
        value = row.pop(fault.field)
        if fault.change == "rename" and fault.to:
            row[fault.to] = value
        elif fault.change == "type":
            row[fault.field] = _other_type(value)
    return row


def _other_type(value: Any) -> Any:
    """A time becomes epoch milliseconds, a text an object, a number a text."""
    if isinstance(value, (int, float)):
        return str(value)
    try:
        return int(clock.parse(str(value)).timestamp() * 1000)
    except SpineError:
        return {"value": value}
