"""What can change in the shape of a stream's records. Names and types of fields, no value of any record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Drift:
    """One field that is new, no longer sent, or of another type than before. What readers may miss is `destructive`."""

    kind: Literal["added", "removed", "retyped"]
    field: str
    before: str = ""
    after: str = ""

    @property
    def destructive(self) -> bool:
        """Whether something that was there is gone or changed."""
        return self.kind != "added"
