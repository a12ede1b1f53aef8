"""What follows from other agreement is told from what careless writing makes of matches."""

from __future__ import annotations

import numpy as np
import pytest

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.learning.dependence import _bits
from spine.identity.learning.learn import beliefs

SAME, OTHER_PLACE, DIFFERENT = 1, 4, 7


@pytest.fixture(scope="module")
def address():
    """A model of organisations with addresses, and that comparison."""
    plan = engine.make_plan(Matching(attributes={"name": "organization", "street": "street", "city": "city"}))
    return beliefs(plan, 50_000), next(one for one in plan.comparisons if one.name == "address")


def seen(comparison, **counts: int):
    """Pairs by level, all of which agree on the other feature in one way."""
    row = np.zeros((1, comparison.size))
    row[0, [SAME, OTHER_PLACE, DIFFERENT]] = counts["same"], counts["between"], counts["different"]
    return row


def test_matches_that_are_written_carelessly_are_no_dependence(address):
    """Two thirds of the matches are in one house; of those whose names differ a level between is twice as frequent as of all."""
    model, comparison = address
    m = model.m["address"]
    between = int(1.9 * 1_000 * m[OTHER_PLACE - 1] / m[SAME - 1])
    assert not _bits(model, comparison, SAME, seen(comparison, same=1_000, between=between, different=12_000)).any()


def test_what_strangers_share_beside_the_name_follows_from_it(address):
    model, comparison = address
    bits = _bits(model, comparison, SAME, seen(comparison, same=50, between=4_000, different=8_000))
    assert bits[0, OTHER_PLACE] > 2
    assert not bits[0, SAME]
