"""Stripe's events of one second in the order in which they happened, which their times do not tell."""

from __future__ import annotations

from typing import Any

from spine.sources.rest import stages

_NEWEST = 999_999  # microseconds of the newest event of a second


class Stages(stages.Stages):
    """An invoice is made, finalized and paid within one second: of its three versions the last one has to count.

    Lists of events come newest first (https://docs.stripe.com/api/events/list), so that each further one of a second is older. A reading
    that goes on after a failure within such a second counts anew, from the page on which it goes on.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._second: Any = None
        self._left = _NEWEST

    def select(self, body: Any) -> list[Any]:
        """The records; those of events with the part of the second that their place tells."""
        found = super().select(body)
        return [self._placed(record) if isinstance(record, dict) and "event_id" in record else record for record in found]

    def _placed(self, record: dict[str, Any]) -> dict[str, Any]:
        second = record.get("changed_at")
        if not isinstance(second, int):
            return record
        self._left = max(self._left - 1, 0) if second == self._second else _NEWEST
        self._second = second
        return {**record, "changed_at": f"{second}.{self._left:06}"}
