"""When two systems mean the same value, and when one of them has changed it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.push.comparing import Known, Side, compare
from spine.push.spec import Push
from spine.push.values import key_text, same, written_alike

PUSH = Push.model_validate({
    "name": "p", "label": "P", "source": {"connector": "salesforce", "object": "contacts"}, "direction": "bidirectional",
    "conflict_resolution": "source_wins",
    "destination": {"connector": "hubspot", "object": "contacts", "mapping": {"A": "a", "B": "b"}, "match_key": ["A"]},
})  # fmt: skip
VALUES = st.one_of(st.none(), st.sampled_from(["", "x", "X", "12", "012"]), st.integers(-5, 5), st.booleans())
FIELDS = st.fixed_dictionaries({"a": VALUES, "b": VALUES})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (12, "12"), (Decimal("12.500000"), 12.5), (True, "true"), (None, ""), (date(2026, 1, 31), "2026-01-31"), ("12.0", 12),
        (datetime(2026, 1, 31, 8, tzinfo=UTC), "2026-01-31T08:00:00.000+0000"), ("2026-01-31T09:00:00+01:00", "2026-01-31T08:00:00Z"),
    ],
)  # fmt: skip
def test_values_that_mean_the_same(left: Any, right: Any) -> None:
    assert same(left, right)
    assert same(right, left)


@pytest.mark.parametrize(("left", "right"), [("01067", "1067"), ("a", "A"), (0, None), (False, None), ("x", "x ")])
def test_values_that_do_not(left: Any, right: Any) -> None:
    assert not same(left, right)


def test_another_spelling_is_no_change_of_theirs() -> None:
    assert written_alike("Ada@Example.com", "ada@example.com")
    assert written_alike("+49 30 1234", "+49301234")
    assert not written_alike("Ada", "Eve")
    assert not written_alike("Ada", "")


@given(st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=2), st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=2))
def test_keys_of_several_fields_are_not_mixed_up(left: list[str], right: list[str]) -> None:
    if key_text(left, folds=False) == key_text(right, folds=False):
        assert all(same(mine, its) for mine, its in zip(left, right, strict=True))


@given(FIELDS, FIELDS)
def test_what_both_sides_held_when_they_agreed_is_no_change_whatever_they_made_of_it(sent: dict[str, Any], held: dict[str, Any]) -> None:
    found = compare(PUSH, Side(sent), Side(held), Known("k", sent=sent, held=held))
    assert (found.push, found.pull, found.conflicts) == ({}, {}, ())


@given(FIELDS, FIELDS, st.one_of(st.none(), FIELDS))
def test_after_what_is_found_is_done_nothing_is_left_to_do(
    ours: dict[str, Any], theirs: dict[str, Any], before: dict[str, Any] | None
) -> None:
    known = Known("k", sent=before, held=before) if before is not None else None
    found = compare(PUSH, Side(ours), Side(theirs), known)
    mine, its = {**ours, **found.pull}, {**theirs, **found.push}
    sent = {**(before or {}), **{name: pair[0] for name, pair in found.agreed.items()}, **found.push, **found.pull}
    held = {**(before or {}), **{name: pair[1] for name, pair in found.agreed.items()}, **found.push, **found.pull}
    again = compare(PUSH, Side(mine), Side(its), Known("k", sent=sent, held=held))
    assert (again.push, again.pull) == ({}, {})
