"""The ids of the touched entities; all others keep theirs. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from spine.identity.golden import ids
from spine.identity.golden.columns import places
from spine.identity.golden.dividing import Divided
from spine.identity.golden.former import Aligned, FormerGold
from spine.identity.golden.scope import Scope
from spine.identity.golden.stewards import Word

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Identified:
    """Each row's entity id now, and what became of the former ids (redirects, changes, ids that came back)."""

    now: Array
    assigned: ids.Assignment


def identify(scope: Scope, aligned: Aligned, word: Word, divided: Divided) -> Identified:
    """Gives every touched entity its id: a former one if most of its records had it."""
    rows = divided.rows.tolist()
    links = {aligned.refs[row]: aligned.was[row] for row in rows if aligned.linked[row] >= 0} | aligned.entity_of_gone()
    born = _born(aligned.former, set(links.values()))
    assigned = ids.assign(scope.tenant, scope.name, scope.run.number, _groups(aligned, divided), links, born, word.restores)
    now = aligned.was.copy()
    now[rows] = [assigned.ids[aligned.refs[row]] for row in rows]
    return Identified(now, assigned)


def _groups(aligned: Aligned, divided: Divided) -> list[list[str]]:
    """The touched entities as lists of references."""
    groups: dict[int, list[str]] = {}
    for row, label in zip(divided.rows.tolist(), divided.clusters.label[divided.rows].tolist(), strict=True):
        groups.setdefault(label, []).append(aligned.refs[row])
    return list(groups.values())


def _born(former: FormerGold, entity_ids: Collection[str]) -> dict[str, str]:
    """When each of these entities was first seen, as a text that sorts by time."""
    golden = former.golden.select(["entity_id", "first_seen_at"])
    known = places(golden.column("entity_id"), pa.array(sorted(entity_ids), pa.string())) >= 0
    columns = (column.to_pylist() for column in golden.filter(pa.array(known)).columns)
    return {entity_id: str(seen) for entity_id, seen in zip(*columns, strict=True)}
