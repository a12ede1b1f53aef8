"""Scores: symmetric, the waterfall adds up, agreement never weighs less than disagreement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.identity import engine
from spine.identity.comparing.comparisons import pattern
from spine.identity.explaining.waterfalls import waterfall
from spine.identity.learning import learn
from spine.identity.learning.model import Model
from spine.identity.learning.score import probability, score

PERSON = load_entity("person")
FIELDS = list(PERSON.matching.attributes) if PERSON.matching else []
_texts = st.one_of(
    st.none(),
    st.sampled_from(["Ann", "Bob Lee", "LEE", "1980-02-03", "a@b.com", "info@b.com", "+4930123456", "7 Elm St", "LS1 4AP"]),
    st.text(max_size=12),
)
_record = st.fixed_dictionaries(dict.fromkeys(FIELDS, _texts))


def _records(rows: list[dict[str, Any]]) -> engine.Records:
    plan = engine.make_plan(PERSON.matching)
    return engine.prepare(pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in FIELDS}), plan)


@settings(max_examples=60, deadline=None)
@given(one=_record, other=_record)
def test_a_score_is_symmetric_for_any_two_records(one, other):
    records = _records([one, other])
    model = learn.start(records.plan, records.features, 2)
    weights = []
    for left, right in ((np.array([0]), np.array([1])), (np.array([1]), np.array([0]))):
        found = pattern(records.plan, records.features, left, right, model.rarity)
        weights.append(score(records.plan, model, records.features, left, right, found).weight[0])
    assert weights[0] == weights[1]
    assert np.isfinite(weights[0])


def test_the_waterfall_adds_up_to_the_weight(crowd):
    rows = [dict.fromkeys(FIELDS) | {name: row.get(name) for name in FIELDS} for row in [*crowd, {**crowd[0], "given_name": "Anne"}]]
    records = _records(rows)
    model, found = engine.fit(records)
    scored = engine.scored(records, model, found)
    best = int(np.argmax(scored.weight))
    steps = waterfall(records.plan, model, records.features, scored, best, int(found.left[best]), int(found.right[best]))
    assert abs(sum(step["weight"] + step["tf_adjustment"] for step in steps) - scored.weight[best]) < 0.05
    assert {"attribute", "level", "label", "weight", "tf_adjustment", "left", "right"} <= set(steps[0])


def test_weights_fall_from_agreement_to_disagreement_and_the_model_survives_json(crowd):
    records = _records([dict.fromkeys(FIELDS) | {name: row.get(name) for name in FIELDS} for row in crowd])
    model, _ = engine.fit(records)
    for comparison in records.plan.comparisons:
        ratios = np.asarray(model.m[comparison.name]) / np.asarray(model.u[comparison.name])
        assert (np.diff(ratios) <= 1e-9 * ratios[:-1]).all(), comparison.name
        assert abs(sum(model.m[comparison.name]) - 1) < 1e-9
    assert Model.from_json(model.to_json()).to_json() == model.to_json()


def test_a_probability_of_even_odds_is_a_half():
    assert probability(np.array([0.0]))[0] == 0.5
