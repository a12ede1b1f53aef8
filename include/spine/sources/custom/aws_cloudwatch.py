"""AWS: costs are told as groups inside of days, and what a resource is stands in its name. Neither can be said by a path."""

from __future__ import annotations

from typing import Any

from spine.sources.rest import stages

_PARTS = ("partition", "service", "region", "account", "name")  # arn:partition:service:region:account-id:resource, which may have colons


class Stages(stages.Stages):
    """The steps of a page, of which the selector takes groups out of their days and a computed field reads a resource's name."""

    def select(self, body: Any) -> list[Any]:
        """A record for each group of a day; others as they are."""
        return [row for record in super().select(body) for row in _rows(record)]

    def compute(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with the parts of its name, if it has one."""
        arn = record.get("ResourceARN")
        parts = arn.split(":", 5)[1:] if isinstance(arn, str) and arn.count(":") >= 5 else []
        return {**record, **dict(zip(_PARTS, parts, strict=False))}


def _rows(record: Any) -> list[Any]:
    groups = record.get("Groups") if isinstance(record, dict) else None
    if not isinstance(groups, list):
        return [record]
    day = {"day": (record.get("TimePeriod") or {}).get("Start"), "Estimated": record.get("Estimated")}
    return [{**group, **day} if isinstance(group, dict) else group for group in groups]
