"""What is known of one tenant's staged rows as a whole: what became of them, and the counts that metrics judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

OUTCOMES = ("new", "changed", "removed", "unchanged", "quarantined", "superseded", "filtered")
# A record is staged when its newest good version stands in the table after the run.
STAGED = ("new", "changed", "unchanged")


@dataclass(frozen=True)
class Profile:
    """What is known of one tenant's rows; `past_rows` are the staged rows of its past runs.

    `measured` are the values that metrics measure themselves, by metric and field.
    """

    tenant_id: str
    outcomes: dict[str, int]
    deleted: int
    staged: int
    live: int
    distinct_keys: int
    newest: datetime | None
    nulls: dict[str, int]
    distincts: dict[str, int]
    past_rows: tuple[int, ...] = ()
    measured: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def rows_in(self) -> int:
        """All rows, whatever became of them."""
        return sum(self.outcomes.values())
