"""A steward's word: which records are one and which are not, whatever the weights say. What an order adds, ends and restores. No I/O.

Must-links tie records into groups; a never-link keeps two groups apart. Both hold for the records that exist at the moment, also where a
record in the middle of a group was deleted. An order that would make the two contradict each other is refused.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np

from spine.core.errors import ConfigError, IdentityConflict
from spine.identity.golden import ids
from spine.identity.matching import Constraints

MUST, NEVER = "must_link", "never_link"
Kind = Literal["link", "unlink", "merge", "split", "undo"]
ORDERS: dict[str, str] = {
    "link": "linked", "unlink": "unlinked", "merge": "merge_ordered", "split": "split_ordered", "undo": "undone",
}  # fmt: skip


@dataclass(frozen=True)
class Override:
    """One row of `gold_identity_overrides`: two records (`left_ref` < `right_ref`) that are, or never are, one entity.

    `weight` is what the engine thought of the pair when the override was made (log2 odds; None if a record was gone); `change_id` is
    the change that made it, `undone_by` the one that ended it.
    """

    override_id: str
    kind: str
    left_ref: str
    right_ref: str
    actor: str
    reason: str
    made_at: datetime
    change_id: str
    run_id: str
    weight: float | None = None
    active: bool = True
    undone_at: datetime | None = None
    undone_by: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Override:
        """The override that a row of the table holds."""
        return cls(**{item.name: row[item.name] for item in fields(cls)})

    def row(self, tenant: str, entity: str) -> dict[str, Any]:
        """The table's row."""
        return {"tenant_id": tenant, "entity": entity, **asdict(self), "op": "upsert"}


@dataclass(frozen=True)
class Wish:
    """What a steward asks for, with everything known about the past that it needs.

    `records` are the two of link and unlink, or those that leave in a split; `entities` are the two of a merge or the one of a split.
    For an undo `change` is the row of the change to reverse, `former` each record's entity before it, and `born` when those entities
    were first seen.
    """

    kind: Kind
    actor: str
    reason: str
    records: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    change: Mapping[str, Any] | None = None
    former: Mapping[str, str] = field(default_factory=dict)
    born: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A wish made exact: the rows of overrides to write and the change that stands for it."""

    wish: Wish
    change: ids.Change
    change_id: str
    written: tuple[Override, ...]
    active: tuple[Override, ...]

    @property
    def touched(self) -> set[str]:
        """References of the records whose entities must be thought over."""
        return {ref for item in self.written for ref in (item.left_ref, item.right_ref)} | set(self.wish.former)


def seeds(wish: Wish, known: Iterable[Override]) -> set[str]:
    """References of records that a wish is about, apart from those of its `entities`."""
    about = _of_change(wish.change, known) if wish.change else ([], [])
    return {*wish.records, *wish.former, *(ref for part in about for item in part for ref in (item.left_ref, item.right_ref))}


def order(
    wish: Wish, tenant: str, entity: str, links: Mapping[str, str], known: Sequence[Override], run: int, run_id: str, moment: datetime
) -> Order:
    """What `wish` means for records linked as `links` say, given the overrides that are `known`.

    Raises ConfigError (unknown record, nothing to do) and IdentityConflict, which names the override in the way.
    """
    change = _change(wish, links)
    change_id = change.change_id(tenant, entity, run)
    pairs, ended, revived = _meaning(wish, links, known)
    written = {item.override_id: replace(item, active=False, undone_at=moment, undone_by=change_id) for item in ended}
    written |= {item.override_id: replace(item, active=True, undone_at=None, undone_by=None) for item in revived}
    present = {(item.kind, item.left_ref, item.right_ref) for item in known if item.active and item.override_id not in written}
    for kind, one, other in pairs:
        left, right = min(one, other), max(one, other)
        if (kind, left, right) not in present:
            name = hashlib.sha256("\x1f".join([tenant, entity, kind, left, right, str(run)]).encode()).hexdigest()[:24]
            written[name] = Override(name, kind, left, right, wish.actor, wish.reason, moment, change_id, run_id)
    if not written:
        raise ConfigError(f"Nothing to {wish.kind}: it is so already", hint="`spine overrides` lists what stewards decided")
    active = [item for item in known if item.active and item.override_id not in written]
    added = [item for item in written.values() if item.active]
    refuse_contradictions(active, added)
    return Order(wish, change, change_id, tuple(written.values()), (*active, *added))


def _change(wish: Wish, links: Mapping[str, str]) -> ids.Change:
    """The row of `gold_identity_changes` for the order itself."""
    if wish.change is not None:
        of = wish.change
        return ids.Change(
            ORDERS["undo"], of["entity_id"], of["other_entity_id"], of["record_ref"], f"{wish.reason} (undoes {of['change_id']})"
        )
    unknown = [ref for ref in wish.records if ref not in links]
    if unknown:
        raise ConfigError(
            f"No golden record holds {unknown[0]}", hint="A record is source:stream:record_id; resolve first if it is new", kind=wish.kind
        )
    if wish.kind in ("link", "unlink"):
        one, other = wish.records
        if one == other:
            raise ConfigError(f"{one} cannot be {wish.kind}ed with itself")
        return ids.Change(ORDERS[wish.kind], links[one], links[other], one, wish.reason)
    return ids.Change(ORDERS[wish.kind], wish.entities[0], wish.entities[1] if wish.kind == "merge" else None, None, wish.reason)


def _meaning(
    wish: Wish, links: Mapping[str, str], known: Sequence[Override]
) -> tuple[list[tuple[str, str, str]], list[Override], list[Override]]:
    """Pairs to add (kind and references), overrides that end, overrides that come to life again."""
    if wish.kind == "link":
        return [(MUST, *wish.records[:2])], [], []  # type: ignore[list-item]
    if wish.kind == "unlink":
        return [(NEVER, *wish.records[:2])], [], []  # type: ignore[list-item]
    if wish.kind == "merge":
        return _merge(wish.entities, links), [], []
    if wish.kind == "split":
        return _split(wish.entities[0], wish.records, links), [], []
    assert wish.change is not None
    ended, revived = _of_change(wish.change, known)
    if ended or revived:
        return [], ended, revived
    return _against_engine(wish, links), [], []


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


def _of_change(change: Mapping[str, Any], known: Iterable[Override]) -> tuple[list[Override], list[Override]]:
    """The active overrides that a change made, and those that it ended."""
    known, name = list(known), change["change_id"]
    ended = [item for item in known if item.active and item.change_id == name]
    revived = [item for item in known if not item.active and item.undone_by == name]
    return ended, revived


def _against_engine(wish: Wish, links: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What reverses a decision of the engine: records that it merged or joined are kept apart, records that it split are tied."""
    assert wish.change is not None
    kind, own, other, ref = (wish.change[name] for name in ("kind", "entity_id", "other_entity_id", "record_ref"))
    if kind == "merged":
        one = [ref for ref, was in wish.former.items() if was == own and ref in links]
        two = [ref for ref, was in wish.former.items() if was == other and ref in links]
        return [(NEVER, left, right) for left in one for right in two]
    if kind == "split":
        refs = sorted(ref for ref, was in wish.former.items() if was == own and ref in links)
        return [(MUST, refs[0], other) for other in refs[1:]]
    if kind == "joined" and ref in links:
        return [(NEVER, ref, mate) for mate, was in links.items() if was == links[ref] and mate != ref]
    hint = "Merges, splits, joined records and stewards' orders can be undone, each once"
    raise ConfigError(f"The change {wish.change['change_id']} ({kind}) cannot be undone, or was already", hint=hint)


def refuse_contradictions(active: Sequence[Override], added: Sequence[Override]) -> None:
    """Raises IdentityConflict if records that a never-link keeps apart are tied, also through a chain; names the override in the way."""
    mine = {item.override_id for item in added}
    ties: dict[str, list[Override]] = {}
    for item in (*active, *added):
        if item.kind == MUST:
            ties.setdefault(item.left_ref, []).append(item)
            ties.setdefault(item.right_ref, []).append(item)
    for item in (*active, *added):
        chain = _chain(ties, item.left_ref, item.right_ref) if item.kind == NEVER else []
        if not chain:
            continue
        blame = item if item.override_id not in mine else next((tie for tie in chain if tie.override_id not in mine), item)
        verb = "keeps apart" if blame.kind == NEVER else "ties"
        raise IdentityConflict(
            f"A steward's {blame.kind.replace('_', '-')} {verb} {blame.left_ref} and {blame.right_ref}",
            hint=f"If it is wrong, take it back first: `spine undo {blame.change_id}`",
            override=blame.override_id, made_by=blame.actor, reason=blame.reason,
        )  # fmt: skip


def _chain(ties: Mapping[str, Sequence[Override]], start: str, end: str) -> list[Override]:
    """The must-links on the shortest way between two records, empty if there is none."""
    came: dict[str, tuple[str, Override] | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        at = waiting.popleft()
        for tie in ties.get(at, ()):
            following = tie.right_ref if tie.left_ref == at else tie.left_ref
            if following not in came:
                came[following] = (at, tie)
                waiting.append(following)
    chain = []
    step = came.get(end)
    while step is not None:
        chain.append(step[1])
        step = came[step[0]]
    return chain


def groups(active: Iterable[Override]) -> dict[str, str]:
    """The group of each record that a must-link names: the smallest reference in it."""
    above: dict[str, str] = {}

    def root(ref: str) -> str:
        while above.setdefault(ref, ref) != ref:
            above[ref] = ref = above[above[ref]]
        return ref

    for item in active:
        if item.kind == MUST:
            low, high = sorted((root(item.left_ref), root(item.right_ref)))
            above[high] = low
    return {ref: root(ref) for ref in list(above)}


def constraints(active: Sequence[Override], row: Mapping[str, int]) -> Constraints:
    """The overrides as pairs of row numbers; records without a row are left out, but what they tie stays tied."""
    group = groups(active)
    members: dict[str, list[int]] = {}
    for ref, name in group.items():
        if ref in row:
            members.setdefault(name, []).append(row[ref])
    must = {(min(rows), other) for rows in members.values() for other in rows if other != min(rows)}
    never: set[tuple[int, int]] = set()

    def rows_of(ref: str) -> list[int]:
        return [row[ref]] if ref in row else []

    for item in active:
        if item.kind == NEVER:
            left, right = (members.get(group[ref], []) if ref in group else rows_of(ref) for ref in (item.left_ref, item.right_ref))
            never |= {(min(one, other), max(one, other)) for one in left for other in right}
    return Constraints(_pairs(must), _pairs(never))


def _pairs(found: Iterable[tuple[int, int]]) -> Any:
    return np.asarray(sorted(found), dtype=np.int64).reshape(-1, 2)


def legacy(matches: Iterable[Mapping[str, Any]], known: Sequence[Override], moment: datetime, run_id: str) -> list[Override]:
    """Never-links for pairs that were rejected before there were overrides."""
    pairs = {(item.left_ref, item.right_ref) for item in known if item.kind == NEVER}
    found = []
    for match in matches:
        left, right = sorted((match["left_ref"], match["right_ref"]))
        if match["decision"] == "rejected" and (left, right) not in pairs:
            name = hashlib.sha256("\x1f".join(["rejected", left, right]).encode()).hexdigest()[:24]
            found.append(Override(name, NEVER, left, right, "steward", "the pair was rejected", moment, name, run_id, match["weight"]))
    return found
