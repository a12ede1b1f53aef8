"""A steward's lasting word: which records are one and which are not, whatever the weights say. No I/O.

An *override* is one pair of records and a row of `gold_identity_overrides`. Must-links tie records into groups; a never-link keeps two
groups apart. Both hold for the records that exist at the moment, also where a record in the middle of a group was deleted.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np

from spine.core.errors import IdentityConflict
from spine.identity.matching import Constraints

MUST, NEVER = "must_link", "never_link"


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
