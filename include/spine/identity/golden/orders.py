"""What a steward asks for, and what it means: which overrides it adds, ends and brings back. No I/O.

An *order* is what a steward asks for: link, unlink, merge, split or undo (its verb). A *ruling* is the order made exact: the change that
stands for it and the *overrides* (lasting pairs of records) that it writes. An order that would make overrides contradict each other is
refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from spine.core.errors import ConfigError
from spine.identity.golden import ids
from spine.identity.golden.overrides import MUST, NEVER, Override, refuse_contradictions
from spine.identity.golden.scope import Scope

Verb = Literal["link", "unlink", "merge", "split", "undo"]
ORDERS: dict[str, str] = {
    "link": "linked", "unlink": "unlinked", "merge": "merge_ordered", "split": "split_ordered", "undo": "undone",
}  # fmt: skip


@dataclass(frozen=True)
class Order:
    """What a steward asks for, with everything known about the past that it needs.

    `records` are the two of link and unlink, or those that leave in a split; `entities` are the two of a merge or the one of a split.
    For an undo `change` is the row of the change to reverse, `former` each record's entity before it, and `born` when those entities
    were first seen.
    """

    verb: Verb
    actor: str
    reason: str
    records: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    change: Mapping[str, Any] | None = None
    former: Mapping[str, str] = field(default_factory=dict)
    born: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruling:
    """An order made exact: the change that stands for it, the overrides to write, and all that are active from now on."""

    order: Order
    change: ids.Change
    change_id: str
    written: tuple[Override, ...]
    active: tuple[Override, ...]

    @property
    def touched(self) -> set[str]:
        """References of the records whose entities must be thought over."""
        return {ref for item in self.written for ref in (item.left_ref, item.right_ref)} | set(self.order.former)


@dataclass(frozen=True)
class _Meaning:
    """What an order does to overrides: pairs to add (kind and references), overrides that end, and those that come to life again."""

    pairs: list[tuple[str, str, str]] = field(default_factory=list)
    ended: list[Override] = field(default_factory=list)
    revived: list[Override] = field(default_factory=list)


def seeds(order: Order, known: Iterable[Override]) -> set[str]:
    """References of records that an order is about, apart from those of its `entities`."""
    about = _of_change(order.change, known) if order.change else _Meaning()
    items = [*about.ended, *about.revived]
    return {*order.records, *order.former, *(ref for item in items for ref in (item.left_ref, item.right_ref))}


def rule(order: Order, scope: Scope, links: Mapping[str, str], known: Sequence[Override]) -> Ruling:
    """What `order` means for records linked as `links` say, given the overrides that are `known`.

    Raises ConfigError (unknown record, nothing to do) and IdentityConflict, which names the override in the way.
    """
    change = _change(order, links)
    change_id = change.change_id(scope.tenant, scope.name, scope.run.number)
    written = _written(order, scope, change_id, _meaning(order, links, known), known)
    if not written:
        raise ConfigError(f"Nothing to {order.verb}: it is so already", hint="`spine overrides` lists what stewards decided")
    active = [item for item in known if item.active and item.override_id not in written]
    added = [item for item in written.values() if item.active]
    refuse_contradictions(active, added)
    return Ruling(order, change, change_id, tuple(written.values()), (*active, *added))


def _written(order: Order, scope: Scope, change_id: str, meaning: _Meaning, known: Sequence[Override]) -> dict[str, Override]:
    """The overrides to write, by id; a pair for which an override stands already needs none."""
    run = scope.run
    written = {item.override_id: replace(item, active=False, undone_at=run.moment, undone_by=change_id) for item in meaning.ended}
    written |= {item.override_id: replace(item, active=True, undone_at=None, undone_by=None) for item in meaning.revived}
    present = {(item.kind, item.left_ref, item.right_ref) for item in known if item.active and item.override_id not in written}
    for kind, one, other in meaning.pairs:
        left, right = min(one, other), max(one, other)
        if (kind, left, right) not in present:
            parts = [scope.tenant, scope.name, kind, left, right, str(run.number)]
            name = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
            written[name] = Override(name, kind, left, right, order.actor, order.reason, run.moment, change_id, run.run_id)
    return written


def _change(order: Order, links: Mapping[str, str]) -> ids.Change:
    """The row of `gold_identity_changes` for the order itself."""
    if order.change is not None:
        of = order.change
        return ids.Change(
            ORDERS["undo"], of["entity_id"], of["other_entity_id"], of["record_ref"], f"{order.reason} (undoes {of['change_id']})"
        )
    unknown = [ref for ref in order.records if ref not in links]
    if unknown:
        raise ConfigError(
            f"No golden record holds {unknown[0]}", hint="A record is source:stream:record_id; resolve first if it is new", kind=order.verb
        )
    if order.verb in ("link", "unlink"):
        one, other = order.records
        if one == other:
            raise ConfigError(f"{one} cannot be {order.verb}ed with itself")
        return ids.Change(ORDERS[order.verb], links[one], links[other], one, order.reason)
    return ids.Change(ORDERS[order.verb], order.entities[0], order.entities[1] if order.verb == "merge" else None, None, order.reason)


def _meaning(order: Order, links: Mapping[str, str], known: Sequence[Override]) -> _Meaning:
    if order.verb in ("link", "unlink"):
        one, other = order.records[:2]
        return _Meaning([(MUST if order.verb == "link" else NEVER, one, other)])
    if order.verb == "merge":
        return _Meaning(_merge(order.entities, links))
    if order.verb == "split":
        return _Meaning(_split(order.entities[0], order.records, links))
    assert order.change is not None
    of_change = _of_change(order.change, known)
    return of_change if of_change.ended or of_change.revived else _Meaning(_against_engine(order, links))


def _merge(entities: Sequence[str], links: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Every record of both entities is tied to the first one, so that the merge holds whatever happens to single pairs."""
    if entities[0] == entities[1]:
        raise ConfigError(f"{entities[0]} is one entity already", hint="Both ids lead to it")
    groups = [sorted(ref for ref, entity_id in links.items() if entity_id == wanted) for wanted in entities]
    for wanted, refs in zip(entities, groups, strict=True):
        if not refs:
            raise ConfigError(f"There is no entity {wanted}", hint="`spine entity ID` shows what became of an id")
    first, *others = sorted(ref for refs in groups for ref in refs)
    return [(MUST, first, ref) for ref in others]


def _split(entity_id: str, leaving: Sequence[str], links: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The records leave together: tied to each other, and never again with one that stays."""
    members = sorted(ref for ref, found in links.items() if found == entity_id)
    if not members:
        raise ConfigError(f"There is no entity {entity_id}", hint="`spine entity ID` shows what became of an id")
    if strange := sorted(set(leaving) - set(members)):
        raise ConfigError(f"{strange[0]} is not a record of {entity_id}", hint="`spine entity ID` lists its records")
    staying, gone = [ref for ref in members if ref not in set(leaving)], sorted(set(leaving))
    if not staying:
        raise ConfigError(f"All {len(members)} records of {entity_id} would leave it", hint="Name those that are somebody else")
    return [(MUST, gone[0], ref) for ref in gone[1:]] + [(NEVER, one, other) for one in gone for other in staying]


def _of_change(change: Mapping[str, Any], known: Iterable[Override]) -> _Meaning:
    """The reverse of a change: the active overrides that it made end, those that it ended come to life again."""
    known, name = list(known), change["change_id"]
    ended = [item for item in known if item.active and item.change_id == name]
    revived = [item for item in known if not item.active and item.undone_by == name]
    return _Meaning([], ended, revived)


def _against_engine(order: Order, links: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What reverses a decision of the engine: records that it merged or joined are kept apart, records that it split are tied."""
    assert order.change is not None
    kind, own, other, ref = (order.change[name] for name in ("kind", "entity_id", "other_entity_id", "record_ref"))
    if kind == "merged":
        one = [ref for ref, was in order.former.items() if was == own and ref in links]
        two = [ref for ref, was in order.former.items() if was == other and ref in links]
        return [(NEVER, left, right) for left in one for right in two]
    if kind == "split":
        refs = sorted(ref for ref, was in order.former.items() if was == own and ref in links)
        return [(MUST, refs[0], other) for other in refs[1:]]
    if kind == "joined" and ref in links:
        return [(NEVER, ref, mate) for mate, was in links.items() if was == links[ref] and mate != ref]
    hint = "Merges, splits, joined records and stewards' orders can be undone, each once"
    raise ConfigError(f"The change {order.change['change_id']} ({kind}) cannot be undone, or was already", hint=hint)
