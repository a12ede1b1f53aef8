"""Which level of integration a need asks for.

L1 carries records from one place to one other, L2 joins and aggregates into a warehouse, L3 is a connector to a system. A need of several
is met by several, one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

NEEDS: dict[str, tuple[str, str]] = {
    "joins": ("L2", "records of several tables or sources are joined"),
    "aggregation": ("L2", "records are counted or summed"),
    "several_sources": ("L2", "more than one source is read"),
    "warehouse": ("L2", "the destination is a warehouse or a database"),
    "transforms": ("L2", "values are changed by more than another name and a filter"),
    "webhooks": ("L3", "the system tells of changes by itself"),
    "advanced_auth": ("L3", "signing in is more than a key"),
    "limits": ("L3", "the system limits calls, or has to be asked again"),
    "enterprise": ("L3", "the system is one of an enterprise: ERP, CRM, HR"),
    "point_to_point": ("L1", "one source, one destination"),
    "no_code": ("L1", "whoever makes it writes no code"),
}
_LEVELS: dict[str, tuple[str, str]] = {
    "L1": ("business users", "a sync that carries fields from one place to another; comes with the way back"),
    "L2": ("data engineers", "a pipeline over Silver and Gold; comes with pipelines"),
    "L3": ("system integrators", "a source's file in include/sources, as `spine sources new` makes one"),
}


@dataclass(frozen=True)
class Level:
    """A level that a need asks for: whom it is for, what it is here, and why."""

    level: str
    audience: str
    means: str
    reasons: tuple[str, ...]


def levels_for(needs: Collection[str]) -> list[Level]:
    """The levels that these needs ask for, in the order in which data passes them; L1 where they ask for nothing more."""
    asked: dict[str, list[str]] = {}
    for need, (level, reason) in NEEDS.items():
        if need in needs:
            asked.setdefault(level, []).append(reason)
    if len(asked) > 1:
        asked.pop("L1", None)  # what is more than that is no longer point to point
    found = asked or {"L1": ["nothing of it needs more"]}
    return [Level(level, *_LEVELS[level], tuple(found[level])) for level in ("L3", "L2", "L1") if level in found]
