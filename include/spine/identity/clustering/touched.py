"""Which records a change reaches. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy arrays of many element types


def touched(reached: Array, *groupings: Array) -> Array:
    """Flags of all rows that share a group with a row of `reached` (a flag per row), directly or through a chain of groups.

    A grouping has a number from 0 per row, the same for the rows of one group, and -1 for a row in no group: components that edges make,
    entities that the run before made. What is not touched is as it was: no group leads from a touched row out.
    """
    found: Array = reached.copy()
    while True:
        count = int(found.sum())
        for grouping in groupings:
            found |= _whole_groups(found, grouping)
        if int(found.sum()) == count or len(groupings) < 2:
            return found


def _whole_groups(found: Array, grouping: Array) -> Array:
    """Flags of the rows in a group of which one row is found."""
    hit: Array = np.zeros(int(grouping.max(initial=-1)) + 2, dtype=bool)  # the last place is that of -1
    hit[grouping[found]] = True
    hit[-1] = False
    return hit[grouping]
