"""Candidate pairs: each once, owned by the first rule; common keys are split or dropped and named; only changed records when asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.identity import engine
from spine.identity.blocking import blocks as block_module
from spine.identity.blocking import pairs as pair_module
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import blocks_of
from spine.identity.blocking.keys import Keys, rule_keys
from spine.identity.blocking.pairs import find_pairs

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


def _pairs(blocks, rows, changed=None):
    parts = list(find_pairs(blocks, rows, changed))
    return [
        (int(left), int(right), int(rule), int(mask))
        for part in parts
        for left, right, rule, mask in zip(part.left, part.right, part.rule, part.mask, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(rows=_rows, data=st.data())
def test_every_pair_comes_once_from_the_first_rule_that_yields_it(rows, data):
    records = _records(rows)
    keys = rule_keys(blocking.make_rules(records.plan), records.features, None, {})
    found = _pairs([blocks_of(matrix) for matrix in keys], len(rows))
    expected = {}
    for left in range(len(rows)):
        for right in range(left + 1, len(rows)):
            yields = [bit for bit, matrix in enumerate(keys) if (set(matrix[left]) & set(matrix[right])) - {0}]
            if yields:
                expected[left, right] = (yields[0], sum(1 << bit for bit in yields))
    assert len(found) == len(expected)
    assert {(left, right): (rule, mask) for left, right, rule, mask in found} == expected
    changed = np.asarray(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    touched = [blocks_of(matrix, None, changed) for matrix in keys]
    assert set(_pairs(touched, len(rows), changed)) == {pair for pair in found if changed[pair[0]] or changed[pair[1]]}


def test_many_pairs_come_in_passes_and_are_the_same(monkeypatch):
    blocks = [blocks_of(np.asarray([[1, 2], [1, 0], [2, 1], [0, 3], [3, 2]]))]
    whole = _pairs(blocks, 5)
    monkeypatch.setattr(pair_module, "MOST_PAIRS", 2)
    assert sorted(_pairs(blocks, 5)) == sorted(whole)
    assert len(whole) == 6


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=2, max_size=30), cores=st.integers(1, 5))
def test_all_cores_find_the_pairs_of_one_in_the_same_order(rows, cores):
    blocks = [blocks_of(np.asarray(rows)), blocks_of(np.asarray(rows)[:, :1])]
    one = _pairs(blocks, len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_module, "MANY", 1)
        patch.setattr("os.cpu_count", lambda: cores)
        assert _pairs(blocks, len(rows)) == one


def test_a_key_of_too_many_records_is_split_or_dropped_and_named(monkeypatch, caplog):
    monkeypatch.setattr(block_module, "largest_allowed", lambda *_: 9)
    letters = "abcdefghijklmnopqrst"
    rows = [{"given_name": f"{one}{other}ex", "family_name": "Kova", "phone": "+4930555777"} for one, other in pairwise(letters)]
    records = _records(rows)
    model, found = engine.fit(records)
    assert any("blocking keys with too many records: 1 split, 1 dropped, same phone: 19 records" in line for line in caplog.messages)
    assert "555777" not in caplog.text, "the value stays in the model, which is the tenant's own"
    assert "555777" in str(model.heavy)
    phone = blocking.make_rules(records.plan)[1]
    assert phone.name == "same phone"
    assert len(model.heavy[1].split) == 1
    assert not (found.rule == 1).any()


@settings(max_examples=40, deadline=None)
@given(rows=_rows, limit=st.integers(2, 5))
def test_known_heavy_keys_give_the_blocks_that_were_learned(rows, limit):
    records = _records(rows)
    rules = blocking.make_rules(records.plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_module, "largest_allowed", lambda *_: limit)
        learned = list(block_module.learn_blocks(rules, Keys(records.features, {})))
    again = block_module.known_blocks(rules, Keys(records.features, {}), [heavy for heavy, _ in learned], None)
    for (_, one), other in zip(learned, again, strict=True):
        assert sorted(zip(one.key.tolist(), one.size.tolist(), strict=True)) == sorted(
            zip(other.key.tolist(), other.size.tolist(), strict=True)
        )


def test_a_plan_knows_its_rules_by_kind():
    names = engine.rule_names(engine.make_plan(load_entity("organization").matching))
    assert names[:2] == ["same phone", "same website"]
    assert "rare name word" in names
