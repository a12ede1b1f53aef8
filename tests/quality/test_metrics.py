"""A metric may measure something of its own in the profile's one aggregation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spine.core.entities import Entity
from spine.quality.metrics import VOCABULARY, Metric, measured
from spine.quality.profiling import profiles

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ROWS = (
    "tenant_id string, outcome string, is_deleted boolean, source_cursor string, "
    "emitted_at timestamp, record_ref string, fields struct<v:string>"
)
VALUES = (("xy", False), ("xyzz", True), ("abc", False))


@pytest.mark.spark
def test_a_metric_with_a_measure_of_its_own(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import functions as F

    longest = Metric(
        value=lambda profile, rule, now: profile.measured["longest", rule.field],
        words=("field",),
        counts=frozenset(),
        measure=lambda live, value: F.max(F.when(live, F.length(value))),
    )
    monkeypatch.setattr(VOCABULARY, "_entries", {**VOCABULARY._entries, "longest": longest})
    content = {"entity": "e", "label": "E", "domain": "d", "description": "d", "version": 1, "fields": {"v": {"description": "v"}}}
    rule = {"name": "short", "metric": "longest", "field": "v", "max": 3, "fails": 4}
    entity = Entity.model_validate(content | {"table_rules": [rule]})
    rows = [
        ("a", "new", gone, None, NOW, str(number), (value,))
        for number, (value, gone) in enumerate([("xy", False), ("xyzz", True), ("abc", False)])
    ]
    (profile,) = profiles(spark.createDataFrame(rows, ROWS), entity, [])
    assert measured(profile, entity.table_rules[0], NOW) == 3
    assert profile.staged == 3
