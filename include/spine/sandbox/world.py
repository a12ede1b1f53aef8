"""A tenant's world: real persons and organisations, and the rows that each vendor holds about them, with known truth.

Everything follows from (seed, tenant, scale, now). `scale` is the number of real persons; there is one organisation to
six persons. Salesforce holds `scale` contacts, HubSpot about 0.73 and the HR system 0.52 times as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from spine.core.errors import ConfigError
from spine.sandbox.companies import make_company
from spine.sandbox.names import dice, mix
from spine.sandbox.people import PersonRecord, make_person
from spine.sandbox.records import BASE, COPY, FORMER, CompanyRecord, company_record, person_record
from spine.sandbox.tables import ORGANIZATION, PERSON, STREAMS, Stream, Table, record_id, stream_of, to_millis

DAYS = 30
TruthKey = tuple[str, str, str, str]
_PERSONS_PER_COMPANY = 6
# source.stream -> (share of all real things, share of plain duplicates, share of old jobs or of branch offices)
_SHARES = {
    "salesforce.contacts": (0.85, 0.06, 0.09),
    "salesforce.accounts": (0.85, 0.08, 0.15),
    "salesforce.leads": (0.06, 0.0, 0.0),
    "salesforce.users": (0.02, 0.0, 0.0),
    "hubspot.contacts": (0.62, 0.06, 0.05),
    "hubspot.owners": (0.02, 0.0, 0.0),
    "hubspot.companies": (0.70, 0.08, 0.05),
    "people_files.people": (0.50, 0.02, 0.0),
}
PARENTS = {  # source.stream -> (stream of what its rows belong to, share of all real persons)
    "salesforce.opportunities": ("accounts", 0.5), "salesforce.campaigns": ("accounts", 0.03), "salesforce.projects": ("accounts", 0.1),
    "hubspot.deals": ("companies", 0.4), "hubspot.tickets": ("contacts", 0.2), "hubspot.cars": ("contacts", 0.1),
}  # fmt: skip
_KEPT = ("people_files.people", "salesforce.users")  # nothing of them is deleted


def true_id(entity: str, number: int) -> str:
    """The hidden id of a real person (`P17`) or organisation (`O4`)."""
    return f"{entity[0].upper()}{number}"


@dataclass
class World:
    """One tenant's world. `tables` is replaced entry by entry when rows change; see `spine.sandbox.changes`."""

    tenant: str
    seed: int
    scale: int
    now: datetime

    def __post_init__(self) -> None:
        if self.scale < 20 or self.scale > 5_000_000:
            raise ConfigError(f"scale {self.scale} is out of range", hint="Use 20 to 5,000,000 customers")
        self.key = mix(self.seed, crc32(self.tenant.encode()))
        self.tables: dict[Stream, Table] = {}
        for stream in STREAMS:
            self.tables[stream] = self._build(stream)

    @property
    def companies(self) -> int:
        """The number of real organisations at the beginning."""
        return max(6, self.scale // _PERSONS_PER_COMPANY)

    def table(self, source: str, stream: str) -> Table:
        """The present rows of a stream."""
        return self.tables[stream_of(source, stream)]

    def _build(self, stream: Stream) -> Table:
        rng = np.random.default_rng(mix(self.key, stream.tag))
        name = f"{stream.source}.{stream.name}"
        if name in PARENTS:
            parent, share = PARENTS[name]
            count = max(1, int(self.scale * share))
            subject = rng.integers(0, len(self.table(stream.source, parent)), count)
            kind: NDArray[np.int8] = np.zeros(count, np.int8)
        else:
            subject, kind = self._members(stream, rng, *_SHARES[name])
        start = to_millis(self.now - timedelta(days=DAYS))
        modified = start + (rng.random(len(subject)) * (to_millis(self.now) - start - 600_000)).astype(np.int64)
        created = start + (rng.random(len(subject)) * (modified - start)).astype(np.int64)
        if stream.source != "hubspot":
            modified, created = modified // 1000 * 1000, created // 1000 * 1000
        deleted = rng.random(len(subject)) < (0.01 if name not in _KEPT else 0.0)
        return Table(stream, subject.astype(np.int32), kind, np.zeros(len(subject), np.int16), created, modified, deleted)

    def _members(
        self, stream: Stream, rng: np.random.Generator, share: float, copies: float, others: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Which real things a stream holds: members, then copies of members, then old jobs or branch offices."""
        total = self.companies if stream.entity == ORGANIZATION else self.scale
        members = rng.permutation(total)[: max(1, int(total * share))]
        extra = rng.choice(members, int(total * copies))
        eligible = members[members % 5 == 0] if stream.entity == ORGANIZATION else members
        third = rng.choice(eligible, round(total * others)) if len(eligible) else eligible
        subject = np.concatenate([members, extra, third])
        offices = rng.integers(1, 5, len(third)) + FORMER if stream.entity == ORGANIZATION else np.full(len(third), FORMER)
        kind = np.concatenate([np.full(len(members), BASE), np.full(len(extra), COPY), offices]).astype(np.int8)
        order = rng.permutation(len(subject))
        return subject[order], kind[order]

    def person(self, table: Table, slot: int) -> PersonRecord:
        """The row as a person record; duplicates carry more slips than first entries."""
        kind, revision = int(table.kind[slot]), int(table.revision[slot])
        person = make_person(self.key, int(table.subject[slot]), self.companies)
        rng = dice(self.key, table.stream.tag, slot, revision)
        return person_record(self.key, person, kind, rng, 1.0 if kind == BASE else 1.8)

    def company(self, table: Table, slot: int) -> CompanyRecord:
        """The row as a company record."""
        kind, revision = int(table.kind[slot]), int(table.revision[slot])
        company = make_company(self.key, int(table.subject[slot]))
        rng = dice(self.key, table.stream.tag, slot, revision)
        return company_record(company, max(0, kind - FORMER), rng, 1.0 if kind == BASE else 1.8)

    @cached_property
    def account_of(self) -> NDArray[np.int32]:
        """Company number → slot of its first Salesforce account, -1 where it has none."""
        return self._first("salesforce", "accounts")

    @cached_property
    def company_of(self) -> NDArray[np.int32]:
        """Company number → slot of its first HubSpot company, -1 where it has none."""
        return self._first("hubspot", "companies")

    def _first(self, source: str, stream: str) -> NDArray[np.int32]:
        found: NDArray[np.int32] = np.full(self.companies, -1, np.int32)
        subject = self.table(source, stream).subject
        known = np.flatnonzero((subject >= 0) & (subject < self.companies))[::-1]
        found[subject[known]] = known
        return found

    def truth_rows(self) -> Iterator[tuple[TruthKey, str, str]]:
        """((tenant, source, stream, record id), entity, true id) of every row whose truth is known."""
        for stream in STREAMS:
            if stream.entity not in (PERSON, ORGANIZATION):
                continue
            table = self.tables[stream]
            for slot, number in enumerate(table.subject.tolist()):
                label = table.truth.get(slot) or (true_id(stream.entity, number) if number >= 0 else "")
                if label:
                    yield (self.tenant, stream.source, stream.name, record_id(stream, slot)), stream.entity, label

    def truth(self) -> dict[TruthKey, str]:
        """(tenant, source, stream, record id) → true id. Never part of a vendor's answer."""
        return {key: label for key, _, label in self.truth_rows()}
