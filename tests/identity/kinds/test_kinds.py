"""What is said of every kind of attributes: a class and a file each, a name, an example, and beliefs that fit its levels."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pyarrow as pa
import pytest

from spine.core.choices import KINDS
from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.attribute import AttributeKind
from spine.identity.kinds import all_kinds, kind_of
from spine.identity.planning import make_plan


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.name)
class TestEveryKind:
    def test_it_is_one_class_in_the_file_of_its_name(self, kind: AttributeKind) -> None:
        module = sys.modules[type(kind).__module__]
        classes = [item for _, item in inspect.getmembers(module, inspect.isclass) if item.__module__ == module.__name__]
        classes = [item for item in classes if issubclass(item, AttributeKind)]
        assert classes == [type(kind)]
        assert module.__name__.endswith(f".{kind.name}")
        assert kind_of(kind.name) is kind

    def test_it_says_what_it_is_by_an_example_that_says_something(self, kind: AttributeKind) -> None:
        assert inspect.getdoc(kind)
        assert kind.standardize(kind.example)
        assert kind.standardize(None) is None
        assert kind.standardize("  ") is None

    def test_columns_say_what_values_say(self, kind: AttributeKind) -> None:
        texts = [kind.example, None, "", "unknown", kind.example.upper(), "7"]
        found = kind.column([kind.name], [pa.array(texts, pa.string())], kind.standardize)
        assert found.to_pylist() == [kind.standardize(text) for text in texts]

    def test_its_beliefs_are_a_chance_per_level(self, kind: AttributeKind) -> None:
        if kind.comparison is None:
            assert kind.alone_levels
            return
        assert len(kind.comparison.m) == len(kind.comparison.u) == len(kind.comparison.labels)
        assert sum(kind.comparison.m) == pytest.approx(1, abs=0.03)
        assert sum(kind.comparison.u) == pytest.approx(1, abs=0.03)

    def test_records_that_share_its_value_agree(self, kind: AttributeKind) -> None:
        plan = make_plan(Matching(attributes={"it": kind.name, "key": "national_id"}))
        table = pa.table({"it": [kind.example] * 2, "key": ["a1", "b2"]})
        records = engine.prepare(table, plan)
        pattern = engine.patterns(records, np.array([0]), np.array([1]), {})
        levels = dict(zip(plan.comparisons, plan.digits(pattern)[0].tolist(), strict=True))
        told = {
            comparison.name: (level, len(comparison.labels)) for comparison, level in levels.items() if comparison.name != "key" and level
        }
        assert told
        assert all(level == 1 if kind.comparison else level < last for level, last in told.values()), told


def test_the_kinds_are_the_files_of_their_folder() -> None:
    assert tuple(kind.name for kind in all_kinds()) == KINDS
    assert "ignore" not in KINDS
