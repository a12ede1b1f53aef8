"""The grid's table and its summary, by figures alone."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from spine.core.settings import PROJECT


@pytest.fixture(scope="module")
def grid():
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield import_module("identity_worlds")
    sys.path.remove(str(PROJECT / "benchmarks"))


def result(name: str, split: str, f1: float, error: float, theirs: float | None = None) -> dict:
    ours = {"precision": f1, "recall": f1, "f1": f1, "calibration_error": error, "lost_to_blocking": error, "largest": 3, "seconds": 1.0}
    engines = {"spine": ours} | ({"splink": ours | {"f1": theirs, "setup": "apart"}} if theirs else {})
    return {"name": name, "split": split, "records": 100, "ceiling": 1.0, "engines": engines}


def test_worst_median_and_best_name_their_worlds_and_errors_are_best_when_small(grid):
    told = "\n".join(grid.summary([result("a", "judge", 0.9, 0.2), result("b", "develop", 0.5, 0.1), result("c", "judge", 0.7, 0.0)]))
    assert "all worlds, spine (3)" in told
    assert "F1           worst 0.5000 (b), median 0.7000, best 0.9000 (a)" in told
    assert "ECE          worst 0.2000 (a), median 0.1000, best 0.0000 (c)" in told
    assert "judge, spine (2)" in told
    assert "splink" not in told


def test_splink_stands_beside_with_its_setup_where_it_ran(grid):
    results = [result("a", "judge", 0.9, 0.2, theirs=0.8), result("b", "develop", 0.5, 0.1, theirs=0.6), result("c", "judge", 0.5, 0.1)]
    assert "splink apart" in "\n".join(grid.lines(results[0]))
    assert "F1 above Splink's on 1 of 2 worlds" in "\n".join(grid.summary(results))


def test_worlds_are_chosen_by_name_and_by_half(grid):
    assert grid.chosen(["vendors", "historical"], None) == ["vendors", "historical"]
    assert grid.chosen(["vendors", "historical"], "judge") == ["historical"]
    assert set(grid.chosen([], "judge")).isdisjoint(grid.chosen([], "develop"))


def test_a_case_of_the_grid_reads_like_any_other(grid, tmp_path):
    case, about = grid.case("names_twice", 200, tmp_path)
    assert case.table.column_names == ["unique_id", "source", "forename", "surname"]
    assert len(case.truth) == 200
    assert about["split"] == "judge"
    assert 0 < about["ceiling"] <= 1
