"""Levels: what is left out because it decides nothing changes no level."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA, JaroWinkler

from spine.identity.comparing.texts import Ends, Texts
from spine.identity.composites import postal_address as addresses
from spine.identity.standardize.text import SEP

_texts = st.lists(st.text("ab1", max_size=9), min_size=1, max_size=8)
_roads = st.sampled_from(["", "elm", "elm street", "elms street", "oak road", "long oak road"])
_towns = st.sampled_from(["", "leeds", "leds", "york", "new york"])
_codes = st.sampled_from(["", "1011", "1012", "10115", "20115", "ls14ap", "ls15ap", "ls1"])
_addresses = st.lists(
    st.tuples(st.sampled_from(["", "7", "12"]), _roads, _codes, _towns).map(SEP.join), min_size=1, max_size=6, unique=True
)


def _plainly(left: str, right: str) -> int:
    """The level of two addresses, every part of which is compared."""
    (number, road, code, town), (number2, road2, code2, town2) = left.split(SEP), right.split(SEP)

    def same(one: str, other: str) -> bool:
        return bool(one and one == other)

    def alike(one: str, other: str, least: float) -> bool:
        return bool(one and other) and JaroWinkler.similarity(one, other) >= least

    towns = same(town, town2) or alike(town, town2, 0.92)
    heads = same(max(road.split(" "), key=len), max(road2.split(" "), key=len))
    streets = same(road, road2) or heads or alike(road, road2, 0.9)
    codes, numbers, placed = bool(code and code2), bool(number and number2), bool(town and town2)
    apart = codes and code != code2 and placed and not towns
    place = same(code, code2) or towns
    district = same(addresses.postcode_district(code), addresses.postcode_district(code2))
    near = (codes and OSA.distance(code, code2) <= 1) or (district and towns)
    rules = [
        same(number, number2) and streets and not apart,
        same(number, number2) and (place or (not codes and not placed)) and not streets,
        streets and (not numbers or place) and not apart,
        same(code, code2),
        near,
        towns or district,
    ]
    if not (codes or placed or numbers or (road and road2)):
        return 0
    return next((level for level, holds in enumerate(rules, 1) if holds), 7)


@settings(max_examples=300, deadline=None)
@given(values=_addresses)
def test_addresses_have_the_levels_of_a_plain_comparison(values):
    left, right = np.triu_indices(len(values))
    found = addresses.compare(values, left, right, {})
    assert found.tolist() == [_plainly(values[one], values[other]) for one, other in zip(left, right, strict=True)]


@settings(max_examples=200, deadline=None)
@given(values=_texts, size=st.integers(1, 3))
def test_a_slip_is_found_whatever_ends_are_looked_at(values, size):
    left, right = np.triu_indices(len(values))
    found = Ends(Texts(values), size).one_slip(left, right, np.ones(len(left), dtype=bool))
    assert found.tolist() == [OSA.distance(values[one], values[other]) <= 1 for one, other in zip(left, right, strict=True)]
