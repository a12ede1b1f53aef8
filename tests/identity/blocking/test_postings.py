"""Postings come out of their buckets as they went in; standardised records survive their text; rare keys find first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.entities import load_entity
from spine.identity import engine
from spine.identity.blocking import postings
from spine.identity.blocking.keys import LARGEST_BLOCK

PAIRS = st.lists(st.tuples(st.integers(1, 2**64 - 1), st.integers(0, 2**31 - 1)), unique=True)


@pytest.fixture
def records(crowd: list[dict[str, Any]]) -> engine.Records:
    matching = load_entity("person").matching
    assert matching is not None
    rows = [*crowd, {"given_name": "Zoë", "email": "zoe@x.org"}]
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in matching.attributes})
    return engine.prepare(table, engine.make_plan(matching))


@given(PAIRS, st.sampled_from([1, 2, 64, 4096]), st.integers(1, 7))
def test_packed_postings_come_back(pairs: list[tuple[int, int]], buckets: int, batch: int) -> None:
    key, record = np.asarray([p[0] for p in pairs], dtype=np.uint64), np.asarray([p[1] for p in pairs], dtype=np.int64)
    numbers: list[int] = []
    values: list[bytes] = []
    for number, packed in postings.pack(key, record, buckets, batch):
        numbers += number.tolist()
        values += packed.to_pylist()
    assert numbers == sorted(set(postings.bucket_of(key, buckets).tolist()))
    for number, value in zip(numbers, values, strict=True):
        assert set(postings.bucket_of(postings.unpack([value])["key"], buckets).tolist()) == {number}
    assert sorted(postings.unpack(values).tolist()) == sorted(pairs)


def test_buckets_hold_few_postings() -> None:
    for count in (0, 1, 1_000, 30_000_000):
        buckets = postings.bucket_count(count)
        assert buckets & (buckets - 1) == 0
        assert count / buckets <= postings.BUCKET_POSTINGS


def test_records_survive_their_text(records: engine.Records) -> None:
    back = postings.records_of(postings.texts(records).to_pylist(), records.plan)
    for feature in records.plan.features:
        codes, values = records.features[feature.name]
        again, same = back.features[feature.name]
        assert [values[c] if c >= 0 else None for c in codes] == [same[c] if c >= 0 else None for c in again]


def test_keys_are_those_of_matching_and_do_not_depend_on_company(records: engine.Records) -> None:
    model, found = engine.fit(records)
    row, key = postings.keys(records, model)
    alone = postings.records_of(postings.texts(records).to_pylist()[:1], records.plan)
    assert set(postings.keys(alone, model)[1].tolist()) == set(key[row == 0].tolist())
    shared = [len(np.intersect1d(key[row == one], key[row == other])) for one, other in zip(found.left, found.right, strict=True)]
    assert len(shared) > 0
    assert min(shared) > 0


def test_rare_keys_find_first_and_overgrown_ones_nothing() -> None:
    key = np.r_[np.full(2 * LARGEST_BLOCK + 1, 1), np.full(500, 2), np.full(2, 3)].astype(np.uint64)
    record = np.r_[np.arange(2 * LARGEST_BLOCK + 1), np.arange(10_000, 10_500), [10_499, 77]]
    stored = np.zeros(len(key), dtype=postings.POSTING)
    stored["key"], stored["record"] = key, record
    best, sharing = postings.likely(np.asarray([1, 2, 3], dtype=np.uint64), stored, 100_000)
    assert best[:2].tolist() == [10_499, 77]
    assert (len(best), sharing) == (postings.MOST_CANDIDATES, 501)


def test_a_query_is_judged_as_matching_judges_the_pair(records: engine.Records) -> None:
    model, _ = engine.fit(records)
    stored = postings.texts(records).to_pylist()
    query = postings.records_of(stored[:1], records.plan)
    _, judged = postings.against(query, stored[1:], model)
    within = postings.judged(records, model, np.zeros(len(stored) - 1, dtype=np.int64), np.arange(1, len(stored)))
    np.testing.assert_allclose(judged.scored.weight, within.scored.weight)
