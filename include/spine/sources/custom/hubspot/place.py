"""How far a reading of HubSpot is."""

from __future__ import annotations

from dataclasses import dataclass

import orjson


@dataclass(frozen=True)
class Place:
    """The next request: `live` and `archived` lists by `after`, `changes` from a time on, `ties` of one time by record id."""

    phase: str
    after: str | None = None
    time: int | None = None
    inclusive: bool = False

    def dump(self) -> str:
        """The place as a page token."""
        return orjson.dumps([self.phase, self.after, self.time, self.inclusive]).decode()

    @staticmethod
    def load(token: str) -> Place:
        """The place that a token names."""
        return Place(*orjson.loads(token))
