"""What `spine match` demands of records, and what a person should know about them: the same whichever engine has counted.

Where no two records could ever be one, that is an error: every record by itself would read as a result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spine.core.entities import MatchRules
from spine.core.errors import ConfigError, NothingToMatch
from spine.core.settings import settings
from spine.identity.explaining import reach as reach_of
from spine.identity.kinds import kind_of
from spine.identity.matching import Matched, threshold_weight


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


def require_some(columns: Mapping[str, str], values: Mapping[str, Any], path: Path, rows: int) -> None:
    """Raises NothingToMatch if all the columns of a file that attributes are mapped to are empty."""
    if rows and all(values[name].null_count == rows for name in columns if name in values):
        raise NothingToMatch(
            f"none of the {rows:,} records of {path.name} has a value in {', '.join(columns.values())}",
            hint="See whether the right columns were taken for the attributes, or leave the file out",
        )


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


def require_values(rules: MatchRules, rows: int, filled: Mapping[str, int], constant: Collection[str]) -> None:
    """Raises NothingToMatch if no attribute has a value, or all records have the same ones and these are of one attribute or a name alone.

    The arguments are those of `doubts`. The same name, e-mail address and house in all records are one entity all the same.
    """
    names = ", ".join(filled)
    if rows and filled and not any(filled.values()):
        raise NothingToMatch(
            f"none of the {rows:,} records has a value to match by: {names} {'are' if len(filled) > 1 else 'is'} empty",
            hint="See whether the attributes name the right columns, and whether the export was whole",
        )
    told = {name: rules.attributes[name] for name, values in filled.items() if values}
    telling = {reach_of.whole_of(kind) for kind in told.values() if kind_of(kind).identifies}
    stated = rules.same or rules.weights or rules.prior is not None
    if rows > 1 and told and not stated and set(told) <= set(constant) and len(telling) < 2:
        raise NothingToMatch(
            f"all {rows:,} records have the same {' and '.join(told)}, and nothing else tells whether they are one",
            hint=f"Add {reach_of.would_help(told.values())}",
        )


def reach(matched: Matched, threshold: float) -> list[str]:
    """What to know of a threshold that no two records reach, since even with the same values two would not be one.

    Raises NothingToMatch where that is for want of evidence; where there is enough for the usual threshold, this one was chosen so high.
    """
    records, limit = matched.records, threshold_weight(threshold)
    lacking = None if (matched.scored.weight >= limit - 1e-9).any() else reach_of.out_of_reach(records, matched.model, limit)
    if lacking is None:
        return []
    if lacking.best >= settings().match_threshold:
        return [f"no two records can reach the threshold of {threshold:g}: even with the same values two have only {lacking.best:.6g}"]
    lower = ", or a lower --threshold" if lacking.best > 0.5 else ""
    raise NothingToMatch(
        lacking.describe(threshold),
        hint=f"Add {lacking.would_help()}; or, if such records are one to you, state `same` in the rules{lower}",
    )


def none_found(records: int, accepted: int) -> list[str]:
    """A word where not one pair was found."""
    return [f"no two of the {records:,} records were found to be one"] if records > 1 and not accepted else []


def alone(matched: Matched) -> list[str]:
    """A word where but one feature has values, so that all who share them are one."""
    found = reach_of.filled(matched.records)
    if len(found) != 1 or not (matched.label != np.arange(len(matched.label))).any():
        return []
    return [f"only {found[0]} is there to compare: those who share it are taken for one, and nothing tells namesakes apart"]
