"""What a change reaches: whole groups, through chains of them, and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.clustering.cluster import components
from spine.identity.clustering.touched import touched

ROWS = 12
_flags = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)
_grouping = st.lists(st.integers(-1, 6), min_size=ROWS, max_size=ROWS)


@given(_flags, st.lists(_grouping, max_size=3))
def test_touched_rows_are_the_groups_that_hang_together_with_a_reached_row(reached: list[bool], groupings: list[list[int]]) -> None:
    """The same by edges: rows of one group are joined in one graph, and its components that hold a reached row are touched."""
    edges = [
        (one, other) for group in groupings for one in range(ROWS) for other in range(one) if group[one] == group[other] and group[one] >= 0
    ]
    left, right = (np.asarray([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    component = components(ROWS, left, right)
    wanted = np.isin(component, component[np.asarray(reached)])
    assert touched(np.asarray(reached), *(np.asarray(group) for group in groupings)).tolist() == wanted.tolist()


@given(_flags, _grouping, _grouping)
def test_no_group_leads_out_of_what_is_touched(reached: list[bool], one: list[int], other: list[int]) -> None:
    found = touched(np.asarray(reached), np.asarray(one), np.asarray(other))
    again = touched(found, np.asarray(other), np.asarray(one))
    assert (found >= np.asarray(reached)).all()
    assert again.tolist() == found.tolist()


def test_a_row_in_no_group_touches_only_itself() -> None:
    reached = np.asarray([True, False, False])
    assert touched(reached, np.asarray([-1, -1, 0])).tolist() == [True, False, False]


def test_the_reached_rows_stay_as_they_were_given() -> None:
    reached = np.asarray([True, False])
    assert touched(reached, np.asarray([0, 0])).tolist() == [True, True]
    assert reached.tolist() == [True, False]


def test_no_rows_touch_nothing() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert touched(nothing.astype(bool), nothing, nothing).tolist() == []
