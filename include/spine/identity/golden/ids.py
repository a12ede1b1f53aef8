"""Entity ids that outlive runs: an entity keeps its id while most of its records stay, merges leave a redirect, splits are recorded.

A new id is a hash of tenant, entity, first record and the number of the run, so it is the same on a retry and never comes again.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def make_id(tenant: str, entity: str, first_ref: str, run: int) -> str:
    """A new id, such as `per_` and 26 characters."""
    number = int.from_bytes(hashlib.sha256("\x1f".join([tenant, entity, first_ref, str(run)]).encode()).digest()[:17], "big") >> 6
    return f"{entity[:3]}_" + "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in range(25, -1, -1))


@dataclass(frozen=True)
class Change:
    """One row of `gold_identity_changes` before it gets its tenant, time and run."""

    kind: str
    entity_id: str
    other_entity_id: str | None = None
    record_ref: str | None = None
    reason: str = ""

    def change_id(self, tenant: str, entity: str, run: int) -> str:
        """The change's own id, the same on every retry of the run."""
        parts = [tenant, entity, str(run), self.kind, self.entity_id, self.other_entity_id or "", self.record_ref or ""]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


@dataclass
class Assignment:
    """The id of every record, what changed, which ids now lead to another one, and which came back to life."""

    ids: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    restored: set[str] = field(default_factory=set)


def follow(redirects: Mapping[str, str], entity_id: str) -> str:
    """Where an id leads to in the end: itself unless it was merged away."""
    seen = {entity_id}
    while (onward := redirects.get(entity_id)) is not None and onward not in seen:
        entity_id = onward
        seen.add(entity_id)
    return entity_id


def assign(
    tenant: str,
    entity: str,
    run: int,
    clusters: Sequence[Sequence[str]],
    former: Mapping[str, str],
    born: Mapping[str, str],
    restore: Mapping[str, str] | None = None,
) -> Assignment:
    """Ids for `clusters` of record references, given the `former` ids of records and a sort key of each id's age in `born`.

    An id goes to the cluster that holds most of its records (then to the larger one); a cluster that several ids claim keeps the one with
    most records (then the oldest). Where a decision is undone, `restore` tells the ids that records had before it: an id stays with those
    records, and one that is gone comes back for them unless another one of that time has their cluster.
    """
    result = Assignment()
    back = restore or {}
    members = [sorted(cluster) for cluster in clusters]
    claims: dict[str, Counter[int]] = defaultdict(Counter)
    returns: dict[str, Counter[int]] = defaultdict(Counter)
    for number, refs in enumerate(members):
        for ref in refs:
            if ref in former:
                claims[former[ref]][number] += 1
            if ref in back:
                returns[back[ref]][number] += 1
    home = {
        old: min(
            {**claims[old], **returns[old]},
            key=lambda number: (-returns[old][number], -claims[old][number], -len(members[number]), members[number][0]),
        )
        for old in sorted({*claims, *returns})
    }
    living = set(former.values())
    holders: dict[int, list[str]] = defaultdict(list)
    for old, number in home.items():
        holders[number].append(old)
    for number, refs in enumerate(members):
        rivals = sorted(
            holders.get(number, ()),
            key=lambda old: (
                not returns[old][number],
                old not in living,
                -returns[old][number],
                -claims[old][number],
                born.get(old, "~"),
                old,
            ),
        )
        own = rivals[0] if rivals else make_id(tenant, entity, refs[0], run)
        losers = {old: claims[old].total() for old in rivals[1:] if old in living}
        _settle(result, own, losers, refs, former, (living, set(returns)))
    _leavers(result, former, {old for old in home if old in living})
    return result


def _settle(
    result: Assignment,
    own: str,
    losers: Mapping[str, int],
    refs: Sequence[str],
    former: Mapping[str, str],
    known: tuple[set[str], set[str]],
) -> None:
    """Gives a cluster its id; `losers` are the other living ids that claim it, with their number of records."""
    living, returning = known
    result.ids.update(dict.fromkeys(refs, own))
    sources = sorted({former[ref] for ref in refs if ref in former} - {own, *losers})
    if own not in living:
        result.changes.append(_arrival(result, own, refs, sources, returning))
    for gone, records in losers.items():
        result.redirects[gone] = own
        result.changes.append(Change("merged", own, gone, reason=f"{_records(records)} came from it"))
    for old in sources:
        moved = sum(former.get(ref) == old for ref in refs)
        result.changes.append(Change("split", old, own, reason=f"{_records(moved)} left it"))
    if own in living:
        newcomers = [ref for ref in refs if ref not in former]
        result.changes += [Change("joined", own, record_ref=ref) for ref in newcomers]


def _arrival(result: Assignment, own: str, refs: Sequence[str], sources: Sequence[str], returning: set[str]) -> Change:
    """A new entity, or one that comes back under its own id."""
    if own not in returning:
        return Change("created", own, record_ref=refs[0], reason=_records(len(refs)))
    result.restored.add(own)
    return Change("restored", own, sources[0] if sources else None, refs[0], _records(len(refs)))


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _leavers(result: Assignment, former: Mapping[str, str], alive: set[str]) -> None:
    for ref, old in sorted(former.items()):
        if ref not in result.ids:
            result.changes.append(Change("left", old, record_ref=ref, reason="the record was deleted"))
    for old in sorted(set(former.values()) - alive):
        result.changes.append(Change("retired", old, reason="its last record was deleted"))
