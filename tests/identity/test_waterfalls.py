"""Waterfalls of many pairs are those of each pair alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spine.core.entities import load_entity
from spine.identity import engine
from spine.identity import waterfalls as module
from spine.identity.score import waterfall
from spine.identity.waterfalls import waterfalls


@pytest.mark.parametrize("batch", [7, 50_000])
def test_many_waterfalls_are_those_of_each_pair_alone(crowd: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    entity = load_entity("person")
    assert entity.matching is not None
    odd = [{"email": 'o"dd\\@x.org', "given_name": "Zoë 🙂", "family_name": "O'Neil"}, {"phone": "+49301234567"}, {}]
    rows = [*crowd[:30], *[{**row, "birth_date": "1971-03-04"} for row in crowd[:20]], *odd, *odd]
    names = list(entity.matching.attributes)
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in [*names, "source"]})
    table = table.set_column(table.column_names.index("source"), "source", pa.array(["s"] * len(rows)))
    records = engine.prepare(table, engine.make_plan(entity.matching), "source")
    model, _ = engine.fit(records)
    left, right = np.triu_indices(len(rows), 1)
    pairs = engine.Candidates(left, right, engine.patterns(records, left, right, model.rarity), left, left)
    scored = engine.scored(records, model, pairs)
    assert waterfalls(records.plan, model, records.features, scored, left, right).to_pylist() == [
        waterfall(records.plan, model, records.features, scored, at, int(left[at]), int(right[at])) for at in range(len(left))
    ]
