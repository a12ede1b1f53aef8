"""Beliefs cover only levels that can occur in the data at hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.composites.postal_address import ADDRESS_LEVELS
from spine.identity.kinds import all_kinds
from spine.identity.learning import learn
from spine.identity.learning.model import Model
from spine.identity.planning import make_plan


def _begun(kinds: dict[str, str], columns: dict[str, list[str | None]]) -> Model:
    plan = make_plan(Matching(attributes=kinds))
    records = engine.prepare(pa.table(columns), plan)
    return learn.start(plan, records.features, records.rows)


TOWNS = ["leeds", "york", "hull", "ulm"] * 10
CODES = [str(10115 + 97 * number) for number in range(40)]


def test_an_address_of_city_and_postcode_has_no_house():
    kinds = {"key": "national_id", "town": "city", "code": "postcode"}
    columns = {"key": [f"k{number}" for number in range(40)], "town": TOWNS, "code": CODES}
    m = dict(zip(ADDRESS_LEVELS, _begun(kinds, columns).m["address"], strict=True))
    assert m["same house"] + m["same number, other spelling"] + m["same street"] < 0.002
    assert m["same postcode"] == pytest.approx(0.1 / 0.4, abs=0.01)
    whole = _begun({**kinds, "line": "street"}, {**columns, "line": [f"{number} Elm Road" for number in range(1, 41)]})
    assert whole.m["address"][0] == pytest.approx(0.5, abs=0.01)


def test_the_weight_of_what_does_occur_follows():
    kinds = {"key": "national_id", "town": "city", "code": "postcode"}
    columns = {"key": [f"k{number}" for number in range(40)], "town": TOWNS, "code": CODES}
    model = _begun(kinds, columns)
    same_postcode = ADDRESS_LEVELS.index("same postcode")
    gained = np.log2(model.m["address"][same_postcode] / 0.1)
    assert gained == pytest.approx(np.log2(1 / 0.4), abs=0.05)  # bits that were spread over levels that cannot occur


def test_where_half_of_the_records_have_a_street_the_house_is_a_quarter_of_what_is_believed():
    kinds = {"key": "national_id", "town": "city", "code": "postcode", "line": "street"}
    lines = [f"{number} Elm Road" if number % 2 else None for number in range(1, 41)]
    columns = {"key": [f"k{number}" for number in range(40)], "town": TOWNS, "code": CODES, "line": lines}
    m = _begun(kinds, columns).m["address"]
    assert m[0] / m[-1] == pytest.approx(0.25 * 0.5 / 0.12, rel=0.02)


def test_forenames_without_surnames_cannot_be_swapped():
    m = _begun({"key": "national_id", "given": "forename"}, {"key": ["a1", "b2", "c3"], "given": ["ann", "bob", "cid"]}).m["forename"]
    assert m[2] < 0.001
    assert m[3] < 0.001


def test_names_of_one_word_have_no_words_in_common():
    m = _begun({"key": "national_id", "firm": "organization"}, {"key": ["a1", "b2"], "firm": ["acme", "bolt"]}).m["firm"]
    assert m[2] < 0.001
    assert m[4] < 0.001


def test_the_rarity_of_a_value_is_that_among_pairs_that_can_share_it():
    """Half of all records have a postcode: a pair that shares one of ten is as telling as where all have one."""
    kinds = {"key": "national_id", "town": "city", "code": "postcode"}
    common = {"key": [f"k{number}" for number in range(400)], "town": [None] * 400}
    terms = [
        _begun(kinds, {**common, "town": town, "code": codes}).terms["address"]["4"].total
        for town, codes in (
            (["leeds"] * 400, [CODES[number % 10] for number in range(400)]),
            (["leeds"] * 400, [CODES[number % 10] if number % 2 else None for number in range(400)]),
        )
    ]
    assert terms == [400, 800]  # 200 carry one, a quarter of all pairs can share one


SHAPES = st.sampled_from(
    ["n", "nr", "rct", "ct", "t", "full", "partial", "fl", "f", "l", "il", "own free", "role company", "one", "several"]
)


@given(st.dictionaries(SHAPES, st.floats(0, 1), max_size=4))
def test_every_level_is_possible_in_some_share_of_pairs(shares):
    total = sum(shares.values()) or 1.0
    shares = {shape: share / total for shape, share in shares.items()}
    for comparison in [kind.comparison for kind in all_kinds() if kind.comparison and kind.comparison.shapes]:
        assert comparison.shapes is not None
        found = comparison.shapes.possible(shares)
        assert len(found) == len(comparison.labels)
        assert all(-1e-9 <= share <= 1 + 1e-9 for share in found)


@pytest.mark.parametrize("kind", [kind for kind in all_kinds() if kind.comparison and kind.comparison.shapes], ids=lambda kind: kind.name)
def test_usual_shapes_are_among_those_that_values_have(kind):
    assert kind.comparison is not None
    assert kind.comparison.shapes is not None
    assert sum(kind.comparison.shapes.usual.values()) == pytest.approx(1)
    value = kind.standardize(kind.example)
    assert set(kind.comparison.shapes.of([value]).values.tolist()) - {""} <= set(kind.comparison.shapes.usual)
