"""Waterfalls of many pairs, made from columns, are what writing each pair alone step by step gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from spine.core.entities import load_entity
from spine.identity import engine
from spine.identity.explaining import waterfalls as module
from spine.identity.explaining.waterfalls import waterfalls
from spine.identity.standardize.text import SEP


@pytest.mark.parametrize("batch", [7, 50_000])
def test_many_waterfalls_are_those_of_each_pair_alone(crowd: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    entity = load_entity("person")
    assert entity.matching is not None
    odd = [{"email": 'o"dd\\@x.org', "given_name": "Zoë 🙂", "family_name": "O'Neil"}, {"phone": "+49301234567"}, {}]
    odd += [{"given_name": "Zoë", "family_name": f"Li {suffix}"} for suffix in ("Jr.", "Sr.")]
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
        _alone(records.plan, model, records.features, scored, at, int(left[at]), int(right[at])) for at in range(len(left))
    ]


def _alone(plan: Any, model: Any, coded: Any, scored: Any, row: int, left: int, right: int) -> str:
    """How the weight of one pair comes about, as JSON: one entry per comparison, plus prior, relatives and certain rules."""
    steps = [_step("prior", "two records at random", model.prior)]
    for place, comparison in enumerate(plan.comparisons):
        level = int(scored.levels[row, place])
        if comparison.silent and not level:
            continue
        codes, values = coded[comparison.feature]
        shown = [values[codes[side]].replace(SEP, " ").strip() if codes[side] >= 0 else None for side in (left, right)]
        label = comparison.labels[level - 1] if level else "not comparable"
        steps.append(_step(comparison.name, label, scored.parts[row, place], level, scored.rarity[row, place], *shown))
    if abs(scored.related[row]) > 0.005:
        steps.append(_step("relation", "could be relatives or neighbours", scored.related[row]))
    if scored.lifted[row] > 0:
        steps.append(_step("certain rule", _certain(plan, scored.levels[row]), scored.lifted[row]))
    return orjson.dumps(steps).decode()


def _certain(plan: Any, digits: Any) -> str:
    """The certain rule that lifts a pair."""
    stated = [item.name for level, item in zip(digits.tolist(), plan.comparisons, strict=True) if item.certain and level == 1]
    return stated[0] if stated else "same personal e-mail address"


def _step(
    attribute: str, label: str, weight: float, level: int = 0, adjustment: float = 0.0, left: str | None = None, right: str | None = None
) -> dict[str, Any]:
    return {
        "attribute": attribute, "level": level, "label": label, "weight": round(float(weight), 3),
        "tf_adjustment": round(float(adjustment), 3), "left": left, "right": right,
    }  # fmt: skip
