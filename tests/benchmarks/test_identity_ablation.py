"""Each mechanism can be taken out, that is felt, and everything is as before afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import identity_ablation as ablation
import identity_worlds as grid


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return grid.case("names_and_countries", 600, tmp_path_factory.mktemp("world"))[0]


@pytest.mark.parametrize("mechanism", ablation.WITHOUT)
def test_every_mechanism_can_be_taken_out_and_is_there_again(mechanism: str, small: Any) -> None:
    before = ablation.figures(small, {})
    assert 0 <= ablation.figures(small, ablation.WITHOUT[mechanism])["f1"] <= 1
    assert ablation.figures(small, {}) == before


@pytest.mark.parametrize("mechanism", ["a floor under the prior and under sameness", "identical records computed once"])
def test_what_is_taken_out_is_missed(mechanism: str, small: Any) -> None:
    assert ablation.figures(small, ablation.WITHOUT[mechanism])["f1"] < ablation.figures(small, {})["f1"] - 0.05


def test_the_table_names_what_is_lost() -> None:
    one = {"precision": 1.0, "recall": 1.0, "f1": 0.9, "calibration_error": 0.01, "world": True}
    found = {ablation.WHOLE: {"offices": one}, "copies": {"offices": one | {"f1": 0.7}}}
    assert list(ablation.lines(found))[-1] == "| copies | 0.700 | 1.000 | 0.010 | offices -0.200 |"
