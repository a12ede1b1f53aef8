"""Data sets for measuring: the truth stays out of what an engine reads."""

from __future__ import annotations

import sys
from importlib import import_module

import pyarrow.csv as csv
import pytest

from spine.core.entities import load_match_rules
from spine.core.settings import PROJECT
from spine.sandbox.world import World


@pytest.fixture(scope="module")
def data():
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield import_module("identity_data")
    sys.path.remove(str(PROJECT / "benchmarks"))


@pytest.fixture(scope="module")
def small_world(data, tmp_path_factory):
    return data.world("person", 900, tmp_path_factory.mktemp("cache"))


def test_the_csv_holds_no_truth(data, small_world, tmp_path):
    for case in (small_world, data.febrl4()):
        table = csv.read_csv(case.write(tmp_path))
        assert set(table.column_names) == set(load_match_rules(case.rules).attributes) | {"unique_id", "source"}
        assert table.num_rows == len(case.truth)
        assert not any("rec-" in str(value) for value in table.column("unique_id").to_pylist())


def test_a_world_is_the_one_that_the_sandbox_serves(data, small_world):
    scale = round(900 / data.PERSON_RECORDS)
    world = World("default", data.SEED, scale, data.NOW)
    label = {f"{source}:{stream}:{key}": true for (_, source, stream, key), kind, true in world.truth_rows() if kind == "person"}
    ids = small_world.table.column("unique_id").to_pylist()
    assert label == {key: f"P{number}" for key, number in zip(ids, small_world.truth.tolist(), strict=True)}
    assert abs(len(ids) - 900) < 10
    births = small_world.table.filter(small_world.table.column("source").to_numpy() != "people_files").column("birth_date")
    assert births.null_count == len(births)


def test_changed_records_keep_their_ids_and_their_number(data, small_world):
    again = data.changed(small_world, 50)
    assert again.table.column("unique_id").to_pylist() == small_world.table.column("unique_id").to_pylist()
    differing = sum(one != other for one, other in zip(again.table.to_pylist(), small_world.table.to_pylist(), strict=True))
    assert 40 <= differing <= 50
