"""Precision and recall without labels and with default settings, on real labelled records and on a generated world."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from spine.core.settings import PROJECT

DATA = PROJECT.parent / "shared" / "data"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_identity", PROJECT / "benchmarks" / "identity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark_identity"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "f1"),
    [pytest.param("historical_50k", 0.88, id="persons"), pytest.param("chicago_early_childhood", 0.915, id="organisations"),
     pytest.param("fodors_zagats", 0.945, id="restaurants across two guides")],
)  # fmt: skip
def test_real_records(benchmark, name, f1, record_property):
    if not (DATA / f"{name}.csv").is_file():
        pytest.skip(f"the labelled records {name}.csv are not on this machine")
    figures = benchmark.measure(benchmark.from_csv(DATA, name))
    for key, value in figures.items():
        record_property(key, value)
    assert figures["precision"] >= 0.90
    assert figures["f1"] >= f1


@pytest.mark.parametrize("kind", ["person", "organization"])
def test_a_generated_world(benchmark, kind):
    figures = benchmark.measure(benchmark.from_world(kind, 1200))
    assert figures["precision"] >= 0.90
    assert figures["f1"] >= 0.88
