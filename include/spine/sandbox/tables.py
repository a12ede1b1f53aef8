"""Streams as small arrays: which real thing a row shows, how often it changed, when, and whether it is deleted.

The row itself is made when somebody reads it, so a stream of a million rows costs about 30 MB. A Table never changes: a
mutation makes a new one, which is why a query that was answered in part keeps reading what it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from spine.core.errors import ConfigError

PERSON, ORGANIZATION, OPPORTUNITY = "person", "organization", "opportunity"
CAMPAIGN, TICKET, OTHER = "campaign", "ticket", "other"
_TEXT = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HUBSPOT_STEP, _HUBSPOT_FIRST = 17, 1001
_EMPLOYEE_FIRST = 100001


@dataclass(frozen=True)
class Stream:
    """One stream of one vendor; `object` is the vendor's own name for it."""

    source: str
    name: str
    object: str
    entity: str
    prefix: str = ""

    @property
    def tag(self) -> int:
        """A number that belongs to this stream alone, for seeding."""
        return crc32(f"{self.source}.{self.name}".encode())


STREAMS = (
    Stream("salesforce", "contacts", "Contact", PERSON, "003"),
    Stream("salesforce", "accounts", "Account", ORGANIZATION, "001"),
    Stream("salesforce", "opportunities", "Opportunity", OPPORTUNITY, "006"),
    Stream("salesforce", "leads", "Lead", PERSON, "00Q"),
    Stream("salesforce", "users", "User", PERSON, "005"),
    Stream("salesforce", "campaigns", "Campaign", CAMPAIGN, "701"),
    Stream("salesforce", "projects", "Project__c", OTHER, "a01"),
    Stream("hubspot", "contacts", "contacts", PERSON),
    Stream("hubspot", "companies", "companies", ORGANIZATION),
    Stream("hubspot", "deals", "deals", OPPORTUNITY),
    Stream("hubspot", "tickets", "tickets", TICKET),
    Stream("hubspot", "owners", "owners", PERSON),
    Stream("hubspot", "cars", "2-3465404", OTHER),
    Stream("people_files", "people", "people", PERSON),
)


def stream_of(source: str, name: str) -> Stream:
    """The stream by its own or its vendor's name (any case). Raises ConfigError."""
    for stream in STREAMS:
        if stream.source == source and name.lower() in (stream.name, stream.object.lower()):
            return stream
    known = ", ".join(f"{stream.source}.{stream.name}" for stream in STREAMS)
    raise ConfigError(f"the sandbox has no stream {source}.{name}", hint=f"Use one of {known}")


def _salesforce_id(prefix: str, slot: int) -> str:
    """15 case-sensitive letters and the 3 that make the Id safe where case is lost."""
    digits = ""
    for _ in range(6):
        slot, digit = divmod(slot, 62)
        digits = _TEXT[digit] + digits
    short = f"{prefix}Sb0000{digits}"
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, letter in enumerate(short[start : start + 5]) if letter.isupper())
        suffix += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
    return short + suffix


def record_id(stream: Stream, slot: int) -> str:
    """The vendor's id of the row in that slot; ids grow with slots. Two tenants share ids, as HubSpot accounts may."""
    if stream.source == "salesforce":
        return _salesforce_id(stream.prefix, slot)
    if stream.source == "hubspot":
        return str(_HUBSPOT_FIRST + slot * _HUBSPOT_STEP)
    return f"E{_EMPLOYEE_FIRST + slot}"


def slots_before(value: int) -> int:
    """How many HubSpot slots have an id of at most `value`."""
    return max(0, (value - _HUBSPOT_FIRST) // _HUBSPOT_STEP + 1)


def slot_of(stream: Stream, record: str) -> int:
    """The slot of an id, -1 if it cannot be one of this stream's."""
    if stream.source == "salesforce":
        digits = record[9:15]
        if len(digits) != 6 or not set(digits) <= set(_TEXT):
            return -1
        slot = 0
        for digit in digits:
            slot = slot * 62 + _TEXT.index(digit)
        return slot if record in (_salesforce_id(stream.prefix, slot), _salesforce_id(stream.prefix, slot)[:15]) else -1
    number = record.removeprefix("E")
    if not number.isdecimal():
        return -1
    if stream.source == "people_files":
        return int(number) - _EMPLOYEE_FIRST
    slot, rest = divmod(int(number) - _HUBSPOT_FIRST, _HUBSPOT_STEP)
    return -1 if rest else slot


def to_millis(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def from_millis(value: int) -> datetime:
    """The aware UTC time of milliseconds since 1970."""
    return datetime.fromtimestamp(int(value) / 1000, UTC)


@dataclass(frozen=True)
class Table:
    """All rows of one stream of one tenant. Times are epoch milliseconds; `loaded` holds rows given from outside.

    `purged` rows have left the recycle bin too: no query finds them. `audited` holds the time that a row's audit fields tell, where that
    is not the time of its last change: the system changed it, or it was migrated with its history. `merged` are the ids of rows that were
    merged into a row.
    """

    stream: Stream
    subject: NDArray[np.int32]
    kind: NDArray[np.int8]
    revision: NDArray[np.int16]
    created: NDArray[np.int64]
    modified: NDArray[np.int64]
    deleted: NDArray[np.bool_]
    loaded: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    truth: Mapping[int, str] = field(default_factory=dict)
    purged: frozenset[int] = frozenset()
    audited: Mapping[int, int] = field(default_factory=dict)
    merged: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    version: int = 0

    def __len__(self) -> int:
        return len(self.subject)

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which rows a query can find at all."""
        found: NDArray[np.bool_] = np.ones(len(self), np.bool_)
        found[list(self.purged)] = False
        return found

    @property
    def told(self) -> NDArray[np.int64]:
        """The times of the last change as the audit fields tell them."""
        times = self.modified.copy()
        for slot, moment in self.audited.items():
            times[slot] = moment
        return times

    def newer(self, **changes: Any) -> Table:
        """A table with these arrays in place of the former."""
        return replace(self, version=self.version + 1, **changes)

    def append(self, subject: NDArray[np.int32], kind: NDArray[np.int8], moments: NDArray[np.int64]) -> Table:
        """A table with more rows, created and modified at `moments`."""
        more = len(subject)
        return self.newer(
            subject=np.concatenate([self.subject, subject.astype(np.int32)]),
            kind=np.concatenate([self.kind, kind.astype(np.int8)]),
            revision=np.concatenate([self.revision, np.zeros(more, np.int16)]),
            created=np.concatenate([self.created, moments.astype(np.int64)]),
            modified=np.concatenate([self.modified, moments.astype(np.int64)]),
            deleted=np.concatenate([self.deleted, np.zeros(more, np.bool_)]),
        )
