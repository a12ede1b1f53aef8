"""What `spine match` demands of records, and what a person should know about them: the same whichever engine has counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from spine.core.entities import MatchRules
from spine.core.errors import ConfigError


def attributes(rules: MatchRules) -> list[str]:
    """The columns that are compared."""
    return [name for name, kind in rules.attributes.items() if kind != "ignore"]


def used(rules: MatchRules) -> list[str]:
    """The columns that are read besides the record id."""
    return list(dict.fromkeys([*attributes(rules), *([rules.source] if rules.source else [])]))


def skipped(blank: int) -> str:
    """What is said of rows without any value behind the number of records; nothing if there are none."""
    return f", {blank:,} empty rows skipped" if blank else ""


def require_filled(missing: int, rows: int, name: str, path: Path) -> None:
    """Raises ConfigError if some rows have no value of the id `name`."""
    if missing:
        raise ConfigError(f"{missing:,} of {rows:,} records of {path.name} have no {name}", hint="Every record needs an id of its own")


def require_distinct(found: str, name: str, path: Path, source: str | None = None) -> None:
    """Raises ConfigError if duplicates of the id `name` were found, which `found` tells; `source` is the column of the sources, if any."""
    if found:
        several = f"; if it is unique within a {source} only, put that before it" if source else ""
        raise ConfigError(f"{name} of {path.name} is not unique: {found}", hint=f"Every record needs an id of its own{several}")


def doubts(rows: int, filled: Mapping[str, int], constant: Collection[str]) -> list[str]:
    """What to know before trusting the result: `filled` counts the values of each attribute, `constant` ones have but one value."""
    if rows == 0:
        return ["there are no records: the clusters are empty"]
    found = []
    for name, values in filled.items():
        if values == 0:
            found.append(f"column {name} is empty: it tells nothing")
        elif rows > 1 and values == rows and name in constant:
            found.append(f"column {name} has the same value everywhere: it tells nothing")
    return found
