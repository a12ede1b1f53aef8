"""Candidate pairs: each once, owned by the first rule; common keys are split or dropped and named; only changed records when asked."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.identity import blocking, engine, learn
from spine.identity import keys as key_module
from spine.identity.keys import rule_keys
from spine.identity.pairs import find_pairs

PERSON = load_entity("person")
_names = st.sampled_from(["Ann", "Bob", "Cy", "Dee", None])
_rows = st.lists(
    st.fixed_dictionaries({
        "given_name": _names, "family_name": _names, "email": st.sampled_from(["a@x.com", "b@x.com", None]),
        "birth_date": st.sampled_from(["1980-01-02", "1981-01-02", None]), "city": st.sampled_from(["Leeds", "York", None]),
    }), min_size=2, max_size=25,
)  # fmt: skip


def _records(rows: list[dict[str, Any]]) -> engine.Records:
    fields = list(PERSON.matching.attributes)
    return engine.prepare(
        pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in fields}), engine.make_plan(PERSON.matching)
    )


def _pairs(keys, changed=None):
    parts = list(find_pairs(keys, changed))
    return [
        (int(left), int(right), int(rule), int(mask))
        for part in parts
        for left, right, rule, mask in zip(part.left, part.right, part.rule, part.mask, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(rows=_rows, data=st.data())
def test_every_pair_comes_once_from_the_first_rule_that_yields_it(rows, data):
    records = _records(rows)
    keys = rule_keys(blocking.make_rules(records.plan), records.features, None)
    found = _pairs(keys)
    expected = {}
    for left in range(len(rows)):
        for right in range(left + 1, len(rows)):
            yields = [bit for bit, matrix in enumerate(keys) if (set(matrix[left]) & set(matrix[right])) - {0}]
            if yields:
                expected[left, right] = (yields[0], sum(1 << bit for bit in yields))
    assert len(found) == len(expected)
    assert {(left, right): (rule, mask) for left, right, rule, mask in found} == expected
    changed = np.asarray(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    assert set(_pairs(keys, changed)) == {pair for pair in found if changed[pair[0]] or changed[pair[1]]}


def test_a_key_of_too_many_records_is_split_or_dropped_and_named(monkeypatch, caplog):
    monkeypatch.setattr(key_module, "SMALL_BLOCK", 2)
    monkeypatch.setattr(
        key_module,
        "_over_budget",
        lambda keys: [int(k) for k, n in zip(*np.unique(keys[keys != 0], return_counts=True), strict=True) if n > 9],
    )
    letters = "abcdefghijklmnopqrst"
    rows = [{"given_name": f"{one}{other}ex", "family_name": f"{other}{one}ov", "phone": "+4930555777"} for one, other in pairwise(letters)]
    records = _records(rows)
    with caplog.at_level(logging.WARNING):
        model = learn.start(records.plan, records.features, len(rows))

    keys = rule_keys(blocking.make_rules(records.plan), records.features, model.heavy)
    assert not [pair for pair in _pairs(keys) if pair[2] == 0]


def test_a_plan_knows_its_rules_by_kind():
    names = engine.rule_names(engine.make_plan(load_entity("organization").matching))
    assert names[:2] == ["same phone", "same website"]
    assert "rare name word" in names
