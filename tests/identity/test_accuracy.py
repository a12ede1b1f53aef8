"""Precision and recall without labels, with the smallest rules and default settings, on labelled records and on a generated world."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from spine.core.settings import PROJECT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield import_module("identity")
    sys.path.remove(str(PROJECT / "benchmarks"))


def figures(benchmark, case, record_property):
    labels, _ = benchmark.in_process(case)
    found = benchmark.measures.quality(labels, case.truth)
    for name, value in found.items():
        record_property(name, value)
    return found


@pytest.mark.parametrize("name", ["febrl3", "febrl4"])
def test_generated_australians(benchmark, name, record_property):
    found = figures(benchmark, getattr(benchmark.data, name)(), record_property)
    assert found["precision"] >= 0.90
    assert found["f1"] >= 0.999


@pytest.mark.parametrize(
    ("name", "f1"),
    [pytest.param("historical_50k", 0.88, id="persons"), pytest.param("chicago_early_childhood", 0.915, id="organisations"),
     pytest.param("fodors_zagats", 0.945, id="restaurants across two guides")],
)  # fmt: skip
def test_real_records(benchmark, name, f1, record_property):
    folder = benchmark.data.DATA
    if not (folder / f"{name}.csv").is_file():
        pytest.skip(f"no {name}.csv in {folder}; SPINE_DATA names the folder of the labelled records")
    found = figures(benchmark, benchmark.data.shared(folder, name), record_property)
    assert found["precision"] >= 0.90
    assert found["f1"] >= f1


@pytest.mark.parametrize(("kind", "records"), [("person", 9000), ("organization", 2000)])
def test_a_generated_world(benchmark, kind, records, tmp_path, record_property):
    found = figures(benchmark, benchmark.data.world(kind, records, tmp_path), record_property)
    assert found["precision"] >= 0.90
    assert found["f1"] >= 0.88
