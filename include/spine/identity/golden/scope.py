"""Whose Gold is made, and in which run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spine.core.entities import Entity, Matching
from spine.identity.matching import threshold_weight


@dataclass(frozen=True)
class ResolveRun:
    """Which run this is: its number within the entity, its id, its moment."""

    number: int
    run_id: str
    moment: datetime


@dataclass(frozen=True)
class Scope:
    """What one resolution is about: the records that a tenant has of an entity, in a run."""

    tenant: str
    entity: Entity
    run: ResolveRun

    @property
    def name(self) -> str:
        """The entity's name."""
        return self.entity.entity

    @property
    def key(self) -> dict[str, str]:
        """What every row of Gold begins with."""
        return {"tenant_id": self.tenant, "entity": self.name}

    @property
    def matching(self) -> Matching:
        """The entity's matching rules."""
        assert self.entity.matching is not None
        return self.entity.matching

    @property
    def threshold(self) -> float:
        """The weight from which on a pair is one entity."""
        return threshold_weight(self.matching.threshold)

    def strong(self, weight: Any) -> Any:
        """Whether weights (a number or an array) reach the threshold."""
        return weight >= self.threshold - 1e-9
