"""A pair's story adds up to its weight; an entity's joins are its maximum spanning tree, a steward's links first."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.identity import engine
from spine.identity.blocking import postings
from spine.identity.explaining import narrate


@pytest.fixture
def records(crowd: list[dict[str, Any]]) -> engine.Records:
    rows = [*crowd, {**crowd[0], "phone": None, "given_name": "Ana"}, {**crowd[1], "birth_date": "1999-12-24"}]
    matching = load_entity("person").matching
    assert matching is not None
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in matching.attributes})
    return engine.prepare(table, engine.make_plan(matching))


@pytest.mark.parametrize(("left", "right"), [(0, 60), (1, 61), (2, 3)])
def test_steps_add_up_to_the_weight(records: engine.Records, left: int, right: int) -> None:
    model, _ = engine.fit(records)
    judged = postings.judged(records, model, np.asarray([left]), np.asarray([right]))
    found = narrate.steps(records, model, judged.scored, 0, left, right)
    assert sum(step["weight"] + step["tf_adjustment"] for step in found) == pytest.approx(float(judged.scored.weight[0]), abs=0.02)


def test_values_are_shown_as_people_write_them(records: engine.Records) -> None:
    model, _ = engine.fit(records)
    judged = postings.judged(records, model, np.asarray([0]), np.asarray([60]))
    shown = {step["attribute"]: (step["left"], step["right"]) for step in narrate.steps(records, model, judged.scored, 0, 0, 60)}
    assert shown["forename"] == ("anna", "ana")
    assert shown["surname"] == ("abel", "abel")
    assert shown["birth_date"] == ("1950-01-10", "1950-01-10")
    assert shown["phone"][1] is None
    assert shown["address"][0] == "3 abel 10100 berlin"


def test_rare_values_say_how_many_records_share_them(records: engine.Records) -> None:
    model, _ = engine.fit(records)
    judged = postings.judged(records, model, np.asarray([0]), np.asarray([60]))
    surname = next(step for step in narrate.steps(records, model, judged.scored, 0, 0, 60) if step["attribute"] == "surname")
    assert (surname["shared_by"], surname["shared_of"]) == (4, 62)


def test_what_excludes_a_pair_is_named(records: engine.Records) -> None:
    model, _ = engine.fit(records)
    judged = postings.judged(records, model, np.asarray([0, 1]), np.asarray([60, 61]))
    assert narrate.excluding(records, judged, 0, 0, 60) == []
    assert narrate.excluding(records, judged, 1, 1, 61) == (["birth_date"] if judged.apart[1] else [])


def test_rules_that_bring_a_pair_together_are_named(records: engine.Records) -> None:
    model, _ = engine.fit(records)
    assert "same email" in narrate.blocking_rules(records, model, 0, 60)
    assert narrate.blocking_rules(records, model, 2, 3) == []


def square(values: dict[tuple[int, int], float], size: int) -> np.ndarray:
    weight = np.full((size, size), -20.0)
    for (one, other), value in values.items():
        weight[one, other] = weight[other, one] = value
    return weight


def test_the_strongest_link_joins_first_and_the_weakest_last() -> None:
    found = narrate.joins(4, square({(0, 1): 5.0, (1, 2): 9.0, (0, 2): 8.0, (2, 3): 1.0}, 4))
    assert [(join.left, join.right, join.link, join.weight) for join in found] == [
        ((1,), (2,), (1, 2), 9.0),
        ((1, 2), (0,), (0, 2), 8.0),
        ((0, 1, 2), (3,), (2, 3), 1.0),
    ]
    assert found[1].mean == pytest.approx((5.0 + 8.0) / 2)


def test_a_stewards_link_comes_first_whatever_it_weighs() -> None:
    found = narrate.joins(3, square({(0, 1): 9.0, (0, 2): -15.0}, 3), [(2, 0)])
    assert [(join.link, join.by) for join in found] == [((0, 2), "steward"), ((0, 1), "evidence")]


def test_one_record_and_none_have_nothing_to_join() -> None:
    assert narrate.joins(1, np.zeros((1, 1))) == narrate.joins(0, np.zeros((0, 0))) == []


@given(st.integers(2, 9), st.randoms(use_true_random=False))
def test_every_record_joins_once_and_every_way_leads_there(size: int, random: Any) -> None:
    weight = square({(one, other): round(random.uniform(-30, 30), 3) for one in range(size) for other in range(one + 1, size)}, size)
    found = narrate.joins(size, weight)
    assert len(found) == size - 1
    assert sorted(found[-1].left + found[-1].right) == list(range(size))
    assert [join.weight for join in found] == sorted((join.weight for join in found), reverse=True)
    way = narrate.way(found, 0, size - 1)
    assert (way[0], way[-1], len(set(way))) == (0, size - 1, len(way))
    # No other way has a stronger weakest link.
    strongest = min(weight[one, other] for one, other in pairwise(way))
    assert strongest >= weight[0, size - 1]


def test_the_strongest_steps_are_told_in_few_words() -> None:
    def step(name: str, label: str, weight: float) -> dict[str, Any]:
        return {"attribute": name, "label": label, "weight": weight, "tf_adjustment": 0.0}

    told = narrate.strongest(
        [step("prior", "x", -20.0), step("city", "same", 1.0), step("email", "same", 9.0), step("name", "differs", -3.0)], 2
    )
    assert told == "email same (+9.0), name differs (-3.0)"
